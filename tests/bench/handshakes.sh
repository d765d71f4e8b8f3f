#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Handshakes a second at the responder. The initiations were prepared, so that all the work is the responder's.
# The first handshake with a peer and later ones are told apart: a driver may compute something for a peer once.

cd "$(dirname "$0")" && source ./lib.sh
wanted handshakes handshakes-first || exit 0

tunnel 4 || exit
ip -n b link add wg1 type wireguard
b wg setconf wg1 /share/initiations.conf
ip -n b link set wg1 up
a ping -q -c 1 10.0.0.2 >/dev/null
a python3 handshakes.py /share/initiations 10.0.0.2 3000 >/tmp/rates || exit
result handshakes-first "$(sed -n 1p /tmp/rates)" handshakes/s
result handshakes "$(sed -n 2p /tmp/rates)" handshakes/s
ip -n b link del wg1
