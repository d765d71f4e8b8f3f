#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# flavour: debug
# time: 900
# Memory runs out: at each allocation of each request in turn (faults.py), then at random in the data
# path and in the workers, both of objects (slab) and of pages. No crash, no leak, an error to the user, and everything
# works afterwards.

cd "$(dirname "$0")" && source ./lib.sh
plan 29

HOSTILE=$TOOLS/hostile
need $HOSTILE
FAULTS=/sys/kernel/debug
KINDS="failslab fail_page_alloc"

for kind in $KINDS; do
	echo 0 >$FAULTS/$kind/verbose
	echo N >$FAULTS/$kind/ignore-gfp-wait
done
echo N >$FAULTS/fail_page_alloc/ignore-gfp-highmem
echo 0 >$FAULTS/fail_page_alloc/min-order

./faults.py 2>&1 | tee /tmp/faults | sed -u 's/^/# /'
status=${PIPESTATUS[0]}
check "each refused request says so, each other one is done, and can be made again" is $status 0
for name in create configure dump replace-allowed-ips remove-peer up move-port new-key send down delete; do
	# "down" and "delete" cannot be refused.
	case $name in
	create | configure | dump | replace-allowed-ips | up | move-port | new-key)
		check "allocations failed in '$name', and it was refused" awk -v n=$name '$1 == n && $3 > 0 {ok = 1} END {exit !ok}' /tmp/faults ;;
	*)
		check "'$name' was tried" grep -q "^$name " /tmp/faults ;;
	esac
done

