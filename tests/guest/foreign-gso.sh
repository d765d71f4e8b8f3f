#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 200
# GSO packets that are not trains of datagrams come to the port, too: from a virtual machine that leaves it to the host
# to fragment its datagrams (UFO), and from a tunnel of another kind whose packets are still to be cut. Each is one
# datagram, since it was sent as one. Trains of what is too short for a message are not worth cutting.

cd "$(dirname "$0")" && source ./lib.sh
plan 17

topology
check "there is a session" a ping -c 1 -W 5 192.168.241.2

# Sends a frame with a GSO packet into a tap device of a namespace, as a virtual machine does: UDP to port 2000 of the
# device, or TCP to 192.168.241.2. The data begins with a word and is random beyond that.
# usage: tap NAMESPACE v4|v6|tcp GSO-TYPE GSO-SIZE WORD LENGTH
tap() {
	ip netns exec "$1" ./foreign-gso.py "${@:2}"
}
# What a command makes b drop, refuse or cut, as "name+n ...". usage: changed COMMAND...
changed() {
	local cut
	lost b >/dev/null
	cut=$(device_counter b rx_trains_cut)
	"$@" >/tmp/said 2>&1 || {
		cat /tmp/said
		return 1
	}
	sleep 1
	cut=$(($(device_counter b rx_trains_cut) - cut))
	lost b
	[ "$cut" -eq 0 ] || echo " rx_trains_cut+$cut"
}

modprobe tun
UFO=3 TRAIN=5
for version in v4 v6; do
	check "$version: a long datagram that is to be fragmented is one datagram" \
		is "$(changed tap b $version $UFO 1400 8 20000)" "rx_drop_not_wireguard+1"
	check "$version: one that is an initiation is taken for one" \
		is "$(changed tap b $version $UFO 100 1 148)" "rx_refused_bad_mac1+1"
	check "$version: a train of what is no message" is "$(changed tap b $version $TRAIN 1000 8 5000)" "rx_drop_not_wireguard+5 rx_trains_cut+1"
	check "$version: a train of short ones is not cut" is "$(changed tap b $version $TRAIN 20 4 1000)" "rx_drop_not_wireguard+50"
done

# Another tunnel: VXLAN with TCP inside. What is short goes to a VXLAN device at b, so that there is a connection;
# what the sender leaves to be cut goes to the port.
modprobe vxlan
# usage: other_tunnel ADDRESS-OF-A ADDRESS-OF-B
other_tunnel() {
	ip -n a link add vx0 type vxlan id 1 local "$1" remote "$2" dstport 2000
	ip -n b link add vx0 type vxlan id 1 local "$2" remote "$1" dstport 4789
	ip -n a addr add 10.9.0.1/24 dev vx0
	ip -n b addr add 10.9.0.2/24 dev vx0
	ip -n a link set vx0 up mtu 1400
	ip -n b link set vx0 up mtu 1400
	dropped=$(device_counter b rx_drop_not_wireguard)
	a nft 'table inet way { chain in { type filter hook prerouting priority -300; udp dport 4789 udp dport set 2000; }; }'
	b nft 'table inet way { chain in { type filter hook prerouting priority -300;
		iifname veth0 udp sport != 1000 udp dport 2000 meta length < 1500 udp dport set 4789; }; }'
	ip netns exec b iperf3 -s >/dev/null &
	server=$!
	wait_for 20 sh -c "ip netns exec b ss -ltn | grep -q :5201"
	# It cannot end: what is long never arrives.
	ip netns exec a iperf3 -c 10.9.0.2 >/dev/null 2>&1 &
	client=$!
	wait_for 30 more_dropped
	kill -9 $client $server
	wait $client $server 2>/dev/null
	ip -n a link del vx0
	ip -n b link del vx0
	a nft delete table inet way
	b nft delete table inet way
}
more_dropped() {
	[ "$(device_counter b rx_drop_not_wireguard)" != "$dropped" ]
}
came="^rx_drop_not_wireguard\+[1-9][0-9]*\$"
check "packets of another tunnel" grep -E "$came" <(changed other_tunnel 10.0.0.1 10.0.0.2)
check "over IPv6" grep -E "$came" <(changed other_tunnel fd00::1 fd00::2)
# A virtual machine at a, which routes its packets into the tunnel: they are sealed as trains, like those of a.
a sysctl -qw net.ipv4.ip_forward=1
b wg set wg0 peer "$PUB_A" allowed-ips +10.5.0.0/24
b ip route add 10.5.0.0/24 dev wg0
trains=$(device_counter a tx_trains) segmented=$(device_counter a tx_software_segmented)
resets=$(counter b TcpOutRsts)
more_resets() {
	[ "$(counter b TcpOutRsts)" -gt "$resets" ]
}
check "TCP of a virtual machine passes the tunnel" tap a tcp 1 1000 0 5000
check "its packets come to the other side" wait_for 10 more_resets
check "with good checksums" is "$(counter b TcpInCsumErrors)" 0
check "as a train" is "$(($(device_counter a tx_trains) - trains)) $(($(device_counter a tx_software_segmented) - segmented))" "1 0"
check "the shortest ones as well" tap a tcp 1 8 0 60000
check "the tunnel goes on" a ping -c 3 -i 0.2 -W 5 192.168.241.2
teardown
finish
