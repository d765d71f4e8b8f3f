#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Round-trip times through a tunnel: idle, and while four TCP streams keep the machine busy.

cd "$(dirname "$0")" && source ./lib.sh
wanted ping-idle ping-load-p50 ping-load-p99 ping-load-lost || exit 0
count=$(seconds 500 100)

tunnel 4 || exit
if wanted ping-idle; then
	result ping-idle "$(a ping -q -c 100 -i 0.02 192.168.241.2 | awk -F / '/^rtt/ { print $5 }')" ms
fi
if wanted ping-load-p50 ping-load-p99 ping-load-lost; then
	# The streams begin before the first ping, and end after the last answer. (Not by a(): who is killed has to be
	# iperf3, not a shell that waits for it.)
	ip netns exec a iperf3 --connect-timeout 5000 -c 192.168.241.2 -P 4 -t 600 >/dev/null 2>&1 &
	bulk=$!
	sleep 0.3
	a ping -c "$count" -i 0.01 -W 1 192.168.241.2 >/tmp/ping
	kill "$bulk"
	wait "$bulk" 2>/dev/null
	sed -n 's/.* time=\([0-9.]*\) ms.*/\1/p' /tmp/ping >/tmp/times
	result ping-load-p50 "$(percentile 50 </tmp/times)" ms
	result ping-load-p99 "$(percentile 99 </tmp/times)" ms
	result ping-load-lost $((count - $(wc -l </tmp/times))) packets
fi
