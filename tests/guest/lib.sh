# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the guest tests have in common: TAP, waiting, and two namespaces with a tunnel; to be sourced.

export WG_COLOR_MODE=never
PLANNED=0
TESTS=0
FAILED=0
# How many times longer things may take on a kernel for debugging.
SLOW=${WG_FLAVOUR:+5}
SLOW=${SLOW:-1}
# Switches debug messages. The same file in debugfs cannot be opened when the kernel is locked down.
export DYNAMIC_DEBUG=/proc/dynamic_debug/control

# usage: plan N
plan() {
	PLANNED=$((PLANNED + $1))
	echo "TAP version 13"
	echo "1..$1"
}

# Runs a command; it passes if the command does. usage: check "what holds" COMMAND...
check() {
	local what=$1 output
	shift
	TESTS=$((TESTS + 1))
	if output=$("$@" 2>&1); then
		echo "ok $TESTS - $what"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $TESTS - $what"
		echo "# $*"
		sed 's/^/# /' <<<"$output" | tail -n 30
	fi
}

# Runs a program that prints checks, which count as those of this script. usage: checks_of COMMAND...
checks_of() {
	local code
	PYTHONUNBUFFERED=1 "$@" | tee /tmp/checks
	code=${PIPESTATUS[0]}
	TESTS=$((TESTS + $(grep -cE '^(not )?ok ' /tmp/checks)))
	[ "$code" -eq 0 ] || FAILED=$((FAILED + 1))
}

# Passes if the command fails. usage: refuse "what is refused" COMMAND...
refuse() {
	local what=$1
	shift
	check "$what" not "$@"
}

# Passes if the command fails and says why. usage: says TEXT COMMAND...
says() {
	local text=$1 output
	shift
	! output=$("$@" 2>&1) && grep -qF -- "$text" <<<"$output" || {
		echo "$output"
		return 1
	}
}

not() {
	! "$@"
}

# Reports a check that cannot be made. usage: skip "what holds" "why it cannot be known"
skip() {
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $1 # SKIP $2"
}

# Like check, for what a kernel for debugging is too slow for. usage: check_speed WHAT COMMAND [ARGUMENT...]
check_speed() {
	if [ -z "${WG_FLAVOUR:-}" ]; then
		check "$@"
	else
		skip "$1" "a kernel for debugging is too slow"
	fi
}

# To be called after the module was unloaded: it counts its objects, and says on unloading how many are left.
# usage: no_object_left
no_object_left() {
	if [ "$WG_MODULE" = ours ]; then
		check "no object is left" is "$(dmesg | grep -oE "no object left|leak: .*" | tail -n 1)" "no object left"
	else
		skip "no object is left" "the in-tree driver does not say"
	fi
}

# Loads the driver that the test is not for, once the other one is unloaded. usage: load_other_driver
load_other_driver() {
	if [ "$WG_MODULE" = ours ]; then
		WG_MODULE=stock load_wireguard
	else
		WG_MODULE=ours load_wireguard
	fi
}

# Ends a test script. usage: finish
finish() {
	[ "$TESTS" -eq "$PLANNED" ] || echo "not ok - $PLANNED checks were planned, and $TESTS made"
	[ "$FAILED" -eq 0 ] && [ "$TESTS" -eq "$PLANNED" ]
	exit
}

# usage: is ACTUAL EXPECTED
is() {
	[ "$1" = "$2" ] || {
		echo "got '$1', expected '$2'"
		return 1
	}
}

