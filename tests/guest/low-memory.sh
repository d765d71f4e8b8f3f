#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# flavour: debug
# time: 200
# There is memory, but not in one piece: trains and received packets want four pages in a row. What is sent then
# leaves in separate messages, what is received goes to ordinary memory. Nothing is lost, and all is counted.

cd "$(dirname "$0")" && source ./lib.sh
plan 9
FAULTS=/sys/kernel/debug/fail_page_alloc

# Makes all allocations of four pages or more that may not wait fail. usage: scarce 0|100
scarce() {
	echo 2 >$FAULTS/min-order
	echo Y >$FAULTS/ignore-gfp-wait
	echo Y >$FAULTS/ignore-gfp-highmem
	echo -1 >$FAULTS/times
	echo "$1" >$FAULTS/probability
}
# What one end has sent, the other one has received, and nothing was dropped.
all_arrived() {
	local what
	for what in "a b" "b a"; do
		# shellcheck disable=SC2086
		set -- $what
		is "$1: $(statistic "$1" tx_packets)" "$1: $(statistic "$2" rx_packets)" || return
		is "$1: $(statistic "$1" tx_dropped) $(statistic "$1" tx_errors) $(statistic "$1" rx_dropped) $(statistic "$1" rx_errors)" "$1: 0 0 0 0" || return
	done
}
# Datagrams at full speed for a moment, so that they are collected. Not all need arrive: the receiver may be too slow.
datagrams() {
	tcp a 192.168.241.2 2M -u -b 0 -l 1200 >/dev/null
}

topology
# However slow the host is, TCP is to send packets that become long trains.
a sysctl -qw net.ipv4.tcp_min_tso_segs=16
b sysctl -qw net.ipv4.tcp_min_tso_segs=16
check "a tunnel" a ping -c 2 -i 0.2 -W 5 192.168.241.2
scarce 100
check "TCP" tcp a 192.168.241.2 4M
check "TCP over IPv6 inside, the other way" tcp b fd41::1 4M
# Such a failure is not in the kernel's log: the caller asks for no warning.
check "both senders have missed memory" test "$(device_counter a tx_train_no_memory)" -ge 3 -a "$(device_counter b tx_train_no_memory)" -ge 3
# A keepalive may come between two readings.
check "all packets have arrived" wait_for 10 all_arrived
check "datagrams" datagrams
scarce 0
check "TCP afterwards" tcp a 192.168.241.2 4M
teardown
check "the module goes" rmmod wireguard
no_object_left
finish
