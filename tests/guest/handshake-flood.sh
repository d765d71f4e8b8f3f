#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 900
# guest: --icount
# A flood of handshake messages with a good mac1 from many sources: some that cannot receive (their
# addresses are spoofed), some that can and come back with the cookie that they were given. Cookies are
# handed out, sources that have one are held to a rate, memory stays bounded, an established tunnel keeps
# at least 80 % of its throughput, and the interface can be taken down in the middle of it.
#
# One CPU does everything here, even the flooding. So throughput is compared with that during the same
# flood against a port where nobody listens: what remains is the driver's share. The clock counts
# instructions, so the figures mean something.

cd "$(dirname "$0")" && source ./lib.sh
plan 19

HOSTILE=$TOOLS/hostile
need $HOSTILE
SECS=${SECS:-4}

topology
ip -n b route add default via 10.0.0.1
# a has all addresses of 10.1.0.0/16: the sources that can receive.
ip -n a route add local 10.1.0.0/16 dev lo
b nft -f - <<-EOT
	table inet watch {
		chain out {
			type filter hook output priority 0
			udp sport 2000 udp length 72 @th,64,8 3 ip dscp cs0 counter
			udp sport 2000 udp length 100 @th,64,8 2 counter
		}
		chain early {
			type filter hook prerouting priority -400
			udp dport 2001 drop
		}
	}
EOT
check "there is a session" a ping -c 1 -W 5 192.168.241.2
b iperf3 -s -D
sleep 1

throughput() { mbits 120 -t "$SECS"; }
# Messages of a kind that b sent. usage: answers cookies|responses
answers() {
	b nft list chain inet watch out | grep counter | sed -n "$([ "$1" = cookies ] && echo 1 || echo 2)s/.*packets \([0-9]*\).*/\1/p"
}
# usage: flooded PORT OPTION...     prints the throughput meanwhile; the flooder's words are in /tmp/flood
flooded() {
	local port=$1
	shift
	ip netns exec a $HOSTILE flood "to=10.0.0.2:$port" key="$PUB_B" seconds=$((SECS + 4)) "$@" >/tmp/flood 2>&1 &
	wait_for 20 grep -q flooding /tmp/flood
	sleep 1
	throughput
	kernel_memory >/tmp/memory
	wait $!
}

# What costs hardly anything makes nobody ask twice: forty a second for which it was computed in vain.
ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" seconds=3 rate=40 >/tmp/flood 2>&1
check_speed "a few messages from strangers are no load" is "$(answers cookies)" 0

alone=$(throughput)
before=$(kernel_memory)
for rate in 1000 5000 0; do
	dead=$(flooded 2001 rate=$rate)
	cookies=$(answers cookies)
	now=$(flooded 2000 rate=$rate)
	cookies=$(($(answers cookies) - cookies))
	echo "# rate ${rate/#0/unlimited}: $alone Mbit/s alone, $dead with the flood at a dead port, $now with the flood" \
		"($(share "$now" "$dead") of that, $(share "$now" "$alone") of that alone); $cookies cookie replies"
	sed 's/^# /#   /' /tmp/flood
	echo "#   slab and per-CPU memory: $before kB before, $(cat /tmp/memory) kB meanwhile"
	check_speed "the tunnel keeps 80 % of its throughput (${rate/#0/unlimited} messages a second)" keeps "$now" "$dead"
	check "memory is bounded" test $(($(cat /tmp/memory) - before)) -lt 32768
done
check "cookies were handed out" test "$cookies" -ge 100

# Sources that prove their address: 64 at 20 a second, and a burst of 5 each.
ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" seconds=6 real=64 rate=5000 >/tmp/flood 2>&1
sed 's/^# /#   /' /tmp/flood
check_speed "sources that can receive get cookies" grep -qE "which took [1-9][0-9]* cookies" /tmp/flood
check "messages without one are counted" test "$(device_counter b rx_refused_no_cookie)" -ge 1000
# While sources are known, a worker with nothing to do wakes up once a second. What comes after the queue was emptied
# must not wait for that: the load lingers for less, and is over sooner for us if the host is slow.
afterwards() {
	local last now
	for _ in 1 2 3 4 5; do
		ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" seconds=2 real=64 rate=5000 >/dev/null 2>&1
		last=-1 now=0
		while [ "$now" != "$last" ]; do
			last=$now
			sleep 0.05
			now=$(device_counter b tx_handshake_cookies)
		done
		ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" seconds=1 rate=50 >/dev/null 2>&1
		now=$(($(device_counter b tx_handshake_cookies) - last))
		echo "$now cookies"
		[ "$now" -lt 10 ] || return 0
	done
	return 1
}
check_speed "and so do those who come when it is over" afterwards

# Senders that do not know our key cannot keep others away, even when we are under load (from some that do).
ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" seconds=2 rate=5000 >/dev/null 2>&1
full=$(device_counter b rx_refused_queue_full) bad=$(device_counter b rx_refused_bad_mac1)
ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$(wg genkey | wg pubkey)" seconds=10 rate=20000 >/tmp/flood 2>&1 &
sleep 3
ip -n a link set wg0 down
ip -n a link set wg0 up
check "a handshake succeeds during a flood without a good mac1" wait_for 7 ip netns exec a ping -c 1 -W 1 192.168.241.2
wait $!
full=$(($(device_counter b rx_refused_queue_full) - full)) bad=$(($(device_counter b rx_refused_bad_mac1) - bad))
sed 's/^# /#   /' /tmp/flood
echo "# $bad without a good mac1; for $full there was no room"
check_speed "many of whose messages are looked at" test $((bad * 3)) -gt $((bad + full))

# A peer that restarts in the middle of it gets through: its cookie is what sets it apart.
ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" seconds=45 rate=5000 >/tmp/flood 2>&1 &
sleep 2
ip -n a link set wg0 down
ip -n a link set wg0 up
check "a handshake succeeds during the flood" wait_for 40 ip netns exec a ping -c 1 -W 1 192.168.241.2
check_speed "by way of a cookie" test "$(device_counter a rx_handshake_cookies)" -ge 1
begun=$(date +%s%N)
check "the interface goes down during the flood" ip -n b link set wg0 down
took=$((($(date +%s%N) - begun) / 1000000))
echo "# that took $took ms"
ip -n b link set wg0 up
wait
check "traffic afterwards" wait_for 20 ip netns exec a ping -c 1 -W 1 192.168.241.2
b pkill iperf3
teardown
rmmod wireguard
no_object_left
finish
