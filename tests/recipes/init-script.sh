#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# An init script that starts all configurations in /etc/wireguard/*.conf by wg-quick, and stops them.

cd "$(dirname "$0")" && source ./lib.sh
plan 12

internet
machine server && connect server venet0 192.0.2.10/24 internet 192.0.2.1
machine client && connect client eth0 198.51.100.10/24 internet 198.51.100.1
machine site && connect site eth0 203.0.113.80/24 internet 203.0.113.1
web site

KEY=$(wg genkey) OFFICE=$(wg genkey) HOME_KEY=$(wg genkey)
# Two tunnels on the server; what the first one's clients send to the world is masqueraded.
cat >/etc/netns/server/wireguard/wg0.conf <<EOT
[Interface]
PrivateKey = $KEY
Address = 10.0.0.1/24
ListenPort = 56660
PostUp = iptables -A FORWARD -i wg0 -j ACCEPT; iptables -A FORWARD -o wg0 -j ACCEPT; iptables -t nat -A POSTROUTING -o venet0 -j MASQUERADE
PostDown = iptables -D FORWARD -i wg0 -j ACCEPT; iptables -D FORWARD -o wg0 -j ACCEPT; iptables -t nat -D POSTROUTING -o venet0 -j MASQUERADE

[Peer]
PublicKey = $(wg pubkey <<<"$OFFICE")
AllowedIPs = 10.0.0.2/32
EOT
cat >/etc/netns/server/wireguard/wg1.conf <<EOT
[Interface]
PrivateKey = $KEY
Address = 10.0.1.1/24, fd01::1/64
ListenPort = 56661

[Peer]
PublicKey = $(wg pubkey <<<"$HOME_KEY")
AllowedIPs = 10.0.1.2/32, fd01::2/128
EOT
cat >/etc/netns/client/wireguard/office.conf <<EOT
[Interface]
PrivateKey = $OFFICE
Address = 10.0.0.2/24

[Peer]
PublicKey = $(wg pubkey <<<"$KEY")
Endpoint = 192.0.2.10:56660
AllowedIPs = 10.0.0.0/24, 203.0.113.0/24
EOT
cat >/etc/netns/client/wireguard/home.conf <<EOT
[Interface]
PrivateKey = $HOME_KEY
Address = 10.0.1.2/24, fd01::2/64

[Peer]
PublicKey = $(wg pubkey <<<"$KEY")
Endpoint = 192.0.2.10:56661
AllowedIPs = 10.0.1.0/24, fd01::/64
EOT
at server sysctl -qw net.ipv4.ip_forward=1

cat >/tmp/wireguard.init <<'EOT'
#!/bin/bash
### BEGIN INIT INFO
# Provides:          wireguard
# Required-Start:    $network $syslog
# Required-Stop:     $network $syslog
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: WireGuard
# Description:       This script will start WireGuard tunnels as specified
#                    in /etc/wireguard/*.conf
### END INIT INFO

. /lib/lsb/init-functions
test $DEBIAN_SCRIPT_DEBUG && set -v -x

WGQUICK=/usr/bin/wg-quick
DESC="WireGuard virtual private network daemon"
CONFIG_DIR=/etc/wireguard

test -x $WGQUICK || exit 0
test -d $CONFIG_DIR || exit 0

case "$1" in
start)
	log_daemon_msg "Starting $DESC"
	for wg in $CONFIG_DIR/*.conf
	do
		$WGQUICK up `basename $wg .conf`
	done
	;;
stop)
	log_daemon_msg "Stopping $DESC"
	for wg in $CONFIG_DIR/*.conf
	do
		$WGQUICK down `basename $wg .conf`
	done
	;;
*)
	echo "Usage: $0 {start|stop}" >&2
	exit 1
	;;
esac
EOT
chmod +x /tmp/wireguard.init

check "the server starts" at server /tmp/wireguard.init start
check "both its interfaces are there" is "$(at server wg show interfaces | tr ' ' '\n' | sort | xargs)" "wg0 wg1"
check "the client starts" at client /tmp/wireguard.init start
check "both its interfaces are there" is "$(at client wg show interfaces | tr ' ' '\n' | sort | xargs)" "home office"
check "the office answers" at client ping -c 2 -i 0.3 -W 5 10.0.0.1
check "home answers" at client ping -c 2 -i 0.3 -W 5 fd01::1
check "a site sees the server's address" is "$(browse client 203.0.113.80)" 192.0.2.10
check "the client stops" at client /tmp/wireguard.init stop
check "its interfaces are gone" is "$(at client wg show interfaces)" ""
check "a site sees the client's own address" is "$(browse client 203.0.113.80)" 198.51.100.10
check "it starts again" bash -c "ip netns exec client /tmp/wireguard.init start && ip netns exec client ping -c 1 -W 5 10.0.0.1"
check "the server stops, and leaves no rule behind" bash -c "
	ip netns exec server /tmp/wireguard.init stop &&
	[ -z \"\$(ip netns exec server wg show interfaces)\" ] &&
	! ip netns exec server iptables-save | grep -E -- '-i wg0|MASQUERADE'"
power_off
finish
