#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# guest: --icount --smp 2
# A flood of handshake messages with a good mac1 from two CPUs at a time, while the tunnel's TCP is on both as well: a CPU
# that waited for a lock would do so instead of its work. The tunnel keeps at least 80 % of the throughput that it has
# during the same flood against a port where nobody listens. handshake-flood is the rest of it, on one CPU.

cd "$(dirname "$0")" && source ./lib.sh
plan 6

HOSTILE=$TOOLS/hostile
need $HOSTILE

topology
ip -n b route add default via 10.0.0.1
b nft -f - <<-EOT
	table inet watch {
		chain early {
			type filter hook prerouting priority -400
			udp dport 2001 drop
		}
	}
EOT
check "there is a session" a ping -c 1 -W 5 192.168.241.2
b iperf3 -s -D
sleep 1

throughput() { mbits $((60 * SLOW)) -t 3 -P 2; }
# usage: flooded PORT     prints the throughput meanwhile; the flooders' words are in /tmp/flood.N
flooded() {
	local cpu
	for cpu in 0 1; do
		ip netns exec a taskset -c $cpu $HOSTILE flood "to=10.0.0.2:$1" key="$PUB_B" seconds=7 rate=2500 >/tmp/flood.$cpu 2>&1 &
	done
	wait_for 20 grep -q flooding /tmp/flood.0
	wait_for 20 grep -q flooding /tmp/flood.1
	sleep 1
	throughput
	wait
}
# Handshake messages that came in: nothing in them is true.
handshakes() {
	ip netns exec b ethtool -S wg0 | awk '/ rx_refused_/ {n += $2} END {print n + 0}'
}

alone=$(throughput)
dead=$(flooded 2001)
before=$(handshakes)
now=$(flooded 2000)
came=$(($(handshakes) - before))
echo "# $alone Mbit/s alone, $dead with the flood at a dead port, $now with the flood; $came handshake messages came in"
sed 's/^# /#   /' /tmp/flood.0 /tmp/flood.1
check "the flood arrives" test "$came" -ge 5000
check_speed "the tunnel keeps 80 % of its throughput" keeps "$now" "$dead"
check "traffic afterwards" wait_for 20 ip netns exec a ping -c 1 -W 1 192.168.241.2
b pkill iperf3
teardown
check "the module goes" wait_for 30 rmmod wireguard
no_object_left
finish
