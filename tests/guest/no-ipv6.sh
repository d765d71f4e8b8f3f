#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --append ipv6.disable=1
# A host without IPv6: the driver loads, IPv4 works, and what needs IPv6 fails without harm.

cd "$(dirname "$0")" && source ./lib.sh
plan 10

check "there is no IPv6" not test -e /proc/net/if_inet6
topology
check "a tunnel over IPv4" a ping -c 2 -i 0.3 -W 5 192.168.241.2
check "TCP" tcp a 192.168.241.2 2M
check "a socket for IPv4 only" is "$(a ss -Huln | grep -c :1000)" 1
check "the port can be changed" a wg set wg0 listen-port 1001
check "traffic goes on" a ping -c 1 -W 3 192.168.241.2
a wg set wg0 peer "$PUB_B" endpoint "[fd00::2]:2000" allowed-ips 192.168.241.2/32,fd41::2/128
check "an IPv6 endpoint is stored" is "$(peer_field a 3)" "[fd00::2]:2000"
# Whatever b said of itself meanwhile would come by IPv4 and give a that endpoint again.
nothing_is_sent() {
	local sent
	a wg set wg0 peer "$PUB_B" endpoint "[fd00::2]:2000"
	sent=$(peer_field a 7)
	a ping -f -c 200 -W 1 -w 5 192.168.241.2
	is "$(peer_field a 7)" "$sent"
}
check "and nothing is sent there" while_silent b nothing_is_sent
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:2000
check "with an IPv4 endpoint again" wait_for 10 ip netns exec a ping -c 1 -W 1 192.168.241.2
teardown
rmmod wireguard
no_object_left
finish
