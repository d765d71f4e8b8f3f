#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One direction of a telephone call through a tunnel while four TCP streams keep the machine busy: packets lost, and
# the delay of the others.

cd "$(dirname "$0")" && source ./lib.sh
wanted call-lost call-p50 call-p99 || exit 0
count=$(seconds 300 100)

tunnel 4 || exit
ip netns exec a iperf3 --connect-timeout 5000 -c 192.168.241.2 -P 4 -t 600 >/dev/null 2>&1 &
bulk=$!
b python3 call.py receive 4000 "$count" >/tmp/call &
receiver=$!
wait_for 60 grep -q ready /tmp/call
a python3 call.py send 192.168.241.2 4000 "$count"
wait "$receiver"
kill "$bulk"
wait "$bulk" 2>/dev/null
sed -i 1d /tmp/call
result call-lost $((count - $(wc -l </tmp/call))) packets
result call-p50 "$(percentile 50 </tmp/call)" ms
result call-p99 "$(percentile 99 </tmp/call)" ms
