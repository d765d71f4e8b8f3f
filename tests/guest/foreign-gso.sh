#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 200
# GSO packets that are no train of datagrams come to the port, too: from a virtual machine that leaves it to the host
# to fragment its datagrams (UFO), and from a tunnel of another kind, the packets in which are still to be cut. Each
# is one datagram, as which it was sent. Trains of what is too short for a message are not worth cutting.

cd "$(dirname "$0")" && source ./lib.sh
plan 12

topology
check "there is a session" a ping -c 1 -W 5 192.168.241.2

# Sends a frame into a tap device at b, as a virtual machine does. usage: frame v4|v6 GSO-TYPE GSO-SIZE KIND LENGTH
tap() {
	b python3 - "$@" <<-'EOT'
		import fcntl, os, socket, struct, subprocess, sys
		version, gso_type, gso_size, kind, length = sys.argv[1], *map(int, sys.argv[2:])
		IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, TUNSETIFF, UFO, L4 = 2, 0x1000, 0x4000, 0x400454ca, 3, 5
		tun = os.open("/dev/net/tun", os.O_RDWR)
		fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
		run = lambda *words: subprocess.run(["ip"] + list(words), check=True)
		run("link", "set", "tap0", "up")
		run("addr", "add", "10.5.0.1/24", "dev", "tap0")
		run("addr", "add", "fd05::1/64", "dev", "tap0", "nodad")
		mac = bytes.fromhex(open("/sys/class/net/tap0/address").read().strip().replace(":", ""))
		data = struct.pack("<I", kind) + os.urandom(length - 4)
		udp = struct.pack("!HHHH", 1234, 2000, 8 + length, 0)
		if version == "v4":
		    ends = socket.inet_aton("10.5.0.2") + socket.inet_aton("10.5.0.1")
		    ip = struct.pack("!BBHHHBBH", 0x45, 0, 28 + length, 1, 0, 64, 17, 0) + ends
		    words = struct.unpack("!10H", ip)
		    total = sum(words)
		    total = (total & 0xffff) + (total >> 16)
		    ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + ip[12:]
		    ether = 0x0800
		else:
		    ends = socket.inet_pton(socket.AF_INET6, "fd05::2") + socket.inet_pton(socket.AF_INET6, "fd05::1")
		    ip = struct.pack("!IHBB", 6 << 28, 8 + length, 17, 64) + ends
		    ether = 0x86dd
		# What is left to the hardware is the sum over all but the pseudo header, which is there.
		pseudo = ends + struct.pack("!IHBB", 8 + length, 0, 0, 17)
		total = sum(struct.unpack("!%dH" % (len(pseudo) // 2), pseudo))
		while total >> 16:
		    total = (total & 0xffff) + (total >> 16)
		udp = udp[:6] + struct.pack("!H", total)
		start = 14 + len(ip)
		header = struct.pack("<BBHHHH", 1, gso_type, start + 8, gso_size, start, 6)
		frame = mac + b"\2\0\0\0\0\2" + struct.pack("!H", ether) + ip + udp + data
		os.write(tun, header + frame)
	EOT
}
# The counters of b that have changed, each with the difference. usage: changed COMMAND...
changed() {
	local before after
	before=$(b ethtool -S wg0 | sed -nE 's/^ +(rx_(drop|refused)_[a-z0-9_]+|rx_trains_cut): /\1 /p' | sort)
	"$@" >/tmp/said 2>&1 || { cat /tmp/said; return 1; }
	sleep 1
	after=$(b ethtool -S wg0 | sed -nE 's/^ +(rx_(drop|refused)_[a-z0-9_]+|rx_trains_cut): /\1 /p' | sort)
	join <(echo "$before") <(echo "$after") | awk '$2 != $3 { print $1 "+" $3 - $2 }' | paste -sd ' '
}

modprobe tun
UFO=3 TRAIN=5
for version in v4 v6; do
	check "$version: a long datagram that is to be fragmented is one datagram" \
		is "$(changed tap $version $UFO 1400 8 20000)" "rx_drop_not_wireguard+1"
	check "$version: one that is an initiation is taken for one" \
		is "$(changed tap $version $UFO 100 1 148)" "rx_refused_bad_mac1+1"
	check "$version: a train of what is no message" is "$(changed tap $version $TRAIN 1000 8 5000)" "rx_drop_not_wireguard+5 rx_trains_cut+1"
	check "$version: a train of short ones is not cut" is "$(changed tap $version $TRAIN 20 4 1000)" "rx_drop_not_wireguard+50"
done

# Of another tunnel: VXLAN with TCP inside. What is short goes to a VXLAN device at b, so that there is a connection;
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
check "the tunnel goes on" a ping -c 3 -i 0.2 -W 5 192.168.241.2
teardown
finish
