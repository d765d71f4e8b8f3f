#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 200
# What is cut from a GSO packet has good checksums: the receiving driver takes authentic packets for good without
# checking, but whoever they are forwarded to checks. Also, UDP counts what the tunnel's sockets receive.

cd "$(dirname "$0")" && source ./lib.sh
plan 7

topology
a ping -c 1 -W 5 192.168.241.2 >/dev/null
# Merged packets have no checksum yet: see them before they are merged.
b ethtool -K wg0 gro off
b tcpdump -i wg0 -nvv -c 2000 'tcp and (src host 192.168.241.1 or src host fd41::1)' >/tmp/capture 2>/tmp/tcpdump &
wait_for 20 grep -q 'listening on' /tmp/tcpdump
before=$(counter b UdpInDatagrams)
check "TCP over IPv4" tcp a 192.168.241.2 1500K
check "TCP over IPv6" tcp a fd41::2 1500K
after=$(counter b UdpInDatagrams)
sleep 1
pkill tcpdump
wait_for 10 not pgrep tcpdump

# usage: seen PATTERN NUMBER    at least so many lines of the capture match
seen() {
	local count
	count=$(grep -cE "$1" /tmp/capture)
	echo "$count lines"
	[ "$count" -ge "$2" ]
}
check "segments over IPv4 were seen" seen '192\.168\.241\.1\.[0-9]+ > .*cksum' 500
check "segments over IPv6 were seen" seen 'fd41::1\.[0-9]+ > .*cksum' 100
check "no segment has a bad checksum" not seen 'incorrect' 1
check "no IPv4 header has a bad checksum" not seen 'bad cksum' 1
check "UDP counts the datagrams" test $((after - before)) -ge 1500
teardown
finish
