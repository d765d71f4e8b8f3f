#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
#
# A packet may say when it is to leave, by a clock other than the wall clock: TCP does so for pacing, as does whoever
# sets SO_TXTIME. The message that it becomes is to leave at that time, alone or in a train, and the queues outside have
# to be told by which clock.

cd "$(dirname "$0")" && source ./lib.sh
plan 10

# Sends packets of 1000 octets that are to leave in one second, as one GSO packet if there are several, and prints how
# many milliseconds later the last one arrived. usage: later NUMBER
later() {
	ip netns exec b timeout 20 python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 7))
for n in range($1): s.recv(2048)
print(time.monotonic_ns())" >/tmp/came &
	wait_for 20 sh -c "ip netns exec b ss -lun | grep -q :7"
	a python3 -c "
import socket, struct, time
SO_TXTIME, UDP_SEGMENT = 61, 103
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, SO_TXTIME, struct.pack('iI', time.CLOCK_MONOTONIC, 0))
now = time.monotonic_ns()
control = [(socket.SOL_SOCKET, SO_TXTIME, struct.pack('Q', now + 10**9))]
if $1 > 1: control.append((socket.SOL_UDP, UDP_SEGMENT, struct.pack('H', 1000)))
s.sendmsg([bytes(1000 * $1)], control, 0, ('192.168.241.2', 7))
print(now)" >/tmp/left
	wait $!
	echo $((($(cat /tmp/came) - $(cat /tmp/left)) / 1000000))
}
in_time() {
	local ms
	ms=$(later "$1")
	echo "$ms ms"
	[ "$ms" -ge 990 ] && [ "$ms" -lt 5000 ]
}
at_once() {
	local ms
	ms=$(later "$1")
	echo "$ms ms"
	[ "$ms" -lt 990 ]
}

# Sends 2000 packets without a time, then 80 of which every other one is to leave in a second. None of the latter may
# arrive before that or much later, none of the others together with them, and none may be missing.
flood() {
	ip netns exec b timeout 20 python3 -c "
import socket, time
SO_RCVBUFFORCE = 33
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
s.bind(('', 7))
seen = []
while len(seen) < 80:
    data = s.recv(2048)
    if data[0]: seen.append((data[0], time.monotonic_ns() - int.from_bytes(data[1:9])))
timed = [waited for kind, waited in seen if kind == 1]
print('with a time, ms:', [t // 10**6 for t in timed], 'others:', [w // 10**6 for k, w in seen if k == 2])
exit(len(timed) != 40 or min(timed) < 10**9 or max(timed) > 2 * 10**9 or any(k == 1 for k, _ in seen[:40]))" &
	wait_for 20 sh -c "ip netns exec b ss -lun | grep -q :7"
	a python3 -c "
import socket, struct, time
SO_TXTIME = 61
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, SO_TXTIME, struct.pack('iI', time.CLOCK_MONOTONIC, 0))
s.connect(('192.168.241.2', 7))
for n in range(2000): s.send(bytes(1000))
for n in range(80):
    now = time.monotonic_ns()
    text = [bytes([1 + n % 2]), now.to_bytes(8), bytes(991)]
    s.sendmsg(text, [] if n % 2 else [(socket.SOL_SOCKET, SO_TXTIME, struct.pack('Q', now + 10**9))])"
	wait $!
}

topology
session
# No packet waits where no queue delays it.
check "a packet leaves at once" at_once 1
check "several as well" at_once 20
check "the queue outside looks at times" ip netns exec a tc qdisc add dev veth0 root fq
check "a packet leaves when it is to" in_time 1
check "a train as well" in_time 20
check "it is one" test "$(ip netns exec a tc -s qdisc show dev veth0 | awk '/ Sent / { print $4 }')" -lt 100
check "TCP, which sets such times" tcp a 192.168.241.2 2M

# A flood that nobody answers is collected into trains. Every other packet is to leave in a second, and has to.
trains=$(device_counter a tx_train_messages)
check "packets of a flood leave when each is to" flood
check_speed "though most of them left in trains" test "$(device_counter a tx_train_messages)" -ge $((trains + 1000))

# If it gets lost which clock it is, the queue takes the time for one of the wall clock, shortly after 1970.
check "the queue knows by which clock" not grep "fq: likely mono" <(dmesg)
teardown
finish
