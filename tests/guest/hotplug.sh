#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 600
# guest: --smp 3
# CPUs come and go, and peers and namespaces with them, while traffic flows: no work is queued where
# nobody does it, nothing hangs, nothing is left. DURATION=1800 makes it a soak test.

cd "$(dirname "$0")" && source ./lib.sh
plan 9

DURATION=${DURATION:-$((60 * SLOW))}
cpus=$(nproc)
check "there are CPUs to take away" test "$cpus" -ge 2
online() { echo "$2" >"/sys/devices/system/cpu/cpu$1/online"; }

topology
check "traffic before" a ping -c 1 -W 5 192.168.241.2
end=$((SECONDS + DURATION))
b iperf3 -s -D
a iperf3 -s -D
(while [ $SECONDS -lt $end ]; do a timeout -k 5 10 iperf3 --connect-timeout 2000 -c 192.168.241.2 -t 3 -P 2; done) >/dev/null 2>&1 &
(while [ $SECONDS -lt $end ]; do b timeout -k 5 10 iperf3 --connect-timeout 2000 -c fd41::1 -u -b 20M -t 3; done) >/dev/null 2>&1 &
(while [ $SECONDS -lt $end ]; do a timeout 3 ping -f -q -s 1200 192.168.241.2; done) >/dev/null 2>&1 &

# Peers that send at once come and go.
(
	while [ $SECONDS -lt $end ]; do
		for i in 1 2 3 4 5 6; do
			b wg set wg0 peer "$(wg genkey | wg pubkey)" allowed-ips 10.8.$i.0/24 endpoint 10.0.0.1:1000 persistent-keepalive 1
		done
		sleep 0.3
		b wg show wg0 peers | grep -v "$PUB_A" | while read -r peer; do
			b wg set wg0 peer "$peer" remove
		done
	done
) &
# A third and a fourth namespace with a tunnel between them, which dies with packets in it.
(
	while [ $SECONDS -lt $end ]; do
		ip netns add c
		ip -n c link set lo up
		for i in 1 2; do
			ip -n c link add wg$i type wireguard
			ip netns exec c wg set wg$i listen-port $i private-key <(wg genkey)
		done
		ip netns exec c wg set wg1 peer "$(ip netns exec c wg show wg2 public-key)" allowed-ips 0.0.0.0/0 endpoint 127.0.0.1:2
		ip netns exec c wg set wg2 peer "$(ip netns exec c wg show wg1 public-key)" allowed-ips 0.0.0.0/0 endpoint 127.0.0.1:1
		ip netns add d
		ip -n c link set wg2 netns d
		ip -n c addr add 10.5.0.1/24 dev wg1
		ip -n d addr add 10.5.0.2/24 dev wg2
		ip -n c link set wg1 up
		ip -n d link set wg2 up
		ip netns exec c timeout 1 ping -f -q 10.5.0.2 >/dev/null 2>&1
		ip netns del c
		ip netns del d
	done
) &

# Notices at once when the tunnel has stalled: a ping gets through within ten seconds otherwise.
turns=0 stalls=0
while [ $SECONDS -lt $end ]; do
	cpu=$((turns % (cpus - 1) + 1))
	online $cpu 0
	sleep 0.5
	a ping -q -c 1 -W 10 192.168.241.2 >/dev/null || stalls=$((stalls + 1))
	# Now and then only one CPU is left.
	[ $((turns % 4)) -ne 3 ] || for i in $(seq $((cpus - 1))); do online $i 0 2>/dev/null; done
	sleep 0.5
	b ping -q -c 1 -W 10 192.168.241.1 >/dev/null || stalls=$((stalls + 1))
	for i in $(seq $((cpus - 1))); do online $i 1 2>/dev/null; done
	sleep 0.2
	turns=$((turns + 1))
	[ $((turns % 20)) -ne 0 ] || echo "# $turns turns, $stalls stalls"
done
echo "# $turns turns"
check "CPUs went and came back" test $turns -ge 3
# The endpoint of b's peer is right all the time, so a lost ping means a queue that overflows; a tunnel
# that has stalled loses every one.
check "the tunnel did not stall ($stalls pings of $((turns * 2)) lost)" test $stalls -le $((turns / 5))
a pkill iperf3
b pkill iperf3
wait
check "all CPUs are back" is "$(nproc)" "$cpus"
check "traffic afterwards" wait_for 20 ip netns exec a ping -c 1 -W 1 192.168.241.2
teardown
ip netns del c 2>/dev/null
ip netns del d 2>/dev/null
check "nothing uses the module" wait_for 60 grep -qE '^wireguard [0-9]+ 0 ' /proc/modules
check "the module goes" rmmod wireguard
no_object_left
finish
