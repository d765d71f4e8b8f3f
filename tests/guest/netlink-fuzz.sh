#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 1800
# Random and mutated netlink requests (netlink-fuzz.py), while another tunnel of the same driver carries
# traffic: nothing breaks, no memory is left behind, and what is refused changes nothing; and each request gives
# the same error when it is made to the in-tree driver. A tenth as many are made to this driver alone, with the commands
# that only it has among them. COUNT=100000 makes it the long version.

cd "$(dirname "$0")" && source ./lib.sh
plan 11

COUNT=${COUNT:-10000}
OWN=$((COUNT / 10))
SEED=${SEED:-1}
# A file of requests, which may have been made before, on a faster machine.
REQUESTS=${REQUESTS:-/tmp/requests}

slab() {
	echo 3 >/proc/sys/vm/drop_caches
	kernel_memory
}
# The requests, with one interface up and one down. Nothing that they configure leads anywhere.
# usage: fuzz REQUESTS OUTPUT
fuzz() {
	local code
	ip netns add f
	ip -n f link add wgf0 type wireguard
	ip -n f link add wgf1 type wireguard
	ip -n f link set wgf1 up
	ip netns exec f python3 ./netlink-fuzz.py send "$1" "$2" wgf0 wgf1
	code=$?
	ip -n f link del wgf0
	ip -n f link del wgf1
	ip netns del f
	return $code
}

export PYTHONDONTWRITEBYTECODE=1
[ -s "$REQUESTS" ] || python3 ./netlink-fuzz.py make "$COUNT" "$SEED" "$REQUESTS" wgf0 wgf1
python3 ./netlink-fuzz.py make-own "$OWN" "$SEED" /tmp/own wgf0 wgf1
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
if [ "$WG_MODULE" = ours ]; then
	modprobe wireguard
else
	for dep in $(modinfo -F depends /src/wireguard.ko | tr ',' ' '); do modprobe "$dep"; done
	insmod /src/wireguard.ko
fi
fuzz "$REQUESTS" /tmp/second >/tmp/said.second
echo "# the other driver: $(tail -n 1 /tmp/said.second | cut -c 3-)"
[ "$WG_MODULE" = ours ] || mv /tmp/said.second /tmp/said
check "this driver changes nothing when it refuses" grep -q '^# 0 requests were refused' /tmp/said
differences=$(diff /tmp/first /tmp/second | grep -c '^<')
echo "# $differences of $COUNT requests end differently with the other driver"
diff /tmp/first /tmp/second | grep '^[<>]' | head -n 20 | while read -r driver number error; do
	echo "# $driver $number $error: $(sed -n "$((number + 1))p" "$REQUESTS" | cut -c 1-400)"
done
check "both drivers give the same errors" is "$(wc -l </tmp/second) $differences" "$COUNT 0"
# The driver that the other tests want is not this one.
rmmod wireguard
finish
