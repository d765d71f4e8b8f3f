#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 400
# Thousands of peers: set, shown in many parts, changed while being shown, deleted. big-dump is larger.

cd "$(dirname "$0")" && source ./lib.sh
plan 8

PEERS=${PEERS:-1500}
IPS=${IPS:-5}
ip link add wg0 type wireguard
ip link set wg0 up

# Public keys need not have private ones for this.
python3 - "$PEERS" "$IPS" >/tmp/conf <<'EOT'
import base64, hashlib, sys
peers, ips = int(sys.argv[1]), int(sys.argv[2])
print("[Interface]\nListenPort = 5000")
for i in range(peers):
    key = bytearray(hashlib.sha256(str(i).encode()).digest())
    key[31] &= 0x7f
    print("\n[Peer]\nPublicKey = " + base64.b64encode(key).decode())
    addresses = [f"10.{i >> 8 & 255}.{i & 255}.{j}/32" for j in range(ips)] + [f"fd00:{i + 1:x}::/64"]
    print("AllowedIPs = " + ", ".join(addresses))
    print(f"Endpoint = 192.0.2.1:{1 + i % 60000}")
EOT

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
finish
