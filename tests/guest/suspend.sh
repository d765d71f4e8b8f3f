#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Suspend and hibernation end all sessions: what is in memory then must not decrypt anything later.
#
# The file system of the guest cannot be suspended, so the kernel turns back after it has announced
# suspend to drivers; that is what matters here. A kernel with pm_test goes as far as the freezer.

cd "$(dirname "$0")" && source ./lib.sh
plan 17

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

# Until processes are frozen the machine needs its network, as for a sync of file systems that are reached through the
# tunnel. Here the kernel tries to freeze one for eight seconds, and then turns back. An initiation is due after five.
if [ -e /proc/sys/vm/unprivileged_userfaultfd ]; then
	timeout=$(cat /sys/power/pm_freeze_timeout)
	echo 8000 >/sys/power/pm_freeze_timeout
	sysctl -qw net.core.message_cost=0
	echo "module wireguard +p" >$DYNAMIC_DEBUG
	a wg set wg0 peer "$PUB_B" persistent-keepalive 1
	python3 unfreezable.py 5 &
	check "a process cannot be frozen" wait_for 10 grep -q handle_userfault /proc/$!/stack
	check "the kernel gives up" suspend freeze "suspend exit"
	dmesg >/tmp/announced
	wait
	a wg set wg0 peer "$PUB_B" persistent-keepalive 0
	echo "module wireguard -p" >$DYNAMIC_DEBUG
	echo "$timeout" >/sys/power/pm_freeze_timeout
	check "after a while" grep -q "Freezing user space processes failed" /tmp/announced
	sed -i '0,/PM: suspend entry/d; /PM: suspend exit/,$d' /tmp/announced
	check "a session is made meanwhile" grep "Keypair [0-9]* created" /tmp/announced
	check "which goes on" session
else
	for what in "a process cannot be frozen" "the kernel gives up" "after a while" "a session is made meanwhile" "which goes on"; do
		skip "$what" "this kernel has no userfaultfd"
	done
fi

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
