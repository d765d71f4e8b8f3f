#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# The MTU is the size of the largest packet, and may change at any time, inside and outside, under traffic.

cd "$(dirname "$0")" && source ./lib.sh
plan 14

topology
check "a packet of the default MTU" a ping -M "do" -c 1 -W 5 -s $((1420 - 28)) 192.168.241.2
refuse "not one octet more" a ping -M "do" -c 1 -W 1 -s $((1420 - 27)) 192.168.241.2
ip -n a link set wg0 mtu 1300
check "a smaller MTU" a ping -M "do" -c 1 -W 3 -s $((1300 - 28)) 192.168.241.2
refuse "holds at once" a ping -M "do" -c 1 -W 1 -s $((1300 - 27)) 192.168.241.2
check "the other side has its own" b ping -M "do" -c 1 -W 3 -s $((1300 + 50)) 192.168.241.1
both() {
	ip -n a link set wg0 mtu "$1"
	ip -n b link set wg0 mtu "$1"
}
both 30000
check "a large one, which is fragmented outside" a ping -M "do" -c 1 -W 3 -s $((30000 - 28)) 192.168.241.2
check "IPv6 as well" a ping -M "do" -c 1 -W 3 -s $((30000 - 48)) fd41::2
both 65000
if [ "$WG_MODULE" = ours ]; then
	check "one of 44 fragments" a ping -M "do" -c 1 -W 3 -s $((65000 - 28)) 192.168.241.2
	check "and with IPv6" a ping -M "do" -c 1 -W 3 -s $((65000 - 48)) fd41::2
else
	skip "one of 44 fragments" "the in-tree driver drops messages of more than 25"
	skip "and with IPv6" "likewise"
fi

# Transfers one after the other, and pings, for as long as the MTUs change.
begin_transfers 60 2M -P 2
while [ -e /tmp/transferring ]; do a ping -q -c 1 -W 1 -s 8000 fd41::2; done >/dev/null 2>&1 &
pings=$!
changes=0
until [ $changes -ge 18 ] && grep -qs . /tmp/transfers || [ $changes -ge 180 ]; do
	for mtu in 1420 1280 9000 1281 65000 1411; do
		ip -n a link set wg0 mtu $mtu
		ip -n b link set wg0 mtu $((mtu + changes % 17))
		ip -n a link set veth0 mtu $((mtu < 1500 ? 1500 : 1280))
		sleep 0.3
		changes=$((changes + 1))
	done
done
end_transfers
wait $pings
echo "# $changes changes"
check "TCP goes on while the MTU changes" transfers_went_on
for n in a b; do
	ip -n $n link set wg0 mtu 1420
	ip -n $n link set veth0 mtu 1500
done
# A small MTU disables IPv6, and IPv4 goes on.
ip -n a link set wg0 mtu 600
check "IPv4 with a small MTU" a ping -c 1 -W 3 -s 1000 192.168.241.2
refuse "IPv6 with one that is too small for it" a ping -c 1 -W 1 fd41::2
ip -n a link set wg0 mtu 1420
ip -n a addr add fd41::1/64 dev wg0 nodad
check "and with enough" wait_for 5 ip netns exec a ping -c 1 -W 1 fd41::2
check "traffic afterwards" a ping -c 2 -i 0.3 -W 3 192.168.241.2
teardown
finish
