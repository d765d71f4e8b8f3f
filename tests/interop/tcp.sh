# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# This driver and the in-tree one with each other, over IPv4 or IPv6: this side begins, then the other one
# does; ping, fragments, TCP and UDP both ways, a preshared key, roaming by port and by address, and new
# sessions, begun by either side, while the old one is in use. Each side's script sources this.

# Ping checks what comes back, octet by octet. Packets are padded to multiples of 16.
all_lengths() {
	local size
	for size in $(seq 0 16 1392) 1391 1392; do
		ping -c 1 -W 3 -s "$size" 10.99.0.2 >/tmp/length && ! grep -i 'wrong' /tmp/length || { echo "length $size"; return 1; }
	done
}
# TCP has checksums; with a wrong one, nothing would get through.
all_trains() {
	local size
	for size in 88 104 120 200 216 232 300 430 470 490 512 640 777 900 950 1000 1111 1200 1300; do
		wait_for 5 iperf3 --connect-timeout 5000 -c 10.99.0.2 -n 100K -M "$size" || { echo "segments of $size"; return 1; }
	done
}

# usage: udp OPTION...
udp() {
	# At least 394 are sent, the last of which may be on their way when it ends. The socket has room for all, should its
	# reader be late.
	iperf3 --connect-timeout 5000 -c 10.99.0.2 -u -b 5M -n 500K -l 1300 -w 1M "$@" >/tmp/udp && none_lost /tmp/udp 380
}

# An address outside. usage: at 4|6 NUMBER
at() {
	if [ "$1" = 4 ]; then
		echo "10.1.0.$2"
	else
		echo "[fd01::$2]"
	fi
}

# This side gets another address outside, and loses the one that it had. usage: move 4|6
move() {
	if [ "$1" = 4 ]; then
		# A subnet's other addresses would go with its first one.
		sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1
		ip addr add "10.1.0.1$ME/24" dev eth0
		ip addr del "10.1.0.$ME/24" dev eth0
	else
		ip addr add "fd01::1$ME/64" dev eth0 nodad
		ip addr del "fd01::$ME/64" dev eth0
	fi
}

where_the_other_is() {
	wg show wg0 endpoints | cut -f 2
}

# The side of this driver. usage: side_a 4|6   the IP version outside
side_a() {
	plan 26
	setup "$1"
	sysctl -qw net.core.rmem_max=1048576 net.core.wmem_max=1048576
	barrier up
	check "the first handshake, begun here" ping -c 3 -i 0.3 -W 5 10.99.0.2
	check "IPv6 inside" ping -c 3 -i 0.3 -W 3 fd99::2
	check "packets that are fragmented" ping -c 3 -i 0.3 -W 3 -s 8000 10.99.0.2
	check "the longest ping" ping -c 2 -i 0.5 -W 5 -s 65507 10.99.0.2
	check "the longest ping over IPv6 inside" ping -c 2 -i 0.5 -W 5 -s 65487 fd99::2
	barrier served
	# After each test its server is unavailable for a moment.
	check "TCP from here" iperf3 -p 5202 -c 10.99.0.2 -n 4M
	check "TCP to here" iperf3 -p 5203 -c 10.99.0.2 -n 4M -R
	check "TCP over IPv6 inside" iperf3 -p 5204 -c fd99::2 -n 2M
	check "UDP from here, nothing lost" udp -p 5205
	check "UDP to here, nothing lost" udp -p 5206 -R
	check "messages of all lengths" all_lengths
	check "trains of messages of several lengths" all_trains
	barrier transferred

	# Roaming: our port changes, then our address, and the other side follows; then the other way round.
	wg set wg0 listen-port 4444
	check "after our port has changed" ping -c 2 -i 0.3 -W 3 10.99.0.2
	barrier roamed
	barrier followed
	move "$1"
	check "after our address has changed" ping -c 2 -i 0.3 -W 3 10.99.0.2
	barrier moved
	barrier roamed-back
	check "the endpoint has followed the other side's port" is "$(where_the_other_is)" "$(at "$1" 2):5555"
	check "which answers there" ping -c 2 -i 0.3 -W 3 10.99.0.2
	barrier followed-back
	barrier moved-back
	check "the endpoint has followed the other side's address" is "$(where_the_other_is)" "$(at "$1" 12):5555"
	check "which answers there" ping -c 2 -i 0.3 -W 3 10.99.0.2
	check "and nowhere else" not ping -c 1 -W 1 "$(at "$1" 2 | tr -d '[]')"

	# The other side begins: it forgets its sessions and has something to send.
	barrier forget
	barrier begun
	check "a session that the other side began" ping -c 2 -i 0.3 -W 5 10.99.0.2

	# A new session while packets flow.
	ping -i 0.05 -c 100 10.99.0.2 >/tmp/ping &
	barrier rekey
	barrier rekeyed
	wait
	check "no packet is lost over a new session" grep -q "100 received" /tmp/ping

	# The same, begun here; the other side has to have a session that it did not begin.
	before=$(wg show wg0 latest-handshakes | cut -f 2)
	sleep 1
	ping -i 0.05 -c 100 10.99.0.2 >/tmp/ping &
	forget
	wait
	check "nor over one that begins here" grep -q "100 received" /tmp/ping
	check "which there was" test "$(wg show wg0 latest-handshakes | cut -f 2)" -gt "$before"
	barrier renewed

	wg set wg0 peer "$(wg pubkey <<<"$PEER_KEY")" preshared-key <(echo "$PSK")
	barrier psk
	forget
	check "a new session with a preshared key" ping -c 1 -W 8 10.99.0.2
	check "counters are alive" test "$(wg show wg0 transfer | cut -f 2)" -gt 4000000
	check "the handshake is recent" test "$(($(date +%s) - $(wg show wg0 latest-handshakes | cut -f 2)))" -lt 60
	barrier done
	finish
}

# The side of the in-tree driver.
side_b() {
	plan 2
	setup "$1"
	sysctl -qw net.core.rmem_max=1048576 net.core.wmem_max=1048576
	barrier up
	for port in 5201 5202 5203 5204 5205 5206; do
		iperf3 -s -D -p $port
	done
	sleep 1
	barrier served
	barrier transferred
	barrier roamed
	check "the in-tree driver's endpoint has followed our port" is "$(where_the_other_is)" "$(at "$1" 1):4444"
	barrier followed
	barrier moved
	check "and our address" is "$(where_the_other_is)" "$(at "$1" 11):4444"
	wg set wg0 listen-port 5555
	ping -c 2 -i 0.3 -W 3 10.99.0.1 >/dev/null
	barrier roamed-back
	barrier followed-back
	move "$1"
	ping -c 2 -i 0.3 -W 3 10.99.0.1 >/dev/null
	barrier moved-back
	barrier forget
	forget
	ping -c 2 -W 7 10.99.0.1 >/dev/null
	barrier begun
	barrier rekey
	# The timestamp of an initiation has to be newer than the last one.
	forget
	ping -c 1 -W 7 10.99.0.1 >/dev/null
	barrier rekeyed
	barrier renewed
	wg set wg0 peer "$(wg pubkey <<<"$PEER_KEY")" preshared-key <(echo "$PSK")
	barrier psk
	barrier done
	finish
}
