#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 400
# A tunnel whose messages leave and arrive by one device only, whatever the routes say, or through a VRF. The
# device may change while traffic flows; when it goes away, the tunnel is cut off and takes no other path.

cd "$(dirname "$0")" && source ./lib.sh
export PYTHONDONTWRITEBYTECODE=1
plan 47
options() { a python3 /src/scripts/options wg0 "$@"; }
bind() { options bind="$1" >/dev/null; }
# Messages that have come to b by a device. usage: came DEVICE
came() {
	counted b "$1"
}
ways() { echo "$(came veth0) $(came veth1)"; }
# Passes if all messages take one way while a command runs (those that waited for a session are one train).
# usage: by DEVICE COMMAND...
by() {
	local device=$1 other=veth0 before now
	[ "$1" = veth1 ] || other=veth1
	shift
	before=("$(came "$device")" "$(came $other)")
	"$@" || return
	now=("$(came "$device")" "$(came $other)")
	echo "by $device ${before[0]} ${now[0]}, by $other ${before[1]} ${now[1]}"
	[ "${now[0]}" -gt "${before[0]}" ] && [ "${now[1]}" = "${before[1]}" ]
}
# Tells each side where the other one is. usage: meet ENDPOINT-OF-B ENDPOINT-OF-A
meet() {
	while_silent b told "$@"
}
told() {
	a wg set wg0 peer "$PUB_B" endpoint "$1"
	b wg set wg0 peer "$PUB_A" endpoint "$2"
}
# Nothing comes through, and nothing leaves by any way.
cut_off() {
	while_silent b nothing_leaves
}
nothing_leaves() {
	local before
	before=$(ways)
	not a ping -c 2 -i 0.3 -W 1 192.168.241.2 && is "$(ways)" "$before"
}
# Passes if a does not take what b sends to an address.
not_taken() {
	local before
	b wg set wg0 peer "$PUB_A" endpoint "$1"
	a nft 'add table inet seen; add chain inet seen in { type filter hook prerouting priority -300; };
		add rule inet seen in iifname veth0 udp dport 1000 counter'
	before=$(peer_field a 6)
	not b ping -c 2 -i 0.3 -W 1 192.168.241.1
	is "$(peer_field a 6)" "$before" && a nft list table inet seen | grep 'packets [1-9]'
}
# An initiation that did not get out is repeated after five seconds.
pings() { a ping -q -c 3 -i 0.2 -W $((12 * SLOW)) 192.168.241.2; }

topology
a sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.veth0.rp_filter=0
b sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.veth0.rp_filter=0
second_link() {
	ip link add veth1 netns a type veth peer name veth1 netns b
	i=1
	for n in a b; do
		ip -n $n addr add 10.0.1.$i/24 dev veth1
		ip -n $n addr add fd01::$i/64 dev veth1 nodad
		ip -n $n addr add fe80::1$i/64 dev veth1 nodad
		ip -n $n link set veth1 up
		ip netns exec $n sysctl -qw net.ipv4.conf.veth1.rp_filter=0
		i=$((i + 1))
	done
	# As with IPv4, b's address on the first link can be reached over this one.
	ip -n b addr add fd00::2/128 dev veth1 nodad
	ip -n a route add fd00::/64 dev veth1 metric 5000
}
second_link
ip -n a addr add fe80::11/64 dev veth0 nodad
ip -n b addr add fe80::12/64 dev veth0 nodad
b nft -f - <<-EOT
	table inet watch {
		counter veth0 { }
		counter veth1 { }
		chain in {
			type filter hook prerouting priority -300
			iifname veth0 udp dport 2000 counter name veth0
			iifname veth1 udp dport 2000 counter name veth1
		}
	}
EOT

check "without a binding the route decides" by veth0 pings
check "the sockets are bound while traffic flows" bind veth1
check "everything leaves by the other link" by veth1 pings
check "the peer sees the address that is there" is "$(peer_field b 3)" 10.0.1.1:1000
check "answers are taken there" by veth1 tcp b 192.168.241.1 1M
check "trains leave there as well" by veth1 tcp a 192.168.241.2 1M
check "so do handshakes" by veth1 sh -c "
	ip netns exec a wg set wg0 peer $PUB_B remove
	ip netns exec a wg set wg0 peer $PUB_B allowed-ips 192.168.241.2/32,fd41::2/128 endpoint 10.0.0.2:2000
	ip netns exec a ping -q -c 3 -i 0.2 -W $((12 * SLOW)) 192.168.241.2"
