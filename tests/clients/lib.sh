# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A server and a client whose tunnel the client under test makes. To be sourced.

# shellcheck source=tests/recipes/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipes/lib.sh"

# A server at 192.0.2.10:51820 and 2001:db8::10 that masquerades, a site at 203.0.113.80 and
# 2001:db8:80::80, and a client with a network of its own, 192.168.1.0/24, where a printer is.
# Tunnel: 10.8.0.0/24 and fd08::/64, the server is 1, the client 2.
world() {
	KEY=$(wg genkey) CLIENT_KEY=$(wg genkey) PSK=$(wg genpsk)
	PUB=$(wg pubkey <<<"$KEY") CLIENT_PUB=$(wg pubkey <<<"$CLIENT_KEY")
	internet
	machine server && connect server eth0 192.0.2.10/24 internet 192.0.2.1
	machine site && connect site eth0 203.0.113.80/24 internet 203.0.113.1
	machine client && connect client eth0 192.168.1.2/24 internet 192.168.1.1
	machine printer && connect printer eth0 192.168.3.9/24 client 192.168.3.1
	local machine
	for machine in server:10:1 site:80:80 client:2:2; do
		IFS=: read -r machine host net <<<"$machine"
		ip -n internet addr add "2001:db8:$net::1/64" dev "to-$machine" nodad
		ip -n "$machine" addr add "2001:db8:$net::$host/64" dev eth0 nodad
		ip -n "$machine" route add default via "2001:db8:$net::1"
	done
	on server "$KEY" "$CLIENT_PUB" "$PSK" <<-'EOT'
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
		ip6tables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
		ip link add wg0 type wireguard
		wg set wg0 listen-port 51820 private-key <(echo "$1") \
			peer "$2" preshared-key <(echo "$3") allowed-ips 10.8.0.2/32,fd08::2/128
		ip addr add 10.8.0.1/24 dev wg0
		ip addr add fd08::1/64 dev wg0 nodad
		ip link set wg0 up
	EOT
	web site
}
