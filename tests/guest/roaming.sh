#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The endpoint follows the peer, and answers come from the address that was asked.

cd "$(dirname "$0")" && source ./lib.sh
plan 13

topology
endpoint() { peer_field b 3; }
check "the first contact" a ping -c 1 -W 5 192.168.241.2
check "the endpoint is where it came from" is "$(endpoint)" 10.0.0.1:1000
a wg set wg0 listen-port 1111
a ping -c 1 -W 3 192.168.241.2 >/dev/null
check "the port changes, the endpoint follows" is "$(endpoint)" 10.0.0.1:1111
ip -n a addr add 10.0.0.77/24 dev veth0
ip -n a addr del 10.0.0.1/24 dev veth0
ip -n a addr add 10.0.0.77/24 dev veth0 2>/dev/null
check "the address changes" a ping -c 2 -i 0.3 -W 3 192.168.241.2
check "the endpoint follows" is "$(endpoint)" 10.0.0.77:1111
check "the other side can begin" b ping -c 1 -W 3 192.168.241.1
a wg set wg0 peer "$PUB_B" endpoint "[fd00::2]:2000"
check "the IP version changes" a ping -c 1 -W 3 192.168.241.2
check "the endpoint follows" is "$(endpoint)" "[fd00::1]:1111"
teardown

# b has two addresses; a knows the second. Answers come from there, though the first is preferred.
topology
ip -n b addr add 10.0.0.22/24 dev veth0
b wg set wg0 peer "$PUB_A" endpoint 10.0.0.1:9
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.22:2000
check "the second address is asked" a ping -c 1 -W 3 192.168.241.2
check "and answers" is "$(peer_field a 3)" 10.0.0.22:2000
ip -n b addr del 10.0.0.22/24 dev veth0
check "when it goes, the first one serves" b ping -c 2 -i 0.5 -W 3 192.168.241.1
check "and is the endpoint" is "$(peer_field a 3)" 10.0.0.2:2000
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:2000
check "the tunnel goes on" a ping -c 1 -W 3 192.168.241.2
teardown
finish
