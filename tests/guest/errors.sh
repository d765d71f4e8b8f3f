#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 300
# Each kind of bad request (errors.py) is made to this driver and to the in-tree one: both give the same errno, and this
# one says what is wrong as well.

cd "$(dirname "$0")" && source ./lib.sh

# usage: requests FILE
requests() {
	ip link add wg0 type wireguard
	ip link add dummy0 type dummy 2>/dev/null || ip link add dummy0 type veth peer name dummy1
	python3 errors.py run "$1"
	ip link del wg0
	ip link del dummy0
	rmmod wireguard
}

export PYTHONDONTWRITEBYTECODE=1
requests "/tmp/$WG_MODULE"
load_other_driver
# The driver that the other tests want is not this one.
requests /tmp/other
if [ "$WG_MODULE" = ours ]; then
	python3 errors.py compare /tmp/ours /tmp/other
else
	python3 errors.py compare /tmp/other /tmp/stock
fi
FAILED=$?
finish
