#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# TCP throughput through a tunnel: what the receiver got, with one stream, four streams, and one stream
# in the other direction, over IPv4 and IPv6.

cd "$(dirname "$0")" && source ./lib.sh
span=$(seconds 3 1)

for outside in 4 6; do
	wanted tcp-1-ipv$outside tcp-4-ipv$outside tcp-reverse-ipv$outside || continue
	tunnel $outside || exit
	! wanted tcp-1-ipv$outside || result tcp-1-ipv$outside "$(rate 192.168.241.2 "$span")" Mbit/s
	! wanted tcp-4-ipv$outside || result tcp-4-ipv$outside "$(rate 192.168.241.2 "$span" -P 4)" Mbit/s
	! wanted tcp-reverse-ipv$outside || result tcp-reverse-ipv$outside "$(rate 192.168.241.2 "$span" -R)" Mbit/s
done
