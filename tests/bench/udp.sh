#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# UDP through a tunnel: a sender that never waits, and the packets of 1300 and 64 octets that its receiver got.

cd "$(dirname "$0")" && source ./lib.sh
wanted udp-1300 udp-64 || exit 0
span=$(seconds 3 1)

tunnel 4 || exit
for size in 1300 64; do
	! wanted udp-$size || result udp-$size "$(flood 192.168.241.2 $size "$span")" packets/s
done
