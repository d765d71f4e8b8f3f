#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount
# time: 900
# Documentation/troubleshooting.md: symptoms are provoked, the commands of the page are run as they are written there,
# and show what the page says. No block of commands is left out. Queues that are full are in backlog.sh and
# counters-rare.sh.

cd "$(dirname "$0")" && source ./lib.sh
plan 43

HOSTILE=$TOOLS/hostile
need $HOSTILE

page troubleshooting.md
knock() {
	a ping -c 1 -W 2 192.168.241.2
}

# No handshake, for one reason after the other. a is where the page is read, b the other side.
topology
run a driver
check "it is this driver" shows driver '^1\.0\.0-rust$'
b nft add table inet t
b nft add chain inet t in '{ type filter hook input priority 0; }'
b nft add rule inet t in udp dport 2000 drop
knock >/dev/null
sleep 12
run a closed
check "port closed: initiations leave" shows closed 'tx_handshake_initiations: [2-9]'
check "and nobody answers" shows closed 'rx_handshake_responses: 0'
check "they are repeated" shows closed 'handshakes_retried: [1-9]'
run a outside
check "on the link they can be seen" shows outside 'UDP, length 148'
run b outside
check "and so can the firewall, on the other side" shows outside 'udp dport 2000 drop'
b nft delete table inet t
teardown

topology
run_during a trace knock
check "the trace of a handshake" shows trace 'wg_handshake_completed: dev=wg0 peer=.* endpoint=10.0.0.2:2000'
run a state
check "a recent handshake" shows state 'latest handshake: '
check "is counted" shows state 'handshakes_completed: 1'
run_during a change a ping -c 1 -W 1 192.168.241.77
check "what goes up" shows change '^> +tx_drop_no_peer: 1'
a wg set wg0 peer "$PUB_B" preshared-key <(wg genpsk)
a wg set wg0 listen-port 1112
a wg set wg0 private-key <(wg genkey)
a wg set wg0 private-key <(echo "$KEY_A")
knock >/dev/null
run a handshake
check "preshared keys that differ: the response is refused" shows handshake 'rx_refused_bad_response: 1'
teardown

topology
b wg set wg0 peer "$PUB_A" remove
run_during b events knock
check "a key that is not configured: the event tells it" shows events "^unknown-peer interface=wg0 peer=${PUB_A//+/\\+}"
run b handshake
check "and the counter" shows handshake 'rx_refused_unknown_peer: [1-9]'
b wg set wg0 private-key <(wg genkey)
sleep 6
run b handshake
check "a wrong public key: the first mac" shows handshake 'rx_refused_bad_mac1: [1-9]'
b wg set wg0 private-key /dev/null
sleep 6
run b handshake
check "no private key" shows handshake 'rx_refused_no_private_key: [1-9]'
teardown

topology
a wg set wg0 peer "$PUB_B" remove
a wg set wg0 peer "$PUB_B" allowed-ips 192.168.241.2/32
run_during a messages knock
check "no endpoint: the message" shows messages 'No valid endpoint has been configured or discovered for peer'
run a handshake
check "and the counter" shows handshake 'tx_drop_no_endpoint: 1'
a wg set wg0 peer "$PUB_B" endpoint 10.77.0.1:9
knock >/dev/null
run a handshake
check "no route to it" shows handshake 'tx_drop_no_route: [1-9]'
run a route
check "and the kernel says so" shows route 'Network is unreachable'
teardown

# Their answers are lost, until we give up.
topology
a nft add table inet t
a nft add chain inet t in '{ type filter hook input priority 0; }'
a nft add rule inet t in udp dport 1000 drop
knock >/dev/null
run b handshake
check "answers are lost: they leave" shows handshake 'tx_handshake_responses: [1-9]'
run a handshake
check "and do not arrive" shows handshake 'rx_handshake_responses: 0'
sleep 110
run a handshake
check "we have given up" shows handshake 'handshakes_gave_up: 1'
teardown

