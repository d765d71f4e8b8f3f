# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sessions that are renewed because of their age, between this driver and the in-tree one. The side that
# begins them travels in time: its guest's clock counts instructions and jumps when there is nothing to do.
# While it waits for the other side, whose time is not its own, there must be something to do.

export BARRIER_TRIES=6000

# Lets time pass as on the other side, more or less; or jump.
busy() {
	nice -n 19 bash -c 'while :; do :; done' &
	BUSY=$!
}
travel() {
	kill "$BUSY"
	wait "$BUSY" 2>/dev/null
	sleep "$1"
	busy
}

handshake() {
	wg show wg0 latest-handshakes | cut -f 2
}

# The side whose clock counts instructions.
traveller() {
	local first second
	plan 8
	busy
	setup 4
	endpoint 4
	barrier up
	check "a session" ping -c 3 -i 0.3 -W 10 "10.99.0.$PEER"
	first=$(handshake)
	travel 100
	check "it serves for less than two minutes" ping -c 3 -i 0.3 -W 10 "10.99.0.$PEER"
	check "and is not renewed yet" is "$(handshake)" "$first"
	travel 25
	check "after two minutes no packet is lost" ping -c 20 -i 0.1 -W 10 "10.99.0.$PEER"
	second=$(handshake)
	check "and there is a new session" test $((second - first)) -ge 120
	travel 125
	check "the same once more, with packets in both directions" tcp_there
	check "and another new session" test $(($(handshake) - second)) -ge 120
	travel 200
	check "after more than three minutes a packet waits for a session" ping -c 1 -W 20 "10.99.0.$PEER"
	barrier done
	kill "$BUSY"
	finish
}

tcp_there() {
	iperf3 --connect-timeout 20000 -c "10.99.0.$PEER" -n 300K
}

# The side that lives in real time.
resident() {
	setup 4
	iperf3 -s -D
	barrier up
	barrier done
}
