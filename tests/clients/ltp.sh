#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# The scenarios of the Linux Test Project's wireguard01 and wireguard02: a link that reorders packets;
# the right configuration, wrong allowed IPs, wrong keys; requests of many lengths over TCP, UDP, both
# IP versions; many TCP clients at a time, for which the tunnel may take twice as long as one of IPsec with AES-GCM.

cd "$(dirname "$0")" && source ../guest/lib.sh
plan 14

# A pair of namespaces whose link delays and reorders. The keepalive is every second, as there.
pair() {
	topology "$1"
	local n
	for n in a b; do
		tc -n $n qdisc add dev veth0 root netem reorder 30% 50% delay 1
	done
	a wg set wg0 peer "$PUB_B" persistent-keepalive 1
	b wg set wg0 peer "$PUB_A" persistent-keepalive 1
}

# A server that answers each request with as many octets; and a client that sends requests of all
# lengths and compares. usage: netload FAMILY TYPE ADDRESS CLIENTS REQUESTS
netload() {
	ip netns exec b python3 netload.py serve "$1" "$2" &
	local server=$!
	wait_for 10 sh -c "ip netns exec b ss -ltnu | grep -q :7777"
	a timeout 100 python3 netload.py ask "$@"
	local code=$?
	kill $server 2>/dev/null
	wait $server 2>/dev/null
	return $code
}

# The same pair, and a tunnel of IPsec over the same link: vti0 on either side, 192.168.242.1 and .2.
ipsec() {
	local n side other from
	for n in a b; do
		[ $n = a ] && side=1 other=2 || { side=2; other=1; }
		ip -n $n link add vti0 type vti local 10.0.0.$side remote 10.0.0.$other key 1
		ip -n $n addr add 192.168.242.$side/24 dev vti0
		ip -n $n link set vti0 up
		for from in 1 2; do
			ip -n $n xfrm state add src 10.0.0.$from dst 10.0.0.$((3 - from)) proto esp spi $from mode tunnel \
				replay-window 32 aead "rfc4106(gcm(aes))" "0x$(printf '%072d' $from)" 128
		done
		ip -n $n xfrm policy add dir out mark 1 tmpl src 10.0.0.$side dst 10.0.0.$other proto esp mode tunnel
		ip -n $n xfrm policy add dir in mark 1 tmpl src 10.0.0.$other dst 10.0.0.$side proto esp mode tunnel
	done
}
# Prints the milliseconds that ten clients take. usage: took ADDRESS
took() {
	local begun=$EPOCHREALTIME
	netload 4 tcp "$1" 10 3 >&2 || return 1
	echo $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))
}

for outside in 4 6; do
	pair $outside
	check "outside IPv$outside: TCP, IPv4 inside" netload 4 tcp 192.168.241.2 2 3
	check "outside IPv$outside: TCP, IPv6 inside" netload 6 tcp fd41::2 2 3
	check "outside IPv$outside: UDP, IPv4 inside" netload 4 udp 192.168.241.2 2 3
	check "outside IPv$outside: ten TCP clients at a time" netload 4 tcp 192.168.241.2 10 1
	if [ $outside = 4 ]; then
		with_wireguard=$(took 192.168.241.2)
		if ipsec && with_ipsec=$(took 192.168.242.2); then
			check "a tunnel of IPsec carries packets" test "$(ip -n a -s xfrm state | awk '/\(packets\)$/ { sub(/.*, /, ""); n += $1 } END { print n + 0 }')" -gt 100
			check "ten TCP clients take at most twice as long as with IPsec" test "$with_wireguard" -le $((2 * with_ipsec))
			echo "# $with_wireguard ms; with IPsec $with_ipsec ms"
		fi
		teardown
	fi
done

# The allowed IPs of each side are its own addresses: nothing may pass.
a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.1/32,fd41::1/128
b wg set wg0 peer "$PUB_A" allowed-ips 192.168.241.2/32,fd41::2/128
refuse "wrong allowed IPs: nothing passes" a ping -c 3 -i 0.3 -W 1 192.168.241.2
check "though there is a handshake" test "$(peer_field a 5)" -gt 0
teardown

# One side knows a wrong public key of the other.
pair 4
b wg set wg0 peer "$PUB_A" remove
b wg set wg0 peer "$(wg genkey | wg pubkey)" endpoint 10.0.0.1:1000 persistent-keepalive 1 allowed-ips 192.168.241.1/32,fd41::1/128
# The sessions that there may have been are forgotten.
a wg set wg0 peer "$PUB_B" remove
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:2000 persistent-keepalive 1 allowed-ips 192.168.241.2/32,fd41::2/128
refuse "a wrong key: nothing passes" a ping -c 3 -i 0.3 -W 1 192.168.241.2
check "and there is no handshake" is "$(peer_field a 5)$(peer_field b 5)" 00
teardown
finish
