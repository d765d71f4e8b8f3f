#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The side of the demonstration that has the in-tree driver.

source tests/interop/lib.sh
echo "Linux $(uname -r); module $(modinfo -n wireguard)"
setup
barrier ready
iperf3 -s -1 -D
sleep 1
barrier served
barrier done
WG_COLOR_MODE=never wg show
