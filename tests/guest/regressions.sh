#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# Mistakes that other implementations have made, as far as it takes a whole driver to make them; the
# rest are in tests/host/tests/regressions.rs.

cd "$(dirname "$0")" && source ./lib.sh
plan 10

HOSTILE=$TOOLS/hostile
need $HOSTILE

# A datagram that no buffer is made for, with the head of a data message, stopped the receiver.
topology
check "there is traffic" a ping -c 1 -W 5 192.168.241.2
giants() {
	a python3 - <<-EOT
		import socket
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		for size in (65507, 65507, 20000, 1473, 65507):
		    for kind in (1, 2, 3, 4):
		        s.sendto(bytes([kind, 0, 0, 0]) + bytes(size - 4), ("10.0.0.2", 2000))
	EOT
}
check "datagrams of 64 KiB are sent" giants
check "traffic goes on" a ping -c 3 -i 0.2 -W 5 192.168.241.2

# Keepalives answered each other. Here, there is one keepalive after the last packet, and then silence.
# What came before may be answered with a keepalive for ten seconds.
sleep 15
b nft -f - <<-EOT
	table inet watch {
		chain in {
			type filter hook input priority 0
			udp dport 2000 udp length 40 counter
		}
		chain out {
			type filter hook output priority 0
			udp sport 2000 udp length 40 counter
		}
	}
EOT
keepalives() {
	b nft list table inet watch | sed -nE 's/.*counter packets ([0-9]+).*/\1/p' | paste -sd ' '
}
# One packet to b, where a program takes it and does not answer.
ip netns exec b socat -u UDP-RECV:9 OPEN:/dev/null 2>/dev/null &
taker=$!
wait_for 10 sh -c "ip netns exec b ss -Huln | grep -q :9"
a bash -c 'echo >/dev/udp/192.168.241.2/9'
sleep 100
kill $taker
check "a keepalive is not answered with another: of those, b has received and sent" is "$(keepalives)" "0 1"
teardown

# A peer's allowed IPs were compared as sets of prefixes, so that a shorter one covered an address that
# belongs to another peer.
topology
a wg set wg0 peer "$PUB_B" allowed-ips 192.168.0.0/16
OTHER=$(wg genkey | wg pubkey)
a wg set wg0 peer "$OTHER" allowed-ips 192.168.7.0/24
ip -n a route add 192.168.0.0/16 dev wg0
ip -n b addr add 192.168.7.1/32 dev wg0
ip -n b addr add 192.168.8.1/32 dev wg0
b wg set wg0 peer "$PUB_A" allowed-ips 0.0.0.0/0
errors() {
	a cat /sys/class/net/wg0/statistics/rx_frame_errors
}
check "an address of the shorter prefix" b ping -c 1 -W 5 -I 192.168.8.1 192.168.241.1
# The answer would go to the other peer, which has no endpoint, so what counts is what comes out of the tunnel.
echoes() {
	a nstat -asz IcmpInEchos | awk '/IcmpInEchos/ {print $2}'
}
before=$(errors) taken=$(echoes)
b ping -c 2 -i 0.2 -W 1 -I 192.168.7.1 192.168.241.1 >/dev/null
check "not one that belongs to another peer" is $(($(echoes) - taken)) 0
check "which is counted" is $(($(errors) - before)) 2
teardown

# The endpoint followed cookie replies, which anyone who sees an initiation can send.
topology
b nft -f - <<<"table inet deaf { chain in { type filter hook input priority 0; udp dport 2000 drop; }; }"
ip netns exec b $HOSTILE cookie from=10.0.0.9:9 key="$PUB_B" >/tmp/cookie 2>&1 &
wait_for 10 grep -q listening /tmp/cookie
a ping -c 1 -W 1 192.168.241.2 >/dev/null
wait $!
check "a cookie reply from elsewhere is taken" is $? 0
cat /tmp/cookie
check "and does not move the endpoint" is "$(a wg show wg0 endpoints | cut -f 2)" 10.0.0.2:2000
b nft delete table inet deaf
check "where the peer still is" wait_for 30 ip netns exec a ping -c 1 -W 1 192.168.241.2
teardown
finish
