#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# systemd-networkd makes the interface of a .netdev file, and configures it by a .network file; then the
# files change, and the next daemon follows them.

cd "$(dirname "$0")" && source ./lib.sh
plan 18
world

# One daemon, in the client's namespace, with a private /run and /etc. It waits for udev for each
# interface unless /sys is read-only, as in a container.
mkdir -p /etc/systemd/network
(umask 027 && cat >/etc/systemd/network/50-wg0.netdev) <<EOT
[NetDev]
Name=wg0
Kind=wireguard
Description=the tunnel of the test
MTUBytes=1400

[WireGuard]
PrivateKeyFile=/etc/systemd/network/private.key
ListenPort=4000
FirewallMark=0x8888
RouteTable=main

[WireGuardPeer]
PublicKey=$PUB
PresharedKey=$PSK
AllowedIPs=10.8.0.0/24, fd08::/64
AllowedIPs=203.0.113.0/24
Endpoint=192.0.2.10:51820
PersistentKeepalive=20

[WireGuardPeer]
PublicKey=$(wg pubkey <<<"$PSK")
AllowedIPs=10.55.0.0/16
EOT
echo "$CLIENT_KEY" >/etc/systemd/network/private.key
cat >/etc/systemd/network/50-wg0.network <<EOT
[Match]
Name=wg0

[Network]
Address=10.8.0.2/24
Address=fd08::2/64
IPv6DuplicateAddressDetection=0
EOT
# It is to leave the other interfaces alone.
printf '[Match]\nName=eth* to-* lo\n\n[Link]\nUnmanaged=yes\n' >/etc/systemd/network/10-other.network
chown -R root:systemd-network /etc/systemd/network
chmod 640 /etc/systemd/network/private.key
mkdir -p /run/systemd/system /run/systemd/netif/{links,leases,lldp} /run/dbus
chown -R systemd-network:systemd-network /run/systemd/netif
networkd() {
	ip netns exec client bash -c 'mount -o remount,ro,bind /sys 2>/dev/null || mount -o remount,ro /sys
		SYSTEMD_LOG_LEVEL=info SYSTEMD_LOG_TARGET=console exec /usr/lib/systemd/systemd-networkd' >>/tmp/networkd.log 2>&1 &
	daemon=$!
}
networkd

PEER=$(wg pubkey <<<"$PSK")
dump() { at client wg show wg0 "$1"; }
configured() {
	grep -q '^ADMIN_STATE=configured' "/run/systemd/netif/links/$(at client cat /sys/class/net/wg0/ifindex)"
}
check "the interface is there" wait_for 30 ip -n client link show wg0
check "networkd says that it is configured" wait_for 30 configured
sed 's/^/# networkd: /' /tmp/networkd.log | head -n 20
check "its private key, from a file" is "$(dump private-key)" "$CLIENT_KEY"
check "its port" is "$(dump listen-port)" 4000
check "its mark" is "$(dump fwmark)" 0x8888
check "its MTU" grep -q "mtu 1400" <(ip -n client link show wg0)
check "two peers" is "$(dump peers | sort)" "$(printf '%s\n' "$PUB" "$PEER" | sort)"
check "the endpoint of one" grep -q "$PUB	192.0.2.10:51820" <(dump endpoints)
check "its preshared key" grep -q "$PUB	$PSK" <(dump preshared-keys)
check "its keepalive interval" grep -q "$PUB	20" <(dump persistent-keepalive)
check "its allowed IPs" is "$(dump allowed-ips | grep "$PUB" | cut -f 2 | tr ' ' '\n' | sort | xargs)" "10.8.0.0/24 203.0.113.0/24 fd08::/64"
routes() {
	ip -n client route | grep -q '203.0.113.0/24 dev wg0' && ip -n client route | grep -q '10.55.0.0/16 dev wg0'
}
check "routes to the allowed IPs" wait_for 10 routes
check "the server is reached" at client ping -c 2 -i 0.3 -W 5 10.8.0.1
check "over IPv6" at client ping -c 1 -W 5 fd08::1
check "a site sees the server's address" is "$(browse client 203.0.113.80)" 192.0.2.10

# Another start of the daemon takes over what is there, and applies what is new.
kill "$daemon"
wait "$daemon" 2>/dev/null
check "the interface stays without its daemon" at client ping -c 1 -W 5 10.8.0.1
sed -i 's/^PersistentKeepalive=.*/PersistentKeepalive=7/; s/^ListenPort=.*/ListenPort=4001/' /etc/systemd/network/50-wg0.netdev
ip -n client link del wg0
networkd
changed() {
	dump persistent-keepalive | grep -q "$PUB	7" && [ "$(dump listen-port)" = 4001 ]
}
check "the next one makes it anew" wait_for 30 changed
check "and the server is reached" wait_for 2 ip netns exec client ping -c 1 -W 1 10.8.0.1
kill "$daemon"
wait "$daemon" 2>/dev/null
power_off
finish
