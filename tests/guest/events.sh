#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 600
# The multicast group of the netlink family: scripts/monitor prints each event as it happens, in the namespace
# of the interface and only to those who may administer it; the kernel's YNL command line reads them by our
# specification. The tracepoints of what takes minutes are there as well. The clock counts instructions, so that minutes
# of waiting are short.

cd "$(dirname "$0")" && source ./lib.sh
export PYTHONDONTWRITEBYTECODE=1

# Starts a listener in the background and waits until it listens. usage: listen NAMESPACE OUTPUT COMMAND...
listen() {
	local namespace=$1 output=$2 before
	shift 2
	before=$(listeners "$namespace")
	ip netns exec "$namespace" "$@" >"$output" 2>&1 &
	listener=$!
	wait_for 120 more_listen "$namespace" "$before"
}
monitor() {
	listen "$1" "$2" python3 /src/scripts/monitor "${@:3}"
}
# The number of lines in the monitor's output that begin like this. usage: seen FILE TEXT
seen() {
	grep -c "^$2" "$1" || true
}
appears() {
	wait_for 30 grep -q "$2" "$1"
}
plan 37

HOSTILE=$TOOLS/hostile
need $HOSTILE

for point in handshake_completed handshake_retried handshake_gave_up session_expired; do
	trace wireguard/wg_$point 1
done
# The fields of what was traced. usage: shown TRACEPOINT
shown() {
	traced "wg_$1" | sed 's/^[^ ]* //'
}

topology
check "who may not administer cannot listen" \
	says "to listen takes CAP_NET_ADMIN" a setpriv --bounding-set -net_admin --inh-caps -net_admin python3 /src/scripts/monitor -t 1
monitor a /tmp/a
monitor b /tmp/b
monitor b /tmp/other wg7
monitor a /tmp/one -n 1 wg0
one=$listener
a ping -c 1 -W 5 192.168.241.2 >/dev/null
line="interface=wg0 peer=$PUB_B endpoint=10.0.0.2:2000 last-handshake="
check "a handshake is completed" appears /tmp/a "^handshake-completed $line$(a wg show wg0 latest-handshakes | cut -f 2)\$"
check "on the other side as well" appears /tmp/b "^handshake-completed interface=wg0 peer=$PUB_A endpoint=10.0.0.1:1000"
check "once" is "$(seen /tmp/a handshake-completed) $(seen /tmp/b handshake-completed)" "1 1"
check "the monitor ends when it has seen enough" wait_for 10 not kill -0 $one

a wg set wg0 listen-port 1111
a ping -c 1 -W 5 192.168.241.2 >/dev/null
check "the endpoint has changed" appears /tmp/b "^endpoint-changed interface=wg0 peer=$PUB_A endpoint=10.0.0.1:1111"
# Back and forth: many changes, some events, and the last one tells where it ended.
sleep 1
events=$(seen /tmp/b endpoint-changed)
for port in 1201 1202 1203 1204 1205 1206; do
	a wg set wg0 listen-port $port
	a ping -c 1 -W 5 192.168.241.2 >/dev/null
done
check "the last of many changes is told" appears /tmp/b "^endpoint-changed .* endpoint=10.0.0.1:1206"
check "each no more than once" sh -c "[ $(($(seen /tmp/b endpoint-changed) - events)) -le 6 ]"

# The name of an interface need not be text.
ip -n b link set wg0 name $'wg\xff'
a wg set wg0 listen-port 1207
a ping -c 2 -i 0.2 -W 5 192.168.241.2 >/dev/null
check "a name that is no text" appears /tmp/b '^endpoint-changed interface=wg.udcff peer'
ip -n b link set $'wg\xff' name wg0

ip -n a link add wg1 type wireguard
stranger=$(wg genkey)
a wg set wg1 private-key <(echo "$stranger") peer "$PUB_B" endpoint 10.0.0.2:2000 persistent-keepalive 25
ip -n a link set wg1 up
check "a public key that is not configured" appears /tmp/b "^unknown-peer interface=wg0 peer=$(wg pubkey <<<"$stranger") endpoint=10.0.0.1:"
ip -n a link del wg1

# Strangers, as many as that to ask for cookies is not worth it. usage: strangers OPTION...
strangers() {
	refused=$(losses b) told=$(seen /tmp/b unknown-peer)
	a $HOSTILE peer to=10.0.0.2:2000 key="$PUB_B" "$@" >/dev/null
	sleep 1
	refused=$(diff <(echo "$refused") <(losses b) | sed -n 's/^> //p')
	told=$(($(seen /tmp/b unknown-peer) - told))
}
before=$(device_counter b rx_refused_unknown_peer)
strangers count=80 every=25
check "many strangers are refused" is "$refused" "rx_refused_unknown_peer $((before + 80))"
check "and ten a second are told of ($told in two seconds)" sh -c "[ $told -ge 10 ] && [ $told -le 21 ]"
before=$(device_counter b rx_refused_bad_mac1)
strangers count=5 every=150 bad
check "who does not know our key is refused before that" is "$refused" "rx_refused_bad_mac1 $((before + 5))"
check "and nobody is told of" is "$told" 0
strangers count=5 every=150
check "of those who do, each is told, if they come slowly" is "$told" 5
check "each with a key of its own" is "$(tail -n 5 /tmp/b | grep -oE ' peer=[^ ]+' | sort -u | wc -l)" 5

