#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Endpoints with link-local addresses: two links carry the same addresses, and the scope tells them
# apart, when configured and when learned.

cd "$(dirname "$0")" && source ./lib.sh
plan 10

topology 6
ip link add veth1 netns a type veth peer name veth1 netns b
for dev in veth0 veth1; do
	ip -n a link set $dev up
	ip -n b link set $dev up
	ip -n a addr add fe80::aa/64 dev $dev nodad
	ip -n b addr add fe80::bb/64 dev $dev nodad
done
counted() { ip -n b -s link show "$1" | awk '/RX:/ {getline; print $2}'; }

a wg set wg0 peer "$PUB_B" endpoint "[fe80::bb%veth1]:2000"
check "the scope is shown" is "$(peer_field a 3)" "[fe80::bb%veth1]:2000"
before=$(counted veth1)
check "a peer on the second link" a ping -c 3 -i 0.3 -W 5 192.168.241.2
check "is reached over the second link" test $(($(counted veth1) - before)) -ge 4
check "the other side learns address and scope" is "$(peer_field b 3)" "[fe80::aa%veth1]:1000"
check "and reaches us there" b ping -c 1 -W 3 192.168.241.1

a wg set wg0 peer "$PUB_B" endpoint "[fe80::bb%veth0]:2000"
before=$(counted veth0)
check "the same address on the first link" a ping -c 3 -i 0.3 -W 5 192.168.241.2
check "is reached over the first link" test $(($(counted veth0) - before)) -ge 3
check "the other side follows" is "$(peer_field b 3)" "[fe80::aa%veth0]:1000"

ip -n a link del veth0
refuse "a link that has gone carries nothing" a ping -c 1 -W 1 192.168.241.2
a wg set wg0 peer "$PUB_B" endpoint "[fe80::bb%veth1]:2000"
check "the other one still does" a ping -c 1 -W 3 192.168.241.2
teardown
finish
