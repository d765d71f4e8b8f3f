#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# Mixed traffic while interfaces go up and down, peers and keys come and go, and an interface moves
# between namespaces; in the end neither an object of the module nor a packet is left. `make soak` runs it for
# 30 minutes.

cd "$(dirname "$0")" && source ./lib.sh
plan 8

DURATION=${DURATION:-$((40 * SLOW))}

# How many packets exist. Each CPU caches some, so the number is accurate to a few hundred; a leak of one in
# a thousand packets is far beyond that.
packets() {
	local cache sum=0
	for cache in skbuff_head_cache skbuff_fclone_cache skbuff_small_head; do
		echo 1 >"/sys/kernel/slab/$cache/shrink"
		sum=$((sum + $(cut -d' ' -f1 "/sys/kernel/slab/$cache/objects")))
	done
	echo $sum
}

packets_before=$(packets)
topology
ip netns add c
check "traffic before" a ping -c 1 -W 5 192.168.241.2

end=$((SECONDS + DURATION))
b iperf3 -s -D
(while [ $SECONDS -lt $end ]; do a timeout -k 5 10 iperf3 --connect-timeout 1000 -c 192.168.241.2 -t 3; done) >/dev/null 2>&1 &
(while [ $SECONDS -lt $end ]; do a timeout -k 5 10 iperf3 --connect-timeout 1000 -c 192.168.241.2 -t 2 -u -b 10M -R; done) >/dev/null 2>&1 &
(while [ $SECONDS -lt $end ]; do a timeout 2 ping -f -s 1400 fd41::2; done) >/dev/null 2>&1 &
rounds=0
while [ $SECONDS -lt $end ]; do
	rounds=$((rounds + 1))
	spare=$(wg genkey | wg pubkey)
	a wg set wg0 peer "$spare" allowed-ips 10.8.0.0/16 endpoint 10.0.0.2:2000 persistent-keepalive 1
	sleep 0.2
	ip -n a link set wg0 down
	ip -n a link set wg0 up
	a wg set wg0 peer "$spare" remove
	b wg set wg0 private-key <(wg genkey)
	b wg set wg0 private-key <(echo "$KEY_B")
	ip -n a link set wg0 netns c
	ip -n c link set wg0 up
	ip -n c link set wg0 netns a
	ip -n a addr add 192.168.241.1/24 dev wg0
	ip -n a addr add fd41::1/64 dev wg0 nodad
	ip -n a link set wg0 up
	a wg set wg0 peer "$PUB_B" remove
	a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.2/32,fd41::2/128 endpoint 10.0.0.2:2000
	a wg set wg0 listen-port $((1000 + rounds % 100))
	sleep 0.5
done
echo "# $rounds rounds"
check "there were rounds" test "$rounds" -ge 1
b pkill iperf3
wait
carried=$(($(statistic b rx_packets) + $(statistic b tx_packets)))
check "packets were carried ($carried)" test "$carried" -gt $((rounds * 10))
check "traffic afterwards" wait_for 20 ip netns exec a ping -c 1 -W 1 192.168.241.2
ip netns del c
teardown
check "no socket is left" wait_for 10 sh -c "! ss -Huln | grep -q :2000"
check "nothing uses the module" wait_for 10 grep -qE '^wireguard [0-9]+ 0 ' /proc/modules
rmmod wireguard
sleep 1
packets_after=$(packets)
echo "# $packets_before packets existed before, $packets_after afterwards"
check "no packet is left" test $((packets_after - packets_before)) -lt 500
no_object_left
finish
