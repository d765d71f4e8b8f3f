#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 900
# guest: --mem 512
# No key outlives its use: the machine's memory is searched for private key, preshared key and session
# keys while they are in use, where they must be found, and after their end, where they must not be.
# tests/tools/src/bin/keysearch.rs says how, and prints the results.

cd "$(dirname "$0")" && source ./lib.sh
SEARCH=$TOOLS/keysearch
need $SEARCH
if [ ! -e /proc/kcore ]; then
	plan 1
	skip "keys are wiped" "this kernel does not show its memory (/proc/kcore)"
	finish
fi
exec $SEARCH