check "an event reaches those in its own namespace only" is "$(seen /tmp/a unknown-peer)" 0
check "and not those who asked for another interface" is "$(cat /tmp/other)" ""

# Our specification, read by the kernel's tools.
listen b /tmp/ynl python3 /build/source/tools/net/ynl/pyynl/cli.py \
	--schema /build/source/Documentation/netlink/genetlink-legacy.yaml \
	--spec /src/Documentation/netlink/wireguard-events.yaml --subscribe events --duration 10 --output-json
a wg set wg0 listen-port 1301
a ping -c 1 -W 5 192.168.241.2 >/dev/null
wait $listener
check "the kernel's tools read it" grep -q '"name": "endpoint-changed"' /tmp/ynl
check "with the interface's name" grep -q '"ifname": "wg0"' /tmp/ynl

# An endpoint with a flow label, which wg cannot set. Answers come from the same address: nothing has moved.
b wg set wg0 peer "$PUB_A" endpoint "[fd00::1]:1301"
a python3 - "$PUB_B" <<-EOT
	import base64, sys
	from wgnl import *
	to = attr(P_ENDPOINT, sockaddr("fd00::2", 2000, 0x12345))
	Socket().set(name("wg0"), peer(to, key=base64.b64decode(sys.argv[1])))
EOT
check "an endpoint with a flow label" is "$(peer_field a 3)" "[fd00::2]:2000"
check "answers" a ping -c 2 -i 0.2 -W 5 192.168.241.2
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:2000
b wg set wg0 peer "$PUB_A" endpoint 10.0.0.1:1301
a ping -c 1 -W 5 192.168.241.2 >/dev/null

# The session ends; then nobody answers.
sleep 200
check "a session has expired" appears /tmp/a "^session-expired interface=wg0 peer=$PUB_B"
# The number of a's peer, as the first handshake has it.
peer=$(shown handshake_completed | sed -nE 's/^dev=wg0 peer=([0-9]+) endpoint=10\.0\.0\.2:2000 value=0$/\1/p' | sort -u)
fields="dev=wg0 peer=$peer endpoint=10.0.0.2:2000"
check "the trace has one peer of a" grep -qxE '[0-9]+' <<<"$peer"
check "the session has expired there as well, once on each side" is \
	"$(shown session_expired | sed -E 's/peer=[0-9]+ endpoint=10.0.0.1:1301/peer=b/' | sort | tr '\n' ';')" \
	"$fields value=0;dev=wg0 peer=b value=0;"
b wg set wg0 peer "$PUB_A" remove
initiations=$(device_counter a tx_handshake_initiations)
a ping -c 1 -W 1 192.168.241.2 >/dev/null
# Where there is no endpoint nobody is asked, and so nothing is told of this peer, below.
nobody=$(wg genkey | wg pubkey)
a wg set wg0 peer "$nobody" persistent-keepalive 25
sleep 110
check "without an endpoint there are attempts, too" sh -c "[ $(device_counter a tx_drop_no_endpoint) -ge 20 ]"
a wg set wg0 peer "$nobody" remove
check "a handshake was given up" appears /tmp/a "^handshake-gave-up interface=wg0 peer=$PUB_B"
check "that is traced, with the number of attempts" is "$(shown handshake_gave_up)" "$fields value=20"
check "and each attempt but the first" is "$(shown handshake_retried)" "$(seq -f "$fields value=%g" 2 20)"
# Each packet begins the attempts anew: they go on, and after 20 more it is told again.
a ping -c 115 -W 1 192.168.241.2 >/dev/null
check "it is told while there is something to send, too" wait_for 30 sh -c "[ \$(grep -c ^handshake-gave-up /tmp/a) -eq 2 ]"
check "and traced" is "$(shown handshake_gave_up)" "$fields value=20"$'\n'"$fields value=20"
# The attempts of this second series end a hundred seconds after the last packet.
given_up() { [ "$(device_counter a tx_drop_handshake_gave_up)" -gt "$dropped" ]; }
dropped=$(device_counter a tx_drop_handshake_gave_up)
check "without anything to send the attempts end" wait_for 120 given_up
check "each initiation is told of, once" is "$(shown handshake_gave_up | awk -F value= '{ sum += $2 } END { print sum }')" \
	$(($(device_counter a tx_handshake_initiations) - initiations))
check "each attempt is counted" is "$(shown handshake_retried | wc -l)" "$(device_counter a handshakes_retried)"
check "no event was missed" not grep -q missed /tmp/a /tmp/b
# A second session is not an error: on a slow host, the last ping came when the first session was two minutes old, or
# over.
completed=$(device_counter a handshakes_completed) expired=$(device_counter a sessions_expired)
check "no more sessions than pings after a pause" sh -c "[ $completed -le 2 ] && [ $expired -le $completed ]"
check "nothing else was told" is "$(cut -d ' ' -f 1 /tmp/a | sort | uniq -c | tr -s ' \n' ' ')" \
	" $completed handshake-completed $(shown handshake_gave_up | wc -l) handshake-gave-up $expired session-expired "
kill $(jobs -p) 2>/dev/null
trace wireguard 0
teardown
finish
