#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# 5,000 peers: setting them with wg, the memory that each takes, reading the configuration, and deleting the device.

cd "$(dirname "$0")" && source ./lib.sh
wanted peers-setconf peers-memory peers-dump peers-delete || exit 0

# Memory that is in use and cannot be reclaimed, in KB.
used() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^(MemTotal|MemFree|Buffers|Cached|SReclaimable):/ { v[$1] = $2 }
		END { print v["MemTotal:"] - v["MemFree:"] - v["Buffers:"] - v["Cached:"] - v["SReclaimable:"] }' /proc/meminfo
}

ip link add wg0 type wireguard
wg show wg0 >/dev/null
before=$(used)
result peers-setconf "$(milliseconds wg setconf wg0 /share/peers.conf)" ms
[ "$(wg show wg0 peers | wc -l)" -eq 5000 ] || exit
result peers-memory "$(awk -v k=$(($(used) - before)) 'BEGIN { printf "%.2f\n", k / 5000 }')" KB
result peers-dump "$(awk -v s="$(python3 netlink.py dump wg0)" 'BEGIN { printf "%.2f\n", s * 1000 }')" ms
result peers-delete "$(milliseconds ip link del wg0)" ms