# Waits until a command succeeds. usage: wait_for SECONDS COMMAND...
wait_for() {
	local tries=$(($1 * 10 * SLOW))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

# Where the programs of tests/tools are.
TOOLS=/src/tests/tools/target/bin
# Ends the test if one of them is not there. usage: need PROGRAM
need() {
	[ -x "$1" ] || { echo "Bail out! run scripts/tools first"; exit 1; }
}

# Runs a command in namespace a or b.
a() { ip netns exec a "$@"; }
b() { ip netns exec b "$@"; }

# Makes two namespaces with a link between them (10.0.0.1/2, fd00::1/2) and a tunnel over it (192.168.241.1/2,
# fd41::1/2). Keys are KEY_A and KEY_B, public ones PUB_A and PUB_B, ports 1000 and 2000.
# usage: topology [4|6]    the IP version outside
topology() {
	local n i
	KEY_A=$(wg genkey) KEY_B=$(wg genkey)
	PUB_A=$(wg pubkey <<<"$KEY_A") PUB_B=$(wg pubkey <<<"$KEY_B")
	ip netns add a
	ip netns add b
	ip link add veth0 netns a type veth peer name veth0 netns b
	i=1
	for n in a b; do
		ip -n $n link set lo up
		ip -n $n addr add 10.0.0.$i/24 dev veth0
		ip -n $n addr add fd00::$i/64 dev veth0 nodad
		ip -n $n link set veth0 up
		ip -n $n link add wg0 type wireguard
		ip -n $n addr add 192.168.241.$i/24 dev wg0
		ip -n $n addr add fd41::$i/64 dev wg0 nodad
		i=$((i + 1))
	done
	a wg set wg0 private-key <(echo "$KEY_A") listen-port 1000 \
		peer "$PUB_B" allowed-ips 192.168.241.2/32,fd41::2/128 endpoint "$(outside 2 "${1:-4}"):2000"
	b wg set wg0 private-key <(echo "$KEY_B") listen-port 2000 \
		peer "$PUB_A" allowed-ips 192.168.241.1/32,fd41::1/128 endpoint "$(outside 1 "${1:-4}"):1000"
	ip -n a link set wg0 up
	ip -n b link set wg0 up
}

# The address outside. usage: outside 1|2 4|6
outside() {
	if [ "$2" = 4 ]; then
		echo "10.0.0.$1"
	else
		echo "[fd00::$1]"
	fi
}

# Puts a router, the namespace r, in place of the link of a topology: a (10.0.1.1, fd01::1) is at its r0, b (10.0.2.2,
# fd02::2) at its r1, and its own addresses are 10.0.1.9 and so on. The test has to delete it.
router() {
	local n i
	ip netns add r
	ip -n a link del veth0
	ip link add veth0 netns a type veth peer name r0 netns r
	ip link add veth0 netns b type veth peer name r1 netns r
	ip netns exec r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	i=1
	for n in a b; do
		ip -n r addr add 10.0.$i.9/24 dev r$((i - 1))
		ip -n r addr add fd0$i::9/64 dev r$((i - 1)) nodad
		ip -n r link set r$((i - 1)) up
		ip -n $n addr add 10.0.$i.$i/24 dev veth0
		ip -n $n addr add fd0$i::$i/64 dev veth0 nodad
		ip -n $n link set veth0 up
		ip -n $n route add default via 10.0.$i.9
		ip -n $n route add default via fd0$i::9
		i=2
	done
}

# Removes the namespaces.
teardown() {
	ip netns del a 2>/dev/null
	ip netns del b 2>/dev/null
	true
}

# Waits for a session: a packet has passed from a to b and back.
session() {
	wait_for 30 ip netns exec a ping -c 1 -W 1 192.168.241.2
}

# Cuts off the handshakes between a and b of a topology, while data passes. It goes by length: with the UDP
# header, an initiation has 156 octets and a response 100.
cut_handshakes() {
	b nft -f - <<-EOT
		table inet cut {
			chain in {
				type filter hook input priority 0
				udp dport 2000 udp length { 156, 100 } drop
			}
			chain out {
				type filter hook output priority 0
				udp dport 1000 udp length { 156, 100 } drop
			}
		}
	EOT
}

# Lets them pass again.
mend_handshakes() {
	b nft delete table inet cut
}

# Waits until packets come in through the tunnel. usage: flowing NAMESPACE
flowing() {
	wait_for 10 more_came "$1" $(($(statistic "$1" rx_packets) + 50))
}

more_came() {
	[ "$(statistic "$1" rx_packets)" -gt "$2" ]
}

# A field of wg show's dump of a namespace's only peer. usage: peer_field NAMESPACE NUMBER
peer_field() {
	ip netns exec "$1" wg show wg0 dump | sed -n 2p | cut -f "$2"
}

# TCP through the tunnel. usage: tcp NAMESPACE-OF-CLIENT ADDRESS OCTETS [OPTION...]
tcp() {
	local server=b
	[ "$1" = a ] || server=a
	transfer "$1" $server "${@:2}"
}

# TCP from one namespace to another. usage: transfer CLIENT SERVER ADDRESS OCTETS [OPTION...]
transfer() {
	# The one before listens for a moment after its client has ended.
	wait_for 10 sh -c "! ip netns exec $2 ss -Hltn | grep -q :5201"
	ip netns exec "$2" iperf3 -s -1 -D
	wait_for 10 sh -c "ip netns exec $2 ss -ltn | grep -q :5201"
	timeout -k 5 $((60 * SLOW)) ip netns exec "$1" iperf3 --connect-timeout $((5000 * SLOW)) -c "$3" -n "$4" "${@:5}"
}

# Passes if, by what iperf3 has printed, at least so many datagrams came and none was lost. usage: none_lost FILE NUMBER
none_lost() {
	awk -v least="$2" '/receiver$/ { split($(NF - 2), n, "/"); fine = n[1] == "0" && n[2] >= least } END { exit !fine }' "$1" || {
		cat "$1"
		return 1
	}
}

# Megabits per second through the tunnel from a to b, where an iperf3 serves. It gives up after so many seconds.
# usage: mbits SECONDS OPTION...
mbits() {
	timeout -k 5 "$1" ip netns exec a iperf3 --connect-timeout 10000 -c 192.168.241.2 "${@:2}" -J |
		awk '/"sum_received"/ {f = 1} f && /bits_per_second/ {printf "%.1f\n", $2 / 1e6; exit}'
}

# One throughput in per cent of another. usage: share MBITS OF-MBITS
share() {
	awk -v "now=${1:-0}" -v "before=${2:-0}" 'BEGIN {printf "%.0f %%\n", (before > 0 ? now * 100 / before : 0)}'
}

# Passes if it is at least 80 %. usage: keeps MBITS OF-MBITS
keeps() {
	share "$@"
	awk -v "now=${1:-0}" -v "before=${2:-0}" 'BEGIN {exit !(before > 0 && now >= before * 0.8)}'
}

# Four datagrams in one packet, from a. usage: send_four ADDRESS
send_four() {
	a python3 -c "
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_UDP, 103, struct.pack('i', 1000))
s.sendto(bytes(4000), ('$1', 7))"
}

