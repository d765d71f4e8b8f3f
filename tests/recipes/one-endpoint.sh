#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# Machine A has a public address; machine B is at home behind a router that translates addresses, so
# that A cannot know where B is until B speaks.

cd "$(dirname "$0")" && source ./lib.sh
plan 9

internet
machine A && connect A eth0 192.0.2.10/24 internet 192.0.2.1
machine router && connect router eth0 198.51.100.10/24 internet 198.51.100.1
machine B && connect B eth0 192.168.1.2/24 router 192.168.1.1
masquerade router eth0 --random

for machine in A B; do
	on $machine <<-EOT
		ip link add dev wg0 type wireguard
		umask 077
		wg genkey > private$machine
		wg pubkey < private$machine > public$machine
	EOT
done
check "machine A, with a public address, is given no endpoint" on A "$(cat /root/B/publicB)" <<'EOT'
	wg set wg0 listen-port 51920 private-key ~/privateA peer "$1" allowed-ips 192.168.2.0/24
	ip link set up dev wg0
	ip addr add 192.168.2.1/24 dev wg0
EOT
check "machine B knows where A is" on B "$(cat /root/A/publicA)" <<'EOT'
	wg set wg0 listen-port 51920 private-key ~/privateB peer "$1" allowed-ips 192.168.2.0/24 endpoint 192.0.2.10:51920
	ip link set up dev wg0
	ip addr add 192.168.2.2/24 dev wg0
EOT

check "A cannot begin, and is told why" grep -q "Destination address required" <(at A ping -c 1 -W 1 192.168.2.2 2>&1)
check "B can" at B ping -c 2 -i 0.3 -W 5 192.168.2.1
endpoint=$(at A wg show wg0 endpoints | cut -f 2)
check "A has learnt the router's address" is "${endpoint%:*}" 198.51.100.10
check "and the port that the router chose" not is "${endpoint#*:}" 51920
check "now A reaches B" at A ping -c 2 -i 0.3 -W 5 192.168.2.2
web B
check "and connects to it" is "$(browse A 192.168.2.2)" 192.168.2.1

# The router forgets, and chooses another port.
at router conntrack -F 2>/dev/null
at B ping -c 1 -W 5 192.168.2.1 >/dev/null 2>&1
check "after the router has forgotten, A follows" at A ping -c 1 -W 5 192.168.2.2
power_off
finish
