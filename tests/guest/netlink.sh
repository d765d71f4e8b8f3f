#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# The netlink interface below the tools: each attribute and flag there and back, what is ignored, nothing half done, and a
# dump that says so when the set changes under it. What is refused is in errors.sh.

cd "$(dirname "$0")" && source ./lib.sh
ip link add wg0 type wireguard
python3 netlink.py
FAILED=$?
finish
