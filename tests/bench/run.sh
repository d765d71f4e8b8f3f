#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Loads one driver after the other in the same guest and runs groups of measurements with each.
# Runs in a guest whose driver is not loaded; scripts/bench starts it.
#
# usage: run.sh DRIVER:GROUP[,GROUP...]...
#
# A driver is stock (the in-tree one), ours, go (wireguard-go) or none. A group is a script in this
# directory. METRICS (patterns; empty for all) and QUICK are for these.

cd "$(dirname "$0")" && source ./lib.sh
export WG_DRIVER

load() {
	local dep
	case $1 in
	stock) modprobe wireguard ;;
	ours)
		for dep in $(modinfo -F depends /src/wireguard.ko | tr ',' ' '); do
			modprobe "$dep" || return
		done
		insmod /src/wireguard.ko
		;;
	go) modprobe tun ;;
	none) modprobe veth ;;
	*)
		echo "# unknown driver '$1'"
		return 1
		;;
	esac
}

# khugepaged has the lowest priority: while it waits for its turn in the middle of its work, with a lock, the process
# whose memory it is about stands still, for a second on a busy CPU.
echo never >/sys/kernel/mm/transparent_hugepage/enabled

status=0
for run; do
	WG_DRIVER=${run%%:*}
	load "$WG_DRIVER" || exit
	for group in $(tr ',' ' ' <<<"${run#*:}"); do
		echo "# $WG_DRIVER: $group"
		bash "./$group.sh" || { echo "# $WG_DRIVER: $group failed"; status=1; }
	done
	no_tunnel
	case $WG_DRIVER in
	stock | ours) rmmod wireguard || exit ;;
	esac
done
exit $status
