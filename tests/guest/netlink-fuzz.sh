#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 1800
# Random and mutated netlink requests (netlink-fuzz.py), while another tunnel of the same driver carries
# traffic: nothing breaks, no memory is left behind, and what is refused changes nothing; and the same requests
# to the in-tree driver give the same errors, each of them. COUNT=100000 makes the long version of it.

cd "$(dirname "$0")" && source ./lib.sh
plan 8

COUNT=${COUNT:-10000}
SEED=${SEED:-1}

slab() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^(Slab|Percpu):/ {n += $2} END {print n}' /proc/meminfo
}
# The requests, with one interface up and one down. Nothing that they configure leads anywhere.
# usage: fuzz OUTPUT
fuzz() {
	local code
	ip netns add f
	ip -n f link add wgf0 type wireguard
	ip -n f link add wgf1 type wireguard
	ip -n f link set wgf1 up
	ip netns exec f python3 ./netlink-fuzz.py "$COUNT" "$SEED" "$1" wgf0 wgf1
	code=$?
	ip -n f link del wgf0
	ip -n f link del wgf1
	ip netns del f
	return $code
}

topology
check "there is traffic before" a ping -c 1 -W 5 192.168.241.2
b iperf3 -s -D
# Once without measuring: what is allocated once and stays is there then.
COUNT=500 fuzz /tmp/warm >/dev/null
sleep 2
before=$(slab)
touch /tmp/going
(while [ -e /tmp/going ]; do
	timeout 60 ip netns exec a iperf3 --connect-timeout 10000 -c 192.168.241.2 -n 300K >/dev/null 2>&1 && echo transfer || echo failure
done) >/tmp/transfers &
transfers=$!
fuzz /tmp/first >/tmp/said
code=$?
rm /tmp/going
wait $transfers
cat /tmp/said
check "all requests were answered" is "$code $(wc -l </tmp/first)" "0 $COUNT"
check "many did something" test "$(grep -cE '^[0-9]+ 0 ' /tmp/first)" -ge $((COUNT / 5))
echo "# $(grep -c transfer /tmp/transfers) transfers meanwhile"
check "traffic went on meanwhile" sh -c 'grep -q transfer /tmp/transfers && ! grep -q failure /tmp/transfers'
sleep 3
after=$(slab)
echo "# slab and per-CPU memory: $before kB before, $after kB after"
check "no memory is left behind" test $((after - before)) -lt 4096
b pkill iperf3
teardown
rmmod wireguard
no_object_left
if [ "$WG_MODULE" = ours ]; then
	modprobe wireguard
else
	for dep in $(modinfo -F depends /src/wireguard.ko | tr ',' ' '); do modprobe "$dep"; done
	insmod /src/wireguard.ko
fi
fuzz /tmp/second >/tmp/said.second
[ "$WG_MODULE" = ours ] || mv /tmp/said.second /tmp/said
check "this driver changes nothing when it refuses" grep -q '^# 0 requests were refused' /tmp/said
differences=$(diff /tmp/first /tmp/second | grep -c '^<')
echo "# $differences of $COUNT requests end differently with the other driver"
diff /tmp/first /tmp/second | cut -c 1-400 | head -n 20 | sed 's/^/# /'
check "both drivers give the same errors" is "$(wc -l </tmp/second) $differences" "$COUNT 0"
finish
