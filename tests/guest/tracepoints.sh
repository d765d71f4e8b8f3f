#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 600
# The tracepoints: what they show through tracefs; that perf counts them and runs BPF programs for them; and the
# reason that the kernel's own tracepoint of dropped packets (skb:kfree_skb) shows for ours.

cd "$(dirname "$0")" && source ./lib.sh
plan 27

clear_trace() {
	: >$TRACE/trace
}
# The reasons of packets that were freed by this driver. usage: reasons
reasons() {
	sed -nE 's/^.*kfree_skb: .*location=.*\[wireguard\].*reason: ([A-Z_0-9]+).*/\1/p' $TRACE/trace | sort -u | tr '\n' ' '
}
# A value of a line. usage: value NAME LINE
value() {
	sed -nE "s/.*\b$1=([^ ]*).*/\1/p" <<<"$2"
}

need_tracefs
events=$(cd $TRACE/events/wireguard && echo wg_*)
check "the tracepoints are there" is "$(wc -w <<<"$events")" 13
check "their formats can be read" grep -q 'endpoint=%pISpc' $TRACE/events/wireguard/wg_handshake_sent/format

topology
trace wireguard 1
trace skb/kfree_skb 1
python3 tracepoints.py wg_handshake_completed sh -c '
	ip netns exec a ping -c 1 -W 5 192.168.241.2; sleep 0.5' >/tmp/perf 2>&1
check "perf counts both sides of a handshake" grep -q '^wg_handshake_completed 2$' /tmp/perf
python3 tracepoints.py --bpf wg_drop ip netns exec a ping -c 1 -W 1 192.168.241.77 >/tmp/bpf 2>&1
# Our own kernels do without kprobes and uprobes, and so without BPF for events.
if [ -z "$WG_FLAVOUR" ] || grep -q ' perf_event_attach_bpf_prog$' /proc/kallsyms; then
	check "a BPF program decides that a drop is not counted" grep -q '^wg_drop 0$' /tmp/bpf
else
	skip "a BPF program decides that a drop is not counted" "this kernel has no BPF programs for events"
fi
python3 tracepoints.py wg_drop ip netns exec a ping -c 1 -W 1 192.168.241.77 >/tmp/bpf 2>&1
check "without it, it is" grep -q '^wg_drop 1$' /tmp/bpf

# One handshake: a sends the initiation, b the response, and may have done so before a goes on. Peers have the same
# numbers here as in debug messages.
check "two handshake messages were sent" is "$(traced wg_handshake_sent | wc -l)" 2
check "the initiation" grep -q "endpoint=10.0.0.2:2000 value=1" <<<"$(traced wg_handshake_sent)"
check "and the response" grep -q "endpoint=10.0.0.1:1000 value=2" <<<"$(traced wg_handshake_sent)"
check "they were received" is "$(traced wg_handshake_received | sed 's/.*endpoint=//' | tr '\n' ' ')" \
	"10.0.0.1:1000 value=1 10.0.0.2:2000 value=2 "
check "they were accepted" is "$(traced wg_handshake_accepted | sed 's/.*value=//' | tr '\n' ' ')" "1 2 "
check "by interfaces of this name" is "$(value dev "$(traced wg_handshake_accepted | sed -n 1p)")" wg0
check "each side has a keypair" is "$(traced wg_keypair_created | wc -l)" 2
check "the keypairs have different numbers" is "$(traced wg_keypair_created | sed 's/.*value=//' | sort -u | wc -l)" 2
check "the handshake was completed on both sides" is "$(traced wg_handshake_completed | wc -l)" 2
check "nothing was dropped but that" is "$(traced 'wg_drop|wg_handshake_refused' | grep -vc tx_drop_no_peer)" 0
check "nor do the kernel's tools see another drop" is "$(reasons)" "IP_OUTNOROUTES "

a wg set wg0 listen-port 1111
a ping -c 1 -W 5 192.168.241.2 >/dev/null
check "a new endpoint" grep -q "dev=wg0 .*endpoint=10.0.0.1:1111" <<<"$(traced wg_endpoint_changed)"

# Drops: our own word for the reason, and the kernel's.
clear_trace
a ping -c 1 -W 1 192.168.241.77 >/dev/null 2>&1
check "no peer for a destination" is "$(traced wg_drop)" "wg_drop: dev=wg0 reason=tx_drop_no_peer packets=1"
check "for the kernel: no route" is "$(reasons)" "IP_OUTNOROUTES "
clear_trace
ip -n a addr add 192.168.241.9/32 dev wg0
a ping -c 1 -W 1 -I 192.168.241.9 192.168.241.2 >/dev/null
ip -n a addr del 192.168.241.9/32 dev wg0
check "a source that is not allowed" is "$(traced wg_drop)" "wg_drop: dev=wg0 reason=rx_drop_source_not_allowed packets=1"
check "for the kernel: an invalid source" is "$(reasons)" "IP_INVALID_SOURCE "
clear_trace
a python3 counters.py stray
sleep 0.5
check "strangers' handshake messages" is \
	"$(traced wg_handshake_refused | sed -E 's/.*reason=rx_refused_([^ ]*).*/\1/' | sort | tr '\n' ' ')" "bad_cookie bad_mac1 bad_mac1 "
check "and where they are" is "$(traced wg_handshake_received | sed -nE 's/.*endpoint=10.0.0.1:[1-9].* //p' | tr '\n' ' ')" \
	"value=1 value=2 value=3 "
check "strangers' data" is \
	"$(traced wg_drop | sed -E 's/.*reason=([^ ]*).*/\1/' | sort | tr '\n' ' ')" "rx_drop_no_session rx_drop_not_wireguard rx_drop_not_wireguard "
check "for the kernel: another protocol, or nothing that it has a word for" is "$(reasons)" "INVALID_PROTO NOT_SPECIFIED "

# Only what was switched on is traced.
trace wireguard 0
trace wireguard/wg_keypair_destroyed 1
clear_trace
a wg set wg0 peer "$PUB_B" remove
check "a keypair that is gone, and nothing else" grep -q 'endpoint=10.0.0.2:2000' <<<"$(traced wg_keypair_destroyed)"
check "and nothing else" is "$(traced 'wg_[a-z_]+' | grep -vc wg_keypair_destroyed)" 0
trace wireguard 0
trace skb/kfree_skb 0
teardown
finish
