#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 900
# The timers of a peer, as an observer between the two sides sees them: renewal by age under traffic, late
# data, keepalives, silence, giving up, and the end of all keys. In this guest, time is the count of
# instructions, and jumps when there is nothing to do, so ten minutes pass in seconds.

cd "$(dirname "$0")" && source ./lib.sh
plan 41
for scenario in renewal late expired keepalive persistent silence nobody zeroing; do
	topology
	echo 'module wireguard +p' >$DYNAMIC_DEBUG
	checks_of python3 timers.py $scenario
	teardown
done
echo 'module wireguard -p' >$DYNAMIC_DEBUG
finish
