#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 200
# A clock that goes back makes peers refuse our handshakes silently: they accept no timestamp that is not later than
# the last one. We know that timestamp if it was ours, and report what is wrong, once for each series of attempts.

cd "$(dirname "$0")" && source ./lib.sh
export PYTHONDONTWRITEBYTECODE=1
plan 12
refused_by_b() { [ "$(device_counter b rx_refused_old_timestamp)" -ge "$1" ]; }
seen() { grep -c "^clock-went-back" /tmp/events || true; }

topology
echo "module wireguard +p" >$DYNAMIC_DEBUG
a python3 /src/scripts/monitor >/tmp/events 2>&1 &
monitor=$!
wait_for 60 sh -c "ip netns exec a awk '\$2 == 16 && \$4 !~ /^0+\$/' /proc/net/netlink | grep -q ."
session
check "nothing is said while the clock is right" is "$(seen) $(device_counter a handshakes_clock_went_back)" "0 0"
now=$(date +%s)
date -s "@$((now - 3600))" >/dev/null
ip -n a link set wg0 down
ip -n a link set wg0 up
refuse "after it went back an hour there is no session" a ping -c 2 -W 1 192.168.241.2
check "the other side refuses" wait_for 5 refused_by_b 1
check "listeners are told why" wait_for 10 grep -q "^clock-went-back interface=wg0 peer=$PUB_B endpoint=10.0.0.2:2000" /tmp/events
check "so is the log" grep -q "wg0: Clock went back: peer .* will not answer" <(dmesg)
check "attempts go on" wait_for 20 refused_by_b 2
check "it is said once" is "$(seen) $(device_counter a handshakes_clock_went_back)" "1 1"
ip -n a link set wg0 down
ip -n a link set wg0 up
refuse "nor is there one after a new start" a ping -c 1 -W 1 192.168.241.2
check "which begins another series" wait_for 10 sh -c "[ \$(grep -c '^clock-went-back' /tmp/events) = 2 ]"
check "the other side, whose clock is as wrong but was not heard, is no victim" is "$(device_counter b handshakes_clock_went_back)" 0
date -s "@$((now + 60))" >/dev/null
check "with a right clock there is a session again" wait_for 15 ip netns exec a ping -c 1 -W 1 192.168.241.2
check "and nothing more is said" is "$(seen)" 2
kill $monitor
echo 'module wireguard -p' >$DYNAMIC_DEBUG
teardown
finish
