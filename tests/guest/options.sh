#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Options that no other WireGuard has: off at first, shown and set by scripts/options and by the kernel's YNL
# command line only by those who may, refused with a reason and as a whole. They last as long as the interface,
# and whoever configures it by other means does not notice. The commands of Documentation/options.md are run as they are
# written there.

cd "$(dirname "$0")" && source ./lib.sh
export PYTHONDONTWRITEBYTECODE=1
options() { python3 /src/scripts/options "$@"; }
ynl() {
	python3 /build/source/tools/net/ynl/pyynl/cli.py --schema /build/source/Documentation/netlink/genetlink-legacy.yaml \
		--spec /src/Documentation/netlink/wireguard-options.yaml "$@"
}

wire=$((2 + 3 * 3 + 15 * 2))
off="bind=none copy-dscp=off path-mtu=off link-local=off"
on="copy-dscp=on path-mtu=on link-local=off"
ip link add wg0 type wireguard
ip link add dummy0 type dummy 2>/dev/null || ip link add dummy0 type veth peer name dummy1
PLANNED=$((wire + 34))
checks_of python3 options.py $PLANNED

check "the tool shows that all is off" is "$(options wg0)" "interface=wg0 $off"
check "it sets, and shows what is set" is "$(options wg0 bind=lo copy-dscp=on path-mtu=on)" "interface=wg0 bind=lo $on"
check "it says why something is refused" says "no such interface in the namespace of the sockets" options wg0 bind=wg7
check "and what it does not know" says "is no option" options wg0 copy-dscp=maybe
check "or what is no tunnel" says "not a WireGuard interface" options dummy0
wg set wg0 private-key <(wg genkey) listen-port 1000 fwmark 7
wg setconf wg0 <(echo "[Interface]")
ip link set wg0 up
ip link set wg0 down
ip link set wg0 name wg1
check "options outlast a new configuration, down, up and another name" is "$(options wg1)" "interface=wg1 bind=lo $on"
ip link set wg1 name wg0
ip netns add c
ip link set wg0 netns c
check "and a move to another namespace" is "$(ip netns exec c python3 /src/scripts/options wg0)" \
	"interface=wg0 bind=lo $on"
refuse "in which alone they are seen" options wg0
check "they can be set there" is "$(ip netns exec c python3 /src/scripts/options wg0 bind=dummy0)" \
	"interface=wg0 bind=dummy0 $on"
check "a new interface has none" eval 'ip link add wg2 type wireguard && is "$(options wg2)" "interface=wg2 $off"'

check "who may not administer sees nothing" \
	says "Operation not permitted" setpriv --bounding-set -net_admin --inh-caps -net_admin python3 /src/scripts/options wg2
# A user namespace with a network of its own: its root administers the tunnel, but not what it leads through.
unshare --user --map-root-user --net sleep 1000 &
wait_for 10 sh -c "[ \"\$(readlink /proc/$!/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ] && grep -q . /proc/$!/uid_map"
ip link set wg2 netns $!
inside() { nsenter -t $! -U -n --preserve-credentials python3 /src/scripts/options wg2 "$@"; }
check "a container sees the options of its tunnel" is "$(inside)" "interface=wg2 $off"
check "but sets none that concern what is outside" says "namespace of the sockets" inside copy-dscp=on
check "nor where the tunnel leads" says "namespace of the sockets" inside bind=lo
check "it has changed nothing" is "$(inside)" "interface=wg2 $off"
kill $!

ip link add wg3 type wireguard
check "the kernel's tools set them" ynl --do set-options --json '{"ifname": "wg3", "bind-ifname": "lo", "copy-dscp": 1}'
check "and show them" is "$(ynl --do get-options --json '{"ifname": "wg3"}' --output-json |
	python3 -c 'import json, sys; d = json.load(sys.stdin); d.pop("ifindex"); print(d)')" \
	"{'ifname': 'wg3', 'bind-ifindex': 1, 'bind-ifname': 'lo', 'copy-dscp': 1, 'path-mtu': 0, 'link-local': 0}"

# A link-local address, which IPv6 routing protocols want.
addresses() { ip -6 -o addr show dev wg3 scope link | awk '{ print $4 }' | grep '^fe80:.*/64$'; }
options wg3 bind=none >/dev/null
ip link set wg3 up
check "an interface has no link-local address" is "$(addresses)" ""
check "nor on request, until it goes up again" eval 'options wg3 link-local=on >/dev/null && is "$(addresses)" ""'
ip link set wg3 down
ip link set wg3 up
first=$(addresses)
check "then it has one" is "$(wc -w <<<"$first")" 1
ip link set wg3 down
ip link set wg3 up
check "the same each time" is "$(addresses)" "$first"
options wg3 link-local=off >/dev/null
ip link set wg3 down
ip link set wg3 up
check "and none when it is off again" is "$(addresses)" ""
# With a small MTU there is no IPv6; when it comes back, so does the kernel's own choice.
ip link set wg3 mtu 1200
ip link set wg3 mtu 1420
check "the kernel adds one when IPv6 comes back" wait_for 5 sh -c "ip -6 -o addr show dev wg3 scope link | grep -q fe80:"
ip link set wg3 down
ip link set wg3 up
check "until the interface goes up again" is "$(addresses)" ""
options wg3 link-local=on >/dev/null
ip link set wg3 down
ip link set wg3 up
first=$(addresses)
ip netns add d
ip link set wg3 netns d
ip -n d link set wg3 up
second=$(ip netns exec d ip -6 -o addr show dev wg3 scope link | grep -o "fe80:[^ ]*")
check "in another namespace it is another one ($second)" sh -c "[ -n '$second' ] && [ '$second' != '$first' ]"
ip -n d link del wg3
ip netns del d
ip link del dummy0
ip netns del c

# The page.
page options.md
topology
ip -n a link set veth0 down
ip -n a link set veth0 name eth0
ip -n a link set eth0 up
run a set
check "the page shows what is off, and sets" is "$(cat /tmp/set)" \
	"$(printf '%s\n' "interface=wg0 $off" "interface=wg0 bind=none $on")"
run a bind
check "binds to a link" shows bind "^interface=wg0 bind=eth0 "
check "by which the tunnel goes on" a ping -c 1 -W 5 192.168.241.2
run a unbind
check "and to none" shows unbind "^interface=wg0 bind=none "
run a path-mtu
check "ten minutes, and 552 octets" is "$(grep route /tmp/path-mtu | sed 's/.* //' | tr '\n' ' ')" "600 552 "
check "and who was told is counted" shows path-mtu ' tx_drop_path_mtu: 0$'
run a replace
check "allowed IPs are replaced, also from standard input" is "$(grep "$PUB_B" /tmp/replace | cut -f 2)" \
	"$(printf '%s\n' "192.168.241.2/32 fd41::2/128" "192.168.241.0/24 fd41::/64")"
run a link-local
check "there is a link-local address" shows link-local ' inet6 fe80:.*/64 scope link'
teardown
check "each block of the page was run" each_block_was_run
finish
