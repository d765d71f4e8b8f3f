#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount --smp 4
# time: 900
# slow
# Packets of one flow stay in order, and none is lost, on a clean link with one, two and four CPUs: bulk TCP in
# both directions without a retransmission and without a segment out of order, UDP without a datagram out of order.
# A veth queues a packet on the CPU that sends it, so what one CPU sends may be overtaken by what another one sends.
# With a clock that counts instructions, a slow host is not mistaken for a lossy link.

cd "$(dirname "$0")" && source ./lib.sh
plan 12

# usage: online CPUS    the others are taken away
online() {
	local cpu
	for cpu in 1 2 3; do
		echo $((cpu < $1)) >/sys/devices/system/cpu/cpu$cpu/online
	done
	is "$(nproc)" "$1"
}

# Runs bulk TCP; nothing may be sent again, and nothing may come out of order, at either end.
# usage: bulk CLIENT ADDRESS OPTION...
bulk() {
	local client=$1 address=$2 name grown result=0
	local -A before
	shift 2
	for name in "${COUNTERS[@]}"; do
		before[$name]=$(($(counter a "$name") + $(counter b "$name")))
	done
	tcp "$client" "$address" 8M "$@" || return
	for name in "${COUNTERS[@]}"; do
		grown=$(($(counter a "$name") + $(counter b "$name") - before[$name]))
		[ "$grown" -eq 0 ] || { echo "$name: $grown"; result=1; }
	done
	return $result
}
COUNTERS=(TcpRetransSegs TcpExtTCPOFOQueue TcpExtTCPSACKReorder TcpExtTCPDSACKRecv)

# Datagrams at a lower rate than the tunnel's.
datagrams() {
	local out
	out=$(tcp a 192.168.241.2 2M -u -b 30M -l 1300) || return
	echo "$out"
	! grep -i 'out.of.order' <<<"$out" || return
	grep -q ' 0/[0-9]* (0%).*receiver' <<<"$out"
}

topology 4
for n in a b; do
	# A late answer is no loss: no probes, and patience. What is lost is sent again later.
	ip netns exec $n sysctl -qw net.ipv4.tcp_early_retrans=0 net.ipv4.tcp_rto_min_us=5000000
done
a ping -q -c 2 -i 0.1 -W 3 192.168.241.2 >/dev/null
for cpus in 4 2 1; do
	check "$cpus CPUs are online" online $cpus
	check "one TCP stream: nothing is sent again, nothing is out of order" bulk a 192.168.241.2
	check "four TCP streams the other way likewise" bulk b 192.168.241.1 -P 4
	check "UDP without loss, in order" datagrams
done
teardown
finish
