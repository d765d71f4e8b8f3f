#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 900
# guest: --icount
# wireguard-go on the other side: traffic, keys, roaming, sessions renewed by either, cookies under load.

cd "$(dirname "$0")" && source ./lib.sh
plan 36
export WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1
topology_with wireguard-go --foreground wg1 || exit
peer_traffic
peer_keys
rekey "begun by us" a ping 192.168.241.2
introduce "$PSK"
b ping -c 1 -W 5 192.168.241.1 >/dev/null
rekey "begun by the peer" b ping 192.168.241.1
peer_cookies
peer_roams
# Not from IPv4 to IPv6: Debian's wireguard-go then answers to an address whose last half is zero, now and then.
farewell
finish
