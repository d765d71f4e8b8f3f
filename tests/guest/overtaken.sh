#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount --smp 2
# time: 600
# Messages wait for one of their flow that a busy CPU has, while other flows go on with the session's counters: they are
# sealed anew, lest they come so late that the other side takes them for replays.

cd "$(dirname "$0")" && source ./lib.sh
plan 5

# Keeps the second CPU from everything else for a tenth of a second, again and again.
hog() {
	exec chrt -f 50 taskset -c 1 python3 -c "
import time
while True:
    end = time.monotonic() + 0.1
    while time.monotonic() < end: pass
    time.sleep(0.1)"
}

topology
a ping -c 1 -W 5 192.168.241.2 >/dev/null
ip netns exec b taskset -c 0 iperf3 -s -D -p 5201
sleep 1
hog &
hog=$!
# A hundred small ones at a time.
ip netns exec a taskset -c 0 timeout 300 python3 -c "
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_UDP, 103, struct.pack('i', 50))
end = time.monotonic() + 7
count = 0
while time.monotonic() < end:
    s.sendto(bytes(5000), ('192.168.241.2', 9))
    count += 100
print(count, 'datagrams')" >/tmp/udp 2>&1 &
udp=$!
check "TCP gets through" ip netns exec a taskset -c 0 iperf3 -t 5 -p 5201 -c 192.168.241.2
wait $udp
kill $hog
sed 's/^/# /' /tmp/udp | tail -n 5
# Without the task, what merely waits is not sealed again.
before=$(device_counter a tx_resealed)
ip netns exec a iperf3 -t 2 -P 4 -p 5201 -c 192.168.241.2 >/dev/null
check "nothing is where nothing is overtaken" is $(($(device_counter a tx_resealed) - before)) 0
resealed=$before replays=$(device_counter b rx_drop_replay)
check_speed "what was overtaken by many is sealed anew ($resealed messages)" test "$resealed" -gt 500
# What was sent may wait for the busy CPU once more, in the link's queue.
check_speed "so that hardly anything is taken for a replay ($replays)" test $((replays * 10)) -lt "$resealed"
check "what was sealed anew is authentic" is "$(device_counter b rx_drop_bad_mac)" 0
b pkill iperf3
teardown
finish
