#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 600
# What lies between the two ends may do to the messages what it does to any UDP: rewrite addresses (NAT), encrypt
# them once more (IPsec), cut them into fragments here or on the way, and give them no help from a device. Bulk TCP
# gets through in both directions and nothing is lost, so nothing has to be sent again.

cd "$(dirname "$0")" && source ./lib.sh
plan 37

# Bulk TCP one way and back, without a segment that is sent again. usage: bulk ADDRESS-OF-B ADDRESS-OF-A
bulk() {
	local before after
	before=$(segments_lost)
	tcp a "$1" 3M || return
	tcp b "$2" 3M || return
	after=$(segments_lost)
	echo "lost: $((after - before))"
	[ $((after - before)) -le 0 ]
}
# usage: grown NAMESPACE COUNTER BEFORE NUMBER    it has grown by at least so many
grown() {
	local now
	now=$(counter "$1" "$2")
	echo "$2: $3, now $now"
	[ $((now - $3)) -ge "$4" ]
}
# The octets that a's security associations have sealed. usage: sealed
sealed() {
	ip -n a -s xfrm state | sed -nE 's/^[[:space:]]*([0-9]+)\(bytes\), [0-9]+\(packets\)$/\1/p' | awk '{ n += $1 } END { print n + 0 }'
}

# Addresses and connection tracking: a's messages come from a port other than a thinks.
topology
a nft -f - <<-EOT
	table inet watch {
		chain out {
			type nat hook postrouting priority srcnat
			ip daddr 10.0.0.2 udp dport 2000 snat ip to 10.0.0.1:3333
		}
	}
EOT
check "a tunnel through NAT" a ping -c 3 -i 0.2 -W 3 192.168.241.2
check "TCP through it" bulk 192.168.241.2 192.168.241.1
check "the other side has seen the address that NAT has made" is "$(peer_field b 3)" 10.0.0.1:3333
check "messages to it are no longer than the path allows" a ping -M "do" -c 1 -W 3 -s $((1420 - 28)) 192.168.241.2
teardown

# IPsec in transport mode around the messages, which makes them too long for the link.
for outside in 4 6; do
	topology $outside
	[ $outside = 4 ] && one=10.0.0.1 two=10.0.0.2 || { one=fd00::1; two=fd00::2; }
	for n in a b; do
		spi=1
		for pair in "$one $two" "$two $one"; do
			# shellcheck disable=SC2086
			set -- $pair
			ip -n $n xfrm state add src "$1" dst "$2" proto esp spi $spi reqid 1 mode transport \
				aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f1011121$spi 128
			case $n$spi in
			a1 | b2) dir=out ;;
			*) dir=in ;;
			esac
			ip -n $n xfrm policy add src "$1" dst "$2" proto udp dir $dir tmpl src "$1" dst "$2" proto esp reqid 1 mode transport
			spi=2
		done
	done
	b nft -f - <<-EOT
		table inet watch {
			counter naked { }
			counter sealed { }
			chain in {
				type filter hook prerouting priority 0
				iifname veth0 udp dport 2000 meta secpath missing counter name naked
				iifname veth0 meta l4proto 50 counter name sealed
			}
		}
	EOT
	check "a tunnel inside IPsec over IPv$outside" a ping -c 3 -i 0.2 -W 5 192.168.241.2
	check "TCP over IPv4 in it" bulk 192.168.241.2 192.168.241.1
	check "TCP over IPv6 in it" bulk fd41::2 fd41::1
	check "IPsec has sealed it" test "$(sealed)" -ge 6000000
	check "it was received sealed" test "$(counted b sealed)" -ge 1000
	check "no message came without" is "$(counted b naked)" 0
	teardown
done

# A link whose MTU is smaller than the messages: they are cut into fragments before they leave.
for outside in 4 6; do
	topology $outside
	ip -n a link set veth0 mtu 1300
	ip -n b link set veth0 mtu 1300
	[ $outside = 4 ] && fragments=IpFragCreates whole=IpReasmOKs || { fragments=Ip6FragCreates; whole=Ip6ReasmOKs; }
	made=$(counter a $fragments) joined=$(counter b $whole)
	check "TCP over a link of MTU 1300, IPv$outside" bulk 192.168.241.2 192.168.241.1
	check "messages were cut" grown a $fragments "$made" 4000
	check "and put together" grown b $whole "$joined" 2000
	teardown
done

# A smaller MTU further on, behind a router. The router fragments IPv4; for IPv6 it tells the sender.
for outside in 4 6; do
	topology $outside
	router
	ip -n r link set r1 mtu 1300
	ip -n b link set veth0 mtu 1300
	[ $outside = 4 ] && to=10.0.2.2 cutter=r fragments=IpFragCreates || { to='[fd02::2]'; cutter=a; fragments=Ip6FragCreates; }
	a wg set wg0 peer "$PUB_B" endpoint "$to:2000"
	# What was sent before the sender was told is lost, which must not be counted.
	a ping -q -M "do" -c 5 -i 0.2 -W 2 -s 1372 192.168.241.2 >/dev/null
	made=$(counter $cutter $fragments)
	check "a long packet behind the router, IPv$outside" a ping -M "do" -c 2 -i 0.2 -W 3 -s 1372 192.168.241.2
	check "TCP" bulk 192.168.241.2 192.168.241.1
	check "messages were cut on the way" grown $cutter $fragments "$made" 4000
	teardown
	ip netns del r
done

# Devices that give no help: the one below the tunnel, and the tunnel itself.
for where in veth0 wg0 "veth0 wg0"; do
	topology
	for n in a b; do
		for dev in $where; do
			ip netns exec $n ethtool -K "$dev" tx off sg off tso off gso off gro off rx off >/dev/null 2>&1
			ip netns exec $n ethtool -k "$dev" >/tmp/features.$n.$dev
		done
	done
	dev=${where% *}
	check "no help by $where" not grep -E '^(tx-checksumming|scatter-gather|tcp-segmentation-offload|generic-segmentation-offload|generic-receive-offload): on' /tmp/features.a."$dev"
	check "TCP over IPv4" bulk 192.168.241.2 192.168.241.1
	check "TCP over IPv6" bulk fd41::2 fd41::1
	teardown
done
finish
