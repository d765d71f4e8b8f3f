#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What wg sets, wg shows: every attribute there and back, and what is refused.

cd "$(dirname "$0")" && source ./lib.sh
plan 36

ip link add wg0 type wireguard
key=$(wg genkey) pub=$(wg pubkey <<<"$key")
peer=$(wg genkey | wg pubkey) other=$(wg genkey | wg pubkey) psk=$(wg genpsk)

check "no key at first" is "$(wg show wg0 private-key)" "(none)"
check "a private key" wg set wg0 private-key <(echo "$key")
check "is shown" is "$(wg show wg0 private-key)" "$key"
check "with its public key" is "$(wg show wg0 public-key)" "$pub"
check "a port" wg set wg0 listen-port 4242
check "is shown" is "$(wg show wg0 listen-port)" 4242
check "a mark" wg set wg0 fwmark 0x1234
check "is shown" is "$(wg show wg0 fwmark)" 0x1234
check "a mark is taken off" sh -c "wg set wg0 fwmark 0 && [ \"\$(wg show wg0 fwmark)\" = off ]"

check "a peer with everything" wg set wg0 peer "$peer" preshared-key <(echo "$psk") \
	endpoint 192.0.2.7:51820 persistent-keepalive 25 allowed-ips 10.0.0.0/8,192.168.5.0/24,fd00::/16
check "its preshared key is shown" is "$(wg show wg0 preshared-keys | cut -f 2)" "$psk"
check "its endpoint" is "$(wg show wg0 endpoints | cut -f 2)" 192.0.2.7:51820
check "its keepalive interval" is "$(wg show wg0 persistent-keepalive | cut -f 2)" 25
check "its allowed IPs, in order" is "$(wg show wg0 allowed-ips | cut -f 2)" "10.0.0.0/8 192.168.5.0/24 fd00::/16"
check "no handshake yet" is "$(wg show wg0 latest-handshakes | cut -f 2)" 0
check "an IPv6 endpoint" sh -c "wg set wg0 peer $peer endpoint [2001:db8::7]:99 && [ \"\$(wg show wg0 endpoints | cut -f 2)\" = '[2001:db8::7]:99' ]"
check "an endpoint with a scope" sh -c "wg set wg0 peer $peer endpoint [fe80::7%lo]:99 && wg show wg0 endpoints | grep -q 'fe80::7%lo'"
check "keepalive off" sh -c "wg set wg0 peer $peer persistent-keepalive off && [ \"\$(wg show wg0 persistent-keepalive | cut -f 2)\" = off ]"

check "an allowed IP is added" wg set wg0 peer "$peer" allowed-ips +10.9.0.0/16
check "to those that were there" is "$(wg show wg0 allowed-ips | cut -f 2 | wc -w)" 4
check "an allowed IP is taken away" wg set wg0 peer "$peer" allowed-ips -10.0.0.0/8
check "and only it; the others are in order" is "$(wg show wg0 allowed-ips | cut -f 2)" "192.168.5.0/24 fd00::/16 10.9.0.0/16"
check "an allowed IP is given again" wg set wg0 peer "$peer" allowed-ips +192.168.5.0/24
check "and is the last one" is "$(wg show wg0 allowed-ips | cut -f 2)" "fd00::/16 10.9.0.0/16 192.168.5.0/24"
check "host bits are ignored" sh -c "wg set wg0 peer $peer allowed-ips 10.1.2.3/8 && [ \"\$(wg show wg0 allowed-ips | cut -f 2)\" = 10.0.0.0/8 ]"
check "an allowed IP moves to another peer" wg set wg0 peer "$other" allowed-ips 10.0.0.0/8
check "and is gone from the first" is "$(wg show wg0 allowed-ips | grep "$peer" | cut -f 2)" "(none)"
check "a peer of our own key is ignored" sh -c "wg set wg0 peer '$pub' && [ \$(wg show wg0 peers | wc -l) = 2 ]"
check "a configuration is synchronised with itself" bash -c "wg syncconf wg0 <(wg showconf wg0)"
check "a peer is removed" wg set wg0 peer "$other" remove
check "and only it" is "$(wg show wg0 peers)" "$peer"

wg showconf wg0 >/tmp/conf
check "a configuration is read back" bash -c "wg setconf wg0 /tmp/conf && wg showconf wg0 | cmp - /tmp/conf"
check "setconf replaces all peers" bash -c "wg setconf wg0 <(printf '[Interface]\n') && [ -z \"\$(wg show wg0 peers)\" ]"
check "and takes the key away" is "$(wg show wg0 private-key)" "(none)"

ip link set wg0 up
ip link add wg1 type wireguard
wg set wg0 listen-port 7777
wg set wg1 listen-port 7777
refuse "a port that is taken" ip link set wg1 up
ip link set wg0 down
check "a port that is free again" ip link set wg1 up
ip link del wg0
ip link del wg1
finish
