#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# time: 600
# The kernel's own YNL tools with its specification of the family: the command line (cli.py) dumps and
# sets, and the test program of tools/net/ynl/tests dumps.

cd "$(dirname "$0")" && source ../guest/lib.sh
plan 19

# The attributes of a request are checked against wireguard.yaml, and that against its schema.
export PYTHONDONTWRITEBYTECODE=1
ynl() {
	a python3 /build/source/tools/net/ynl/pyynl/cli.py --spec /build/source/Documentation/netlink/specs/wireguard.yaml "$@"
}
# Something of the dump's JSON, in Python: the device, its first peer, that one's allowed IPs.
# usage: field EXPRESSION
field() {
	python3 -c '
import json, sys
device = json.load(open("/tmp/dump.json"))[0]
peer, = device["peers"][0].values()
ips = sorted("{ipaddr}/{cidr-mask}".format(**list(x.values())[0]) for x in peer["allowedips"])
print(eval(sys.argv[1]))' "$1"
}
dump() {
	ynl --dump get-device --json '{"ifname": "wg0"}' --output-json >/tmp/dump.json
}
hex() { base64 -d <<<"$1" | od -An -tx1 -v | tr -d ' \n'; }

topology
check "traffic" a ping -c 1 -W 5 192.168.241.2
check "a dump by name" dump
check "the name" is "$(field 'device["ifname"]')" wg0
check "the port" is "$(field 'device["listen-port"]')" 1000
check "the public key" is "$(field 'device["public-key"].replace(" ", "")')" "$(hex "$PUB_A")"
check "the peer's key" is "$(field 'peer["public-key"].replace(" ", "")')" "$(hex "$PUB_B")"
check "the protocol's version" is "$(field 'peer["protocol-version"]')" 1
check "octets were received" test "$(field 'peer["rx-bytes"]')" -gt 100
check "allowed IPs" is "$(field '" ".join(ips)')" "192.168.241.2/32 fd41::2/128"
check "a dump by index" ynl --dump get-device --json "{\"ifindex\": $(a cat /sys/class/net/wg0/ifindex)}"

check "set: the port and the mark" ynl --do set-device --json '{"ifname": "wg0", "listen-port": 1234, "fwmark": 77}'
check "are set" is "$(a wg show wg0 listen-port) $(a wg show wg0 fwmark)" "1234 0x4d"
other=$(wg genkey | wg pubkey)
check "set: a peer" ynl --do set-device --json "{\"ifname\": \"wg0\", \"peers\": [{\"public-key\": \"$(hex "$other")\",
	\"persistent-keepalive-interval\": 11, \"flags\": [\"replace-allowedips\"],
	\"allowedips\": [{\"family\": 2, \"ipaddr\": \"10.6.0.0\", \"cidr-mask\": 16}]}]}"
check "is there" is "$(a wg show wg0 allowed-ips | grep "$other" | cut -f 2) $(a wg show wg0 persistent-keepalive | grep "$other" | cut -f 2)" "10.6.0.0/16 11"
check "set: the peer goes" ynl --do set-device --json "{\"ifname\": \"wg0\", \"peers\": [{\"public-key\": \"$(hex "$other")\", \"flags\": [\"remove-me\"]}]}"
check "is gone" is "$(a wg show wg0 peers)" "$PUB_B"
refuse "a key of the wrong length" ynl --do set-device --json '{"ifname": "wg0", "private-key": "0011"}'
refuse "an interface that is not ours" ynl --dump get-device --json '{"ifname": "lo"}'

# Many peers take several messages, which the test program puts together.
for i in $(seq 200); do
	echo "[Peer]"
	printf 'PublicKey = %042dA=\n' "$i"
	echo "AllowedIPs = 10.200.$i.0/24, 10.201.$i.0/24, 10.202.$i.0/24"
done >/tmp/many
a wg addconf wg0 /tmp/many
a target/bin/ynl-wireguard wg0 >/tmp/ynl
check "the kernel's YNL test dumps all peers and allowed IPs" is "$(grep -c '^.Peer ' /tmp/ynl) $(grep -c '^\s*10\.20' /tmp/ynl)" "201 600"
teardown
finish
