#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# The dynamic debug messages that users of the in-tree driver know, in its words. The script passes with
# the in-tree driver as well.

cd "$(dirname "$0")" && source ./lib.sh
plan 34

ADDRESS4='10\.0\.0\.[12]:[12]000'
ADDRESS6='\[fd00::[12]\]:[12]000/0%0'

# The messages of the module since the last call of `mark`.
mark() { echo "mark $((MARK = ${MARK:-0} + 1))" >/dev/kmsg; }
messages() { dmesg | sed "1,/mark $MARK\$/d" | grep -F 'wireguard: '; }
# Whether there is a message. usage: said 'EXTENDED REGULAR EXPRESSION'
said() { messages | grep -qE "wireguard: wg[0-9]: $1\$" || { messages; false; }; }
# The network's rate limit would hide some.
sysctl -qw net.core.message_cost=0

check "the messages are listed" test "$(grep -c '\[wireguard\]' $DYNAMIC_DEBUG)" -ge 30
check "none is on" is "$(grep '\[wireguard\]' $DYNAMIC_DEBUG | grep -cv '=_ ')" 0
mark
topology
a ping -c 1 -W 5 192.168.241.2 >/dev/null
teardown
check "what is off says nothing" is "$(messages)" ""

check "they are switched on" sh -c "echo 'module wireguard +p' >$DYNAMIC_DEBUG"
mark
topology
check "interface created" said 'Interface created'
check "peer created" said 'Peer [0-9]+ created'
a ping -c 1 -W 5 192.168.241.2 >/dev/null
check "initiation sent" said "Sending handshake initiation to peer [0-9]+ \(10\.0\.0\.2:2000\)"
check "initiation received" said "Receiving handshake initiation from peer [0-9]+ \(10\.0\.0\.1:1000\)"
check "response sent" said "Sending handshake response to peer [0-9]+ \(10\.0\.0\.1:1000\)"
check "response received" said "Receiving handshake response from peer [0-9]+ \(10\.0\.0\.2:2000\)"
check "keypair created" said 'Keypair [0-9]+ created for peer [0-9]+'

b ping -c 1 -W 5 192.168.241.1 >/dev/null
b nft add table inet t
b nft add chain inet t out '{ type filter hook output priority 0; }'
b nft add rule inet t out ip protocol icmp drop
a ping -c 1 -W 1 192.168.241.2 >/dev/null
check "keepalive sent" wait_for 20 said "Sending keepalive packet to peer [0-9]+ \($ADDRESS4\)"
check "keepalive received" wait_for 5 said "Receiving keepalive packet from peer [0-9]+ \($ADDRESS4\)"
b nft flush ruleset

ip -n a route add 172.16.0.0/24 dev wg0
ip -n a -6 route add fd77::/64 dev wg0
a ping -c 1 -W 1 172.16.0.1 >/dev/null 2>&1
check "no peer for IPv4" said 'No peer has allowed IPs matching 172\.16\.0\.1'
a ping -c 1 -W 1 fd77::1 >/dev/null 2>&1
check "no peer for IPv6" said 'No peer has allowed IPs matching fd77:0000:0000:0000:0000:0000:0000:0001'
a wg set wg0 peer "$(wg genkey | wg pubkey)" allowed-ips 172.16.0.0/24
a ping -c 1 -W 1 172.16.0.1 >/dev/null 2>&1
check "no endpoint" said 'No valid endpoint has been configured or discovered for peer [0-9]+'
ip -n a addr add 192.168.241.9/24 dev wg0
a ping -c 1 -W 1 -I 192.168.241.9 192.168.241.2 >/dev/null
check "a source that is not allowed" wait_for 5 said "Packet has unallowed src IP \(192\.168\.241\.9\) from peer [0-9]+ \(10\.0\.0\.1:1000\)"

# usage: datagram PYTHON-EXPRESSION   from port 3333 of a to b
datagram() {
	a python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.0.0.1', 3333))
s.sendto($1, ('10.0.0.2', 2000))"
}
datagram "b'\1\0\0\0' + bytes(144)"
check "an initiation of a stranger" wait_for 5 said 'Invalid MAC of handshake, dropping packet from 10\.0\.0\.1:3333'
datagram "b'\3\0\0\0' + bytes(60)"
check "a cookie of a stranger" wait_for 5 said 'Receiving cookie response from 10\.0\.0\.1:3333'
# A peer that we do not know, but that knows our key.
b wg set wg0 peer "$PUB_A" remove
a wg set wg0 private-key <(wg genkey)
a ping -c 1 -W 1 192.168.241.2 >/dev/null
check "peer destroyed" said "Peer [0-9]+ \(10\.0\.0\.1:1000\) destroyed"
check "keypair destroyed" said 'Keypair [0-9]+ destroyed for peer [0-9]+'
check "an initiation of somebody that is no peer" wait_for 5 said 'Invalid handshake initiation from 10\.0\.0\.1:1000'
check "the handshake is repeated" wait_for 10 said "Handshake for peer [0-9]+ \(10\.0\.0\.2:2000\) did not complete after 5 seconds, retrying \(try 2\)"
teardown
check "the sockets' namespace goes" wait_for 5 said 'Creating namespace exiting'
check "interface destroyed" wait_for 5 said 'Interface destroyed'

mark
topology 6
a ping -c 1 -W 5 fd41::2 >/dev/null
check "an address of IPv6" said "Sending handshake initiation to peer [0-9]+ \(\[fd00::2\]:2000/0%0\)"
check "on the other side as well" said "Receiving handshake initiation from peer [0-9]+ \($ADDRESS6\)"
a wg set wg0 peer "$PUB_B" endpoint 203.0.113.1:2000
a ping -c 1 -W 1 192.168.241.2 >/dev/null 2>&1
check "no route" wait_for 5 said 'No route to 203\.0\.113\.1:2000, error -101'
peer=$(wg genkey | wg pubkey)
a wg set wg0 peer "$peer"
a wg set wg0 peer "$peer" remove
check "a peer without an address" said 'Peer [0-9]+ \(\(einval\)\) destroyed'
teardown

check "one message alone" sh -c "echo 'module wireguard -p' >$DYNAMIC_DEBUG && echo 'format \"Interface created\" +p' >$DYNAMIC_DEBUG"
mark
topology
check "is said" said 'Interface created'
check "and no other one" is "$(messages | grep -cv 'Interface created')" 0
teardown
check "all are switched off" sh -c "echo 'module wireguard -p' >$DYNAMIC_DEBUG"
mark
topology
teardown
check "and silent" is "$(messages)" ""
finish
