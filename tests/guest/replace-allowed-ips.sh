#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# A peer's allowed IPs are replaced in one step: no packet falls through while lists replace each other, lists may be
# longer than one attribute, and a bad entry in one leaves everything as it was.

cd "$(dirname "$0")" && source ./lib.sh
export PYTHONDONTWRITEBYTECODE=1
plan 21
replace() { a python3 /src/scripts/options wg0 replace-allowed-ips "$@"; }
allowed() { a wg show wg0 allowed-ips | awk -v key="$1" '$1 == key { for (i = 2; i <= NF; i++) print $i }' | sort | tr '\n' ' '; }

topology
session
other=$(wg genkey | wg pubkey)
a wg set wg0 peer "$other" allowed-ips 10.7.0.0/16,10.8.0.0/16
check "a list is replaced" replace "$PUB_B" 192.168.241.2/32 10.7.0.0/16 fd41::/64
check "the peer has what is in it, also what was another one's" is "$(allowed "$PUB_B")" "10.7.0.0/16 192.168.241.2/32 fd41::/64 "
check "the other one has lost it" is "$(allowed "$other")" "10.8.0.0/16 "
check "packets go by it" a ping -c 1 -W 5 fd41::2
check "an entry may be there twice" replace "$PUB_B" 192.168.241.2/32 192.168.241.2/32 fd41::2/128
check "and counts once" is "$(allowed "$PUB_B")" "192.168.241.2/32 fd41::2/128 "
check "an empty list takes everything away" eval 'replace "$PUB_B" && is "$(allowed "$PUB_B")" "(none) "'
check "and the next one gives it back" eval 'replace "$PUB_B" 192.168.241.0/24 && a ping -c 1 -W 5 192.168.241.2'

check "a peer that is not there is refused" says "no such peer" replace "$(wg genkey | wg pubkey)" 10.9.0.0/16
check "a list with a bad entry is refused" says "does not fit its family" a python3 - <<-EOT
	import base64, sys
	sys.path.insert(0, "/src/tests/guest")
	from wgnl import *
	sock = Socket()
	good, bad = allowed_ip("10.9.0.0", 16), allowed_ip("10.10.0.0", 33)
	sock.send(98, NLM_F_REQUEST | NLM_F_ACK, name("wg0") + attr(3, base64.b64decode("$PUB_B")) +
	          nest(4, good) + nest(4, good, bad))
	sock.answer()
EOT
check "so is one with flags" says "Invalid argument" a python3 - <<-EOT
	import base64, sys
	sys.path.insert(0, "/src/tests/guest")
	from wgnl import *
	sock = Socket()
	sock.send(98, NLM_F_REQUEST | NLM_F_ACK, name("wg0") + attr(3, base64.b64decode("$PUB_B")) +
	          nest(4, allowed_ip("10.9.0.0", 16, u32(A_FLAGS, 1))))
	sock.answer()
EOT
check "both change nothing" is "$(allowed "$PUB_B")" "192.168.241.0/24 "
check "who may not administer is refused" says "Operation not permitted" a setpriv --bounding-set -net_admin \
	--inh-caps -net_admin python3 /src/scripts/options wg0 replace-allowed-ips "$PUB_B"
check "the kernel's tools know the command" a python3 /build/source/tools/net/ynl/pyynl/cli.py \
	--schema /build/source/Documentation/netlink/genetlink-legacy.yaml \
	--spec /src/Documentation/netlink/wireguard-options.yaml --do replace-allowedips --json \
	"{\"ifname\": \"wg0\", \"public-key\": \"$(base64 -d <<<"$PUB_B" | od -An -tx1 -v | tr -d ' \n')\"}"

# More than one attribute can hold.
many() {
	python3 -c '
for n in range(5000):
    print(f"10.{n >> 8}.{n & 255}.0/24\nfd42:0:0:{n:x}::/64")
print("192.168.241.2")'
}
check "a list of 10,001" eval 'many | replace "$PUB_B" -'
check "is there as a whole" is "$(a wg show wg0 allowed-ips | grep "^$PUB_B" | wc -w)" 10002
check "and goes as a whole" eval 'replace "$PUB_B" 192.168.241.2 && is "$(allowed "$PUB_B")" "192.168.241.2/32 "'

# While packets flow both ways, lists replace each other, each of which has the address by another prefix.
a ping -q -f -w 40 192.168.241.2 >/tmp/ping 2>&1 &
pinging=$!
python3 - "$PUB_B" >/tmp/turns <<-'EOT'
	import base64, sys, time, ctypes, os
	sys.path.insert(0, "/src/tests/guest")
	libc = ctypes.CDLL(None)
	libc.setns(os.open("/run/netns/a", os.O_RDONLY), 0)
	from wgnl import *
	sock, key = Socket(), base64.b64decode(sys.argv[1])
	lists = [[("192.168.241.0", bits)] + [(f"10.{n}.{turn}.0", 24) for n in range(100)]
	         for turn, bits in enumerate((24, 16, 8, 0))] + [[("192.168.241.2", 32), ("192.168.0.0", 16)]]
	end, turns = time.monotonic() + 15, 0
	while time.monotonic() < end:
	    entries = [allowed_ip(*entry) for entry in lists[turns % len(lists)]]
	    sock.send(98, NLM_F_REQUEST | NLM_F_ACK, name("wg0") + attr(3, key) + nest(4, *entries))
	    sock.answer()
	    turns += 1
	print(turns)
EOT
kill -INT $pinging
wait $pinging
check "lists were replaced many times" test "$(cat /tmp/turns)" -ge 50
received=$(sed -nE 's/.* ([0-9]+) received.*/\1/p' /tmp/ping)
check "while packets flowed" test "$received" -ge 100
check "none was without a peer" is "$(device_counter a tx_drop_no_peer)" 0
check "no answer came from an address that is not allowed" is "$(device_counter a rx_drop_source_not_allowed)" 0
teardown
finish
