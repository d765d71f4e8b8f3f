#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packets that wait for a handshake: those that stand for many (GSO) are cut as usual when it is done; the newest
# are kept, in bounded memory, and each one that is dropped is counted.

cd "$(dirname "$0")" && source ./lib.sh
plan 7

topology
# Sends TIMES buffers of COUNT datagrams of 1000 octets, whose first octets say which buffer it is. usage: send TIMES COUNT
send() {
	a python3 -c "
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_UDP, 103, struct.pack('i', 1000))
for n in range($1):
    s.sendto(b''.join(struct.pack('I', n) + bytes(996) for _ in range($2)), ('192.168.241.2', 7))"
}
# What b gets until nothing more comes: how many, of which lengths, and which was the last.
receive() {
	ip netns exec b timeout 60 python3 -c "
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
s.bind(('', 7))
s.settimeout(30)
count, lengths, last = 0, set(), 0
try:
    while True:
        data = s.recv(65536)
        s.settimeout(3)
        count += 1
        lengths.add(len(data))
        last = struct.unpack_from('I', data)[0]
except TimeoutError:
    pass
print(count, lengths, last)" >/tmp/came 2>&1 &
	receiver=$!
	wait_for 20 sh -c "ip netns exec b ss -lun | grep -q :7"
}

# b does not answer yet.
ip -n b link set wg0 down
receive
send 4 2
check "nothing is dropped" is "$(statistic a tx_dropped)" 0
ip -n b link set wg0 up
wait $receiver
echo "# $(cat /tmp/came)"
check "what waited comes when there is a session, cut as it has to be" is "$(cat /tmp/came)" "8 {1000} 3"

# The session goes with the interface.
ip -n a link set wg0 down
ip -n b link set wg0 down
ip -n a link set wg0 up
receive
before=$(statistic a tx_dropped)
send 64 60
refused=$(($(statistic a tx_dropped) - before))
ip -n b link set wg0 up
wait $receiver
echo "# $(cat /tmp/came); $refused dropped"
read -r count lengths last </tmp/came
check "as many wait as fill 128 frames, or more" test "$count" -ge 128
check "but no more than fit into 512 KiB" test "$count" -le 524
check "they are cut" is "$lengths" "{1000}"
check "they are the newest" is "$last" 63
check "the others are counted" is $((count + refused)) $((64 * 60))
teardown
finish
