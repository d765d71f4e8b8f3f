#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 240
# This driver and the in-tree one over IPv6: this side begins, then the other one does; ping, fragments, TCP
# both ways, a preshared key, roaming, and a new session while the old one is in use.

source tests/interop/lib.sh
plan 14
setup 6
barrier up
check "the first handshake, begun here" ping -c 3 -i 0.3 -W 5 10.99.0.2
check "IPv6 inside" ping -c 3 -i 0.3 -W 3 fd99::2
check "packets that are fragmented" ping -c 3 -i 0.3 -W 3 -s 8000 10.99.0.2
barrier served
check "TCP from here" iperf3 -c 10.99.0.2 -n 4M
check "TCP to here" iperf3 -c 10.99.0.2 -n 4M -R
check "TCP over IPv6 inside" iperf3 -c fd99::2 -n 2M
barrier transferred

# Roaming: our port changes, and the other side follows.
wg set wg0 listen-port 4444
check "after our port has changed" ping -c 2 -i 0.3 -W 3 10.99.0.2
barrier roamed
barrier roamed-back
check "after the other side's port has changed" ping -c 2 -i 0.3 -W 3 10.99.0.2
check "the endpoint has followed" is "$(wg show wg0 endpoints | sed 's/.*://')" 5555

# The other side begins: it forgets its sessions and has something to send.
barrier forget
barrier begun
check "a session that the other side began" ping -c 2 -i 0.3 -W 5 10.99.0.2

# A new session while packets flow.
ping -i 0.05 -c 100 10.99.0.2 >/tmp/ping &
barrier rekey
barrier rekeyed
wait
check "no packet is lost over a new session" grep -q "100 received" /tmp/ping

wg set wg0 peer "$(wg pubkey <<<"$PEER_KEY")" preshared-key <(echo "$PSK")
barrier psk
wg set wg0 private-key <(wg genkey)
wg set wg0 private-key <(echo "$KEY")
check "a new session with a preshared key" ping -c 1 -W 8 10.99.0.2
check "counters are alive" test "$(wg show wg0 transfer | cut -f 2)" -gt 4000000
check "the handshake is recent" test "$(($(date +%s) - $(wg show wg0 latest-handshakes | cut -f 2)))" -lt 60
barrier done
finish
