#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# 100,000 allowed IPs of mixed lengths: how fast they are inserted and removed, and what packets of 64 octets pay for
# having to be looked up among them.

cd "$(dirname "$0")" && source ./lib.sh
wanted lookup-2 lookup-100k allowed-ips-insert allowed-ips-remove || exit 0
span=$(seconds 3 1)

# usage: per_second SECONDS
per_second() { awk -v s="$1" 'BEGIN { printf "%.0f\n", 100000 / s }'; }

tunnel 4 || exit
! wanted lookup-2 || result lookup-2 "$(flood 192.168.241.2 64 "$span")" packets/s
inserted=$(a python3 netlink.py send /share/insert) || exit
result allowed-ips-insert "$(per_second "$inserted")" IPs/s
if wanted lookup-100k; then
	b python3 netlink.py send /share/insert >/dev/null || exit
	result lookup-100k "$(flood 192.168.241.2 64 "$span")" packets/s
fi
removed=$(a python3 netlink.py send /share/remove) || exit
result allowed-ips-remove "$(per_second "$removed")" IPs/s
left=$(a wg show wg0 allowed-ips | cut -f 2 | tr ' ' '\n' | grep -c /)
[ "$left" -eq 2 ] || { echo "# $left allowed IPs are left, 2 expected"; exit 1; }
no_tunnel