# TCP from a to b whose sender is told when its last octet leaves. That is no train: it might not be told of a part of one.
send_no_train() {
	ip netns exec b socat -u tcp-listen:7 - >/dev/null &
	wait_for 10 sh -c "ip netns exec b ss -Hltn | grep -q :7"
	a python3 -c "
import socket, struct
s = socket.create_connection(('192.168.241.2', 7))
s.setsockopt(socket.SOL_SOCKET, 37, struct.pack('i', 2 | 16))
for _ in range(20):
    s.send(bytes(10000))"
	kill $! 2>/dev/null
}

# Writes what a sends to b outside to a file, until $recorder is ended. usage: record FILE
record() {
	rm -f /tmp/recording
	ip netns exec a python3 counters.py record "$1" >/tmp/recording &
	recorder=$!
	wait_for 60 grep -q recording /tmp/recording
}

# Begins transfers from a to b through the tunnel, one after the other, each of which has failed after so many seconds.
# usage: begin_transfers SECONDS OCTETS [OPTION...]
begin_transfers() {
	local limit=$1
	shift
	b iperf3 -s -D
	touch /tmp/transferring
	while [ -e /tmp/transferring ]; do
		if timeout -k 5 "$limit" ip netns exec a iperf3 --connect-timeout 10000 -c 192.168.241.2 -n "$@" >/dev/null 2>&1; then
			echo transfer
		else
			echo failure
		fi
		# The server listens again a moment later.
		sleep 0.5
	done >/tmp/transfers &
	TRANSFERS=$!
}

