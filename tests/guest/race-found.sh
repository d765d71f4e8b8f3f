#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# flavour: kcsan
# Whoever looks for data races finds them: KCSAN is on, a module of the tests that has one is reported, and this
# driver's Rust is instrumented as well. Without that the other tests on this kernel would show nothing.

cd "$(dirname "$0")" && source ./lib.sh
plan 4

check "the search for data races is on" grep -qx 'enabled: 1' /sys/kernel/debug/kcsan
check "accesses are watched" awk '/^setup_watchpoints:/ { exit !($2 > 0) }' /sys/kernel/debug/kcsan
insmod "$MODULES/race.ko"
check "a data race is found" wait_for 30 sh -c "dmesg | grep -q 'BUG: KCSAN: data-race in racing_thread'"
rmmod race
instrumented() {
	python3 - /src/wireguard.ko <<-'EOT'
		import re, subprocess, sys
		text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", sys.argv[1]], capture_output=True, text=True).stdout
		functions = re.split(r"\n(?=[0-9a-f]+ <)", text)
		rust = [f for f in functions if re.match(r"[0-9a-f]+ <_R", f)]
		watched = [f for f in rust if "__tsan_" in f]
		print(len(watched), "of", len(rust))
		sys.exit(len(watched) * 2 < len(rust))
	EOT
}
check "most functions of the driver are instrumented" instrumented
finish
