#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 400
# Thousands of peers: set, shown in many parts, changed while being shown, deleted. big-dump is larger.

cd "$(dirname "$0")" && source ./lib.sh
plan 13

PEERS=${PEERS:-1500}
IPS=${IPS:-5}
ip link add wg0 type wireguard
ip link set wg0 up

# Sections of so many peers, each with so many allowed IPs. Public keys need not have private ones for this.
# usage: peers NUMBER [ALLOWED_IPS]
peers() {
	python3 - "$1" "${2:-0}" <<-'EOT'
		import base64, hashlib, sys
		peers, ips = int(sys.argv[1]), int(sys.argv[2])
		for i in range(peers):
		    key = bytearray(hashlib.sha256(str(i).encode()).digest())
		    key[31] &= 0x7f
		    print("\n[Peer]\nPublicKey = " + base64.b64encode(key).decode())
		    if ips:
		        addresses = [f"10.{i >> 8 & 255}.{i & 255}.{j}/32" for j in range(ips)]
		        print("AllowedIPs = " + ", ".join(addresses + [f"fd00:{i + 1:x}::/64"]))
		    print(f"Endpoint = 192.0.2.1:{1 + i % 60000}")
	EOT
}
{
	printf '[Interface]\nListenPort = 5000\n'
	peers "$PEERS" "$IPS"
} >/tmp/conf

check "$PEERS peers are set" wg setconf wg0 /tmp/conf
check "all are shown" is "$(wg show wg0 peers | wc -l)" "$PEERS"
check "none twice" is "$(wg show wg0 peers | sort -u | wc -l)" "$PEERS"
check "with all allowed IPs" is "$(wg show wg0 allowed-ips | cut -f 2 | wc -w)" $((PEERS * (IPS + 1)))
check "and just these" bash -c "wg showconf wg0 | sort | cmp - <(sort /tmp/conf)"

# One peer with so many allowed IPs that they need several messages.
big() {
	local key list=
	key=$(wg genkey | wg pubkey)
	for i in $(seq 0 7); do for j in $(seq 0 255); do list+="172.16.$i.$j/32,"; done; done
	wg set wg0 peer "$key" allowed-ips "${list%,}" || return
	is "$(wg show wg0 allowed-ips | grep -F "$key" | cut -f 2 | tr ' ' '\n' | sort -u | wc -l)" 2048 || return
	wg set wg0 peer "$key" remove
}
check "a peer whose allowed IPs fill several messages" big

# A dump that is torn is repeated by wg, so each answer is whole.
torn() {
	local i shown
	(for i in $(seq 20); do
		wg set wg0 peer "$(wg genkey | wg pubkey)" allowed-ips "172.30.0.$i/32"
	done) &
	for i in $(seq 5); do
		shown=$(wg show wg0 peers)
		is "$(sort <<<"$shown" | uniq -d | wc -l)" 0 || return
		[ "$(wc -l <<<"$shown")" -ge "$PEERS" ] || return
	done
	wait
	is "$(wg show wg0 peers | wc -l)" $((PEERS + 20))
}
check "peers are added while others are shown" torn
begun=$(date +%s)
check "the interface is deleted with all its peers" timeout 60 ip link del wg0
echo "# deletion took $(($(date +%s) - begun)) s"

# With more than 4,096 peers new receiver indices go into another table.
again() { ip -n a link set wg0 down && ip -n a link set wg0 up && session; }
both() { a ping -c 1 -W 3 192.168.241.2 && b ping -c 1 -W 3 192.168.241.1; }
topology
check "a session while there are few peers" session
a wg showconf wg0 >/tmp/few
peers 4200 >/tmp/more
a wg addconf wg0 /tmp/more
check "goes on when there are many" both
check "another one with many" again
a wg syncconf wg0 /tmp/few
check "goes on when the others are gone" both
check "another one with few" again
teardown
finish
