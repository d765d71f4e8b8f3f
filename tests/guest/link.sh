#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The life of an interface: creation in numbers, flags, MTU, up and down, deletion, names.

cd "$(dirname "$0")" && source ./lib.sh
plan 17

check "an interface is created" ip link add wg0 type wireguard
check "it is point-to-point and has no ARP" grep -q "POINTOPOINT,NOARP" <(ip link show wg0)
check "it has no link-layer address" grep -q "link/none" <(ip link show wg0)
check "its type is wireguard" grep -q "^    wireguard" <(ip -d link show wg0)
check "its MTU leaves room for the tunnel on an Ethernet" is "$(cat /sys/class/net/wg0/mtu)" 1420
check "sysfs knows the type" grep -q DEVTYPE=wireguard /sys/class/net/wg0/uevent
refuse "a second one of the same name" ip link add wg0 type wireguard
check "the MTU can be small" ip link set wg0 mtu 68
check "the MTU can be as large as the C driver allows" ip link set wg0 mtu 2147483552
refuse "a larger MTU" ip link set wg0 mtu 2147483553
check "it goes up without a key or a peer" ip link set wg0 up
check "an operational state is shown" grep -qE "state (UNKNOWN|UP)" <(ip link show wg0)
check "it goes down" ip link set wg0 down

many() {
	local i
	for i in $(seq 20); do ip link add "many$i" type wireguard || return; done
	for i in $(seq 20); do ip link set "many$i" up || return; done
	is "$(ip -o link show type wireguard | wc -l)" 21 || return
	is "$(wg show all listen-port | grep ^many | cut -f 2 | sort -u | wc -l)" 20 || return
	for i in $(seq 20); do ip link del "many$i" || return; done
}
check "twenty interfaces live at the same time, each on a port of its own" many
ip link set wg0 up
check "a name can be changed" sh -c "ip link set wg0 down && ip link set wg0 name other && wg show other listen-port"
check "it can be deleted" ip link del other
check "nothing is left" is "$(ip -o link show type wireguard | wc -l)" 0
finish
