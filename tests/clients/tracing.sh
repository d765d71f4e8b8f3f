#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 600
# The programs that Documentation/reference.md names for tracepoints and drops, with the command lines that it has: perf,
# bpftrace and dropwatch see handshakes and drops while they happen. scripts/clients has unpacked them.

cd "$(dirname "$0")" && source ../guest/lib.sh
plan 12
page reference.md
PATH=/opt/tracing/usr/bin:$PATH
export LD_LIBRARY_PATH=/opt/tracing/usr/lib/x86_64-linux-gnu

# A handshake, a packet to nobody, and one with a source that b does not allow.
happen() {
	a wg set wg0 private-key /dev/null
	a wg set wg0 private-key <(echo "$KEY_A")
	a ping -c 1 -W 5 192.168.241.2
	a ping -c 1 -W 1 192.168.241.77
	a ping -c 1 -W 1 -I 192.168.241.9 192.168.241.2
}
# Runs a block while all that happens again and again: how long these programs take until they listen differs.
# usage: watch NAMESPACE BLOCK
watch() {
	local watching
	run "$1" "$2" &
	watching=$!
	while kill -0 $watching 2>/dev/null; do
		happen
	done >/dev/null 2>&1
	wait $watching
}

topology
ip -n a addr add 192.168.241.9/32 dev wg0
watch a perf-trace
check "perf trace names the steps of a handshake: sent" shows perf-trace \
	'wireguard:wg_handshake_sent\(dev: "wg0", peer: [0-9]+, .*, value: 1\)'
check "accepted" shows perf-trace 'wireguard:wg_handshake_accepted\(dev: "wg0", .*, value: 2\)'
check "completed" shows perf-trace 'wireguard:wg_handshake_completed\(dev: "wg0", '
check "and each drop with its reason" shows perf-trace \
	'ping/[0-9]+ +wireguard:wg_drop\(dev: "wg0", reason: "tx_drop_no_peer", packets: 1\)'
watch a perf-record
check "perf script shows the endpoint" shows perf-record \
	'wireguard:wg_handshake_completed: dev=wg0 peer=[0-9]+ endpoint=10\.0\.0\.2:2000'
watch a bpftrace
check "bpftrace counts drops by reason" shows bpftrace '^@\[tx_drop_no_peer\]: [1-9]'
check "those of the other side as well" shows bpftrace '^@\[rx_drop_source_not_allowed\]: [1-9]'
watch a perf-drops
check "perf trace has the reason of the core" shows perf-drops \
	'ping/[0-9]+ +skb:kfree_skb\(.*reason: SKB_DROP_REASON_IP_OUTNOROUTES'
check "also on the other side" shows perf-drops 'skb:kfree_skb\(.*reason: SKB_DROP_REASON_IP_INVALID_SOURCE'

# The kernel lets it monitor in the first namespace only, and then shows the drops of all.
ip netns attach first 1
watch first dropwatch
ip netns del first
# usage: dropped REASON    whether it shows a drop by the module with that reason of the core
dropped() {
	awk -v RS= -v reason="$1" '$0 ~ "drop at: _R[^ ]*9wireguard" && $0 ~ "\ndrop reason: " reason "(\n|$)" { found = 1 }
		END { exit !found }' /tmp/dropwatch
}
check "dropwatch shows that the module drops a packet, and the reason of the core" dropped IP_OUTNOROUTES
check "also on the other side" dropped IP_INVALID_SOURCE
check "it has ended its monitoring" modprobe -r drop_monitor
teardown
finish
