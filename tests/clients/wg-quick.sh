#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 600
# wg-quick: a full tunnel, with the rules by which the tunnel's own packets find their way outside, by
# nft and by iptables; with IPv4 and IPv6 endpoints; save and strip.

cd "$(dirname "$0")" && source ./lib.sh
plan 53
world
# Where strict, the reverse path of the server's packets is the tunnel, unless their mark counts.
at client sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1
conf=/etc/netns/client/wireguard/wg0.conf

# usage: configuration ENDPOINT
configuration() {
	cat >$conf <<-EOT
		[Interface]
		# The client of the test.
		Address = 10.8.0.2/24, fd08::2/64
		PrivateKey = $CLIENT_KEY
		PostUp = echo up >>/tmp/hooks
		PreDown = echo down %i >>/tmp/hooks

		[Peer]
		PublicKey = $PUB
		PresharedKey = $PSK
		Endpoint = $1
		AllowedIPs = 0.0.0.0/0, ::/0
	EOT
	chmod 600 $conf
}

# All of a full tunnel. usage: full_tunnel WHAT ENDPOINT OUTER-ADDRESS COMMAND-PREFIX...
full_tunnel() {
	local what=$1 outer=$3 quick=("${@:4}")
	configuration "$2"
	rm -f /tmp/hooks
	check "$what: up" at client "${quick[@]}" wg-quick up wg0
	check "$what: the mark of the tunnel's own packets" is "$(at client wg show wg0 fwmark)" 0xca6c
	check "$what: all packets without it go by a table of their own" grep -q "not from all fwmark 0xca6c lookup 51820" <(ip -n client rule)
	check "$what: but for routes that are more than a default" grep -q "from all lookup main suppress_prefixlength 0" <(ip -n client rule)
	check "$what: IPv6 likewise" grep -q "not from all fwmark 0xca6c lookup 51820" <(ip -6 -n client rule)
	check "$what: the table" grep -q "default dev wg0" <(ip -n client route show table 51820)
	check "$what: a site sees the server's address" is "$(browse client 203.0.113.80)" 192.0.2.10
	check "$what: IPv6" at client ping -c 1 -W 5 2001:db8:80::80
	check "$what: the client's own network is reached directly" at client ping -c 1 -W 5 192.168.3.9
	check "$what: the endpoint" is "$(at client wg show wg0 endpoints | cut -f 2)" "$2"
	check "$what: the hook" is "$(cat /tmp/hooks)" up
}

# A packet to the tunnel's address that comes from outside. usage: intruder
intruder() {
	ip -n internet route replace 10.8.0.2 via 192.168.1.2
	! at internet ping -c 1 -W 1 10.8.0.2
}

down() {
	check "$1: down" at client "${@:2}" wg-quick down wg0
	check "$1: nothing is left" bash -c '
		[ -z "$(ip -n client rule | grep -E "51820|suppress")" ] && [ -z "$(ip -6 -n client rule | grep -E "51820|suppress")" ] &&
		! ip -n client link show wg0 2>/dev/null &&
		[ -z "$(ip netns exec client nft list ruleset | grep wg-quick)" ]'
	check "$1: the other hook" is "$(tail -n 1 /tmp/hooks)" "down wg0"
}

full_tunnel nft 192.0.2.10:51820 192.0.2.10
check "nft: the rules" grep -q "table ip wg-quick-wg0" <(at client nft list tables)
check "nft: an intruder is kept out" intruder
check "nft: the MTU leaves room" grep -q "mtu 1420" <(ip -n client link show wg0)
at client nft delete table ip wg-quick-wg0
check "nft: without the rules it gets in" not intruder
down nft

full_tunnel "nft, IPv6 outside" "[2001:db8:1::10]:51820" 2001:db8:1::10
down "nft, IPv6 outside"

# Without nft, wg-quick falls back to iptables-restore.
mkdir -p /tmp/sbin
ln -sf /usr/sbin/* /tmp/sbin/
rm -f /tmp/sbin/nft
full_tunnel iptables 192.0.2.10:51820 192.0.2.10 env PATH=/usr/bin:/tmp/sbin
check "iptables: the rules" grep -q "wg-quick(8) rule for wg0" <(at client iptables-save)
check "iptables: an intruder is kept out" intruder
down iptables env PATH=/usr/bin:/tmp/sbin
check "iptables: the rules are gone" not grep -q "wg-quick" <(at client iptables-save)

# strip and save.
at client wg-quick strip wg0 >/tmp/strip 2>/dev/null
check "strip leaves what wg understands" bash -c "! grep -E 'Address|PostUp' /tmp/strip && grep -q PrivateKey /tmp/strip"
sed -i '/^PrivateKey/a SaveConfig = true' $conf
at client wg-quick up wg0 2>/dev/null
other=$(wg genkey | wg pubkey)
at client wg set wg0 peer "$other" allowed-ips 10.77.0.0/16 persistent-keepalive 9
check "save" at client wg-quick save wg0
check "the new peer is in the file" grep -q "$other" $conf
check "the addresses are" grep -q "Address = 10.8.0.2/24" $conf
at client wg-quick down wg0 2>/dev/null
power_off
finish
