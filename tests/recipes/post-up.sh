#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# A shell script that an interface's post-up runs: up first, configured later, everything allowed, and
# single hosts routed through the other end of the tunnel.

cd "$(dirname "$0")" && source ./lib.sh
plan 6

internet
machine server && connect server eth0 192.227.213.182/24 internet 192.227.213.1
machine client && connect client eth0 198.51.100.10/24 internet 198.51.100.1
machine inside && connect inside eth0 10.1.1.3/24 server 10.1.1.1

on server <<'EOT'
	wg genkey > privateA && wg pubkey < privateA > publicA
EOT
on client <<'EOT'
	umask 077
	wg genkey > privateA && wg pubkey < privateA > publicA
EOT
check "the server" on server "$(cat /root/client/publicA)" <<'EOT'
	sysctl -qw net.ipv4.ip_forward=1
	ip link add wg0 type wireguard
	ip link set wg0 up
	ip addr add dev wg0 10.1.2.1/24
	wg set wg0 listen-port 51820 private-key privateA peer "$1" allowed-ips 10.1.2.3/32
EOT

sed "s|KEY|$(cat /root/server/publicA)|" >/root/client/tunnel.sh <<'EOT'
#!/bin/bash
cd /root/client
source /etc/profile
ip link add wg0 type wireguard
ip link set wg0 up
ip addr add dev wg0 10.1.2.3/24
wg set wg0 private-key privateA peer KEY endpoint 192.227.213.182:51820 allowed-ips 0.0.0.0/0
ip route add 10.1.1.3 via 10.1.2.1
EOT
chmod +x /root/client/tunnel.sh
check "the client's script" at client /root/client/tunnel.sh
check "the host behind the server is reached" at client ping -c 3 -i 0.2 -W 5 10.1.1.3
check "by the tunnel" grep -q "via 10.1.2.1 dev wg0" <(ip -n client route get 10.1.1.3)
check "the server itself is reached directly" grep -q "dev eth0" <(ip -n client route get 192.227.213.182)
check "other hosts of that network are not" not at client ping -c 1 -W 1 10.1.1.1
power_off
finish
