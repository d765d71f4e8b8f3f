# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Two guests, a and b, on one link: addresses, keys, a tunnel. To be sourced; WG_SIDE says which one this is.

source tests/guest/lib.sh

# Fixed keys, so that the sides need not exchange them.
KEY_A=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
KEY_B=gHsF0bqjV0YBFOb1LFDe4Xm6J0iTo9s+1XKqzVkXnFk=
PSK=qVdm8bRO0vqd6v8AqG9mKQ3DqlTGV6X3lp2nEBzg9y8=

case $WG_SIDE in
a) ME=1 PEER=2 KEY=$KEY_A PEER_KEY=$KEY_B ;;
b) ME=2 PEER=1 KEY=$KEY_B PEER_KEY=$KEY_A ;;
esac

# Addresses on the link, and a tunnel without an endpoint on side b, so that a begins.
# usage: setup [4|6]   the IP version outside
setup() {
	local outside=${1:-4}
	modprobe virtio_net
	wait_for 10 test -e /sys/class/net/eth0
	ip addr add "10.1.0.$ME/24" dev eth0
	ip addr add "fd01::$ME/64" dev eth0 nodad
	ip link set eth0 up
	ip link add wg0 type wireguard
	wg set wg0 listen-port 51820 private-key <(echo "$KEY") \
		peer "$(wg pubkey <<<"$PEER_KEY")" allowed-ips "10.99.0.$PEER/32,fd99::$PEER/128"
	ip addr add "10.99.0.$ME/24" dev wg0
	ip addr add "fd99::$ME/64" dev wg0 nodad
	ip link set wg0 up
	[ "$WG_SIDE" = b ] || endpoint "$outside"
}

# usage: endpoint 4|6 [PORT]
endpoint() {
	local address=10.1.0.$PEER
	[ "$1" = 4 ] || address="[fd01::$PEER]"
	wg set wg0 peer "$(wg pubkey <<<"$PEER_KEY")" endpoint "$address:${2:-51820}"
}

# Ends all sessions on this side: changing the private key and back does.
forget() {
	wg set wg0 private-key <(wg genkey)
	wg set wg0 private-key <(echo "$KEY")
}
