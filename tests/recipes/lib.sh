# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Machines on an internet, for the set-ups that people publish. A machine is a network namespace with
# a home directory and an /etc/wireguard of its own; the internet is one that routes. To be sourced.

# shellcheck source=tests/guest/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../guest/lib.sh"

MACHINES=()

# The internet: routes between all machines with a public address.
internet() {
	ip netns add internet
	ip -n internet link set lo up
	ip netns exec internet sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# A machine, not connected to anything. usage: machine NAME
machine() {
	ip netns add "$1"
	ip -n "$1" link set lo up
	rm -rf "/root/$1" "/etc/netns/$1"
	mkdir -p "/root/$1" "/etc/netns/$1/wireguard" /etc/wireguard
	MACHINES+=("$1")
}

# Connects a machine to another one (or to the internet), which is its default gateway.
# IPv4.
# usage: connect NAME DEVICE ADDRESS/LENGTH GATEWAY-MACHINE GATEWAY-ADDRESS
connect() {
	local name=$1 dev=$2 address=$3 to=$4 gateway=$5
	ip link add "$dev" netns "$name" type veth peer name "to-$name" netns "$to"
	ip -n "$to" addr add "$gateway/${address#*/}" dev "to-$name"
	ip -n "$to" link set "to-$name" up
	ip -n "$name" addr add "$address" dev "$dev"
	ip -n "$name" link set "$dev" up
	ip -n "$name" route add default via "$gateway" dev "$dev"
}

# Makes a machine a router that sends what it forwards through a device from its own address.
# usage: masquerade NAME DEVICE [IPTABLES-OPTION...]
masquerade() {
	at "$1" sysctl -qw net.ipv4.ip_forward=1
	at "$1" iptables -t nat -A POSTROUTING -o "$2" -j MASQUERADE "${@:3}"
}

# Runs a script, from standard input, on a machine, in its home directory.
# usage: on NAME [ARGUMENT...] <<EOT
on() {
	local name=$1
	shift
	ip netns exec "$name" env HOME="/root/$name" bash -euo pipefail -c 'cd && source /dev/fd/0 "$@"' "$name" "$@"
}

# Runs a command on a machine. usage: at NAME COMMAND...
at() {
	ip netns exec "$1" "${@:2}"
}

# Waits until a machine listens on a TCP port. usage: listening NAME PORT
listening() {
	wait_for 10 sh -c "ip netns exec $1 ss -ltn | grep -q ':$2 '"
}

# A server that tells each client the client's address, over IPv4. usage: web NAME [PORT]
web() {
	at "$1" socat "TCP4-LISTEN:${2:-80},fork,reuseaddr" SYSTEM:'echo $SOCAT_PEERADDR' 2>/dev/null &
	listening "$1" "${2:-80}"
}

# Asks it. usage: browse NAME ADDRESS [PORT]
browse() {
	at "$1" timeout 10 socat -u "TCP:$2:${3:-80},connect-timeout=5" -
}

# Ends all machines, and what runs on them.
power_off() {
	local name
	for name in "${MACHINES[@]}" internet; do
		ip netns pids "$name" 2>/dev/null | xargs -r kill 2>/dev/null
		ip netns del "$name" 2>/dev/null
	done
	wait 2>/dev/null
	MACHINES=()
}
