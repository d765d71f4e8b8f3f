#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 600
# What `ethtool -S` counts, and that no packet is lost uncounted: causes are provoked one by one, and their counters, and
# no others, go up by what was done. What takes two CPUs, a race or an empty memory is provoked in counters-rare.sh,
# backlog.sh and faults.sh. The clock counts instructions, so that minutes of waiting are short.

cd "$(dirname "$0")" && source ./lib.sh
plan 64

HOSTILE=$TOOLS/hostile
need $HOSTILE

recorded() {
	wait_for 60 test -s "$1"
	sleep 0.5
	kill $recorder
	wait $recorder 2>/dev/null
}
play() {
	a python3 counters.py play "$@"
	sleep 0.3
}

topology
names=$(a ethtool -S wg0 | sed -nE 's/^ +(.*): 0$/\1/p')
check "there are counters, and all begin at zero" is "$(wc -w <<<"$names")" "$(a ethtool -S wg0 | grep -c ': ')"
check "no name is there twice" is "$(sort <<<"$names" | uniq -d)" ""
check "no name is cut off" is "$(awk 'length > 31' <<<"$names")" ""
check "other sets of names are refused" not a ethtool --show-priv-flags wg0

check "who may not ask for peers may not see them" \
	is "$(a setpriv --reuid 65534 --regid 65534 --clear-groups ethtool -S wg0 2>&1)" "no stats available"

# A handshake with one packet each way, and what it counts.
record /tmp/first
a ping -c 1 -W 5 192.168.241.2 >/dev/null
recorded /tmp/first
check "an initiation was sent" is "$(device_counter a tx_handshake_initiations) $(device_counter b rx_handshake_initiations)" "1 1"
check "a response was sent" is "$(device_counter b tx_handshake_responses) $(device_counter a rx_handshake_responses)" "1 1"
check "the handshake is complete on both sides" is "$(device_counter a handshakes_completed) $(device_counter b handshakes_completed)" "1 1"
check "nothing was lost at a" is "$(lost a)" ""
check "nothing was lost at b" is "$(lost b)" ""

# What comes in and is not what it should be.
play /tmp/first 4
check "a message that comes twice" is "$(lost b)" "rx_drop_replay+1"
play /tmp/first 4 flip
check "a message that was changed" is "$(lost b)" "rx_drop_bad_mac+1"
play /tmp/first 1
check "an initiation that comes twice" is "$(lost b)" "rx_refused_old_timestamp+1"
play /tmp/first 1 flip
check "an initiation with another second mac is still the same" is "$(lost b)" "rx_refused_old_timestamp+1"
a python3 counters.py stray
sleep 0.3
check "strangers" is "$(lost b)" \
	"rx_drop_not_wireguard+2 rx_drop_no_session+1 rx_refused_bad_mac1+2 rx_refused_bad_cookie+1"
check "of that the peer's side knows nothing" is "$(lost a)" ""
ip -n a link add wg1 type wireguard
a wg set wg1 private-key <(wg genkey) peer "$PUB_B" endpoint 10.0.0.2:2000 persistent-keepalive 25
ip -n a link set wg1 up
sleep 1
ip -n a link del wg1
check "a public key that is not configured" is "$(lost b)" "rx_refused_unknown_peer+1"
ip -n a addr add 192.168.241.9/32 dev wg0
a ping -c 2 -i 0.2 -W 1 -I 192.168.241.9 192.168.241.2 >/dev/null
check "a source that is not allowed" is "$(lost b)" "rx_drop_source_not_allowed+2"
ip -n a addr del 192.168.241.9/32 dev wg0

# A sender that knows b's public key, and nothing else. To refuse responses to nothing costs little: they do not put the
# interface under load, and the next messages are looked at without a cookie.
a python3 counters.py late "$PUB_B" /tmp/first
sleep 0.3
check "responses to a handshake that is over" is "$(lost b)" "rx_refused_stale_response+200"
a python3 counters.py knowing "$PUB_B"
sleep 0.3
check "a response to nothing, an initiation that does not open" is "$(lost b)" "rx_refused_forged+1 rx_refused_stale_response+1"

# What is no IP packet, from a program that writes to the interface.
check "who writes what is neither IPv4 nor IPv6 is told" says "Protocol not supported" a python3 counters.py inside 5
check "and it is not sent" is "$(lost a)" "tx_drop_not_ip+1"
a python3 counters.py inside 4
sleep 0.3
check "what is shorter than it says is not received" is "$(lost b)" "rx_drop_bad_length+1"
check "and was sent" is "$(lost a)" ""

