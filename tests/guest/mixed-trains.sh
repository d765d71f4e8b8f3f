#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 400
# Datagrams that come in together need not belong together. A relay between the two ends (mixed-trains.py) keeps
# messages back and sends them as one train: a message for nobody and messages, messages for an old session and a new
# one, messages and an initiation, an initiation and a short message, which may hold a packet for the very socket that it
# came by. Then GRO makes such trains while a session is renewed under bulk TCP. No message is lost.

cd "$(dirname "$0")" && source ./lib.sh
plan 26

topology
# The relay is at b: a sends to it, and it sends to b over the loopback device.
ip netns exec b ./mixed-trains.py 10.0.0.2:4000 127.0.0.1:2000 </dev/null >/tmp/relay 2>&1 &
relay=$!
wait_for 10 grep -q ready /tmp/relay
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:4000
# Tells the relay what to do and waits until it has. usage: relay SIGNAL WORD
relay() {
	local before
	before=$(grep -c "^$2" /tmp/relay)
	kill -"$1" $relay
	wait_for 20 sh -c "[ \$(grep -c '^$2' /tmp/relay) -gt $before ]"
}
# Pings in the background, as many as stated, all of one length. usage: pings COUNT
pings() {
	a ping -q -c "$1" -i 0.1 -W 20 -s 300 192.168.241.2 >/tmp/pings 2>&1 &
	pings=$!
}
answered() {
	wait $pings
	cat /tmp/pings
	grep -q " $1 received" /tmp/pings
}
handshake() { peer_field "$1" 5; }
# Passes if the kinds of the messages that the relay sent last are these. usage: train PATTERN
train() {
	local sent
	sent=$(grep '^train' /tmp/relay | tail -n 1)
	echo "$sent"
	grep -qE "^train $1\$" <<<"$sent"
}

check "a tunnel through the relay" a ping -c 3 -i 0.2 -W 3 192.168.241.2

# Anybody can send the first message of a train.
check "the relay keeps data" relay USR1 holding-data
pings 5
sleep 1
check "the relay sends what it has, behind a message for nobody" relay ALRM train
check "as a train" train 'nobody( data-1)+'
check "all of it is answered" answered 5

# After two minutes a renews the session, and goes on with the old one until it has the new one.
sleep 121
old=$(handshake a)
check "the relay keeps data" relay USR1 holding-data
pings 8
check "a has a new session" wait_for 20 sh -c "[ \$(ip netns exec a wg show wg0 latest-handshakes | cut -f 2) -gt $old ]"
sleep 1
check "the relay sends what it has" relay USR2 train
check "as a train for both sessions" train 'data-1( data-1)*( data-2)+( short-2)?'
check "all of it is answered" answered 8

# An initiation at the end of a train.
sleep 121
old=$(handshake b)
check "the relay keeps everything" relay HUP holding-all
pings 5
sleep 1
check "the relay sends what it has" relay USR2 train
check "as a train that ends with an initiation" train 'data-2( data-2)* initiation'
check "all of it is answered" answered 5
check "the handshake as well" wait_for 20 sh -c "[ \$(ip netns exec b wg show wg0 latest-handshakes | cut -f 2) -gt $old ]"

# An initiation at its beginning, and behind it the short message that made it due.
sleep 121
old=$(handshake b)
check "the relay keeps everything" relay HUP holding-all
a ping -q -c 1 -W 1 -s 20 192.168.241.2 >/dev/null
check "the relay sends what it has" relay FPE train
check "as a train that begins with an initiation" train 'initiation short-[0-9]+'
check "the handshake is done" wait_for 20 sh -c "[ \$(ip netns exec b wg show wg0 latest-handshakes | cut -f 2) -gt $old ]"

# The same, and what is in the short message goes to the socket that is just being emptied.
strangers() { device_counter b rx_drop_not_wireguard; }
sleep 121
old=$(handshake b) before=$(strangers)
check "the relay keeps everything" relay HUP holding-all
a bash -c 'echo -n x >/dev/udp/192.168.241.2/2000'
sleep 1
check "the relay sends what it has" relay FPE train
check "as a train that begins with an initiation" train 'initiation short-[0-9]+'
check "the handshake is done" wait_for 20 sh -c "[ \$(ip netns exec b wg show wg0 latest-handshakes | cut -f 2) -gt $old ]"
# The in-tree driver does not count.
more_strangers() { [ "$WG_MODULE" != ours ] || [ "$(strangers)" -gt "$before" ]; }
check "and what came out of the tunnel came to the socket" wait_for 5 more_strangers
kill $relay
wait $relay 2>/dev/null
teardown

# Single datagrams that GRO puts together, while the session is renewed.
topology
for n in a b; do
	ip netns exec $n ethtool -K veth0 tx-udp-segmentation off tso off >/dev/null
	ip netns exec $n ethtool -K veth0 gro on >/dev/null
done
a ping -q -c 2 -i 0.1 -W 3 192.168.241.2 >/dev/null
sleep 119
old=$(handshake b)
renewed() {
	local before
	before=$(segments_lost)
	tcp a 192.168.241.2 40M -b 100M || return
	is $(($(segments_lost) - before)) 0
}
check "TCP goes on" renewed
check "the session was renewed meanwhile" test "$(handshake b)" -gt "$old"
teardown
finish
