#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 600
# A route-based VPN between three sites: one interface per remote, created in public and moved into a
# private namespace; BIRD speaks BGP over the tunnels, and traffic is spread over two of them. The
# tunnels to site 2 run over IPv6, those to site 3 over IPv4; both carry both. tcpdump sees plain packets.

cd "$(dirname "$0")" && source ./lib.sh
plan 19

# Gateways: V1 at site 1; V2-1, V2-2 at site 2; V3-1, V3-2 at site 3. Each is two machines, since only
# the tunnels connect the public and the private side of a router.
GATEWAYS=(V1 V2-1 V2-2 V3-1 V3-2)
declare -A PUBLIC6=([V1]=2001:db8:1::1 [V2-1]=2001:db8:2::1 [V2-2]=2001:db8:2::2 [V3-1]=2001:db8:3::1 [V3-2]=2001:db8:3::2)
declare -A PUBLIC4=([V1]=203.0.1.1 [V2-1]=203.0.2.1 [V2-2]=203.0.2.2 [V3-1]=203.0.3.1 [V3-2]=203.0.3.2)
declare -A KEY PUB

internet
ip -n internet link add core type bridge
ip -n internet link set core up
for v in "${GATEWAYS[@]}"; do
	machine "$v"
	machine "private-$v"
	at "private-$v" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.fib_multipath_hash_policy=1 net.ipv4.fib_multipath_hash_policy=1
	ip link add eth0 netns "$v" type veth peer name "to-$v" netns internet
	ip -n internet link set "to-$v" master core up
	ip -n "$v" link set eth0 up
	ip -n "$v" addr add "${PUBLIC6[$v]}/32" dev eth0 nodad
	ip -n "$v" addr add "${PUBLIC4[$v]}/16" dev eth0
	KEY[$v]=$(wg genkey)
	PUB[$v]=$(wg pubkey <<<"${KEY[$v]}")
done

# A site's network: site N has 2001:db8:aN::/64 and 10.0.N.0/24, a host at ::1, .1, and gateways above.
# usage: site N GATEWAY...
site() {
	local n=$1 i=10 v
	shift
	machine "host$n"
	ip -n "host$n" link add lan type bridge
	ip -n "host$n" link set lan up
	ip -n "host$n" addr add "2001:db8:a$n::1/64" dev lan nodad
	ip -n "host$n" addr add "10.0.$n.1/24" dev lan
	for v; do
		ip link add eth2 netns "private-$v" type veth peer name "to-$v" netns "host$n"
		ip -n "host$n" link set "to-$v" master lan up
		ip -n "private-$v" link set eth2 up
		ip -n "private-$v" addr add "2001:db8:a$n::$i/64" dev eth2 nodad
		ip -n "private-$v" addr add "10.0.$n.$i/24" dev eth2
		i=$((i + 1))
	done
	ip -n "host$n" route add default via "2001:db8:a$n::10"
	ip -n "host$n" route add default via "10.0.$n.10"
}
site 1 V1
site 2 V2-1 V2-2
site 3 V3-1 V3-2

# The tunnel's end on a gateway: a configuration file, a port of its own for each remote.
# usage: tunnel GATEWAY INTERFACE PORT REMOTE ENDPOINT ADDRESS
tunnel() {
	cat >"/etc/netns/$1/wireguard/$2.conf" <<-EOT
		[Interface]
		PrivateKey = ${KEY[$1]}
		ListenPort = $3

		[Peer]
		PublicKey = ${PUB[$4]}
		Endpoint   = $5
		AllowedIPs = 0.0.0.0/0, ::/0
	EOT
	on "$1" "$2" "private-$1" <<-EOT
		ip link add dev \$1 type wireguard
		wg setconf \$1 /etc/wireguard/\$1.conf
		ip link set netns \$2 dev \$1
		ip -n \$2 addr add $6/127 dev \$1
		ip -n \$2 link set \$1 up
	EOT
}

# A BGP session over a tunnel. usage: session GATEWAY NAME OWN-ADDRESS ADDRESS
session() {
	cat >>"/tmp/bird.$1.conf" <<-EOT
		protocol bgp $2 {
			local $3 as 65000;
			neighbor $4 as 65000;
			direct;
			connect retry time 2;
			connect delay time 1;
			error wait time 1, 2;
			ipv6 { import all; export where source = RTS_DEVICE && net ~ [ 2001:db8:a0::/44{64,64} ]; next hop self; };
			ipv4 { extended next hop; import all; export where source = RTS_DEVICE && net ~ [ 10.0.0.0/16{24,24} ]; next hop self; };
		}
	EOT
}

for v in "${GATEWAYS[@]}"; do
	cat >"/tmp/bird.$v.conf" <<-EOT
		router id ${PUBLIC4[$v]};
		protocol device { scan time 10; }
		protocol direct { interface "eth2"; ipv4; ipv6; }
		protocol kernel { merge paths; ipv6 { export where source = RTS_BGP; }; }
		protocol kernel { merge paths; ipv4 { export where source = RTS_BGP; }; }
	EOT
