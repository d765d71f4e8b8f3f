#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 200
# Limits that are meant for others do not hold for a tunnel's datagrams: the memory that all UDP sockets may have, which
# any user can fill, and what may be received by the control group in which the interface was brought up. The limit of
# Documentation/security.md, on network namespaces, does hold.

cd "$(dirname "$0")" && source ./lib.sh
plan 11

topology
pings() { a ping -q -c 5 -i 0.2 -W 5 192.168.241.2; }
check "a tunnel" pings

# All of the memory is taken by sockets that nobody reads from.
sysctl -qw net.ipv4.udp_mem="512 512 512"
b python3 -c "
import socket, time
sockets = []
for n in range(60):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 1 << 20)
    s.bind(('127.0.0.1', 0))
    s.connect(s.getsockname())
    sockets.append(s)
    for _ in range(200):
        s.send(bytes(1400))
print('full', flush=True)
time.sleep(600)
" >/tmp/hoarder 2>&1 &
hoarder=$!
wait_for 30 grep -q full /tmp/hoarder
check "other sockets have all the memory there is for UDP" test "$(counter b UdpMemErrors)" -gt 0
refused=$(counter b UdpMemErrors)
check "pings pass" pings
check "bulk data as well" tcp a 192.168.241.2 2M
check "a handshake too" sh -c "ip -n a link set wg0 down && ip -n a link set wg0 up &&
	ip netns exec a ping -q -c 2 -i 0.2 -W 10 192.168.241.2"
check "no datagram was refused" is "$(counter b UdpMemErrors)" "$refused"
kill $hoarder
wait $hoarder 2>/dev/null
sysctl -qw net.ipv4.udp_mem="20000 30000 40000"

# A control group whose members may receive nothing.
mkdir -p /tmp/cgroup
mount -t cgroup2 none /tmp/cgroup
mkdir /tmp/cgroup/deaf
check "a control group receives nothing" python3 -c "
from syscalls import *
attach_to_cgroup('/tmp/cgroup/deaf', load_program(BPF_PROG_TYPE_CGROUP_SKB), BPF_CGROUP_INET_INGRESS)
"
(
	echo $BASHPID >/tmp/cgroup/deaf/cgroup.procs
	ip -n b link set wg0 down
	ip -n b link set wg0 up
)
# Otherwise a would go on with the session that b has forgotten.
ip -n a link set wg0 down
ip -n a link set wg0 up
check "but the tunnel that was brought up in it" pings
umount /tmp/cgroup

page security.md
before=$(sysctl -n user.max_net_namespaces)
namespace() { unshare --user --map-root-user --net true; }
check "users make network namespaces" namespace
run a namespaces
check "and none if they may have none" says "No space left on device" namespace
sysctl -qw user.max_net_namespaces="$before"
check "each block of the page was run" each_block_was_run
teardown
finish
