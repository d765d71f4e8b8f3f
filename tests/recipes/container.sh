#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# A container whose only interface is the tunnel: created in the machine's own namespace, which has
# the internet, and moved into the container's. Whatever the container sends is encrypted.

cd "$(dirname "$0")" && source ./lib.sh
plan 12

internet
machine server && connect server eth0 192.0.2.10/24 internet 192.0.2.1
machine host && connect host eth0 198.51.100.10/24 internet 198.51.100.1
machine site && connect site eth0 203.0.113.80/24 internet 203.0.113.1
machine container
web site

KEY=$(wg genkey) CONTAINER_KEY=$(wg genkey)
on server "$(wg pubkey <<<"$CONTAINER_KEY")" "$KEY" <<'EOT'
	sysctl -qw net.ipv4.ip_forward=1
	iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
	ip link add wg0 type wireguard
	wg set wg0 listen-port 51820 private-key <(echo "$2") peer "$1" allowed-ips 10.7.0.2/32
	ip addr add 10.7.0.1/24 dev wg0
	ip link set wg0 up
EOT
check "the interface is made on the host" on host "$(wg pubkey <<<"$KEY")" "$CONTAINER_KEY" <<'EOT'
	ip link add wg0 type wireguard
	wg set wg0 private-key <(echo "$2") peer "$1" endpoint 192.0.2.10:51820 allowed-ips 0.0.0.0/0
EOT
check "and moved into the container" ip -n host link set wg0 netns container
check "where it gets its address and routes" on container <<'EOT'
	ip addr add 10.7.0.2/32 dev wg0
	ip link set wg0 up
	ip route add default dev wg0
EOT

check "the container has no other interface" is "$(ip -n container -o link | cut -d: -f2 | tr -d ' ' | sort | xargs)" "lo wg0"
check "and the host does not see it" not ip -n host link show wg0
check "the world sees the server's address" is "$(browse container 203.0.113.80)" 192.0.2.10
check "the container is reached from the other end" at server ping -c 2 -i 0.2 -W 5 10.7.0.2
check "the encrypted side is a socket of the host's" test "$(at host ss -Huln | wc -l)" -ge 1
check "the container itself has none" is "$(at container ss -Huln)" ""
ip -n container link set wg0 down
check "without the tunnel the container has no network" not at container ping -c 1 -W 1 203.0.113.80
ip -n container link set wg0 up
ip -n container route add default dev wg0
check "with it, it has" at container ping -c 2 -i 0.2 -W 5 203.0.113.80
ip netns pids container | xargs -r kill
ip netns del container
no_socket() { [ -z "$(at host ss -Huln)" ]; }
check "when the container ends, so does the interface" wait_for 30 no_socket
power_off
finish
