#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The figures of Documentation/tuning.md that are not in performance.md: what settings of the administrator change.
# Not a part of `make bench`:
#
#     scripts/guest --module none --icount --mem 2048 --time 1800 tests/bench/run.sh ours:tuning

cd "$(dirname "$0")" && source ./lib.sh
span=$(seconds 3 1)

# usage: mtus LINK TUNNEL
mtus() {
	local n
	for n in a b; do
		ip -n $n link set veth0 mtu "$1"
		ip -n $n link set wg0 mtu "$2"
	done
}
# A TCP stream: its rate, and messages per train at the sender and at the receiver, by the counters that
# ethtool -S has. usage: stream METRIC [OPTION...]
stream() {
	local metric=$1 before after rate
	shift
	wanted "$metric" || return 0
	before="$(device_counter a tx_trains) $(device_counter a tx_train_messages) $(device_counter b rx_trains) $(device_counter b rx_train_messages) $(a cat /sys/class/net/wg0/statistics/tx_packets)"
	rate=$(rate 192.168.241.2 "$span" "$@")
	after="$(device_counter a tx_trains) $(device_counter a tx_train_messages) $(device_counter b rx_trains) $(device_counter b rx_train_messages) $(a cat /sys/class/net/wg0/statistics/tx_packets)"
	result "$metric" "$rate" Mbit/s
	awk -v b="$before" -v a="$after" 'BEGIN {
		split(b, x); split(a, y)
		for (i = 1; i <= 5; i++) d[i] = y[i] - x[i]
		printf "#   a sent %d messages, %d of them in %d trains; b got %d in %d trains\n", d[5], d[2], d[1], d[4], d[3]
	}'
}
# Pings during four TCP streams. usage: ping_under_load METRIC [SECONDS-BEFORE]
ping_under_load() {
	wanted "$1" || return 0
	ip netns exec a iperf3 --connect-timeout 5000 -c 192.168.241.2 -P 4 -t 600 >/dev/null 2>&1 &
	local bulk=$!
	sleep "${2:-0.3}"
	a ping -c 200 -i 0.01 -W 2 192.168.241.2 >/tmp/ping
	kill "$bulk"
	wait "$bulk" 2>/dev/null
	sed -n 's/.* time=\([0-9.]*\) ms.*/\1/p' /tmp/ping >/tmp/times
	result "$1-p50" "$(percentile 50 </tmp/times)" ms
	result "$1-p99" "$(percentile 99 </tmp/times)" ms
	sleep 1
}
if wanted mtu-1420 mtu-1280 mtu-8920; then
	tunnel 4 || exit
	stream mtu-1420
	mtus 1500 1280
	stream mtu-1280
	mtus 9000 8920
	stream mtu-8920
	mtus 1500 1420
fi

if wanted offload-all offload-no-udp-gso offload-no-tso offload-gro offload-inner; then
	tunnel 4 || exit
	stream offload-all
	features off veth0 tx-udp-segmentation
	stream offload-no-udp-gso
	features off veth0 tso
	stream offload-no-tso
	features on veth0 gro
	stream offload-gro
	features off veth0 gro
	features on veth0 tso tx-udp-segmentation
	features off wg0 gso tso
	stream offload-inner
	features on wg0 gso tso
fi

if wanted qdisc-none qdisc-wg-fq_codel qdisc-link-tbf qdisc-link-fq_codel qdisc-link-cake \
	qdisc-ping-none qdisc-ping-wg-fq_codel qdisc-ping-link-tbf qdisc-ping-link-fq_codel qdisc-ping-link-cake; then
	tunnel 4 || exit
	stream qdisc-none -P 4
	ping_under_load qdisc-ping-none
	tc -n a qdisc replace dev wg0 root fq_codel
	stream qdisc-wg-fq_codel -P 4
	ping_under_load qdisc-ping-wg-fq_codel
	tc -n a qdisc del dev wg0 root
	# A link that is narrower than what the machine can do: a queue for all, then one for each flow.
	tc -n a qdisc replace dev veth0 root tbf rate 50mbit burst 128k limit 1m
	stream qdisc-link-tbf -P 4
	ping_under_load qdisc-ping-link-tbf 2
	tc -n a qdisc del dev veth0 root
	tc -n a qdisc replace dev veth0 root handle 1: htb default 1
	tc -n a class add dev veth0 parent 1: classid 1:1 htb rate 50mbit
	tc -n a qdisc add dev veth0 parent 1:1 fq_codel
	stream qdisc-link-fq_codel -P 4
	ping_under_load qdisc-ping-link-fq_codel 2
	tc -n a qdisc del dev veth0 root
	tc -n a qdisc replace dev veth0 root cake bandwidth 50mbit
	stream qdisc-link-cake -P 4
	ping_under_load qdisc-ping-link-cake 2
	tc -n a qdisc del dev veth0 root
fi

if wanted peers-one-request peers-one-by-one peers-show; then
	no_tunnel
	python3 - >/tmp/peers.conf <<-EOT
		import base64, os
		for i in range(1000):
		    print("[Peer]")
		    print("PublicKey =", base64.b64encode(os.urandom(32)).decode())
		    print(f"AllowedIPs = 10.{i >> 8}.{i & 255}.1/32")
	EOT
	ip link add wg0 type wireguard
	ip link set wg0 up
	wg show wg0 >/dev/null
	result peers-one-request "$(milliseconds wg addconf wg0 /tmp/peers.conf)" ms
	one_by_one() {
		local key word
		while read -r key _ word; do
			case $key in
			PublicKey) peer=$word ;;
			AllowedIPs) wg set wg1 peer "$peer" allowed-ips "$word" ;;
			esac
		done </tmp/peers.conf
	}
	ip link add wg1 type wireguard
	result peers-one-by-one "$(milliseconds one_by_one)" ms
	result peers-show "$(milliseconds wg show wg0 latest-handshakes)" ms
	ip link del wg0
	ip link del wg1
fi