done
check_tunnels() {
	tunnel V1 wg3 5803 V2-1 "[${PUBLIC6[V2-1]}]:5801" 2001:db8:ff:: &&
		tunnel V1 wg4 5804 V2-2 "[${PUBLIC6[V2-2]}]:5801" 2001:db8:ff::2 &&
		tunnel V1 wg5 5805 V3-1 "${PUBLIC4[V3-1]}:5801" 2001:db8:ff::4 &&
		tunnel V1 wg6 5806 V3-2 "${PUBLIC4[V3-2]}:5801" 2001:db8:ff::6 &&
		tunnel V2-1 wg1 5801 V1 "[${PUBLIC6[V1]}]:5803" 2001:db8:ff::1 &&
		tunnel V2-2 wg1 5801 V1 "[${PUBLIC6[V1]}]:5804" 2001:db8:ff::3 &&
		tunnel V3-1 wg1 5801 V1 "${PUBLIC4[V1]}:5805" 2001:db8:ff::5 &&
		tunnel V3-2 wg1 5801 V1 "${PUBLIC4[V1]}:5806" 2001:db8:ff::7
}
check "tunnels are made in public and moved into private" check_tunnels
session V1 IBGP_V2_1 2001:db8:ff:: 2001:db8:ff::1
session V1 IBGP_V2_2 2001:db8:ff::2 2001:db8:ff::3
session V1 IBGP_V3_1 2001:db8:ff::4 2001:db8:ff::5
session V1 IBGP_V3_2 2001:db8:ff::6 2001:db8:ff::7
session V2-1 IBGP_V1 2001:db8:ff::1 2001:db8:ff::
session V2-2 IBGP_V1 2001:db8:ff::3 2001:db8:ff::2
session V3-1 IBGP_V1 2001:db8:ff::5 2001:db8:ff::4
session V3-2 IBGP_V1 2001:db8:ff::7 2001:db8:ff::6

alive=$(at private-V1 fping -t 3000 2001:db8:ff::{1,3,5,7} 2>&1)
check "from one gateway all remotes are alive" is "$(sort <<<"$alive")" "$(printf '2001:db8:ff::%s is alive\n' 1 3 5 7)"
check "wg shows the endpoint over IPv6" grep -q "endpoint: \[2001:db8:2::1\]:5801" <(at private-V1 wg show wg3)
check "and over IPv4" grep -q "endpoint: 203.0.3.1:5801" <(at private-V1 wg show wg5)

for v in "${GATEWAYS[@]}"; do
	at "private-$v" bird -c "/tmp/bird.$v.conf" -s "/run/bird.$v.ctl" -P "/run/bird.$v.pid"
done
established() {
	[ "$(birdc -s /run/bird.V1.ctl show proto | grep -c 'IBGP_.*Established')" = "$1" ]
}
check "four BGP sessions are established" wait_for 90 established 4
birdc -s /run/bird.V1.ctl show proto | grep IBGP_ | sed 's/^/# /'
route() {
	ip -"$1" -n private-V1 route show "$2" proto bird
}
two_ways() {
	[ "$(route "$1" "$2" | grep -c "dev $3 ")" = 1 ] && [ "$(route "$1" "$2" | grep -c "dev $4 ")" = 1 ]
}
check "site 2 is learnt over both its tunnels" wait_for 30 two_ways 6 2001:db8:a2::/64 wg3 wg4
check "site 3 is learnt over both its tunnels" wait_for 30 two_ways 6 2001:db8:a3::/64 wg5 wg6
check "IPv4 as well, by IPv6 next hops" wait_for 30 two_ways 4 10.0.3.0/24 wg5 wg6
ip -6 -n private-V1 route show proto bird | sed 's/^/# /'

check "from one site to a host of another: IPv6 in IPv6" at host1 ping -c 3 -i 0.2 -W 5 2001:db8:a2::1
check "IPv6 in IPv4" at host1 ping -c 3 -i 0.2 -W 5 2001:db8:a3::1
check "IPv4 in IPv6" at host1 ping -c 3 -i 0.2 -W 5 10.0.2.1
check "IPv4 in IPv4" at host1 ping -c 3 -i 0.2 -W 5 10.0.3.1

# Flows are spread: some of these ports hash to one tunnel, some to the other.
octets() {
	at private-V1 cat /sys/class/net/"$1"/statistics/tx_packets
}
before3=$(octets wg3) before4=$(octets wg4)
at host1 bash -c 'for i in $(seq 64); do echo x >/dev/udp/2001:db8:a2::1/$((20000 + i)); done' 2>/dev/null
check "flows are spread over both tunnels" test $(($(octets wg3) - before3)) -gt 10 -a $(($(octets wg4) - before4)) -gt 10

# Snooping on unencrypted traffic: the return path of site 3 is through its first gateway.
at private-V1 timeout 60 tcpdump -c3 -pni wg5 'icmp6 and ip6[40] = 129' >/tmp/dump 2>&1 &
wait_for 20 grep -q 'listening on' /tmp/dump
at host1 ping -c 10 -i 0.3 2001:db8:a3::1 >/dev/null
wait $!
check "tcpdump on wg5 is of raw IP" grep -q "listening on wg5, link-type RAW (Raw IP)" /tmp/dump
check "and shows plain packets" is "$(grep -c 'IP6 2001:db8:a3::1 > 2001:db8:a1::1: ICMP6, echo reply' /tmp/dump)" 3

# A gateway of site 3 leaves BGP, and the other one takes over.
one_way() {
	route 6 2001:db8:a3::/64 | grep -q "dev wg6" && ! route 6 2001:db8:a3::/64 | grep -q "dev wg5"
}
birdc -s /run/bird.V3-1.ctl down >/dev/null
check "when a gateway leaves, its route does" wait_for 30 one_way
ip -n host3 route replace default via 2001:db8:a3::11
check "and traffic goes by the other one" at host1 ping -c 3 -i 0.2 -W 5 2001:db8:a3::1

# TCP over a tunnel whose outside is IPv6: the MTU of the tunnel counts.
check "a transfer between sites" transfer host1 host2 10.0.2.1 1M
check "and back" transfer host1 host2 2001:db8:a2::1 1M -R

for v in "${GATEWAYS[@]}"; do
	birdc -s "/run/bird.$v.ctl" down >/dev/null 2>&1
done
power_off
finish
