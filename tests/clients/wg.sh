#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every subcommand of wg, and every field that wg show has, on a tunnel in use.

cd "$(dirname "$0")" && source ../guest/lib.sh
plan 45

key() { [[ $1 =~ ^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$ ]]; }
check "genkey makes a private key" key "$(wg genkey)"
check "another one each time" not is "$(wg genkey)" "$(wg genkey)"
check "genpsk makes a preshared key" bash -c '[[ $(wg genpsk) =~ ^[A-Za-z0-9+/]{43}=$ ]]'
check "pubkey agrees with a known pair" is "$(wg pubkey <<<yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=)" HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=

topology
PSK=$(wg genpsk)
b wg set wg0 peer "$PUB_A" preshared-key <(echo "$PSK")
a wg set wg0 fwmark 0x51 peer "$PUB_B" preshared-key <(echo "$PSK") persistent-keepalive 25
check "traffic" a ping -c 2 -i 0.2 -W 5 192.168.241.2
# Looked at now: keepalives and other handshakes come with time.
transfer=$(a wg show wg0 transfer)

# wg show in words.
a wg show >/tmp/show
check "show: the interface" grep -qx "interface: wg0" /tmp/show
check "show: its public key" grep -qx "  public key: $PUB_A" /tmp/show
check "show: the private key is hidden" grep -qx "  private key: (hidden)" /tmp/show
check "show: the port" grep -qx "  listening port: 1000" /tmp/show
check "show: the mark" grep -qx "  fwmark: 0x51" /tmp/show
check "show: the peer" grep -qx "peer: $PUB_B" /tmp/show
check "show: the preshared key is hidden" grep -qx "  preshared key: (hidden)" /tmp/show
check "show: the endpoint" grep -qx "  endpoint: 10.0.0.2:2000" /tmp/show
check "show: allowed IPs" grep -qx "  allowed ips: 192.168.241.2/32, fd41::2/128" /tmp/show
check "show: the handshake" grep -qE "^  latest handshake: ([0-9]+ seconds? ago|Now)$" /tmp/show
check "show: transfer" grep -qE "^  transfer: [0-9.]+ (B|KiB) received, [0-9.]+ (B|KiB) sent$" /tmp/show
check "show: keepalive" grep -qx "  persistent keepalive: every 25 seconds" /tmp/show

# wg show by field, of one interface and of all.
a ip link add wg9 type wireguard
field() { a wg show wg0 "$1"; }
check "show interfaces" is "$(a wg show interfaces | tr ' ' '\n' | sort | xargs)" "wg0 wg9"
check "show public-key" is "$(field public-key)" "$PUB_A"
check "show private-key" is "$(field private-key)" "$KEY_A"
check "show listen-port" is "$(field listen-port)" 1000
check "show fwmark" is "$(field fwmark)" 0x51
check "show peers" is "$(field peers)" "$PUB_B"
check "show preshared-keys" is "$(field preshared-keys)" "$PUB_B	$PSK"
check "show endpoints" is "$(field endpoints)" "$PUB_B	10.0.0.2:2000"
check "show allowed-ips" is "$(field allowed-ips)" "$PUB_B	192.168.241.2/32 fd41::2/128"
check "show persistent-keepalive" is "$(field persistent-keepalive)" "$PUB_B	25"
check "show latest-handshakes: within a minute" test $(($(date +%s) - $(field latest-handshakes | cut -f 2))) -lt 60
# 2 packets of 84 octets, padded to 96, and 32 around each; an initiation of 148, a response of 92; and the
# keepalive of 32 that a new interval begins with.
check "show transfer: what was received" is "$(cut -f 2 <<<"$transfer")" $((2 * 128 + 92))
check "show transfer: what was sent" is "$(cut -f 3 <<<"$transfer")" $((2 * 128 + 148 + 32))
check "show dump: the interface" is "$(a wg show wg0 dump | head -n 1)" "$KEY_A	$PUB_A	1000	0x51"
check "show dump: the peer" is "$(a wg show wg0 dump | sed -n 2p | cut -f 1-4,8)" "$PUB_B	$PSK	10.0.0.2:2000	192.168.241.2/32,fd41::2/128	25"
check "show all dump names the interfaces" is "$(a wg show all dump | cut -f 1 | sort | xargs)" "wg0 wg0 wg9"
refuse "show of what is not ours" a wg show lo
refuse "show of what is not there" a wg show wg7

# Configurations: written, added to, brought in line, replaced.
a wg showconf wg0 >/tmp/conf
check "showconf" is "$(grep -c . /tmp/conf)" 10
OTHER=$(wg genkey | wg pubkey)
printf '[Peer]\nPublicKey = %s\nAllowedIPs = 10.5.0.0/16\n' "$OTHER" >/tmp/more
check "addconf adds a peer" a wg addconf wg0 /tmp/more
check "to the one that is there" is "$(field peers | wc -l)" 2
received=$(peer_field a 6)
check "syncconf takes it away again" a wg syncconf wg0 /tmp/conf
check "and leaves the other one" is "$(field peers)" "$PUB_B"
check "with its session" test "$(peer_field a 5)" -gt 0 -a "$(peer_field a 6)" -ge "$received"
check "traffic goes on" a ping -c 1 -W 1 192.168.241.2
check "setconf replaces everything" a wg setconf wg0 /tmp/conf
check "the counters begin anew" test "$(peer_field a 6)" -lt "$received"
check "and traffic goes on" a ping -c 1 -W 5 192.168.241.2
teardown
finish