# What cannot be sent.
a ping -c 1 -W 1 192.168.241.77 >/dev/null
check "no peer for a destination" is "$(lost a)" "tx_drop_no_peer+1"
a wg set wg0 peer "$(wg genkey | wg pubkey)" allowed-ips 192.168.241.78/32
a ping -c 1 -W 1 192.168.241.78 >/dev/null
check "a peer without an endpoint" is "$(lost a)" "tx_drop_no_endpoint+1"
other=$(wg genkey | wg pubkey)
a wg set wg0 peer "$other" allowed-ips 192.168.241.79/32 endpoint 10.9.9.9:9
a ping -c 1 -W 1 192.168.241.79 >/dev/null
check "no route to an endpoint: the handshake message is lost" is "$(lost a)" "tx_drop_no_route+1"
a wg set wg0 peer "$other" remove
# The initiation may have been repeated, and lost, once more by then.
check "with the peer goes what waited" is "$(lost a | sed 's/ tx_drop_no_route+1$//')" "tx_drop_closed+1"

# What the host itself drops on the way out; quickly, before the silence of the peer leads to a handshake.
mute() {
	a ping -c 1 -W 5 192.168.241.2 >/dev/null
	packets=$(statistic a tx_packets) dropped=$(statistic a tx_dropped) errors=$(statistic a tx_errors)
	outside=$(device_counter a tx_drop_outside)
	a nft 'table inet mute { chain out { type filter hook output priority 0; udp sport 1000 drop; }; }'
}
mute
a ping -c 1 -W 1 192.168.241.2 >/dev/null
check "netfilter drops messages" is "$(lost a)" "tx_drop_outside+1"
send_four 192.168.241.2
check "and a train" is "$(lost a)" "tx_drop_outside+4"
check "the interface says so" is "$(($(statistic a tx_packets) - packets)) $(($(statistic a tx_dropped) - dropped))" \
	"0 $(($(device_counter a tx_drop_outside) - outside))"
a nft delete table inet mute
outside_v4=$(($(statistic a tx_dropped) - dropped))
a wg set wg0 peer "$PUB_B" endpoint "[fd00::2]:2000"
mute
lost a >/dev/null
a ping -c 1 -W 1 192.168.241.2 >/dev/null
check "over IPv6 as well" is "$(lost a)" "tx_drop_outside+1"
check "which the interface calls an error" is "$(($(statistic a tx_packets) - packets)) $(($(statistic a tx_errors) - errors))" "0 1"
a nft delete table inet mute
outside_v6=$(($(statistic a tx_errors) - errors))
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:2000
a ping -c 1 -W 5 192.168.241.2 >/dev/null
lost a >/dev/null

# Trains.
before=$(device_counter a tx_trains)
tcp a 192.168.241.2 300K >/dev/null
trains=$(device_counter a tx_trains) messages=$(device_counter a tx_train_messages)
check "a bulk transfer leaves in trains ($trains of $messages messages)" sh -c "[ $trains -gt $before ] && [ $messages -ge $((trains * 2)) ]"
check "and comes in as trains" sh -c "[ $(device_counter b rx_trains) -gt 0 ] && [ $(device_counter b rx_train_messages) -ge 200 ]"
check "no fallback was needed" is "$(device_counter a tx_software_segmented) $(device_counter a tx_train_no_memory)" "0 0"
check "nothing was lost at a" is "$(lost a)" ""
check "nothing was lost at b" is "$(lost b)" ""
a ethtool -K wg0 tx-udp-segmentation on >/dev/null 2>&1
check "the counters agree with those of the interface" \
	is "$(device_counter a tx_drop_no_peer)" "$(($(statistic a tx_errors) - 2 - outside_v6))"
send_four 192.168.241.77 2>/dev/null
check "a packet that stands for several counts as so many" is "$(lost a)" "tx_drop_no_peer+4"

# The end of a session: a's messages are held back until b no longer accepts them.
a ping -c 1 -W 5 192.168.241.2 >/dev/null
record /tmp/late
a ping -c 1 -W 5 192.168.241.2 >/dev/null
recorded /tmp/late
expired=$(device_counter b sessions_expired)
sleep 200 # more than the 180 seconds of a session
check "a session without traffic comes to its end" is $(($(device_counter b sessions_expired) - expired)) 1
lost b >/dev/null
play /tmp/late 4
check "a message that comes after that" is "$(lost b)" "rx_drop_session_expired+1"

# Nobody answers: the handshake is given up, and what waited for it is dropped.
b nft -f - <<-EOT
	table inet deaf {
		chain in {
			type filter hook input priority 0
			udp dport 2000 drop
		}
	}
EOT
lost a >/dev/null
ip netns exec a ping -f -c 150 -w 2 192.168.241.2 >/dev/null
full=$(device_counter a tx_drop_no_session_full)
gave_up() {
	[ "$(device_counter a handshakes_gave_up)" = 1 ]
}
check "the handshake is given up" wait_for 130 gave_up
check "after some attempts" sh -c "[ $(device_counter a handshakes_retried) -ge 18 ]"
check "more packets wait than there is room for, or just as many" is "$(device_counter a tx_drop_no_session_full)" "$full"
check "those that waited are dropped then" sh -c "[ $(device_counter a tx_drop_handshake_gave_up) -gt 0 ]"
check "all packets are accounted for" is \
	"$(($(device_counter a tx_drop_no_session_full) + $(device_counter a tx_drop_handshake_gave_up)))" "$(statistic a tx_dropped | awk -v outside=$outside_v4 '{print $1 - 1 - outside}')"