# Waits for the last of them. Afterwards /tmp/transfers has a line "transfer" or "failure" for each.
end_transfers() {
	rm /tmp/transferring
	wait "$TRANSFERS"
	b pkill iperf3
	echo "# $(grep -c transfer /tmp/transfers) transfers meanwhile, $(grep -c failure /tmp/transfers) failed"
}

# Whether there were some, and none has failed.
transfers_went_on() {
	grep -q transfer /tmp/transfers && ! grep -q failure /tmp/transfers
}

# Kernel memory that objects and CPUs have, in kB.
kernel_memory() {
	awk '/^(Slab|Percpu):/ {n += $2} END {print n}' /proc/meminfo
}

# Writes what passes a device to a file until `captured` is called. usage: capture NAMESPACE DEVICE FILE [FILTER]
capture() {
	rm -f "$3"
	ip netns exec "$1" tcpdump --immediate-mode -U -ni "$2" -w "$3" "${@:4}" 2>/dev/null &
	CAPTURE=$!
	wait_for 20 test -s "$3"
}

captured() {
	sleep 1
	kill "$CAPTURE"
	wait "$CAPTURE" 2>/dev/null
	true
}

# Sets features of a device in both namespaces. usage: features on|off DEVICE FEATURE...
features() {
	local n value=$1 device=$2 feature
	shift 2
	for n in a b; do
		for feature; do
			ip netns exec $n ethtool -K "$device" "$feature" "$value" >/dev/null || return
		done
	done
}

# One of the counters that ethtool -S shows. usage: device_counter NAMESPACE NAME [INTERFACE]
device_counter() {
	ip netns exec "$1" ethtool -S "${3:-wg0}" | sed -nE "s/^ +$2: //p"
}

# All counters that say that something was dropped or refused. usage: losses NAMESPACE
losses() {
	ip netns exec "$1" ethtool -S wg0 | sed -nE 's/^ +([rt]x_(drop|refused)_.*): ([0-9]+)$/\1 \3/p'
}

# Which of them went up by how much since the last call, as "name+n ...". usage: lost NAMESPACE
lost() {
	losses "$1" >"/tmp/now.$1"
	[ -e "/tmp/before.$1" ] || sed 's/ .*/ 0/' "/tmp/now.$1" >"/tmp/before.$1"
	paste -d ' ' "/tmp/before.$1" "/tmp/now.$1" | awk '$4 != $2 { printf "%s%s+%d", n++ ? " " : "", $1, $4 - $2 }'
	mv "/tmp/now.$1" "/tmp/before.$1"
}

# A counter that each interface has (ip -s link). usage: statistic NAMESPACE NAME [INTERFACE]
statistic() {
	ip netns exec "$1" cat "/sys/class/net/${3:-wg0}/statistics/$2"
}

# A counter of the network stack (nstat). usage: counter NAMESPACE NAME
counter() {
	ip netns exec "$1" nstat -asz "$2" | awk -v name="$2" '$1 == name { print $2 }'
}

# TCP segments of both ends that were sent again, except those that the receiver had already, and so it said: an
# acknowledgement may come too late or out of order. What it said is counted there, since the sender's socket may be
# closed by then.
segments_lost() {
	local n sum=0
	for n in a b; do
		sum=$((sum + $(counter $n TcpRetransSegs) - $(counter $n TcpExtTCPDSACKOldSent) - $(counter $n TcpExtTCPDSACKOfoSent)))
	done
	echo $sum
}

