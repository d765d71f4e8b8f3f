#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# A tunnel between other devices. Above it and below it there may be further tunnels; and to a queue below it that heeds
# priorities, all messages are of the same one, as with the in-tree driver, whether they leave one by one or in trains:
# otherwise one part of a flow would overtake the other. Whoever cannot do with trains there can do without.

cd "$(dirname "$0")" && source ./lib.sh
plan 14

# usage: none_lost ADDRESS
none_lost() { a ping -q -c 20 -i 0.1 -W 5 "$1" | grep ' 0% packet loss'; }
no_loop() { not grep -i 'dead loop' <(dmesg); }
bulk() { tcp a "$1" 2M && tcp b "$2" 2M; }

# Between a bridge and VXLAN above, and IP in IP below. The endpoints come before anything that sends of itself (a bridge
# and VXLAN do): a message that was still on the other way would take an endpoint back there.
topology
a wg set wg0 peer "$PUB_B" endpoint 10.2.0.2:2000
b wg set wg0 peer "$PUB_A" endpoint 10.2.0.1:1000
for n in a b; do
	[ $n = a ] && here=1 there=2 || { here=2 there=1; }
	ip -n $n link add below type ipip local 10.0.0.$here remote 10.0.0.$there
	ip -n $n addr add 10.2.0.$here/24 dev below
	ip -n $n link set below up
	ip -n $n link add above type vxlan id 7 dstport 4789 local 192.168.241.$here remote 192.168.241.$there
	ip -n $n link add bridge mtu 1370 type bridge
	ip -n $n addr add 10.3.0.$here/24 dev bridge
	ip -n $n link set bridge up
	ip -n $n link set above mtu 1370 master bridge up
done
check "there is a session" session
check "the tunnel leads through the other one" is "$(peer_field b 3)" 10.2.0.1:1000
check "no packet is lost below a bridge and VXLAN, and above IP in IP" none_lost 10.3.0.2
check "nor of another size" a ping -q -c 3 -i 0.2 -W 5 -s 1300 10.3.0.2
check "TCP" bulk 10.3.0.2 10.3.0.1
check "the kernel took nothing for a loop" no_loop
teardown

# Packets with a priority of their own.
topology
session
a nft -f - <<-EOT
	table inet watch {
		counter none { }
		counter other { }
		counter inner { }
		chain inside {
			type filter hook output priority 0
			oifname wg0 meta priority set 1:5 counter name inner
		}
		chain outside {
			type filter hook postrouting priority 0
			oifname != veth0 accept
			meta l4proto != udp accept
			udp dport != 2000 accept
			meta priority none counter name none accept
			counter name other
		}
	}
EOT
before=$(device_counter a tx_trains)
check "TCP with a priority" tcp a 192.168.241.2 2M
check "its packets had it" test "$(counted a inner)" -ge 30
check "they left in trains" test $(($(device_counter a tx_trains) - before)) -ge 10
check "and one by one" a ping -q -c 3 -i 0.2 -W 5 192.168.241.2
check "all without it" is "$(counted a other)" 0
check "they were seen" test "$(counted a none)" -ge 30

# A flood that nobody answers.
ip netns exec b socat -u UDP-RECV:7 OPEN:/dev/null 2>/dev/null &
server=$!
wait_for 20 sh -c "ip netns exec b ss -lnu | grep -q :7"
trains_of_a_flood() {
	local before
	before=$(device_counter a tx_trains)
	a python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('192.168.241.2', 7))
for n in range(2000): s.send(bytes(1000))"
	echo $(($(device_counter a tx_trains) - before))
}
check_speed "a flood leaves in trains" test "$(trains_of_a_flood)" -ge 20
ip netns exec a ethtool -K wg0 gso off
check "but not where generic-segmentation-offload is off" is "$(trains_of_a_flood)" 0
{ kill $server && wait $server; } 2>/dev/null
teardown
finish
