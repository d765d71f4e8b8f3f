#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Cryptokey routing both ways, and what a sender learns when there is no way.

cd "$(dirname "$0")" && source ./lib.sh
plan 13

topology
spare=$(wg genkey | wg pubkey)
check "the peer's own address" a ping -c 1 -W 5 192.168.241.2

# A longer prefix of another peer wins; without it, the shorter one is used.
a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.0/24
check "a shorter prefix" a ping -c 1 -W 3 192.168.241.2
a wg set wg0 peer "$spare" allowed-ips 192.168.241.2/32
refuse "a longer prefix of another peer" a ping -c 1 -W 1 192.168.241.2
a wg set wg0 peer "$spare" remove
check "the shorter one again" a ping -c 1 -W 3 192.168.241.2

# A source that the peer may not use.
dropped() { b cat /sys/class/net/wg0/statistics/rx_errors; }
before=$(dropped)
ip -n a addr add 192.168.241.9/24 dev wg0
refuse "a source that is not allowed" a ping -c 2 -i 0.2 -W 1 -I 192.168.241.9 192.168.241.2
check "is counted as an error" is $(($(dropped) - before)) 2
b wg set wg0 peer "$PUB_A" allowed-ips 192.168.241.1/32,192.168.241.9/32
check "until it is allowed" a ping -c 1 -W 3 -I 192.168.241.9 192.168.241.2

# What a sender learns.
ip -n a route add 172.16.0.0/24 dev wg0
errno() {
	a python3 -c "
import socket, errno, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    s.sendto(b'x', ('$1', 9))
    print('sent')
except OSError as e:
    print(errno.errorcode[e.errno])"
}
check "no peer for a destination is ENOKEY" is "$(errno 172.16.0.1)" ENOKEY
check "and a destination unreachable message" grep -q "Destination Host Unreachable" <(a ping -c 1 -W 1 172.16.0.1)
a wg set wg0 peer "$spare" allowed-ips 172.16.0.0/24
check "a peer without endpoint is EDESTADDRREQ" is "$(errno 172.16.0.1)" EDESTADDRREQ
ip -n a -6 route add fd77::/64 dev wg0
check "the same for IPv6" grep -q "Address unreachable" <(a ping -c 1 -W 1 fd77::1)

# The right one of many prefixes is found.
many() {
	local list=
	for i in $(seq 0 255); do list+="10.$i.0.0/16,fd99:$i::/32,"; done
	a wg set wg0 peer "$spare" allowed-ips "${list%,}"
	is "$(a wg show wg0 allowed-ips | grep "$spare" | cut -f 2 | wc -w)" 512
}
check "five hundred prefixes" many
check "the tunnel goes on" a ping -c 1 -W 3 192.168.241.2
teardown
finish
