#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 600
# Documentation/tuning.md: the commands of the page are run as they are written there, each in a situation that it is
# for, and what the page says of counters and queues holds. Its figures are those of tests/bench/tuning.sh.

cd "$(dirname "$0")" && source ./lib.sh
plan 18
page tuning.md

# Like topology, with links of the name that the page uses.
links() {
	local n
	topology
	for n in a b; do
		ip -n $n link set veth0 down
		ip -n $n link set veth0 name eth0
		ip -n $n link set eth0 up
	done
	session
}
# By how much a's tx_trains and b's rx_trains go up during a transfer, as "many" or "none".
trains() {
	local sent received
	sent=$(device_counter a tx_trains) received=$(device_counter b rx_trains)
	tcp a 192.168.241.2 2M >/dev/null || return
	sent=$(($(device_counter a tx_trains) - sent)) received=$(($(device_counter b rx_trains) - received))
	echo "$(words $sent) $(words $received)"
}
words() {
	if [ "$1" -gt 20 ]; then echo many; elif [ "$1" -eq 0 ]; then echo none; else echo "$1"; fi
}

check "a tunnel" links

# Offloads.
run a offloads
check "segmentation on the tunnel is on" shows offloads '^generic-segmentation-offload: on$'
check "and on the link" shows offloads '^tx-udp-segmentation: on$'
check "the page shows GRO" shows offloads '^generic-receive-offload: '
check "all on: trains leave and arrive" is "$(trains)" "many many"
run a trains
check "nearly all messages are in trains" awk '
	/ tx_train_messages: / { trains = $2 }
	/^[0-9]+$/ { packets = $1 }
	END { print trains, packets; exit !(trains > 0.9 * packets) }' /tmp/trains
features off eth0 tx-udp-segmentation tso
check "no segmentation on the link: trains leave, none arrives" is "$(trains)" "many none"
features on eth0 gro
check "GRO puts them together again" is "$(trains)" "many many"
features off eth0 gro
features on eth0 tx-udp-segmentation tso
features off wg0 gso tso
check "no GSO on the tunnel: there are none" is "$(trains)" "none none"
features on wg0 gso tso

# Queues: pings while the link, of 50 Mbit/s, is busy.
# usage: delay    the median, in whole milliseconds
delay() {
	ip netns exec a iperf3 --connect-timeout 5000 -c 192.168.241.2 -P 4 -t 600 >/dev/null 2>&1 &
	local bulk=$!
	sleep 2
	a ping -c 50 -i 0.01 -W 2 192.168.241.2 | sed -nE 's/.* time=([0-9]+).*/\1/p' | sort -n | sed -n 25p
	kill $bulk
	wait $bulk 2>/dev/null
	sleep 1
}
b iperf3 -s -D
tc -n a qdisc replace dev eth0 root tbf rate 50mbit burst 128k limit 1m
one_queue=$(delay)
tc -n a qdisc del dev eth0 root
run a queue
check "the queue is there" shows queue '^qdisc fq_codel .* parent 1:1 '
fair=$(delay)
echo "# a ping takes $one_queue ms behind one queue, and $fair ms with fair ones"
check_speed "one queue for all delays a ping" test "$one_queue" -ge 50
check "fair queues tell the flows inside apart" test "$fair" -le 5
tc -n a qdisc del dev eth0 root

run a receive
check "each CPU has its line" is "$(grep -cE '^[0-9a-f]{8} ' /tmp/receive)" "$(nproc)"
check "and nothing found a queue full" is "$(grep -c 'queue_full: 0$' /tmp/receive)" 3

# Many peers.
for key in "$(wg genkey)" "$(wg genkey)"; do
	printf '[Peer]\nPublicKey = %s\nAllowedIPs = 10.9.0.%d/32\n' "$(wg pubkey <<<"$key")" $((n += 1))
done >/tmp/peers.conf
run a peers
check "peers are added, the others stay" shows peers '^3$'

move() {
	a wg set wg0 listen-port 1111
	a ping -c 1 -W 5 192.168.241.2
}
run_during b events move
check "an event" shows events '^endpoint-changed '

# The MTU, over a link that takes it.
ip -n a link set eth0 mtu 9000
ip -n b link set eth0 mtu 9000
ip -n b link set wg0 mtu 8920
run a mtu
check "the largest packet passes" a ping -M "do" -c 1 -W 3 -s $((8920 - 28)) 192.168.241.2
b pkill iperf3
teardown
check "each block of the page was run" each_block_was_run
finish
