#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# UDP ports: any free one; one that is taken, by IPv6 alone or by another interface; and that a failed
# change disturbs nothing.

cd "$(dirname "$0")" && source ./lib.sh
plan 19

port() { wg show "$1" listen-port; }

ip link add wg1 type wireguard
check "without a port there is none before the interface is up" is "$(port wg1)" 0
ip link set wg1 up
free=$(port wg1)
check "then a free one is taken ($free)" test "$free" -ge 1024
check "for IPv4" grep -q "0.0.0.0:$free" <(ss -Huln4)
check "and IPv6" grep -q "\[::\]:$free" <(ss -Huln6)
ip link set wg1 down
check "down it takes none" not grep -q ":$free" <(ss -Huln)
ip link set wg1 up
check "and up again the same" is "$(port wg1)" "$free"
wg set wg1 listen-port 0
check "asked for zero it takes a free one" test "$(port wg1)" -ge 1024

ip link add wg2 type wireguard
wg set wg2 listen-port "$(port wg1)"
refuse "a second interface on the port of the first" ip link set wg2 up
check "says that it is in use" grep -q "Address already in use" <(ip link set wg2 up 2>&1)
check "and so does the log" grep -q "wireguard: wg2: Could not create" <(dmesg)
ip link del wg1
check "when the first has gone the second gets it" ip link set wg2 up
ip link del wg2

topology
a ping -c 1 -W 5 192.168.241.2 >/dev/null
# Not with a(): the process itself has to be killed, not a shell that waits for it.
ip netns exec a socat -u UDP6-RECV:1234,ipv6only=1 OPEN:/dev/null 2>/dev/null &
holder=$!
wait_for 10 sh -c "ip netns exec a ss -Huln | grep -q :1234"
refuse "a port that somebody has for IPv6" a wg set wg0 listen-port 1234
check "the interface keeps the sockets that it had" grep -q ":1000" <(a ss -Huln)
check "and has none of the other port for IPv4" not grep -q "0.0.0.0:1234" <(a ss -Huln4)
check "traffic goes on" a ping -c 2 -i 0.3 -W 3 192.168.241.2
check "in the other direction as well" b ping -c 2 -i 0.3 -W 3 192.168.241.1
kill $holder
wait $holder 2>/dev/null
check "the port is taken once it is free" wait_for 10 ip netns exec a wg set wg0 listen-port 1234
check "traffic flows from there" a ping -c 1 -W 3 192.168.241.2
check "and the other side has noticed" is "$(peer_field b 3)" 10.0.0.1:1234
teardown
finish
