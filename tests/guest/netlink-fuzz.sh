#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 1800
# Random and mutated netlink requests (netlink-fuzz.py, which re-expresses syzkaller's description of the family), while
# another tunnel of the same driver carries traffic: nothing breaks, no memory is left behind, and what is refused changes
# nothing; and each request gives the same error when it is made to the in-tree driver. A tenth as many are made to this
# driver alone, with the commands that only it has among them. COUNT=100000 makes it the long version.

cd "$(dirname "$0")" && source ./lib.sh
plan 13

COUNT=${COUNT:-10000}
OWN=$((COUNT / 10))
SEED=${SEED:-1}
# A file of requests, which may have been made before, on a faster machine.
REQUESTS=${REQUESTS:-/tmp/requests}

slab() {
	echo 3 >/proc/sys/vm/drop_caches
	kernel_memory
}
INTERFACES="wgf0 wgf1 wgf2"
# The requests, with two interfaces up and one down. What they configure leads from one of these to the other, or nowhere.
# usage: fuzz REQUESTS OUTPUT
fuzz() {
	local code i
	ip netns add f
	ip -n f link set lo up
	# A port that is not named must be none of those that are.
	ip netns exec f sysctl -qw net.ipv4.ip_local_port_range="10000 20000"
	for i in 0 1 2; do
		ip -n f link add wgf$i type wireguard
		ip -n f addr add 10.77.$i.1/32 dev wgf$i
		ip -n f addr add fd77:$i::1/128 dev wgf$i nodad
	done
	for i in 1 2; do
		ip -n f link set wgf$i up
		ip -n f route add fd77::/16 dev wgf$i metric $i
	done
	# shellcheck disable=SC2086
	ip netns exec f python3 ./netlink-fuzz.py send "$1" "$2" $INTERFACES
	code=$?
	for i in 0 1 2; do ip -n f link del wgf$i; done
	ip netns del f
	return $code
}
# Passes if interfaces have made sessions with each other. usage: sessions FILE
sessions() {
	grep -E '^# [0-9]+ sessions began, [1-9][0-9]* packets' "$1" && test "$(sed -nE 's/^# ([0-9]+) sessions.*/\1/p' "$1")" -ge 5
}

export PYTHONDONTWRITEBYTECODE=1
[ -s "$REQUESTS" ] || python3 ./netlink-fuzz.py make "$COUNT" "$SEED" "$REQUESTS" $INTERFACES
python3 ./netlink-fuzz.py make-own "$OWN" "$SEED" /tmp/own $INTERFACES
head -n 500 "$REQUESTS" >/tmp/some
topology
check "there is traffic before" a ping -c 1 -W 5 192.168.241.2
# Once without measuring: afterwards, what is allocated once and stays is there.
fuzz /tmp/some /tmp/warm >/dev/null
sleep 2
before=$(slab)
begin_transfers 60 300K
fuzz "$REQUESTS" /tmp/first >/tmp/said
code=$?
[ "$WG_MODULE" != ours ] || fuzz /tmp/own /tmp/own.answers >/tmp/own.said
own_code=$?
end_transfers
cat /tmp/said
check "all requests were answered" is "$code $(wc -l </tmp/first)" "0 $COUNT"
check "interfaces made sessions with each other" sessions /tmp/said
check "many did something" test "$(grep -c ' 0$' /tmp/first)" -ge $((COUNT / 5))
if [ "$WG_MODULE" = ours ]; then
	cat /tmp/own.said
	check "all requests to this driver alone were answered" is "$own_code $(wc -l </tmp/own.answers)" "0 $OWN"
	check "many of them did something" test "$(grep -c ' 0$' /tmp/own.answers)" -ge $((OWN / 5))
	check "none of them changed anything and was refused" grep -q '^# 0 requests were refused' /tmp/own.said
else
	for _ in 1 2 3; do
		skip "requests to this driver alone" "the other driver"
	done
fi
check "traffic went on meanwhile" transfers_went_on
sleep 3
after=$(slab)
echo "# slab and per-CPU memory: $before kB before, $after kB after"
# Kilobytes. KASAN keeps what was freed for a while, up to a 32nd of the memory; there, kmemleak says what is left.
ROOM=4096
[ -z "${WG_FLAVOUR:-}" ] || ROOM=32768
check "no memory is left behind" test $((after - before)) -lt $ROOM
teardown
rmmod wireguard
no_object_left
load_other_driver
fuzz "$REQUESTS" /tmp/second >/tmp/said.second
echo "# the other driver: $(tail -n 1 /tmp/said.second | cut -c 3-)"
check "they do so with the other driver" sessions /tmp/said.second
[ "$WG_MODULE" = ours ] || mv /tmp/said.second /tmp/said
check "this driver changes nothing when it refuses" grep -q '^# 0 requests were refused' /tmp/said
ours=/tmp/first theirs=/tmp/second
[ "$WG_MODULE" = ours ] || ours=/tmp/second theirs=/tmp/first
# Number and errors of what ends differently. Of two faults this driver tells the peers', and the in-tree one that the port
# is in use (98; "Several faults in one request" in Documentation/reference.md).
paste -d ' ' $ours $theirs | awk '$2 != $4 { print $1, $2, $4 > ($4 == 98 && $2 != 0 ? "/tmp/peers-first" : "/tmp/differ") }'
touch /tmp/peers-first /tmp/differ
differences=$(wc -l </tmp/differ)
echo "# $differences of $COUNT requests end differently with the two drivers, and $(wc -l </tmp/peers-first) have bad peers and a port in use"
head -n 10 /tmp/differ | while read -r number error theirs; do
	echo "# $number: $error, $theirs with the in-tree driver: $(sed -n "$((number + 1))p" "$REQUESTS" | cut -c 1-400)"
done
check "both drivers give the same errors" is "$(wc -l </tmp/second) $differences" "$COUNT 0"
# The driver that the other tests want is not this one.
rmmod wireguard
finish
