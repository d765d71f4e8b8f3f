#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module goes while interfaces exist and traffic flows, and leaves nothing behind.

cd "$(dirname "$0")" && source ./lib.sh
plan 7

for i in $(seq 5); do
	ip link add "extra$i" type wireguard
	wg set "extra$i" private-key <(wg genkey) peer "$(wg genkey | wg pubkey)" allowed-ips 10.7.0.0/16 endpoint 192.0.2.1:9
	ip link set "extra$i" up
done
topology
check "a session" a ping -c 1 -W 5 192.168.241.2
b iperf3 -s -1 -D
sleep 1
a timeout -k 5 20 iperf3 -c 192.168.241.2 -t 15 >/dev/null 2>&1 &
check "there is traffic" flowing b
check "the module goes" rmmod wireguard
check "and the interfaces with it" is "$(ip -o link show type wireguard 2>/dev/null | wc -l)" 0
no_object_left
if [ "$WG_MODULE" = ours ]; then
	reload=(insmod /src/wireguard.ko)
else
	reload=(modprobe wireguard)
fi
teardown
check "it comes back" "${reload[@]}"
wait
topology
check "and works" a ping -c 1 -W 5 192.168.241.2
teardown
finish
