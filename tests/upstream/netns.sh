#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 2400
# guest: --append log_buf_len=16M
# Upstream's own test of the driver, tools/testing/selftests/wireguard/netns.sh, as it is in the
# kernel's source: this only prepares what it expects to find, runs it, and says how it ended.
# REPEAT=10 runs it ten times in one boot. It looks for each object's end in the kernel's log, which has to be
# long enough for what all rounds say.
#
# It runs in real time: with a clock that counts instructions, time would jump whenever the guest waits
# for the host's file system, which it does at each of the hundreds of programs that the script starts.
# The script gives an answer one second, and counts octets after a ping; so the host has to be fast enough
# that no passive keepalive, ten seconds later, comes before it has counted.

cd "$(dirname "$0")" && source ../guest/lib.sh

SCRIPT=/build/source/tools/testing/selftests/wireguard/netns.sh
REPEAT=${REPEAT:-1}
plan $((REPEAT * 3 + 2))

# It is written for the older iptables.
mkdir -p /tmp/bin
for name in iptables ip6tables; do
	ln -sf "/usr/sbin/$name-legacy" "/tmp/bin/$name"
done
export PATH=/tmp/bin:$PATH
# It sleeps by waiting for input that does not come: an input that has ended would be no rest at all.
mkfifo /tmp/silence
exec 8<>/tmp/silence
# An emulator translates code when it runs for the first time: on a kernel for debugging the first handshake then takes
# longer than the second that the script waits for an answer.
topology
session
tcp a 192.168.241.2 100K >/dev/null
teardown
sleep 2
# With this the driver tells of each object's birth and end, which the script reads.
echo 'module wireguard +p' >$DYNAMIC_DEBUG

# Runs it once, with a line now and then of how far it is; what it did is traced for the case of failure.
run() {
	local log=$1 pid shown=$SECONDS status=0
	BASH_XTRACEFD=9 PS4='+$LINENO ' bash -x "$SCRIPT" <&8 >"$log" 2>&1 9>"$log.trace" &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 1
		if [ $((SECONDS - shown)) -ge 30 ]; then
			shown=$SECONDS
			echo "# $(grep -a '\[+\]' "$log" | tail -n 1 | sed 's/\x1b\[[0-9;]*m//g')"
		fi
	done
	wait $pid || status=$?
	if [ $status -ne 0 ]; then
		tail -n 60 "$log" | sed 's/\x1b\[[0-9;]*m//g; s/^/# /'
		sed '/cleanup$/q' "$log.trace" | tail -n 40 | sed 's/^/# /'
	fi
	return $status
}

for round in $(seq "$REPEAT"); do
	log=/tmp/netns.$round
	begun=$SECONDS
	status=0
	run "$log" || status=$?
	echo "# round $round of $REPEAT: $((SECONDS - begun)) s"
	check "upstream's netns.sh passes" is "$status" 0
	check "to its last line" grep -aq "Objects that were created were also destroyed" "$log"
	# What it says of a routing loop does not end it.
	check "and says of no error on its way" not grep -aE 'E  R  R  O  R' "$log"
	rm -f "$log.trace"
done
check "it leaves no namespace behind" is "$(ip netns list)" ""
rmmod wireguard
if [ "$WG_MODULE" = ours ]; then
	check "no object is left" grep -q "unloaded, no object left" <(dmesg)
else
	echo "ok $((TESTS += 1)) - no object is left # SKIP the in-tree driver does not say"
fi
finish
