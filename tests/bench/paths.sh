#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# TCP through a tunnel over paths without help from the device: one that cannot segment UDP, so that a train
# is cut in software just before it, and one whose receiver gets single datagrams on a NAPI with GRO, as from
# a network card.

cd "$(dirname "$0")" && source ./lib.sh
wanted tcp-software-gso tcp-gro || exit 0
span=$(seconds 3 1)

# usage: features ON-OR-OFF FEATURE...    on both ends of the link
features() {
	local n value=$1 feature
	shift
	for n in a b; do
		for feature; do
			ip netns exec $n ethtool -K veth0 "$feature" "$value" >/dev/null || return
		done
	done
}

tunnel 4 || exit
features off tx-udp-segmentation || exit
! wanted tcp-software-gso || result tcp-software-gso "$(rate 192.168.241.2 "$span")" Mbit/s
if wanted tcp-gro; then
	# A veth uses its NAPI, and with it GRO, for a sender that does not segment at all.
	features off tso || exit
	features on gro || exit
	result tcp-gro "$(rate 192.168.241.2 "$span")" Mbit/s
	features off gro
	features on tso
fi
features on tx-udp-segmentation
