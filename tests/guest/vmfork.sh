#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# flavour: debug kcsan
# When a virtual machine has been forked, all sessions end: two copies must not use the same keys. A module
# of the tests tells the kernel so, for which only our own kernels have an export; QEMU would have to
# restore a machine from a snapshot, which it cannot do with the guest's file system.

cd "$(dirname "$0")" && source ./lib.sh
plan 7

topology

check "a session" session
cut_handshakes
check "a session goes on while handshakes are cut off" a ping -c 2 -i 0.3 -W 3 192.168.241.2
check "the machine is forked" insmod "$MODULES/vmfork.ko"
refuse "the session has ended" a ping -c 1 -W 2 192.168.241.2
mend_handshakes
check "a handshake makes a new one" session
rmmod vmfork
a ping -f -q 192.168.241.2 >/dev/null 2>&1 &
check "there is traffic" flowing b
for i in 1 2 3 4 5; do
	insmod "$MODULES/vmfork.ko"
	sleep 0.3
	rmmod vmfork
done
a pkill ping
wait
check "forks under traffic" session
teardown
finish
