#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# Counters of what happens only if something else happens meanwhile: a key changes while packets wait to be sealed, an
# interface goes down while messages wait to be opened, more messages come than the CPUs can open. There is traffic as
# fast as can be, and that is done until it has been counted.

cd "$(dirname "$0")" && source ./lib.sh
plan 9

cat >/tmp/send.py <<-EOT
	# usage: send.py CPU ADDRESS PORT SECONDS PRIORITY [RECORDING]   what is sent is the first long message of data there
	import os, socket, sys, time
	cpu, address, port, seconds, priority, *recording = sys.argv[1:]
	message = bytes(1300)
	if recording:
	    messages = [bytes.fromhex(line) for line in open(recording[0])]
	    message = next(m for m in messages if m[0] == 4 and len(m) > 1000)
	os.sched_setaffinity(0, [int(cpu)])
	if int(priority):
	    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(int(priority)))
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.connect((address, int(port)))
	end = time.monotonic() + int(seconds)
	while time.monotonic() < end:
	    try:
	        s.send(message)
	    except OSError:
	        pass
EOT
# Sends on each CPU, for some time or until `quiet` is called. usage: busy ADDRESS PORT SECONDS PRIORITY [RECORDING]
busy() {
	local cpu
	senders=
	for cpu in 0 1; do
		ip netns exec a python3 /tmp/send.py $cpu "$@" &
		senders+=" $!"
	done
}
quiet() {
	kill $senders
	wait $senders 2>/dev/null
	true
}
# Whether a counter has gone up. usage: counts NAMESPACE COUNTER
counts() {
	[ "$(device_counter "$1" "$2")" -gt 0 ]
}

topology
# Nobody has to be told that no port is open.
b nft 'table inet mute { chain in { type filter hook input priority 0; udp dport 9 drop; }; }'
check "a tunnel" a ping -c 1 -W 10 192.168.241.2
check "so far none of it" is "$(lost a)$(lost b)" ""

# The session ends for a, with packets that have it and no counter yet.
new_key() {
	a wg set wg0 private-key <(wg genkey)
	a wg set wg0 private-key <(echo "$KEY_A")
	a ping -c 1 -W 5 192.168.241.2
	counts a tx_drop_session_spent
}
busy 192.168.241.2 9 1000 0
check "packets that wait to be sealed when the key changes" wait_for 3 new_key
# b goes down, with messages that are not packets yet. Its ping makes another session.
down() {
	ip -n b link set wg0 down
	ip -n b link set wg0 up
	b ping -c 1 -W 5 192.168.241.1
	counts b rx_drop_no_device
}
check "messages that wait to be opened when the interface goes down" wait_for 3 down
quiet
check "traffic goes on" wait_for 30 ip netns exec a ping -c 1 -W 1 192.168.241.2

# The same message again and again, before all workers, and before us.
record /tmp/long
check "a long message" a ping -c 1 -W 5 -s 1200 192.168.241.2
sleep 1
kill $recorder
busy 10.0.0.2 2000 6 1 /tmp/long
wait $senders
check "more messages than can be opened" counts b rx_drop_queue_full
check "all others are counted as what they are" grep -q 'rx_drop_replay+' <<<"$(lost b)"
check "traffic goes on" wait_for 30 ip netns exec a ping -c 1 -W 1 192.168.241.2
teardown
finish
