#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# `make install` puts the module where it takes precedence over the in-tree one, which is back when ours is
# removed; the kernel asks for it by the aliases of the link type and the netlink family. Documentation/install.md says
# how to see which one is in use.

cd "$(dirname "$0")" && source ./lib.sh
plan 15

if [ "$WG_MODULE" != ours ]; then
	for _ in $(seq 15); do
		skip "installing" "this is about our module"
	done
	exit 0
fi

VERSION=$(uname -r)
ROOT=/tmp/install
MODULES=$ROOT/lib/modules/$VERSION
in_tree=$(find "/lib/modules/$VERSION/kernel" -name 'wireguard.ko*')
mkdir -p "$MODULES/kernel/drivers/net/wireguard"
cp "$in_tree" "$MODULES/kernel/drivers/net/wireguard/"
cp "/lib/modules/$VERSION"/modules.{order,builtin,builtin.modinfo} "$MODULES/"
depmod -b $ROOT "$VERSION"

# The file that would be loaded for a name or an alias.
would_load() {
	modprobe -d $ROOT --ignore-install -n -v "$1" | sed -n 's/^insmod \([^ ]*\).*/\1/p' | tail -n 1
}

# As if the modules were installed where they are looked for.
page install.md
ip netns add a
mount --bind "$MODULES" "/lib/modules/$VERSION" || exit 1

# What the module depends on stays loaded.
rmmod wireguard
check "before, the in-tree module is the one" test "$(would_load wireguard)" = \
	"$MODULES/kernel/drivers/net/wireguard/$(basename "$in_tree")"
check "make install" make -s -C ../.. install DESTDIR=$ROOT KVER="$VERSION"
check "ours takes precedence" test "$(would_load wireguard)" = "$MODULES/updates/wireguard.ko"
check "for the link type" test "$(would_load rtnl-link-wireguard)" = "$MODULES/updates/wireguard.ko"
check "for the netlink family" test "$(would_load net-pf-16-proto-16-family-wireguard)" = "$MODULES/updates/wireguard.ko"
modprobe -d $ROOT wireguard
check "it is loaded (a module from outside the kernel's tree)" grep -q O /sys/module/wireguard/taint
run a which
check "the page shows what would be loaded" is "$(head -n 1 /tmp/which)" "/lib/modules/$VERSION/updates/wireguard.ko"
check "and what is" shows which '^1\.0\.0-rust$'
check "and makes interfaces" ip link add wg0 type wireguard
ip link del wg0
rmmod wireguard
rm "$MODULES/updates/wireguard.ko"
depmod -b $ROOT "$VERSION"
modprobe -d $ROOT wireguard
check "removed, the in-tree module is back" grep -qv O /sys/module/wireguard/taint
run a which
check "the page shows that it would be loaded" is "$(head -n 1 /tmp/which)" \
	"/lib/modules/$VERSION/kernel/drivers/net/wireguard/$(basename "$in_tree")"
check "and that it is" shows which '^1\.0\.0$'
check "each block of the page was run" each_block_was_run
umount "/lib/modules/$VERSION"
ip netns del a
check "installing for another kernel says so" says "built for Linux $VERSION, not for 6.1" \
	make -s -C ../.. install DESTDIR=$ROOT KVER=6.1
refuse "installing without a module says so" make -s -C /tmp -f /src/Makefile install DESTDIR=$ROOT KVER="$VERSION"
rmmod wireguard
finish
