#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Strict reverse-path filtering outside and inside the tunnel, and with the policy routing of a default
# route through the tunnel.

cd "$(dirname "$0")" && source ./lib.sh
plan 8

strict() {
	local n=$1 dev
	ip netns exec "$n" sysctl -qw net.ipv4.conf.all.rp_filter="$2" net.ipv4.conf.default.rp_filter="$2"
	for dev in veth0 wg0; do
		ip netns exec "$n" sysctl -qw net.ipv4.conf.$dev.rp_filter="$2"
	done
}
filtered() { a nstat -asz TcpExtIPReversePathFilter | awk '/IPReversePathFilter/ {print $2}'; }

topology
strict a 1
strict b 1
check "a tunnel between strict hosts" a ping -c 2 -i 0.3 -W 5 192.168.241.2
check "in the other direction" b ping -c 2 -i 0.3 -W 3 192.168.241.1
check "nothing was filtered" is "$(filtered)" 0

# The peer may send from 10.9.0.2, but a's route there is not the tunnel.
a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.2/32,10.9.0.2/32
ip -n a route add 10.9.0.0/24 dev veth0
ip -n b addr add 10.9.0.2/32 dev lo
b ping -c 2 -i 0.3 -W 1 -I 10.9.0.2 192.168.241.1 >/dev/null
check "a packet whose way back is not the tunnel is filtered" test "$(filtered)" -ge 1
ip -n a route replace 10.9.0.0/24 dev wg0
check "and not when it is" b ping -c 2 -i 0.3 -W 3 -I 10.9.0.2 192.168.241.1
ip -n a route del 10.9.0.0/24
teardown

# All of a's traffic goes through the tunnel, except the tunnel's own, which is marked; the peer is behind a
# router, so that only the mark keeps the tunnel's packets out of the tunnel. What comes back gets the mark
# from the connection, as with wg-quick.
topology
strict a 1
a sysctl -qw net.ipv4.conf.all.src_valid_mark=1
ip -n b addr add 10.77.0.1/32 dev lo
ip -n b addr add 203.0.113.1/32 dev lo
ip -n a route add default via 10.0.0.2
a wg set wg0 fwmark 51820 peer "$PUB_B" allowed-ips 0.0.0.0/0 endpoint 10.77.0.1:2000
a nft -f - <<-EOT
	table ip marks {
		chain in {
			type filter hook prerouting priority -150
			meta l4proto udp meta mark set ct mark
		}
		chain out {
			type filter hook postrouting priority -150
			meta l4proto udp meta mark 51820 ct mark set meta mark
		}
	}
EOT
ip -n a route add default dev wg0 table 51820
ip -n a rule add not fwmark 51820 table 51820
ip -n a rule add table main suppress_prefixlength 0
check "a default route through the tunnel" a ping -c 2 -i 0.3 -W 5 203.0.113.1
check "and answers that come back through it" b ping -c 2 -i 0.3 -W 3 -I 203.0.113.1 192.168.241.1
check "nothing was filtered" is "$(filtered)" 0
teardown
finish
