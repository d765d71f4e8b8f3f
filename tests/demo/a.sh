#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The side of the demonstration that has this driver.

source tests/interop/lib.sh
echo "Linux $(uname -r); module $(modinfo -F filename /src/wireguard.ko): $(modinfo -F description /src/wireguard.ko)"
grep -o '^wireguard [0-9]*' /proc/modules
setup
barrier ready
ping -c 3 10.99.0.2
barrier served
iperf3 -c 10.99.0.2 -t 4 | grep -E 'sender|receiver'
ip -d link show wg0
NO_COLOR=1 WG_COLOR_MODE=never wg show
barrier done
