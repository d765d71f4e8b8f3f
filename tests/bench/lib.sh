# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the measurements have in common. To be sourced by tests/bench/*.sh.

# shellcheck source=tests/guest/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../guest/lib.sh"

# Prints one figure in the form that scripts/bench collects. usage: result METRIC VALUE UNIT
result() {
	echo "= $WG_DRIVER $1 $2 $3"
}

# Whether a metric is wanted: METRICS is a list of patterns, empty for all. usage: wanted METRIC...
wanted() {
	local metric pattern
	[ -n "${METRICS:-}" ] || return 0
	# Patterns, but not of names of files.
	local - && set -f
	for metric; do
		for pattern in $METRICS; do
			# shellcheck disable=SC2053
			[[ $metric != $pattern ]] || return 0
		done
	done
	return 1
}

# Seconds of the guest's clock that a measurement of bulk traffic takes. usage: seconds FULL QUICK
seconds() {
	if [ -n "${QUICK:-}" ]; then echo "$2"; else echo "$1"; fi
}

# A tunnel as topology makes it, with its session and with iperf3 serving in namespace b. It is made with few
# processes, and stays for the next group: to start a process takes long in a guest that counts instructions.
# usage: tunnel [4|6]    the IP version outside
tunnel() {
	local outside=${1:-4} n i=1 address=192.168.241.2
	[ "$(cat /tmp/tunnel 2>/dev/null)" != "$outside" ] || return 0
	no_tunnel
	echo begun >/tmp/tunnel
	ip -batch - <<-EOT
		netns add a
		netns add b
		link add veth0 netns a type veth peer name veth0 netns b
	EOT
	[ "$WG_DRIVER" = none ] || {
		interface a eBf9sOwDqKAyZjnMAW+fVSNiDyVkqIuwwqYB5rTsF1E= 1000 \
			KEcVdFKdZ8XkVMbPVXVBDRP0YzMkwwCrkdYtTTTB+FM= 192.168.241.2/32,fd41::2/128 "$(outside 2 "$outside"):2000"
		interface b KEcVdFKdZ8XkVMbPVXVBDRP0YzMkwwCrkdYtTTTB+FM= 2000 \
			eBf9sOwDqKAyZjnMAW+fVSNiDyVkqIuwwqYB5rTsF1E= 192.168.241.1/32,fd41::1/128 "$(outside 1 "$outside"):1000"
	} || return
	for n in a b; do
		ip -n $n -batch - <<-EOT
			link set lo up
			addr add 10.0.0.$i/24 dev veth0
			addr add fd00::$i/64 dev veth0 nodad
			link set veth0 up
		EOT
		[ "$WG_DRIVER" = none ] || ip -n $n -batch - <<-EOT
			addr add 192.168.241.$i/24 dev wg0
			addr add fd41::$i/64 dev wg0 nodad
			link set wg0 up
		EOT
		i=2
	done
	ip netns exec b iperf3 -s -D >/dev/null
	[ "$WG_DRIVER" != none ] || address=10.0.0.2
	a ping -q -c 3 -i 0.1 -W 3 $address >/dev/null || return
	# So that no measurement has to wait for a page of the program.
	[ -n "$(rate $address 1 -b 1M)" ] && [ -n "$(flood $address 64 1)" ] || return
	echo "$outside" >/tmp/tunnel
}

# Makes and configures wg0 in a namespace.
# usage: interface NAMESPACE PRIVATE-KEY PORT PRIVATE-KEY-OF-PEER ALLOWED-IPS ENDPOINT
interface() {
	# The control sockets of all wireguard-go are in one directory: the names have to differ at first.
	local name=wg-$1
	if [ "$WG_DRIVER" = go ]; then
		# It warns that the kernel has a driver of its own.
		ip netns exec "$1" wireguard-go "$name" >/dev/null 2>&1
	else
		ip -n "$1" link add "$name" type wireguard
	fi || return
	ip netns exec "$1" wg setconf "$name" /dev/fd/0 <<-EOT || return
		[Interface]
		PrivateKey = $2
		ListenPort = $3
		[Peer]
		PublicKey = $(wg pubkey <<<"$4")
		AllowedIPs = $5
		Endpoint = $6
	EOT
	ip -n "$1" link set "$name" name wg0
}

# Takes the tunnel away.
no_tunnel() {
	# They end in their own time, and take files with them that the next ones may have made.
	pkill -x iperf3
	wait_for 10 not pgrep -x iperf3
	[ ! -e /tmp/tunnel ] || teardown
	[ "$WG_DRIVER" != go ] || { pkill -x wireguard-go; wait_for 10 not pgrep -x wireguard-go; }
	rm -f /tmp/tunnel
}

# What iperf3 says the receiver got, by the time for which it was told to send. It measures that time itself, but until
# the last words have been exchanged: when these wait for the guest's file server, the clock jumps.
RECEIVED='
	/receiver$/ { line = $0 }
	END {
		n = split(line, field, " ")
		for (i = 1; i <= n; i++) {
			if (field[i] ~ /^[0-9.]+-[0-9.]+$/) { split(field[i], time, "-"); span = time[2] - time[1] }
			if (unit == "Mbit/s" && field[i] == "Kbits/sec")
				printf "%.1f\n", field[i - 1] / 1000 * span / seconds
			if (unit == "packets/s" && field[i] ~ /^[0-9]+\/[0-9]+$/) {
				split(field[i], count, "/")
				printf "%.0f\n", (count[2] - count[1]) / seconds
			}
		}
	}'

# What the receiver got of bulk traffic, in Mbit/s. usage: rate ADDRESS SECONDS [OPTION...]
rate() {
	local address=$1 seconds=$2
	shift 2
	# The line of all streams together comes last.
	ip netns exec a iperf3 --connect-timeout 5000 -f k -c "$address" -t "$seconds" "$@" |
		awk -v unit=Mbit/s -v seconds="$seconds" "$RECEIVED"
}

# Packets a second that the receiver got of a flood. usage: flood ADDRESS SIZE SECONDS
flood() {
	ip netns exec a iperf3 --connect-timeout 5000 -f k -c "$1" -u -b 0 -l "$2" -t "$3" |
		awk -v unit=packets/s -v seconds="$3" "$RECEIVED"
}

# Milliseconds that a command takes. usage: milliseconds COMMAND...
milliseconds() {
	local begun=${EPOCHREALTIME/./}
	"$@" >/dev/null || return
	echo $(((${EPOCHREALTIME/./} - begun) / 1000))
}

# A percentile of numbers, one on each line (nearest rank). usage: percentile P
percentile() {
	sort -n | awk -v p="$1" '{ v[NR] = $1 } END { i = int(NR * p / 100 + 0.999999); if (i < 1) i = 1; print v[i] }'
}
