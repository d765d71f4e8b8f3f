#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two machines that know each other's address: keys made by hand, wg set, an address. Either begins.

cd "$(dirname "$0")" && source ./lib.sh
plan 9

internet
machine A && connect A eth0 192.0.2.10/24 internet 192.0.2.1
machine B && connect B eth0 198.51.100.10/24 internet 198.51.100.1

for machine in A B; do
	check "machine $machine makes its keys" on $machine <<-EOT
		ip link add dev wg0 type wireguard
		umask 077
		wg genkey > private$machine
		wg pubkey < private$machine > public$machine
		cat public$machine
	EOT
done
check "machine A is told of B" on A "$(cat /root/B/publicB)" <<'EOT'
	wg set wg0 listen-port 51920 private-key ~/privateA peer "$1" allowed-ips 192.168.2.0/24 endpoint 198.51.100.10:51920
	ip link set up dev wg0
	ip addr add 192.168.2.1/24 dev wg0
EOT
check "machine B is told of A" on B "$(cat /root/A/publicA)" <<'EOT'
	wg set wg0 listen-port 51920 private-key ~/privateB peer "$1" allowed-ips 192.168.2.0/24 endpoint 192.0.2.10:51920
	ip link set up dev wg0
	ip addr add 192.168.2.2/24 dev wg0
EOT

check "A reaches B" at A ping -c 2 -i 0.3 -W 5 192.168.2.2
check "B reaches A" at B ping -c 2 -i 0.3 -W 5 192.168.2.1
web B
check "a connection from A to B" is "$(browse A 192.168.2.2)" 192.168.2.1
check "wg shows who is on the other side" is "$(at A wg show wg0 endpoints)" "$(cat /root/B/publicB)	198.51.100.10:51920"
check "and that there was a handshake" grep -q "latest handshake: .* ago" <(at A wg show wg0)
power_off
finish
