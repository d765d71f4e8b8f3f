#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# A client in Rust, by the library wireguard-control (tests/clients/rust): it makes an interface,
# configures, shows and deletes it; and a configuration that takes many messages.

cd "$(dirname "$0")" && source ../guest/lib.sh
plan 15
topology
ip -n a link del wg0
client() { a target/bin/wg-client "$@"; }
PSK=$(wg genpsk)
b wg set wg0 peer "$PUB_A" preshared-key <(echo "$PSK")

check "an interface is made and configured" client set wg0 "$KEY_A" 1000 81
check "it is found" is "$(client list)" wg0
check "it shows what it has set" is "$(client show wg0)" "wg0 $KEY_A $PUB_A 1000 81"
check "a peer with everything" client peer wg0 "$PUB_B" "$PSK" 10.0.0.2:2000 25 192.168.241.2/32 fd41::2/128
check "it shows it" is "$(client show wg0 | sed -n 2p)" "$PUB_B $PSK 10.0.0.2:2000 25 192.168.241.2/32,fd41::2/128 false 0 0"
check "wg agrees" is "$(a wg show wg0 dump | tail -n 1 | cut -f 1-5,8)" "$PUB_B	$PSK	10.0.0.2:2000	192.168.241.2/32,fd41::2/128	0	25"
ip -n a addr add 192.168.241.1/24 dev wg0
ip -n a link set wg0 up
check "the tunnel carries traffic" a ping -c 2 -i 0.3 -W 5 192.168.241.2
check "it shows the handshake and the octets" grep -qE " true [1-9][0-9]* [1-9][0-9]*$" <(client show wg0)
check "a thousand peers" client many wg0 1000
check "it shows them all" is "$(client show wg0 | wc -l)" 1002
check "with their allowed IPs" is "$(client show wg0 | grep -cE ' 10\.8\.[0-9.]+/32,10\.9\.[0-9.]+/32 ')" 1000
check "traffic goes on" a ping -c 1 -W 5 192.168.241.2
check "a peer is removed" client unpeer wg0 "$PUB_B"
check "and gone" bash -c "! ip netns exec a wg show wg0 peers | grep -q '$PUB_B'"
check "the interface is deleted" bash -c "ip netns exec a target/bin/wg-client delete wg0 && ! ip -n a link show wg0"
teardown
finish
