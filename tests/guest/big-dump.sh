#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 1200
# A dump of 5,000 peers with 50 allowed IPs each, a quarter of a million in all, is right in each of them.
# many-peers is the quick version.

cd "$(dirname "$0")" && source ./lib.sh
plan 5
ip link add wg0 type wireguard
checks_of python3 big-dump.py "${PEERS:-5000}" "${IPS:-50}"
ip link del wg0
finish