b nft delete table inet deaf

# No private key on the other side.
b wg set wg0 private-key /dev/null
lost b >/dev/null
a wg set wg0 peer "$PUB_B" persistent-keepalive 1
sleep 3
check "no private key" grep -q '^rx_refused_no_private_key+' <<<"$(lost b)"
teardown

# Roaming.
topology
a ping -c 1 -W 5 192.168.241.2 >/dev/null
moved=$(device_counter b endpoints_changed)
a wg set wg0 listen-port 1111
a ping -c 1 -W 3 192.168.241.2 >/dev/null
check "an endpoint that changes" is $(($(device_counter b endpoints_changed) - moved)) 1
a wg set wg0 peer "$PUB_B" persistent-keepalive 1
sleep 3
a wg set wg0 peer "$PUB_B" persistent-keepalive off
sleep 1
keepalives=$(device_counter a tx_keepalives)
check "keepalives were sent ($keepalives)" test "$keepalives" -ge 2
check "and received" is "$(device_counter b rx_keepalives)" "$keepalives"

lost b >/dev/null
play /tmp/first 4
check "a message of another session" is "$(lost b)" "rx_drop_no_session+1"

# A peer that does what no driver does. usage: peer OPTION...
key_c=$(wg genkey)
peer() {
	a $HOSTILE peer to=10.0.0.2:2000 key="$PUB_B" private="$key_c" "$@" >/dev/null
	sleep 0.5
}
b wg set wg0 peer "$(wg pubkey <<<"$key_c")" allowed-ips 192.168.241.3/32
lost b >/dev/null
peer packet=5511223344556677889900112233445566778899
check "a packet inside that is neither IPv4 nor IPv6" is "$(lost b)" "rx_drop_not_ip+1"
peer packet=
check "and one that is a keepalive" is "$(lost b)" ""
peer count=2
check "two initiations at once" is "$(lost b)" "rx_refused_too_soon+1"
peer count=2 every=30
check "and one after the other" is "$(lost b)" ""
before=$(device_counter a tx_software_segmented)
send_no_train
check "what is no train is cut" test "$(device_counter a tx_software_segmented)" -gt "$before"

# A flood of handshake messages, some of which come from an address that takes cookies and shows them.
ip -n b route add default via 10.0.0.1
ip -n a route add local 10.1.0.0/16 dev lo
flood() {
	a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" "$@" >/dev/null
}
# usage: gone_up COUNTER   since the last call of `lost`
gone_up() {
	sed 's/ /\n/g' /tmp/lost
	grep -qE "(^| )$1\+" /tmp/lost
}
trace wireguard/wg_cookie_sent 1
flood seconds=4 rate=3000 real=1
# Longer than a message may wait.
sleep 4
trace wireguard/wg_cookie_sent 0
lost b >/tmp/lost
check "under load: no cookie" gone_up rx_refused_no_cookie
check_speed "a cookie, but too many messages" gone_up rx_refused_rate_limited
check "each cookie can be traced" is "$(traced wg_cookie_sent | grep -cE ' dev=wg0 endpoint=[0-9.]+:[0-9]+ value=3$')" \
	"$(device_counter b tx_handshake_cookies)"
flood seconds=6 &
sleep 3
ip -n b link set wg0 down
lost b >/tmp/lost
check "more handshake messages than there is room for" gone_up rx_refused_queue_full
check "those that wait when the interface goes down" gone_up rx_refused_not_ready
wait $!
ip -n b link set wg0 up

# A machine that has more urgent things to do answers messages when their senders have given up, or rather does not. The
# scheduler's server for ordinary tasks would let the workers run all the same.
urgent() {
	a python3 counters.py hold "$1"
	sleep 0.3
}
# usage: leave_to_others MICROSECONDS-OF-URGENT-TASKS NANOSECONDS-OF-THE-SERVER
leave_to_others() {
	local server
	echo "$1" >/proc/sys/kernel/sched_rt_runtime_us
	for server in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do
		[ ! -e "$server" ] || echo "$2" >"$server"
	done
}
throttle=$(cat /proc/sys/kernel/sched_rt_runtime_us)
leave_to_others -1 0
lost b >/dev/null
urgent 2
check "messages that waited for two seconds are looked at" is "$(lost b)" "rx_refused_bad_mac1+10"
dropped=$(statistic b rx_dropped)
urgent 4
check "those that waited for four are not" is "$(lost b) $(statistic b rx_dropped)" "rx_refused_too_late+10 $((dropped + 10))"
# As they were, for the tests that follow in this guest.
leave_to_others "$throttle" 50000000
teardown
finish
