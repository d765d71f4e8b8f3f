#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 200
# What waits to be sealed for one interface takes no room from another one's packets, as it would if the bound on what
# waits were that of a CPU: then whoever fills it, in a container, say, makes the tunnels of others drop.

cd "$(dirname "$0")" && source ./lib.sh
plan 6

topology
# Another pair of interfaces, between the same two ends.
key_c=$(wg genkey) key_d=$(wg genkey)
for n in a b; do
	ip -n $n link add wg1 type wireguard
done
a wg set wg1 private-key <(echo "$key_c") listen-port 3000 peer "$(wg pubkey <<<"$key_d")" \
	allowed-ips 192.168.242.2/32 endpoint 10.0.0.2:4000
b wg set wg1 private-key <(echo "$key_d") listen-port 4000 peer "$(wg pubkey <<<"$key_c")" \
	allowed-ips 192.168.242.1/32 endpoint 10.0.0.1:3000
ip -n a addr add 192.168.242.1/24 dev wg1
ip -n b addr add 192.168.242.2/24 dev wg1
ip -n a link set wg1 up
ip -n b link set wg1 up
# Nobody has to be told that no port is open.
b nft 'table inet mute { chain in { type filter hook input priority 0; udp dport 9 drop; }; }'
check "a tunnel" a ping -q -c 2 -i 0.2 -W 10 192.168.241.2
check "another one" a ping -q -c 2 -i 0.2 -W 10 192.168.242.2

# A program sends what belongs to one tunnel. Then, on each CPU, another one sends to the other tunnel as fast as it can,
# before all workers, and more than may wait.
cat >/tmp/send.py <<-EOT
	import os, socket, struct, sys, time
	address, size, seconds, cpu, priority, pause = sys.argv[1], *map(float, sys.argv[2:])
	os.sched_setaffinity(0, [int(cpu)])
	os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(int(priority)))
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.setsockopt(socket.SOL_SOCKET, 32, 512 << 20)
	s.setsockopt(socket.SOL_UDP, 103, struct.pack('i', 1300))
	s.connect((address, 9))
	print('sending', flush=True)
	end = time.monotonic() + seconds
	while time.monotonic() < end:
	    s.send(bytes(int(size)))
	    time.sleep(pause) if pause else None
EOT
a python3 /tmp/send.py 192.168.242.2 100 $((12 * SLOW)) 0 2 0.005 >/tmp/sender &
wait_for 30 grep -q sending /tmp/sender
# Now, since nothing else runs while they send.
before=$(statistic a tx_packets wg1)
for cpu in 0 1; do
	a python3 /tmp/send.py 192.168.241.2 62400 6 $cpu 1 0 >/dev/null &
done
wait
check "more is sent by the one than may wait" test "$(device_counter a tx_drop_queue_full)" -gt 0
full() { echo "$(device_counter "$1" tx_drop_queue_full wg1) $(device_counter "$1" rx_drop_queue_full wg1)"; }
sent() { [ $(($(statistic a tx_packets wg1) - before)) -ge 300 ]; }
check "the other one sends meanwhile" wait_for 20 sent
check "and drops nothing for what waits" is "$(full a)" "0 0"
check "nor does its other side" is "$(full b)" "0 0"
teardown
finish
