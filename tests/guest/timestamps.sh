#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
#
# A sender may ask when what it sends leaves (SO_TIMESTAMPING), as programs that keep time over a network do. It is told
# once for each packet, whether the message that the packet becomes leaves alone or in a train, and whoever cuts that.

cd "$(dirname "$0")" && source ./lib.sh
plan 8

# Has PROGRAM send by the socket s, and checks that the stamps that it is told are those of KEYS, each once, and not of
# an earlier time. usage: stamped KEYS [SOCK_STREAM] <<<PROGRAM
stamped() {
	a timeout 60 python3 -c "
import select, socket, struct, sys, time
SO_RCVBUFFORCE, SO_TIMESTAMPING, UDP_SEGMENT, SCM_TSTAMP_SND = 33, 37, 103, 0
TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 11
s = socket.socket(socket.AF_INET, socket.${2:-SOCK_DGRAM})
s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
s.connect(('192.168.241.2', 7))
def ask(more = 0):
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SOFTWARE | OPT_ID | OPT_TSONLY | more)
# By packet, where ask() does not say it for all.
WANTED = [(socket.SOL_SOCKET, SO_TIMESTAMPING, struct.pack('I', TX_SOFTWARE))]
keys = []
def told(seconds):
    poll = select.poll()
    poll.register(s, 0)
    if not poll.poll(seconds * 1000):
        return False
    data, control, flags, sender = s.recvmsg(0, 1024, socket.MSG_ERRQUEUE)
    for level, kind, value in control:
        if level == socket.SOL_SOCKET:
            seconds, nanoseconds = struct.unpack_from('qq', value)
            assert begun <= seconds + nanoseconds / 1e9 <= time.time(), 'a stamp of another time'
        else:
            number, origin, kind, code, pad, info, key = struct.unpack_from('IBBBBII', value)
            assert (origin, info) == (4, SCM_TSTAMP_SND), (origin, info)
            keys.append(key)
    return True
begun = time.time()
exec(sys.stdin.read())
while told(2): pass
print(len(keys), 'stamps:', keys[:20])
exit(keys != list($1))"
}

topology
session
ip netns exec b socat -u UDP-RECV:7 OPEN:/dev/null 2>/dev/null &
servers=$!
ip netns exec b socat -u TCP-LISTEN:7,fork OPEN:/dev/null 2>/dev/null &
servers+=" $!"
wait_for 20 sh -c "[ \$(ip netns exec b ss -lntu | grep -c :7) -eq 2 ]"

check "of packets that leave one by one" stamped "range(10)" <<<"
ask(TX_SOFTWARE)
for n in range(10):
    s.send(bytes(1000))
    told(2)"

before=$(device_counter a tx_train_messages)
check "of every tenth packet of a flood" stamped "range(200)" <<<"
ask()
for n in range(2000): s.sendmsg([bytes(1000)], [] if n % 10 else WANTED)"
check_speed "most of which left in trains" test "$(device_counter a tx_train_messages)" -ge $((before + 1000))

check "of each packet of a flood" stamped "range(500)" <<<"
ask(TX_SOFTWARE)
for n in range(500): s.send(bytes(1000))"

of_segments() {
	stamped "range(50)" <<<"
ask(TX_SOFTWARE)
s.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
for n in range(50): s.send(bytes(20000))"
}
check "of packets that are sent twenty at a time" of_segments

# The stamp is that of the packet with the last octet.
of_tcp() {
	stamped "range(49999, 500000, 50000)" SOCK_STREAM <<<"
ask(TX_SOFTWARE)
for n in range(10):
    s.send(bytes(50000))
    told(5)"
}
check "of what TCP sends" of_tcp

# Most network cards cannot cut a train.
ip netns exec a ethtool -K veth0 tx-udp-segmentation off
check "of what TCP sends, by a device that takes no trains" of_tcp
check "of packets that are sent twenty at a time by it" of_segments
# shellcheck disable=SC2086
{ kill $servers && wait $servers; } 2>/dev/null
teardown
finish
