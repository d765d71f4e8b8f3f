#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A server in the middle and two nodes, each with a network behind it: the networks reach each other
# through the server, and cryptokey routing keeps each node to its own addresses.

cd "$(dirname "$0")" && source ./lib.sh
plan 8

internet
machine server && connect server eth0 1.1.1.1/24 internet 1.1.1.254
machine node1 && connect node1 eth0 2.2.2.2/24 internet 2.2.2.254
machine node2 && connect node2 eth0 3.3.3.3/24 internet 3.3.3.254
machine host1 && connect host1 eth0 192.168.1.100/24 node1 192.168.1.1
machine host2 && connect host2 eth0 192.168.2.100/24 node2 192.168.2.1

K=$(wg genkey) K1=$(wg genkey) K2=$(wg genkey)
cat >/etc/netns/server/wireguard/wg0.conf <<EOT
[Interface]
Address = 192.168.10.1/24
ListenPort = 51820
PrivateKey = $K
PostUp = sysctl -qw net.ipv4.ip_forward=1

[Peer]
PublicKey = $(wg pubkey <<<"$K1")
AllowedIPs = 192.168.10.40/32, 192.168.1.0/24

[Peer]
PublicKey = $(wg pubkey <<<"$K2")
AllowedIPs = 192.168.10.50/32, 192.168.2.0/24
EOT
node() {
	cat >"/etc/netns/$1/wireguard/wg0.conf" <<EOT
[Interface]
Address = $3/24
PrivateKey = $2
PostUp = sysctl -qw net.ipv4.ip_forward=1

[Peer]
PublicKey = $(wg pubkey <<<"$K")
Endpoint = 1.1.1.1:51820
AllowedIPs = 192.168.10.0/24, $4
PersistentKeepalive = 25
EOT
}
node node1 "$K1" 192.168.10.40 192.168.2.0/24
node node2 "$K2" 192.168.10.50 192.168.1.0/24

for machine in server node1 node2; do
	check "$machine starts" at $machine wg-quick up wg0
done
check "wg-quick has added the other network's route" grep -q "192.168.2.0/24 dev wg0" <(ip -n node1 route)
check "a host of one network reaches one of the other" at host1 ping -c 3 -i 0.2 -W 5 192.168.2.100
check "and the other way" at host2 ping -c 3 -i 0.2 -W 5 192.168.1.100
# node1 takes an address of node2's network: the server drops what it sends from it.
ip -n node1 addr add 192.168.2.77/32 dev lo
before=$(statistic server rx_errors)
at node1 ping -c 1 -W 1 -I 192.168.2.77 192.168.10.1 >/dev/null
check "a node cannot speak for the other's network" is $(($(statistic server rx_errors) - before)) 1
check "its own address it may use" at node1 ping -c 1 -W 3 -I 192.168.10.40 192.168.10.1
power_off
finish
