# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel's driver in namespace a, and an implementation in user space in namespace b. To be sourced.

# shellcheck source=tests/guest/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../guest/lib.sh"

# As topology in tests/guest/lib.sh, but b's interface is made by a program, which wg configures by
# its socket. The program serves until the interface is deleted. It is called wg1: wg finds the socket by the name of the
# interface alone, in any namespace.
# usage: topology_with COMMAND... (starts the peer on wg1)
topology_with() {
	modprobe tun
	mkdir -p /dev/net /var/run/wireguard
	[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
	topology
	ip -n b link del wg0
	rm -f /var/run/wireguard/wg1.sock
	ip netns exec b "$@" >/tmp/peer.log 2>&1 &
	PEER=$!
	wait_for 20 ip netns exec b test -S /var/run/wireguard/wg1.sock || {
		cat /tmp/peer.log
		return 1
	}
	peer set wg1 private-key <(echo "$KEY_B") listen-port 2000
	introduce
	ip -n b addr add 192.168.241.2/24 dev wg1
	ip -n b addr add fd41::2/64 dev wg1 nodad
	ip -n b link set wg1 mtu 1420 up
}

# Ends the peer, and takes the namespaces away.
farewell() {
	kill "$PEER"
	wait "$PEER" 2>/dev/null
	teardown
}

# wg, for the peer in user space.
peer() { b wg "$@"; }

# The peer forgets us and is told again, without a session; boringtun cannot change what it has.
# usage: introduce [PRESHARED-KEY]
introduce() {
	peer set wg1 peer "$PUB_A" remove
	peer set wg1 peer "$PUB_A" allowed-ips 192.168.241.1/32,fd41::1/128 endpoint 10.0.0.1:1000 \
		${1:+preshared-key <(echo "$1")}
}

# A field of the peer's dump, as peer_field. usage: theirs NUMBER; ours NUMBER
theirs() { peer show wg1 dump | sed -n 2p | cut -f "$1"; }
ours() { peer_field a "$1"; }

# Ends the sessions on our side, so that we have to begin; or on theirs.
forget() {
	a wg set wg0 private-key <(wg genkey)
	a wg set wg0 private-key <(echo "$KEY_A")
}

# Both ways, over both IP versions.
peer_traffic() {
	check "the first handshake, begun by us" a ping -c 3 -i 0.3 -W 5 192.168.241.2
	check "IPv6 inside" a ping -c 2 -i 0.3 -W 3 fd41::2
	check "pings begun by the peer" b ping -c 2 -i 0.3 -W 3 192.168.241.1
	check "packets of all lengths" bash -c 'for size in 0 1 15 16 17 100 1391 1392; do ip netns exec a ping -c 1 -W 3 -s $size 192.168.241.2 || exit 1; done'
	check "packets that are fragmented" a ping -c 2 -i 0.3 -W 3 -s 6000 192.168.241.2
	check "TCP to the peer" tcp a 192.168.241.2 1M
	check "TCP from the peer" tcp b 192.168.241.1 1M
	check "TCP over IPv6" tcp a fd41::2 500K
	check "UDP to the peer, nothing lost" udp a 192.168.241.2
	check "UDP from the peer, nothing lost" udp b 192.168.241.1
}

# usage: udp NAMESPACE-OF-CLIENT ADDRESS
udp() {
	# The last ones may be on their way when it ends.
	tcp "$1" "$2" 300K -u -b 2M -l 1300 >/tmp/udp && none_lost /tmp/udp 220
}

peer_keys() {
	# The peer begins: it has the endpoint, we have neither endpoint nor session.
	a wg set wg0 peer "$PUB_B" remove
	a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.2/32,fd41::2/128
	introduce
	check "a handshake begun by the peer" b ping -c 2 -i 0.3 -W 5 192.168.241.1
	check "we have learnt where it is" is "$(ours 3)" 10.0.0.2:2000
	PSK=$(wg genpsk)
	a wg set wg0 peer "$PUB_B" preshared-key <(echo "$PSK")
	introduce "$PSK"
	forget
	check "a preshared key, begun by us" a ping -c 2 -i 0.3 -W 6 192.168.241.2
	a wg set wg0 peer "$PUB_B" preshared-key <(wg genpsk)
	forget
	check "another one on our side only: no session" not a ping -c 1 -W 2 192.168.241.2
	a wg set wg0 peer "$PUB_B" preshared-key <(echo "$PSK")
	check "the right one again" wait_for 2 ip netns exec a ping -c 1 -W 1 192.168.241.2
}

peer_roams() {
	check "before we roam" wait_for 2 ip netns exec a ping -c 1 -W 1 192.168.241.2
	a wg set wg0 listen-port 1111
	check "our port changes" a ping -c 2 -i 0.3 -W 3 192.168.241.2
	check "the peer follows" is "$(theirs 3)" 10.0.0.1:1111
	ip -n a addr add 10.0.0.77/24 dev veth0
	ip -n a addr del 10.0.0.1/24 dev veth0
	ip -n a addr add 10.0.0.77/24 dev veth0 2>/dev/null
	check "our address changes" a ping -c 2 -i 0.3 -W 3 192.168.241.2
	check "the peer follows" is "$(theirs 3)" 10.0.0.77:1111
	check "and reaches us there" b ping -c 1 -W 3 192.168.241.1
	peer set wg1 listen-port 2222
	check "the peer's port changes" b ping -c 2 -i 0.3 -W 3 192.168.241.1
	check "we follow" is "$(ours 3)" 10.0.0.2:2222
	ip -n b addr add 10.0.0.88/24 dev veth0
	ip -n b addr del 10.0.0.2/24 dev veth0
	ip -n b addr add 10.0.0.88/24 dev veth0 2>/dev/null
	check "the peer's address changes" wait_for 2 ip netns exec b ping -c 1 -W 1 192.168.241.1
	check "we follow" is "$(ours 3)" 10.0.0.88:2222
	check "and reach it there" a ping -c 1 -W 3 192.168.241.2
}

# From IPv4 to IPv6 outside.
peer_changes_version() {
	a wg set wg0 peer "$PUB_B" endpoint "[fd00::2]:2222"
	check "the IP version changes" a ping -c 2 -i 0.3 -W 3 192.168.241.2
	check "the peer follows" is "$(theirs 3)" "[fd00::1]:1111"
}

# Sessions are renewed after two minutes, without a lost packet. usage: rekey "who" COMMAND... (a ping)
rekey() {
	local who=$1 before
	shift
	before=$(ours 5)
	"$@" -c 150 -i 1 -W 5 >/tmp/ping 2>&1
	tail -n 3 /tmp/ping | sed 's/^/# /'
	check "$who: a new session within 150 seconds" test "$(ours 5)" -gt "$before"
	check "$who: no packet is lost" grep -q "150 received" /tmp/ping
}

# A flood from a third place, c, makes one side ask for cookies; the other one gets through all the same.
peer_cookies() {
	ip netns add c
	ip link add veth1 netns a type veth peer name veth1 netns c
	ip link add veth2 netns b type veth peer name veth2 netns c
	ip -n a addr add 10.0.1.1/24 dev veth1
	ip -n b addr add 10.0.2.2/24 dev veth2
	ip -n c addr add 10.0.1.3/24 dev veth1
	ip -n c addr add 10.0.2.3/24 dev veth2
	local link
	for link in a:veth1 b:veth2 c:veth1 c:veth2; do
		ip -n "${link%:*}" link set "${link#*:}" up
	done
	# Retries come every five seconds; the flood goes on for some of them.
	flooded "we are flooded" 10.0.1.1 1000 "$PUB_A" 10.0.0.1 10.0.0.2 b 192.168.241.1
	flooded "the peer is flooded" 10.0.2.2 2000 "$PUB_B" 10.0.0.2 10.0.0.1 a 192.168.241.2
	ip netns del c
}

# usage: flooded WHO FLOODED-ADDRESS PORT PUBLIC-KEY ITS-ADDRESS OTHER-ADDRESS OTHER-NAMESPACE PING-ADDRESS
flooded() {
	local who=$1 flood pcap=/tmp/cookies.pcap cookies initiations
	# boringtun counts each second anew: an initiation that comes just then finds no load, as long as the flood pauses.
	# We do not, and have one flood.
	for _ in 1 2 3 4; do
		ip netns exec c python3 flood.py "$4" "$2" "$3" 2000 20 >/tmp/flood &
		flood=$!
		capture a veth0 $pcap udp
		sleep 3
		# The other one begins.
		if [ "$7" = a ]; then
			forget
		else
			introduce "$PSK"
		fi
		ip netns exec "$7" ping -c 15 -i 1 -W 1 "$8" >/tmp/ping 2>&1
		wait $flood
		sed 's/^/# flood: /' /tmp/flood
		captured
		# Message types 3 (cookie) and 1 (initiation), whose second MAC is its last 16 octets.
		cookies=$(tcpdump -nr $pcap "udp[8] = 3 and src host $5 and dst host $6" 2>/dev/null | wc -l)
		initiations=$(tcpdump -nr $pcap "udp[8] = 1 and src host $6 and udp[140:4] != 0" 2>/dev/null | wc -l)
		[ "$cookies" -eq 0 ] && [ "$7" = a ] || break
	done
	check "$who: a cookie is sent" test "$cookies" -ge 1
	check "$who: an initiation with the cookie follows" test "$initiations" -ge 1
	check "$who: and is answered" grep -qE " [1-9][0-9]* received" /tmp/ping
}
