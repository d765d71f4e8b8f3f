#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# The netlink interface below the tools: each attribute and flag there and back, each kind of bad request
# with its errno (the in-tree driver's) and a text that says what is wrong, nothing half done, and a dump
# that says so when the set changes under it.

cd "$(dirname "$0")" && source ./lib.sh
ip link add wg0 type wireguard
ip link add dummy0 type dummy 2>/dev/null || ip link add dummy0 type veth peer name dummy1
python3 netlink.py
FAILED=$?
ip link del dummy0
finish
