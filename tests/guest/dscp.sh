#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 400
# The DSCP of packets stays inside unless copying is asked for; then each message has that of its packet, even in
# trains, which have one outer header. ECN is as it always is.

cd "$(dirname "$0")" && source ./lib.sh
export PYTHONDONTWRITEBYTECODE=1
plan 26
# Passes if a command makes just these counters grow, by at least so many. usage: marks "NAME..." NUMBER COMMAND...
marks() {
	local names=$1 number=$2 name bad=0
	shift 2
	b nft reset counters >/dev/null
	capture a wg0 /tmp/sent.pcap
	"$@" || return
	captured
	for name in none ef af41 ect0 ef_ect1 ce; do
		echo "$name $(counted b $name)"
		if [[ " $names " = *" $name "* ]]; then
			[ "$(counted b $name)" -ge "$number" ] || bad=1
		else
			[ "$(counted b $name)" = 0 ] || bad=1
		fi
	done
	[ $bad = 0 ] || a tcpdump -vnr /tmp/sent.pcap | head -n 20
	return $bad
}
# The DS field of packets that a sends. usage: ping_with DS [ADDRESS]
ping_with() { a ping -q -c 3 -i 0.2 -W 5 -Q "$1" "${2:-192.168.241.2}"; }
copy() { a python3 /src/scripts/options wg0 copy-dscp="$1" >/dev/null; }

trains() { device_counter a tx_trains; }

for outside in 4 6; do
	topology $outside
	# Handshakes have a DSCP of their own; the counters are of data.
	[ $outside = 4 ] && family=ip || family=ip6
	session
	b nft -f - <<-EOT
		table inet watch {
			counter none { }
			counter ef { }
			counter af41 { }
			counter ect0 { }
			counter ef_ect1 { }
			counter ce { }
			counter inner_ef { }
			counter inner_af41 { }
			chain in {
				type filter hook prerouting priority -300
				iifname wg0 ip dscp ef counter name inner_ef
				iifname wg0 ip dscp af41 counter name inner_af41
				iifname != veth0 accept
				meta l4proto != udp accept
				udp dport != 2000 accept
				udp length < 60 accept
				udp length { 156, 100, 72 } accept
				$family dscp cs0 $family ecn not-ect counter name none
				$family dscp ef $family ecn not-ect counter name ef
				$family dscp af41 $family ecn not-ect counter name af41
				$family dscp cs0 $family ecn ect0 counter name ect0
				$family dscp ef $family ecn ect1 counter name ef_ect1
				$family ecn ce counter name ce
			}
		}
	EOT
	check "the DSCP stays inside, IPv$outside" marks none 3 ping_with 0xb8
	check "it is copied on request" eval 'copy on && marks ef 3 ping_with 0xb8'
	check "another one as well" marks af41 3 ping_with 0x88
	check "that of IPv6" marks ef 3 ping_with 0xb8 fd41::2
	check "with ECN" marks ef_ect1 3 ping_with 0xb9
	check "congestion inside is not congestion outside" eval 'marks ect0 3 ping_with 0x03'
	before=$(trains)
	b nft reset counters >/dev/null
	check "bulk TCP" tcp a 192.168.241.2 2M -S 0xb8
	check "leaves in trains with the DSCP of its packets" test "$(counted b ef)" -ge 10
	check "and in hardly any others" test "$(counted b none)" -le 60
	check "so they are trains" test $(($(trains) - before)) -gt 20
	# Packets of one flow with two DSCPs in turn, in quick succession: what is collected into one train has to have
	# the same one. The devices cut all trains, so that messages can be counted.
	a ethtool -K veth0 tx-udp-segmentation off gro off tso off gso off >/dev/null 2>&1
	b ethtool -K veth0 gro off >/dev/null 2>&1
	# They have a receiver, since answers would end the collecting.
	b python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9))
while True: s.recv(2048)' &
	sink=$!
	wait_for 20 sh -c "ip netns exec b ss -lun | grep -q :9"
	mixed() {
		a python3 - <<-'EOT'
			import socket
			s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
			for n in range(3000):
			    if n % 3 == 0:
			        s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xb8 if n % 2 else 0x88)
			    s.sendto(bytes(500), ("192.168.241.2", 9))
		EOT
		sleep 1
	}
	before=$(trains)
	check "alternating packets" marks "ef af41" 900 mixed
	check "each message has the DSCP of its packet" is "$(counted b ef) $(counted b af41)" "$(counted b inner_ef) $(counted b inner_af41)"
	check_speed "though they leave in trains" test $(($(trains) - before)) -ge 20
	kill $sink
	copy off
	teardown
done
finish
