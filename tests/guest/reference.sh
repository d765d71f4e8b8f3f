#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 300
# Documentation/reference.md is complete and true: the loaded module has the counters, tracepoints with their fields,
# debug messages and parameters that the page has, and no others; likewise the events and options of the specifications
# and of scripts/monitor and scripts/options, and the kernel's words for drops. The commands of the page are run as they
# are written there.

cd "$(dirname "$0")" && source ./lib.sh
plan 29
page reference.md

# The rows of the page's tables whose first column is this, without backquotes.
# usage: rows EXTENDED-REGULAR-EXPRESSION
rows() {
	sed -nE '/^\|/s/^\| (.*) \|$/\1/p' "$PAGE" | grep -E "^($1) \| " | tr -d '`'
}
# A column of such rows, sorted. usage: column NUMBER ROWS
column() {
	awk -F ' \\| ' -v n="$1" '{ print $n }' <<<"$2" | sort
}
# Passes if both lists are the same; prints where they differ. usage: same LIST LIST
same() {
	[ -n "$1" ] && diff <(sort <<<"$1") <(sort <<<"$2")
}

topology
run a statistics
names=$(sed -nE 's/^ +(.*): [0-9]+$/\1/p' /tmp/statistics)
counters=$(rows '`[a-z]+_[a-z0-9_]+`' | grep -vE '^wg_')
check "all counters, and no others" same "$(column 1 "$counters")" "$names"
check "each has a unit" not grep -vE '^[^|]* \| (messages|packets|packets, messages|buffers|trains|GSO packets|handshakes|sessions|times) \| ' <<<"$counters"

# The kernel's word for each reason, as the source has it.
kernel_words() {
	local word constant
	sed -nE 's/^ +[A-Za-z]+ = "([a-z0-9_]+)", ([A-Z_]+);$/\1 \2/p' /src/src/counters.rs | while read -r name constant; do
		word=$(sed -nE "s/^ +pub\(crate\) const $constant: Self = .*SKB_DROP_REASON_([A-Z_]+)\);\$/\1/p" /src/src/net/skb/reason.rs)
		echo "$name $word"
	done
}
check "the kernel's word for each drop" same \
	"$(grep -E '^[rt]x_(drop|refused)_' <<<"$counters" | awk -F ' \\| ' '{ print $1, $4 }')" "$(kernel_words)"

run a tracepoints
check "the tracepoints can be listed" shows tracepoints '^wg_drop$'
check "and their formats shown" shows tracepoints 'print fmt: "dev=%s peer=%llu endpoint=%pISpc value=%llu"'
points=$(rows '`wg_[a-z_]+`')
check "all tracepoints, and no others" same "$(column 1 "$points")" \
	"$(cd /sys/kernel/tracing/events/wireguard && printf '%s\n' wg_*)"
# usage: fields_of TRACEPOINT   as "name type", as the kernel has them
fields_of() {
	sed -nE 's/^\tfield:(.*);\toffset.*/\1/p' "/sys/kernel/tracing/events/wireguard/$1/format" | grep -v ' common_' |
		sed -E 's/^([a-z0-9]+) ([a-z]+)(\[[0-9]+\])?$/\2 \1\3/'
}
all_fields() {
	local point kind
	while read -r point kind; do
		same "$(rows "$kind" | awk -F ' \\| ' '{ print $2, $3 }')" "$(fields_of "$point")" || return
	done <<<"$(awk -F ' \\| ' '{ print $1, $2 }' <<<"$points")"
}
check "each has the fields of its kind, and no others" all_fields

run a debug
# As the kernel lists them, without what each begins with and without the backslashes before quotes.
messages=$(sed -nE 's/.*\[wireguard\].*"wireguard: \{\}: (.*)\\012"$/\1/p; s/.*\[wireguard\].*"wireguard: \{\}: (.*)\\n"$/\1/p' /tmp/debug)
described=$(sed -nE 's/^\| `([A-Z][^`]*)` \| (yes)? ?\| .*/\1/p' "$PAGE")
check "all debug messages, and no others" same "$described" "${messages//\\\'/\'}"
check "messages are switched on by their words" is \
	"$(grep '\[wireguard\]' $DYNAMIC_DEBUG | grep -c '=p.*Keypair')" 2
check "and others are off" is "$(grep '\[wireguard\]' $DYNAMIC_DEBUG | grep -vc '=_ ')" 2
echo 'module wireguard -p' >$DYNAMIC_DEBUG

check "there are no parameters" not test -e /sys/module/wireguard/parameters
check "nor does the file have any" is "$(modinfo -F license /src/wireguard.ko) $(modinfo -F parm /src/wireguard.ko)" "GPL "

