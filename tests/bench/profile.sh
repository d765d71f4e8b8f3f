#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Traffic of one kind, and the marks between which tests/bench/profile.rs counts. scripts/profile runs it.
#
# usage: profile.sh KIND SECONDS

cd "$(dirname "$0")" && source ./lib.sh
kind=$1 span=$2

tunnel 4 || exit
case $kind in
tcp-software-gso | tcp-gro)
	# As in paths.sh.
	for n in a b; do
		ip netns exec $n ethtool -K veth0 tx-udp-segmentation off >/dev/null
		[ "$kind" != tcp-gro ] || ip netns exec $n ethtool -K veth0 tso off gro on >/dev/null
	done
	traffic=(iperf3 -c 192.168.241.2 -t 600)
	;;
tcp-1) traffic=(iperf3 -c 192.168.241.2 -t 600) ;;
tcp-4) traffic=(iperf3 -c 192.168.241.2 -t 600 -P 4) ;;
tcp-reverse) traffic=(iperf3 -c 192.168.241.2 -t 600 -R) ;;
udp-1300 | udp-64) traffic=(iperf3 -c 192.168.241.2 -t 600 -u -b 0 -l "${kind#udp-}") ;;
ping) traffic=(ping -q -i 0.002 192.168.241.2) ;;
handshakes)
	# As in handshakes.sh; it takes as long as it does, and there are no other packets.
	ip -n b link add wg1 type wireguard
	b wg setconf wg1 /share/initiations.conf
	ip -n b link set wg1 up
	traffic=(python3 handshakes.py /share/initiations 10.0.0.2 3000)
	;;
insert) traffic=(python3 netlink.py send /share/insert) ;;
remove)
	a python3 netlink.py send /share/insert >/dev/null
	traffic=(python3 netlink.py send /share/remove)
	;;
dump)
	ip -n a link add wg1 type wireguard
	a wg setconf wg1 /share/peers.conf
	traffic=(python3 netlink.py dump wg1)
	;;
*)
	echo "# unknown kind of traffic '$kind'"
	exit 1
	;;
esac
sysctl -qw kernel.kptr_restrict=0
ip netns exec a "${traffic[@]}" >/dev/null 2>&1 &
case $kind in
handshakes | insert | remove | dump) ;;
*) sleep 0.5 ;;
esac
received() { ip netns exec b cat /sys/class/net/wg0/statistics/rx_"$1" /sys/class/net/wg0/statistics/tx_"$1" | awk '{ n += $1 } END { print n }'; }
packets=$(received packets) octets=$(received bytes)
touch /share/profile.begin
case $kind in
handshakes | insert | remove | dump) wait ;;
*) sleep "$span" ;;
esac
touch /share/profile.end
echo "packets $(($(received packets) - packets))"
echo "octets $(($(received bytes) - octets))"
kill %1 2>/dev/null
wait 2>/dev/null
grep -v ' [aAU] ' /proc/kallsyms >/share/profile.symbols
no_tunnel
