#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# TCP through a tunnel over paths without help from the device: one that cannot segment UDP, so that a train
# is cut in software just before it, and one whose receiver gets single datagrams on a NAPI with GRO, as from
# a network card.

cd "$(dirname "$0")" && source ./lib.sh
wanted tcp-software-gso tcp-gro || exit 0
span=$(seconds 3 1)

tunnel 4 || exit
features off veth0 tx-udp-segmentation || exit
! wanted tcp-software-gso || result tcp-software-gso "$(rate 192.168.241.2 "$span")" Mbit/s
if wanted tcp-gro; then
	# A veth uses its NAPI, and with it GRO, for a sender that does not segment at all.
	features off veth0 tso || exit
	features on veth0 gro || exit
	result tcp-gro "$(rate 192.168.241.2 "$span")" Mbit/s
	features off veth0 gro
	features on veth0 tso
fi
features on veth0 tx-udp-segmentation