# Only allocations below the module's own functions fail from here on.
start=$(cat /sys/module/wireguard/sections/.text)
size=$(readelf -SW /src/wireguard.ko | awk '{for (i = 1; i < NF; i++) if ($i == ".text") {print $(i + 4); exit}}')
# usage: everywhere FILE VALUE
everywhere() {
	local kind
	for kind in $KINDS; do
		echo "$2" >$FAULTS/$kind/"$1"
	done
}
below_module() {
	everywhere require-start "$(printf '0x%x' $((start)))"
	everywhere require-end "$(printf '0x%x' $((start + 0x$size)))"
	everywhere stacktrace-depth 64
}
# Pages have a chance of their own: few are allocated, because objects and packets share them.
# usage: chance PERCENT [PERCENT-OF-PAGES]
chance() {
	everywhere probability "$1"
	[ "$1" -eq 0 ] || everywhere times 1000000
	[ $# -eq 1 ] || echo "$2" >$FAULTS/fail_page_alloc/probability
}
# How many failed since there was a chance last: the kernel counts down. It does not log them all. usage: injected KIND
injected() { echo $((1000000 - $(cat "$FAULTS/$1/times"))); }

topology
check "a tunnel" a ping -c 1 -W 5 192.168.241.2
below_module
chance 10 50
b iperf3 -s -D
a timeout -k 5 40 iperf3 --connect-timeout 5000 -c 192.168.241.2 -t 30 >/dev/null 2>&1 &
a timeout 40 ping -f -q -s 3000 fd41::2 >/dev/null 2>&1 &
b timeout 40 ping -f -q 192.168.241.1 >/dev/null 2>&1 &
refused=0 served=0
end=$((SECONDS + 40))
while [ $SECONDS -lt $end ]; do
	# Each handshake and each peer is made anew.
	ip -n a link set wg0 down
	ip -n a link set wg0 up && served=$((served + 1)) || refused=$((refused + 1))
	if a wg set wg0 peer "$(wg genkey | wg pubkey)" allowed-ips 10.8.0.0/24,10.8.1.0/24,10.8.2.0/24 endpoint 10.0.0.9:9; then
		served=$((served + 1))
	else
		refused=$((refused + 1))
	fi
	sleep 0.2
done 2>/dev/null
b pkill iperf3
chance 0
wait
objects=$(injected failslab) pages=$(injected fail_page_alloc)
echo "# with a chance of 10 in 100: $objects failures of objects, of 50 in 100: $pages of pages; $refused requests refused, $served served"
check "allocations of objects failed under traffic" test "$objects" -ge 5
ip -n a link set wg0 up
check "traffic afterwards" wait_for 30 ip netns exec a ping -c 1 -W 1 192.168.241.2

# A handshake for which there is no memory at all, and the same once there is.
key_c=$(wg genkey)
b wg set wg0 peer "$(wg pubkey <<<"$key_c")" allowed-ips 192.168.241.3/32
lost b >/dev/null
chance 100
a $HOSTILE peer to=10.0.0.2:2000 key="$PUB_B" private="$key_c" >/dev/null
sleep 2
chance 0
check "a handshake that fails is counted" is "$(lost b)" "rx_refused_failed+1"
a $HOSTILE peer to=10.0.0.2:2000 key="$PUB_B" private="$key_c" >/dev/null
sleep 2
check "and the next one succeeds" is "$(lost b)" ""

# Four datagrams in one packet, and the train of messages that it becomes: to seal and to open them takes memory.
# Some memory is kept for such packets, so that the first ones may have it.
# usage: fails NAMESPACE COUNTER MORE-THAN COMMAND...
fails() {
	"${@:4}"
	sleep 0.3
	[ "$(device_counter "$1" "$2")" -gt "$3" ]
}
a ping -c 1 -W 5 192.168.241.2 >/dev/null
record /tmp/four
send_four 192.168.241.2
wait_for 20 test -s /tmp/four
sleep 1
kill $recorder
sealed=$(device_counter a tx_drop_no_memory) opened=$(device_counter b rx_drop_no_memory)
chance 100
check "packets that cannot be sealed are counted" wait_for 5 fails a tx_drop_no_memory "$sealed" send_four 192.168.241.2
check "messages that cannot be opened as well" \
	wait_for 5 fails b rx_drop_no_memory "$opened" a python3 counters.py train /tmp/four
chance 0
lost b >/dev/null
a python3 counters.py train /tmp/four
sleep 1
check "which are taken for what they are afterwards" is "$(lost b)" "rx_drop_replay+4"

chance 1 20
refused=0 served=0
for i in $(seq 40); do
	if ip link add wgx type wireguard; then
		wg setconf wgx <(printf '[Interface]\nPrivateKey = %s\n' "$KEY_A"; for j in 1 2 3 4 5 6; do
			printf '[Peer]\nPublicKey = %s\nAllowedIPs = 10.%d.0.0/16, fd00:%d::/32\n' "$(wg genkey)" "$j" "$j"
		done) && served=$((served + 1)) || refused=$((refused + 1))
		ip link set wgx up || refused=$((refused + 1))
		wg show wgx dump >/tmp/dump || refused=$((refused + 1))
		ip link del wgx
	else
		refused=$((refused + 1))
	fi
done 2>/dev/null
chance 0
more=$(injected fail_page_alloc)
echo "# with a chance of 1 in 100: $(injected failslab) failures of objects, of 20 in 100: $more of pages; $refused requests refused, $served configured"
check "allocations of pages failed" test $((pages + more)) -ge 5
check "requests were refused" test $refused -ge 5
check "and others were served" test $served -ge 1
check "traffic afterwards" a ping -c 2 -i 0.3 -W 5 192.168.241.2
check "TCP afterwards" tcp a 192.168.241.2 1M

# All atomic allocations of the system, at random, including the network stack's own.
everywhere require-start 0
everywhere require-end 18446744073709551615
everywhere ignore-gfp-wait Y
# Programs are running before: to start one, the root file system may need memory as well.
a timeout 22 ping -f -q -s 3000 fd41::2 >/dev/null 2>&1 &
b timeout 22 ping -f -q 192.168.241.1 >/dev/null 2>&1 &
a timeout 22 ping -f -q -s 60000 192.168.241.2 >/dev/null 2>&1 &
sleep 20 &
nap=$!
sleep 1
chance 2 50
wait $nap
chance 0
wait
objects=$(injected failslab) pages=$(injected fail_page_alloc)
echo "# with a chance of 2 in 100 of all: $objects failures of objects, of 50 in 100: $pages of pages"
check "both failed" test "$objects" -ge 100 -a "$pages" -ge 10
check "traffic after so many of all atomic allocations failed" wait_for 30 ip netns exec a ping -c 1 -W 1 192.168.241.2
teardown
check "the module goes" wait_for 30 rmmod wireguard
no_object_left
finish