# Packets that a named counter of nft's table "watch" has seen. usage: counted NAMESPACE NAME
counted() {
	ip netns exec "$1" nft list counter inet watch "$2" | sed -nE 's/.*packets ([0-9]+).*/\1/p'
}

# Makes sure that tracefs is there.
TRACE=/sys/kernel/tracing
need_tracefs() {
	mountpoint -q $TRACE || mount -t tracefs none $TRACE
}

# Switches tracing of an event, or of all of a system, on (1) or off (0). usage: trace SYSTEM[/EVENT] 1|0
trace() {
	need_tracefs
	echo "$2" >"$TRACE/events/$1/enable"
}

# Lines of the trace about an event, without what comes before its name. usage: traced EVENT
traced() {
	sed -nE "s/^.* ($1): /\1: /p" $TRACE/trace
}

# How many sockets in a namespace are members of a generic netlink group. usage: listeners NAMESPACE
listeners() {
	ip netns exec "$1" awk '$2 == 16 && $4 !~ /^0+$/ { n++ } END { print n + 0 }' /proc/net/netlink
}

# Whether there are more of them than that. usage: more_listen NAMESPACE NUMBER
more_listen() {
	[ "$(listeners "$1")" -gt "$2" ]
}

# Runs a command while a side is silent and nothing that it has sent is still on its way, which would tell the other of
# another path. usage: while_silent NAMESPACE COMMAND...
while_silent() {
	local side=$1 code=0
	shift
	ip netns exec "$side" nft 'add table inet silent; add chain inet silent out { type filter hook output priority 0; };
		add rule inet silent out udp sport { 1000, 2000 } drop'
	sleep "$SLOW"
	"$@" || code=1
	ip netns exec "$side" nft delete table inet silent
	return $code
}

# What the tests of pages in Documentation have in common. Such a page has blocks of commands, "```sh NAME". A test runs
# each of them as it is written, in the situation that it is for.

# Names the page and prepares what its commands need. usage: page NAME
page() {
	PAGE=/src/Documentation/$1
	: >/tmp/used
	need_tracefs
	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
}

# The commands of a block of the page. usage: block NAME
block() {
	awk -v "name=$1" '$0 == "```sh " name { on = 1; next } /^```/ { on = 0 } on' "$PAGE"
}

# Runs a block in a namespace and keeps its output. usage: run NAMESPACE BLOCK
run() {
	echo "$2" >>/tmp/used
	# Not by "ip netns exec", which takes tracefs and debugfs away.
	(cd /src && nsenter --net="/run/netns/$1" bash -c "$(block "$2")") >"/tmp/$2" 2>&1
}

# Runs a block while there is something to see. usage: run_during NAMESPACE BLOCK COMMAND...
run_during() {
	local namespace=$1 name=$2 before running
	shift 2
	before=$(listeners "$namespace")
	run "$namespace" "$name" &
	running=$!
	# Python takes a while to start, and while it is read from the file server, the clock may jump.
	if block "$name" | grep -q scripts/monitor; then
		wait_for 120 more_listen "$namespace" "$before"
	else
		sleep 4
	fi
	"$@" >/dev/null 2>&1
	wait $running
}

# Passes if the block's output has such a line. usage: shows BLOCK PATTERN
shows() {
	grep -qE -- "$2" "/tmp/$1" || {
		cat "/tmp/$1"
		return 1
	}
}

# Passes if all blocks of the page were run, but for those that another test runs. usage: each_block_was_run [BLOCK...]
each_block_was_run() {
	is "$(printf '%s\n' "$@" | cat /tmp/used - | sed '/^$/d' | sort -u)" "$(sed -n 's/^```sh //p' "$PAGE" | sort)"
}
