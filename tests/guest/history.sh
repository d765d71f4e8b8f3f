#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 400
# Situations in which the in-tree driver once went wrong (Documentation/parity.md has the list): packets
# with a tunnel's metadata as route, tries as deep as an address is long, tunnels that lead into
# themselves, dumps of what is being removed, peers that go with their queues full, keys that change
# during a handshake.

cd "$(dirname "$0")" && source ./lib.sh
plan 15

# A route that is only metadata has no MTU to ask for.
topology
a ping -c 1 -W 5 192.168.241.2 >/dev/null
ip netns exec a tc qdisc add dev wg0 clsact
check "packets get a tunnel's metadata" ip netns exec a tc filter add dev wg0 egress matchall \
	action tunnel_key set src_ip 1.1.1.1 dst_ip 2.2.2.2 id 7
check "and pass" a ping -c 3 -i 0.3 -W 3 192.168.241.2
check "large ones as well" tcp a 192.168.241.2 1M
ip netns exec a tc qdisc del dev wg0 clsact

# 33 and 129 prefixes, each inside the one before.
deep() {
	local i list= count
	for i in $(seq 0 128); do list+="ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/$i,"; done
	for i in $(seq 0 32); do list+="255.255.255.255/$i,"; done
	a wg set wg0 peer "$1" allowed-ips "${list%,}"
	count=$(a wg show wg0 allowed-ips | grep -F "$1" | cut -f 2 | wc -w)
	is "$count" 162
}
first=$(wg genkey | wg pubkey) second=$(wg genkey | wg pubkey)
check "the deepest tries" deep "$first"
check "change hands" deep "$second"
check "and leave nothing" is "$(a wg show wg0 allowed-ips | grep -F "$first" | cut -f 2)" "(none)"
a wg set wg0 peer "$first" remove peer "$second" remove
check "the tunnel goes on" a ping -c 1 -W 3 192.168.241.2

# The endpoint lies inside the tunnel.
sent() { a cat /sys/class/net/wg0/statistics/tx_packets; }
before=$(sent)
a wg set wg0 peer "$PUB_B" endpoint 192.168.241.2:2000
a ping -c 3 -i 0.2 -W 1 192.168.241.2 >/dev/null
sleep 1
check "a tunnel into itself sends next to nothing" test $(($(sent) - before)) -lt 100
# Two interfaces, each the other's way out.
ip -n a link add wg1 type wireguard
a wg set wg1 private-key <(wg genkey) peer "$first" allowed-ips 10.1.0.0/24 endpoint 192.168.241.2:5
ip -n a addr add 10.1.0.1/24 dev wg1
ip -n a link set wg1 up
a wg set wg0 peer "$PUB_B" endpoint 10.1.0.2:2000
a ping -c 20 -i 0.05 -W 1 192.168.241.2 >/dev/null
a ping -c 20 -i 0.05 -W 1 10.1.0.2 >/dev/null
sleep 1
check "two tunnels into each other send next to nothing" test $(($(sent) - before)) -lt 200
ip -n a link del wg1
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:2000
check "outside again it works" wait_for 20 ip netns exec a ping -c 1 -W 1 192.168.241.2

# Dumps of many messages while what they show is removed. wg asks again when the driver says that a dump is torn; what
# it shows in the end is whole: each peer once, with its interval and no networks but its own.
peers=()
for i in $(seq 60); do
	peers+=("peer" "$(wg genkey | wg pubkey)" "persistent-keepalive" 60000
		"allowed-ips" "$(printf "10.$i.%d.0/24," $(seq 60))10.$i.0.0/16")
	echo "${peers[-5]} $i" >>/tmp/known
done
# usage: dumps_until END (prints "whole" or what is wrong)
dumps_until() {
	while [ $SECONDS -lt "$1" ]; do
		a wg show wg0 dump >/tmp/dump || echo "failed"
		awk -v first="$PUB_B" '
			NR == FNR { net[$1] = "10." $2 "."; next }
			FNR == 1 { next }
			$1 == first { found++; next }
			seen[$1]++ || $8 != 60000 { bad = bad " " $1 " " $8 }
			{ for (n = split($4, ips, ","); n; n--) if ($4 != "(none)" && index(ips[n], net[$1]) != 1) bad = bad " " ips[n] }
			END { print found == 1 && !bad ? "whole" : "torn:" bad }' /tmp/known /tmp/dump
	done
}
end=$((SECONDS + 15))
dumps_until $end >/tmp/dumps 2>&1 &
(while [ $SECONDS -lt $end ]; do a wg show all allowed-ips; done) >/dev/null 2>&1 &
while [ $SECONDS -lt $end ]; do
	a wg set wg0 "${peers[@]}"
	for i in $(seq 1 6 355); do a wg set wg0 peer "${peers[i]}" remove; done
done
wait
echo "# $(grep -c whole /tmp/dumps) dumps"
check "dumps while peers come and go" grep -q whole /tmp/dumps
check "each of them is whole" not grep -v whole /tmp/dumps

# A peer is removed while a thousand packets wait to be opened and sealed for it, many times.
b ping -f -q -s 1300 192.168.241.1 >/dev/null 2>&1 &
b ping -f -q -s 60 fd41::1 >/dev/null 2>&1 &
a ping -f -q -s 1300 192.168.241.2 >/dev/null 2>&1 &
for i in $(seq 25); do
	a wg set wg0 peer "$PUB_B" remove
	a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.2/32,fd41::2/128 endpoint 10.0.0.2:2000
	a ping -q -c 1 -W 1 192.168.241.2 >/dev/null
done
# Both sides begin handshakes, and keys change in the middle of them.
for i in $(seq 15); do
	a wg set wg0 private-key <(wg genkey)
	b wg set wg0 private-key <(wg genkey)
	a wg set wg0 private-key <(echo "$KEY_A") peer "$PUB_B" preshared-key <(wg genpsk)
	b wg set wg0 private-key <(echo "$KEY_B")
	a wg set wg0 peer "$PUB_B" preshared-key /dev/null
done
a pkill ping
b pkill ping
wait
check "traffic after all that" wait_for 20 ip netns exec a ping -c 1 -W 1 192.168.241.2
teardown
check "the module goes" wait_for 20 rmmod wireguard
no_object_left
finish
