#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 900
# Malformed and replayed packets at the UDP port, from the peer's own address and from others, while
# the tunnel is in use: replays of genuine messages, flipped bits, cut and lengthened ones, wrong indices,
# counters, types and reserved octets, random octets of all lengths, datagrams of 64 KiB, lying UDP
# headers. Traffic goes on, no packet gets through that was not sealed by the peer, the peer's
# endpoint stays, and memory does not grow. COUNT=1000000 makes it the long version.

cd "$(dirname "$0")" && source ./lib.sh
plan 11

COUNT=${COUNT:-100000}
HOSTILE=$TOOLS/hostile
need $HOSTILE

topology
# b's answers to strangers have a route; a throws them away.
ip -n b route add default via 10.0.0.1
ip -n b route add default via fd00::1
# The listener is to see messages, not trains of them.
a ethtool -K veth0 tx-udp-segmentation off 2>/dev/null
b ethtool -K veth0 tx-udp-segmentation off 2>/dev/null
# Only genuine packets may come out of the tunnel: the genuine ones are these. Echo requests are counted.
b nft -f - <<-EOT
	table inet watch {
		counter echoes {
		}
		chain in {
			type filter hook input priority 0
			iifname wg0 ip saddr 192.168.241.1 icmp type echo-request counter name echoes
			iifname wg0 ip saddr 192.168.241.1 ip protocol { icmp, tcp } accept
			iifname wg0 ip6 saddr fd41::1 accept
			iifname wg0 counter
		}
	}
EOT

endpoint() {
	b wg show wg0 endpoints | cut -f 2
}
handshakes() {
	b wg show wg0 latest-handshakes | cut -f 2
}

ip netns exec a $HOSTILE mix to=10.0.0.2:2000 like=10.0.0.1:1000 to6=[fd00::2]:2000 like6=[fd00::1]:1000 \
	key="$PUB_B" count="$COUNT" rate="${RATE:-10000}" seed="${SEED:-1}" >/tmp/hostile 2>&1 &
hostile=$!
wait_for 10 grep -q listening /tmp/hostile
check "there is traffic before" a ping -c 20 -i 0.1 -W 5 192.168.241.2
before=$(kernel_memory)

# Transfers and pings for as long as the flood lasts.
begin_transfers 30 500K
a ping -q -i 0.2 -c 1000000 -W 10 192.168.241.2 >/tmp/pings &
pings=$!
wait $hostile
code=$?
kill -INT "$(pgrep -x ping)"
wait $pings
cat /tmp/hostile
end_transfers
echo "# $(grep loss /tmp/pings)"

check "all packets were sent" is $code 0
check "transfers went on" transfers_went_on
loss=$(sed -nE 's/.* ([0-9.]+)% packet loss.*/\1/p' /tmp/pings)
check "hardly a ping was lost" awk -v "loss=${loss:-100}" 'BEGIN {exit !(loss <= 5)}'
check "the endpoint is still the peer's" is "$(endpoint)" "10.0.0.1:1000"
check "nothing came out of the tunnel that the peer did not send" \
	b sh -c 'nft list table inet watch | grep "counter packets 0 "'
# Replayed requests have answers that ping does not see: those to an earlier ping, or to another address.
sent=$((20 + $(sed -nE 's/^([0-9]+) packets transmitted.*/\1/p' /tmp/pings)))
echoes=$(counted b echoes)
check "and nothing twice: of $sent echo requests $echoes came out" test "$echoes" -gt 0 -a "$echoes" -le "$sent"
check "no answer either" not grep duplicates /tmp/pings
check "traffic afterwards" a ping -c 3 -i 0.2 -W 5 192.168.241.2

# Once whatever was queued is gone: what the flood has left behind.
sleep 3
echo 3 >/proc/sys/vm/drop_caches
after=$(kernel_memory)
echo "# slab and per-CPU memory: $before kB before, $after kB after"
check "memory has not grown" test $((after - before)) -lt 16384

teardown
rmmod wireguard
no_object_left
finish
