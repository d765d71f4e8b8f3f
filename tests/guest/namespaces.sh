#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# An interface that moves to another namespace keeps its sockets where it was created.

cd "$(dirname "$0")" && source ./lib.sh
plan 16

topology
ip netns add inner
ip -n a link set wg0 netns inner
ip -n inner addr add 192.168.241.1/24 dev wg0
ip -n inner link set wg0 up
check "traffic from a namespace that has nothing but the tunnel" ip netns exec inner ping -c 2 -i 0.3 -W 5 192.168.241.2
check "the encrypted side is where it was created" grep -q :1000 <(a ss -uln)
check "and only there" is "$(ip netns exec inner ss -Huln | wc -l)" 0
check "the other side can begin" b ping -c 1 -W 3 192.168.241.1
check "it takes a port of its birthplace" ip netns exec inner wg set wg0 listen-port 1234
check "traffic goes on" ip netns exec inner ping -c 1 -W 3 192.168.241.2

# The birthplace ends, the interface lives on.
ip netns del a
# It ends some time later; the other end of its link goes with it.
wait_for 20 not ip -n b link show veth0
check "the interface survives its birthplace" ip -n inner link show wg0
refuse "but carries nothing" ip netns exec inner ping -c 1 -W 1 192.168.241.2
check "and cannot get a port" says "Operation not permitted" ip netns exec inner wg set wg0 listen-port 4321
check "it goes down" ip -n inner link set wg0 down
check "and does not come up again" says "Machine is not on the network" ip -n inner link set wg0 up
check "it can be configured otherwise" ip netns exec inner wg set wg0 peer "$(wg genkey | wg pubkey)"
check "and deleted" ip -n inner link del wg0
ip netns del inner

# The namespace that it is in ends, with traffic: what is under way is no longer on anybody's behalf.
teardown
topology
check "traffic again" a ping -c 1 -W 5 192.168.241.2
b ping -f 192.168.241.1 >/dev/null 2>&1 &
a ping -f 192.168.241.2 >/dev/null 2>&1 &
both_ways() {
	flowing a && flowing b
}
check "there is much of it both ways" both_ways
ip netns pids b | xargs -r kill -KILL
ip netns del b
# The other end of the link goes when the namespace does.
check "a namespace ends with an interface in it" wait_for 20 not ip -n a link show veth0
ip netns pids a | xargs -r kill -KILL
wait
teardown
finish
