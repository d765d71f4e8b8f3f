#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 400
# The MTU of the path to a peer is learned on request: a router outside that says that messages are too long is
# believed, and whoever sends packets that are too long through the tunnel is told the MTU inside, here and on hosts
# behind. Nothing is fragmented outside then. Otherwise messages are fragmented, and nobody inside is bothered.

cd "$(dirname "$0")" && source ./lib.sh
export PYTHONDONTWRITEBYTECODE=1
plan 38

fragments() { echo $(($(counter a IpFragCreates) + $(counter a Ip6FragCreates) + $(counter r IpFragCreates))); }
# Passes if a ping of so many octets with its headers, which may not be fragmented, is answered with this MTU. The first
# ones may be lost while a router is heard for the first time. usage: told MTU NAMESPACE OCTETS ADDRESS
told() {
	wait_for 1 sh -c "ip netns exec $2 ping -M do -c 1 -W 1 -s $(($3 - ${5:-28})) $4 2>&1 | grep -E 'mtu ?[=:] ?$1\\b'" || {
		ip netns exec "$2" ping -M "do" -c 1 -W 1 -s $(($3 - ${5:-28})) "$4" 2>&1
		return 1
	}
}
passes() { ip netns exec "$1" ping -q -M "${4:-do}" -c 3 -i 0.2 -W 3 -s $(($2 - 28)) "$3"; }
passes6() { ip netns exec "$1" ping -q -M "do" -c 3 -i 0.2 -W 3 -s $(($2 - 48)) "$3"; }
learn() { a python3 /src/scripts/options wg0 path-mtu="$1" >/dev/null; }
# Forgets what routes have learned.
forget() {
	for n in a h; do
		ip -n $n route flush cache
		ip -n $n -6 route flush cache
	done
}
whole() {
	local before
	before=$(fragments)
	"$@" || return
	echo "fragments before: $before, after: $(fragments)"
	[ "$(fragments)" = "$before" ]
}

for outside in 4 6; do
	topology $outside
	router
	ip netns add h
	ip -n r link set r1 mtu 1380
	ip -n b link set veth0 mtu 1380
	# A host behind a.
	ip link add veth0 netns h type veth peer name lan netns a
	ip -n h addr add 10.9.0.2/24 dev veth0
	ip -n a addr add 10.9.0.1/24 dev lan
	ip -n h link set veth0 up
	ip -n a link set lan up
	ip -n h route add default via 10.9.0.1
	a sysctl -qw net.ipv4.ip_forward=1
	b wg set wg0 peer "$PUB_A" allowed-ips 192.168.241.1/32,fd41::1/128,10.9.0.0/24
	ip -n b route add 10.9.0.0/24 dev wg0
	[ $outside = 4 ] && to=10.0.2.2 inside=1320 || { to='[fd02::2]'; inside=1300; }
	a wg set wg0 peer "$PUB_B" endpoint "$to:2000"
	session

	# By the first of them, a hears from the router.
	a ping -q -M "do" -c 2 -i 0.3 -W 1 -s 1392 192.168.241.2 >/dev/null
	check "by default a long packet passes, in fragments, IPv$outside" passes a 1420 192.168.241.2
	check "so does one of a host behind" passes h 1420 192.168.241.2
	forget
	learn on
	check "on request its sender is told what fits" told $inside a 1420 192.168.241.2
	check "the route knows it then" grep -q "mtu $inside" <(ip -n a route get 192.168.241.2)
	check "so is who sends IPv6 inside" told $inside a 1420 fd41::2 48
	check "and a host behind" told $inside h 1420 192.168.241.2
	check "what is refused is counted" test "$(device_counter a tx_drop_path_mtu)" -ge 3
	check "what fits passes whole" whole passes a $inside 192.168.241.2
	check "IPv6 as well" whole passes6 a $inside fd41::2
	check "from behind as well" whole passes h $inside 192.168.241.2
	check "TCP keeps to it" whole tcp a 192.168.241.2 3M
	check "TCP over IPv6 as well" whole tcp a fd41::2 3M
	before=$(fragments)
	check "a packet that may be cut passes" passes a 1420 192.168.241.2 dont
	check "in fragments" test "$(fragments)" -gt "$before"
	# IPv6 guarantees 1280 octets inside, whatever the path outside takes.
	ip -n r link set r1 mtu 1300
	ip -n b link set veth0 mtu 1300
	check "the path gets worse" told $((inside - 80)) a $inside 192.168.241.2
	check "IPv6 passes all the same" passes6 a 1280 fd41::2
	ip -n r link set r1 mtu 1380
	ip -n b link set veth0 mtu 1380

	# As wg-quick routes everything: what is not marked goes into the tunnel.
	a wg set wg0 fwmark 7
	for version in 4 6; do
		ip -n a -$version route add default dev wg0 table 7
		ip -n a -$version rule add not fwmark 7 table 7
		ip -n a -$version rule add table main suppress_prefixlength 0
	done
	forget
	# A short one: the path's MTU of a moment ago is believed until the route says something else.
	a ping -q -c 1 -W 2 192.168.241.2 >/dev/null
	check "it is learned by marked messages, too" told $inside a 1420 192.168.241.2
	learn off
	# Without the option, what a router says of marked IPv6 messages is not heard, as ever.
	a wg set wg0 fwmark 0
	for version in 4 6; do
		ip -n a -$version rule del not fwmark 7 table 7
	done
	forget
	sleep 1
	a ping -q -M "do" -c 2 -i 0.3 -W 1 -s 1392 192.168.241.2 >/dev/null
	check "when it is off again long packets pass" passes a 1420 192.168.241.2
	teardown
	ip netns del r
	ip netns del h
done

# The kernel decides who is believed: whoever quotes a datagram to the endpoint. The damage has a limit.
topology
learn on
session
forge() {
	b python3 - "$@" <<-'EOT'
		import socket, struct, sys
		port, mtu = int(sys.argv[1]), int(sys.argv[2])
		udp = struct.pack("!HHHH", port, 2000, 1400, 0)
		quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1420, 1, 0x4000, 64, 17, 0, socket.inet_aton("10.0.0.1"),
		                     socket.inet_aton("10.0.0.2")) + udp
		body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
		total = sum(struct.unpack(f"!{len(body) // 2}H", body))
		total = (total >> 16) + (total & 0xffff)
		total = ~(total + (total >> 16)) & 0xffff
		body = body[:2] + struct.pack("!H", total) + body[4:]
		socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(body, ("10.0.0.1", 0))
	EOT
}
forge 1000 300
a ping -q -c 2 -i 0.2 -W 2 192.168.241.2 >/dev/null
check "an MTU that no path has makes it no smaller than IPv4 has to take" told 552 a 1420 192.168.241.2
check "and packets pass" passes a 552 192.168.241.2
teardown
finish