# The page, the specification, the monitor and the source; that the module sends them, `events` shows.
events=$(rows '`[a-z]+(-[a-z]+)+` \| [678][0-9]' | awk -F ' \\| ' '{ print $1, $2 }')
check "all events of the specification, and no others" same "$events" "$(
	awk '/^operations:/ { on = 1 } /^mcast-groups:/ { on = 0 } on && $1 == "name:" { name = $2 } on && $1 == "value:" { print name, $2 }' \
		/src/Documentation/netlink/wireguard-events.yaml
)"
check "and of the monitor" same "$events" "$(sed -nE 's/^ +([0-9]+): "([a-z-]+)",$/\2 \1/p' /src/scripts/monitor)"
check "and of the module" same "$(cut -d ' ' -f 2 <<<"$events")" "$(sed -nE 's/^ +[A-Za-z]+ = ([0-9]+),$/\1/p' /src/src/netlink/events.rs)"
usage=$(sed -nE 's/^`(scripts\/monitor .*)`$/\1/p' "$PAGE")
# Options. usage: yaml AWK-PROGRAM   of lines of the specification, with their first two words
yaml() {
	awk "$1" /src/Documentation/netlink/wireguard-options.yaml
}
run a options
off="interface=wg0 bind=none copy-dscp=off path-mtu=off link-local=off"
check "options are shown, and set" is "$(cat /tmp/options)" "$off"$'\n'"$off"
check "and allowed IPs replaced" is "$(a wg show wg0 allowed-ips | cut -f 2)" 192.168.241.0/24
a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.2/32,fd41::2/128
commands=$(rows '`[a-z]+-[a-z]+` \| 9[0-9]' | awk -F ' \\| ' '{ print $1, $2 }')
check "all commands of the specification, and no others" same "$commands" "$(
	yaml '/^operations:/ { on = 1 } on && $1 == "name:" { name = $2 } on && $1 == "value:" { print name, $2 }'
)"
check "and of the tool" same "$(cut -d ' ' -f 2 <<<"$commands")" \
	"$(sed -nE 's/^GET_OPTIONS, .* = (.*)$/\1/p' /src/scripts/options | tr -d , | tr ' ' '\n')"
check "and of the module" same "$(tr 'a-z-' 'A-Z_' <<<"$commands")" \
	"$(sed -nE 's/^const ([A-Z_]+): u8 = ([0-9]+);$/\1 \2/p' /src/src/netlink/{options,replace}.rs)"
attributes=$(rows 'options|replacement|allowedip')
check "all attributes of the specification with their numbers and types, and no others" same \
	"$(awk -F ' \\| ' '{ print $1, $2, $3, $4 }' <<<"$attributes")" "$(
	yaml '/^  -$/ { outer = 1; next } /^operations:/ { exit }
		$1 == "name:" { if (outer) set = $2; else name = $2; outer = 0 }
		$1 == "type:" { type = $2 }
		$1 == "value:" { value[set " " name] = $2; types[set " " name] = type }
		END { for (n in value) print n, value[n], types[n] }'
)"
# The first two are those of every command of the family, and the module has the last set from the kernel's commands.
check "those of the module" same "$(awk -F ' \\| ' '$1 != "allowedip" && $3 > 2 { gsub("-", "_", $2); print toupper($2), $3 }' <<<"$attributes")" \
	"$(sed -nE 's/^    pub\(super\) const ([A-Z_]+): u16 = ([0-9]+);$/\1 \2/p' /src/src/netlink/{options,replace}.rs)"
# usage: policy NAME FILE   the types that the module takes, from attribute 1 on
policy() {
	sed -n "/^static $1: /,/^\];/p" "/src/src/netlink/$2.rs" | tr -d '\n' | grep -oE 'Policy::[a-z0-9_]+\([^)]*\)' | tail -n +2 |
		sed -E 's/Policy:://; s/^nul_string.*/string/; s/^up_to8\(1\)/u8/; s/^(exact|min)_len.*/binary/; s/^nested_array.*/indexed-array/; s/\(.*//'
}
kinds() {
	awk -F ' \\| ' -v set="$1" '$1 == set { print $3, $4 }' <<<"$attributes" | sort -n | cut -d ' ' -f 2
}
check "and what it takes for options" is "$(policy SET_POLICY options)" "$(kinds options)"
check "for a replacement" is "$(policy POLICY replace)" "$(kinds replacement)"
check "and for each allowed IP" is "$(policy ENTRY_POLICY replace)" "$(kinds allowedip)"
help=$(python3 /src/scripts/options --help)
words() {
	local word
	for word in $(awk -F ' \\| ' '{ print $6 }' <<<"$attributes"); do
		grep -qE "(^| |\[)$word([]. =]|$)" <<<"$help" || { echo "$word"; return 1; }
	done
	same "$(awk -F ' \\| ' '$1 == "options" && $6 ~ /^[a-z]/ { print $6 }' <<<"$attributes" | sort -u)" \
		"$(sed -nE 's/^  ([a-z-]+)=.*/\1/p' <<<"$help")"
}
check "all words of the tool, and no others" words

check "the monitor's options" grep -qF "usage: ${usage#scripts/}" <(python3 /src/scripts/monitor --help)

ping_b() {
	a ping -c 1 -W 5 192.168.241.2
}
run_during b monitor ping_b
check "the monitor prints an event" shows monitor \
	"^handshake-completed interface=wg0 peer=${PUB_A//+/\\+} endpoint=10.0.0.1:1000 last-handshake=[0-9]+$"
teardown
check "each block of the page was run, here or by tests/clients/tracing.sh" \
	each_block_was_run perf-trace perf-record perf-drops bpftrace dropwatch
finish