check "what comes in by the first link is not taken" while_silent a not_taken 10.0.0.1:1000
meet '[fd01::2]:2000' '[fd01::1]:1000'
check "IPv6 takes the same way" by veth1 pings
check "and no way that has no route there" eval 'bind veth0 && cut_off'
meet '[fd00::2]:2000' '[fd00::1]:1000'
check "another binding counts at once" by veth0 pings
check "IPv4 as well" eval 'meet 10.0.0.2:2000 10.0.0.1:1000 && by veth0 pings'
check "it lasts over down and up" eval 'bind veth1 && ip -n a link set wg0 down && ip -n a link set wg0 up && by veth1 pings'
check "and over another port" eval 'a wg set wg0 listen-port 1001 && by veth1 pings'
a wg set wg0 listen-port 1000
# What came by the old link and is taken after the change tells where the peer is, but not which of our addresses to
# send from.
switch() {
	local way
	for way in veth0 veth1 veth0 veth1 veth0; do
		b timeout 2 ping -f -q 192.168.241.1 >/dev/null &
		b timeout 2 ping -f -q -s 1200 192.168.241.1 >/dev/null &
		sleep 1
		bind $way || return
		wait $!
		sleep 1
		by $way pings || return
	done
}
check "with messages on their way as well" switch
meet '[fd00::2]:2000' '[fd00::1]:1000'
check "IPv6 as well" switch
check "which it was" grep -F '[fd00::' <<<"$(peer_field a 3)"
meet 10.0.0.2:2000 10.0.0.1:1000
check "it can be undone" eval 'bind none && by veth0 pings'

# Link-local addresses belong to a link themselves.
bind veth1
meet '[fe80::12%veth1]:2000' '[fe80::11%veth1]:1000'
check "a link-local address on that link" by veth1 pings
meet '[fe80::12%veth0]:2000' 10.0.0.1:1000
check "one on another link is not reached" cut_off
meet 10.0.0.2:2000 10.0.0.1:1000

# One port, two tunnels, each with its own device.
ip -n a link add wg1 type wireguard
a wg set wg1 private-key <(wg genkey) listen-port 1000
refuse "a port that another tunnel has on all devices" sh -c "ip netns exec a python3 /src/scripts/options wg0 bind=none &&
	ip -n a link set wg1 up"
check "is free for a tunnel on one device, if that is on another" \
	eval 'bind veth1 && a python3 /src/scripts/options wg1 bind=veth0 && ip -n a link set wg1 up'
check "and each gets what comes in by its own" by veth1 pings
ip -n a link del wg1

# The device goes away.
check "traffic before" by veth1 pings
index=$(a cat /sys/class/net/veth1/ifindex)
ip -n a link del veth1
before=$(device_counter a tx_drop_no_route)
check "without its device a tunnel is cut off" cut_off
check "the drops are counted" test "$(device_counter a tx_drop_no_route)" -gt "$before"
check "the tool says so" is "$(options | grep -o 'bind=[^ ]*')" "bind=$index(gone)"
second_link
check "a new device of the same name is another one" cut_off
ip -n a link set wg0 down
check "the tunnel goes up without its device" ip -n a link set wg0 up
check "and is cut off all the same" cut_off
check "until it is bound to the new one" eval 'bind veth1 && by veth1 pings'
ip netns add c
ip -n a link set veth1 netns c
check "a device that moves away is gone as well" cut_off
# It may have heard from the peer's other address meanwhile.
meet 10.0.0.2:2000 10.0.0.1:1000
check "with no binding traffic flows again" eval 'bind none && by veth0 pings'
ip netns del c
second_link

# A VRF.
ip -n a link add red type vrf table 100
ip -n a link set red up
ip -n a link set veth1 master red
ip -n a addr add fd01::1/64 dev veth1 nodad 2>/dev/null
ip -n a addr add fe80::11/64 dev veth1 nodad 2>/dev/null
meet 10.0.1.2:2000 10.0.1.1:1000
check "what is in a VRF is not reached from outside" cut_off
check "a tunnel is bound to the VRF" bind red
check "and reaches its peer through it" by veth1 pings
check "the address that the peer sees is there" is "$(peer_field b 3)" 10.0.1.1:1000
check "TCP through the VRF" by veth1 tcp a 192.168.241.2 1M
check "and back" tcp b 192.168.241.1 1M
meet '[fd01::2]:2000' '[fd01::1]:1000'
check "IPv6 through the VRF" by veth1 pings
meet '[fe80::12%veth1]:2000' '[fe80::11%veth1]:1000'
check "a link-local address in the VRF" by veth1 pings
meet '[fe80::12%veth0]:2000' 10.0.0.1:1000
check "one outside is not reached" cut_off
meet 10.0.1.2:2000 10.0.1.1:1000
check "a device in the VRF serves as well" eval 'bind veth1 && by veth1 pings'
bind red
ip -n a link del red
check "when the VRF goes the tunnel is cut off" cut_off

# A tunnel that has moved keeps using the devices of the namespace where it was created.
bind veth1
meet 10.0.0.2:2000 10.0.0.1:1000
check "traffic without the VRF" by veth1 pings
ip netns add c
ip -n a link set wg0 netns c
ip -n c addr add 192.168.241.1/24 dev wg0
ip -n c link set wg0 up
moved() { ip netns exec c ping -q -c 3 -i 0.2 -W $((12 * SLOW)) 192.168.241.2; }
check "a tunnel in another namespace keeps its device" by veth1 moved
check "and is bound to another one from there" \
	eval 'ip netns exec c python3 /src/scripts/options wg0 bind=veth0 >/dev/null && by veth0 moved'
ip netns del c
teardown
finish
