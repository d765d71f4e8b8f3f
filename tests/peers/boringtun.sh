#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 900
# guest: --icount
# boringtun on the other side: traffic, keys, roaming, sessions renewed by either, cookies under load.

cd "$(dirname "$0")" && source ./lib.sh
plan 38
topology_with ../clients/target/bin/boringtun wg1 || exit
peer_traffic
peer_keys
rekey "begun by us" a ping 192.168.241.2
introduce "$PSK"
b ping -c 1 -W 5 192.168.241.1 >/dev/null
rekey "begun by the peer" b ping 192.168.241.1
peer_cookies
peer_roams
peer_changes_version
farewell
finish
