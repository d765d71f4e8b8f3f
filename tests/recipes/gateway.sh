#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# A server that forwards and masquerades by iptables, and a client that sends everything through it: a
# host route to the server, and the default route through wg0.

cd "$(dirname "$0")" && source ./lib.sh
plan 11

internet
machine server && connect server ens4 12.34.56.78/24 internet 12.34.56.1
machine home && connect home eth0 198.51.100.10/24 internet 198.51.100.1
machine client && connect client eth0 192.168.1.2/24 home 192.168.1.1
machine site && connect site eth0 203.0.113.80/24 internet 203.0.113.1
masquerade home eth0
web site

server_key=$(wg genkey) client_key=$(wg genkey)
cat >/etc/netns/server/wireguard/wg0.conf <<EOT
[Interface]
PrivateKey = $server_key
ListenPort = 51820

[Peer]
PublicKey = $(wg pubkey <<<"$client_key")
AllowedIPs = 10.100.0.101/32
EOT
cat >/etc/netns/client/wireguard/wg0.conf <<EOT
[Interface]
PrivateKey = $client_key

[Peer]
PublicKey = $(wg pubkey <<<"$server_key")
Endpoint = 12.34.56.78:51820
AllowedIPs = 0.0.0.0/0
PersistentKeepalive = 25
EOT

check "the server" on server <<'EOT'
	sysctl -qw net.ipv4.ip_forward=1
	ip link add dev wg0 type wireguard
	ip address add dev wg0 10.100.0.1/24
	ip link set wg0 up
	wg setconf wg0 /etc/wireguard/wg0.conf
	iptables -A FORWARD -i wg0 -j ACCEPT
	iptables -A FORWARD -o wg0 -j ACCEPT
	iptables -t nat -A POSTROUTING -o wg0 -j MASQUERADE
	iptables -t nat -A POSTROUTING -o ens4 -j MASQUERADE
EOT
check "before the tunnel, a site sees the home's address" is "$(browse client 203.0.113.80)" 198.51.100.10
check "the client" on client <<'EOT'
	ip link add dev wg0 type wireguard
	ip address add dev wg0 10.100.0.101/24
	ip link set wg0 up
	wg setconf wg0 /etc/wireguard/wg0.conf
	ip route add 12.34.56.78 via 192.168.1.1
	ip route del default
	ip route add default dev wg0
EOT

check "8 packets transmitted, 8 received" grep -q " 8 received, 0% packet loss" <(at client ping -c 8 -i 0.2 -W 5 10.100.0.1)
check "through the tunnel, a site sees the server's address" is "$(browse client 203.0.113.80)" 12.34.56.78
check "and no other" is "$(browse client 203.0.113.80)" 12.34.56.78

# All that the home's router sees is encrypted.
capture home to-client /tmp/gateway.pcap
browse client 203.0.113.80 >/dev/null
at client ping -c 2 -i 0.2 203.0.113.80 >/dev/null
captured
check "the router sees packets to the server" test "$(tcpdump -nr /tmp/gateway.pcap 'udp and host 12.34.56.78 and port 51820' 2>/dev/null | wc -l)" -gt 8
check "and nothing else" is "$(tcpdump -nr /tmp/gateway.pcap 'ip and not (udp and host 12.34.56.78 and port 51820)' 2>/dev/null)" ""
large() {
	head -c 1000000 /dev/zero | at site timeout 60 socat -u - TCP-LISTEN:81 &
	listening site 81
	[ "$(at client timeout 60 socat -u TCP:203.0.113.80:81 - | wc -c)" = 1000000 ]
}
check "a large transfer from a site" large
check "without the tunnel nothing leaves" not at client sh -c "ip link set wg0 down && ping -c 1 -W 1 203.0.113.80"
check "and it comes back" at client sh -c "ip link set wg0 up && ip route add default dev wg0 && ping -c 1 -W 5 203.0.113.80"
power_off
finish
