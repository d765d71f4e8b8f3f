#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# When a handshake succeeds and when it does not, and that a lost one is repeated.

cd "$(dirname "$0")" && source ./lib.sh
plan 12

topology
check "a first packet leads to a handshake" a ping -c 1 -W 5 192.168.241.2
check "its time is shown" sh -c "[ $(($(date +%s) - $(peer_field a 5))) -lt 10 ]"
check "on the other side as well" sh -c "[ $(($(date +%s) - $(peer_field b 5))) -lt 10 ]"

psk=$(wg genpsk)
a wg set wg0 peer "$PUB_B" preshared-key <(echo "$psk")
a wg set wg0 private-key <(wg genkey)
a wg set wg0 private-key <(echo "$KEY_A")
refuse "a preshared key on one side only" a ping -c 1 -W 2 192.168.241.2
b wg set wg0 peer "$PUB_A" preshared-key <(echo "$psk")
check "a preshared key on both sides, after the next try" a ping -c 10 -W 1 -w 12 192.168.241.2
teardown

topology
b wg set wg0 private-key <(wg genkey)
refuse "a peer that has another key" a ping -c 1 -W 2 192.168.241.2
b wg set wg0 private-key <(echo "$KEY_B")
check "a peer that has the right key again" wait_for 15 ip netns exec a ping -c 1 -W 1 192.168.241.2
teardown

# The first initiation is lost; the next one comes after five seconds and a bit.
topology
b nft add table inet t
b nft add chain inet t in '{ type filter hook input priority 0; }'
b nft add rule inet t in udp dport 2000 limit rate over 1/day burst 1 packets counter accept
b nft insert rule inet t in udp dport 2000 udp length 156 limit rate 1/day burst 1 packets drop
begun=$(date +%s%N)
check "a lost initiation is repeated" a ping -c 1 -W 9 192.168.241.2
took=$((($(date +%s%N) - begun) / 1000000))
check "after five seconds (it took $took ms)" sh -c "[ $took -ge 4900 ] && [ $took -le $((9500 * SLOW)) ]"
teardown

# Initiations come one at a time, however much there is to send; on a slow kernel three seconds may become more than five.
topology
ip -n b link set wg0 down
begun=$(date +%s)
a timeout 3 ping -f 192.168.241.2 >/dev/null 2>&1
sent=$(($(peer_field a 7) / 148))
most=$((1 + ($(date +%s) - begun) / 5))
check "one initiation in five seconds while many packets wait" sh -c "[ $sent -ge 1 ] && [ $sent -le $most ]"
ip -n b link set wg0 up
check "what waited is sent when the session begins" wait_for 15 sh -c "[ \"\$(ip netns exec b cat /sys/class/net/wg0/statistics/rx_packets)\" -gt 20 ]"
a wg set wg0 peer "$PUB_B" remove
refuse "a peer that was removed" a ping -c 1 -W 1 192.168.241.2
teardown
finish