# They are under load.
topology
ip netns exec a $HOSTILE flood to=10.0.0.2:2000 key="$PUB_B" seconds=60 rate=1000 >/tmp/flood 2>&1 &
flood=$!
wait_for 20 grep -q flooding /tmp/flood
sleep 1
check "under load: it takes longer" a ping -c 1 -W 25 192.168.241.2
run a handshake
check "we were given a cookie" shows handshake 'rx_handshake_cookies: [1-9]'
run b handshake
check "since we had none" shows handshake 'rx_refused_no_cookie: [1-9]'
kill $flood
wait $flood 2>/dev/null
teardown

# There is a handshake.
topology
knock >/dev/null
run_during a inside a ping -c 2 -W 1 192.168.241.2
check "traffic inside the tunnel" shows inside 'IP 192.168.241.2 > 192.168.241.1: ICMP echo reply'
a ping -c 1 -W 1 192.168.241.77 >/dev/null 2>&1
run a allowed-ips
check "allowed IPs without the destination" shows allowed-ips 'tx_drop_no_peer: 1'
b wg set wg0 peer "$PUB_A" allowed-ips fd41::1/128
run_during b drops knock
run b allowed-ips
check "allowed IPs without the source" shows allowed-ips 'rx_drop_source_not_allowed: [1-9]'
check "the kernel's tools see it" shows drops '\[wireguard\].*reason: IP_INVALID_SOURCE'
b wg set wg0 peer "$PUB_A" allowed-ips 192.168.241.1/32

# One side forgets its session, and answers are lost.
b ip link set wg0 down
b ip link set wg0 up
a nft add table inet t
a nft add chain inet t in '{ type filter hook input priority 0; }'
a nft add rule inet t in udp dport 1000 drop
knock >/dev/null
run b one-way
check "one-way traffic: data for a session that is gone" shows one-way 'rx_drop_no_session: [1-9]'
send_four 192.168.241.2
sleep 0.3
run b slow
check "if it is a train, it is cut" shows slow 'rx_trains_cut: 1'
a nft delete table inet t
sleep 20
knock >/dev/null

# The path is narrower than the tunnel thinks: what is longer than 1260 octets outside is lost.
b nft add table inet t
b nft add chain inet t in '{ type filter hook input priority -400; }'
b nft add rule inet t in udp dport 2000 meta length gt 1300 drop
run a mtu
check "a large packet does not pass" shows mtu '1 packets transmitted, 0 received'
check "a smaller one does" shows mtu '1 packets transmitted, 1 received'
check "the MTU is set" is "$(a cat /sys/class/net/wg0/mtu)" 1200
b nft delete table inet t

roam() {
	a wg set wg0 listen-port 1111
	knock
}
run_during b roaming roam
check "roaming: the event" shows roaming '^endpoint-changed .* endpoint=10.0.0.1:1111'
check "and where it is now" shows roaming '10\.0\.0\.1:1111$'
tcp a 192.168.241.2 100K >/dev/null
run a slow
check "a bulk transfer in trains" shows slow 'tx_trains: [1-9]'
send_no_train
run a slow
check "what no train can be made of" shows slow 'tx_software_segmented: [1-9]'
run a no-trains
run a slow
check "segmentation on the tunnel is off" shows slow '^generic-segmentation-offload: off$'
a ethtool -K wg0 gso on
run a path-mtu
check "the MTU of the path is learned" shows path-mtu '^interface=wg0 .*path-mtu=on'

# Octets that are no datagram with a good checksum.
a python3 -c '
import socket
data = bytes([4, 0, 7, 208, 0, 12, 0, 1, 1, 2, 3, 4])
socket.socket(socket.AF_INET, socket.SOCK_RAW, 17).sendto(data, ("10.0.0.2", 0))'
sleep 1
run b checksums
check "a wrong checksum is counted" shows checksums '^UdpInCsumErrors +[1-9]'

# The clock goes back.
a wg set wg0 private-key <(wg genkey)
date -s '-1 hour' >/dev/null
a wg set wg0 private-key <(echo "$KEY_A")
knock >/dev/null
run b clock
check "the clock went back: initiations are refused" shows clock 'rx_refused_old_timestamp: [1-9]'
date -s '+1 hour' >/dev/null
teardown

check "each block of the page was run" each_block_was_run
finish
