#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packets of both IP versions through tunnels over both: ping, fragments, TCP, UDP, and what is counted.

cd "$(dirname "$0")" && source ./lib.sh
plan 24

for outside in 4 6; do
	topology $outside
	for inside in 192.168.241.2 fd41::2; do
		check "ping $inside over IPv$outside" a ping -c 5 -i 0.2 -W 3 "$inside"
		check "ping back" b ping -c 3 -i 0.2 -W 3 "${inside%2}1"
		check "packets that are fragmented inside" a ping -c 3 -i 0.2 -W 3 -s 4000 "$inside"
		check "TCP" tcp a "$inside" 4M
		check "TCP, the other way" tcp b "${inside%2}1" 4M
	done
	teardown
done

topology 4
# Datagrams that b dropped because the program that receives them did not read them in time.
unread() {
	b nstat -asz UdpRcvbufErrors | awk '/Udp/ {print $2}'
}
# usage: lossless COMMAND...    iperf3's report says that nothing was lost but what was unread
lossless() {
	local report lost before
	before=$(unread)
	report=$("$@") || return
	echo "$report"
	lost=$(sed -nE 's/.* ([0-9]+)\/[0-9]+ \(.*receiver.*/\1/p' <<<"$report")
	echo "lost: $lost, unread: $(($(unread) - before))"
	[ "${lost:-none}" = $(($(unread) - before)) ]
}
check "UDP without loss" lossless tcp a 192.168.241.2 1M -u -b 5M

# A ping of 56 octets makes a packet of 84, padded to 96, in a message of 128.
teardown
topology 4
a ping -c 1 -W 3 192.168.241.2 >/dev/null
before=$(peer_field b 6)
a ping -c 4 -i 0.2 -W 3 192.168.241.2 >/dev/null
check "the peer's counter counts whole messages" is $(($(peer_field b 6) - before)) $((4 * 128))

# Packets that are longer than the path are fragmented outside.
ip -n a link set veth0 mtu 1280
ip -n b link set veth0 mtu 1280
check "messages that are longer than the path's MTU" a ping -c 3 -i 0.2 -W 3 -s 1300 192.168.241.2
check "the interface counts packets" sh -c "[ $(ip netns exec a cat /sys/class/net/wg0/statistics/tx_packets) -gt 5 ]"
teardown
finish
