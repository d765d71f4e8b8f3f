#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Suspend and hibernation end all sessions: what is in memory then must not decrypt anything later.
#
# The file system of the guest cannot be suspended, so the kernel turns back after it has announced
# suspend to drivers; that is what matters here. A kernel with pm_test goes as far as the freezer.

cd "$(dirname "$0")" && source ./lib.sh
plan 12

topology
[ ! -e /sys/power/pm_test ] || echo freezer >/sys/power/pm_test

suspend() {
	local said
	dmesg -C
	{ echo "$1" >/sys/power/state; } 2>/dev/null || true
	said=$(dmesg)
	grep -q "PM: $2" <<<"$said"
}

check "a session" session
cut_handshakes
check "goes on while handshakes are cut off" a ping -c 2 -i 0.3 -W 3 192.168.241.2
check "the kernel announces suspend" suspend freeze "suspend"
refuse "the session has ended" a ping -c 1 -W 2 192.168.241.2
mend_handshakes
check "a handshake makes a new one" session
check "which works in both directions" b ping -c 1 -W 3 192.168.241.1

cut_handshakes
# With a test of the freezer, the kernel for debugging kills init when it thaws, whichever driver is loaded.
[ ! -e /sys/power/pm_test ] || echo none >/sys/power/pm_test
check "it goes on while handshakes are cut off" a ping -c 2 -i 0.3 -W 3 192.168.241.2
check "the kernel announces hibernation" suspend disk "hibernation"
refuse "the session has ended" a ping -c 1 -W 2 192.168.241.2
mend_handshakes
check "a handshake makes a new one" session

# A suspend under traffic.
a ping -f -q 192.168.241.2 >/dev/null 2>&1 &
b ping -f -q fd41::1 >/dev/null 2>&1 &
check "there is traffic" flowing b
for i in 1 2 3; do suspend freeze suspend; done
a pkill ping
b pkill ping
wait
check "suspend under traffic" session

teardown
finish
