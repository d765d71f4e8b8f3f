#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 200
# A datagram may lie in memory that its sender can still write to: a relay on this host sends each message by sendfile()
# from a file in which another process changes an octet all the time. What is authenticated has to be what is decrypted:
# a message is refused, or it is as the peer has sealed it.

cd "$(dirname "$0")" && source ./lib.sh
plan 4

topology
# The relay is at b, between its two sides.
ip netns exec b python3 -c "
import mmap, os, select, socket, struct
outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
outside.bind(('10.0.0.2', 4000))
inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inside.connect(('127.0.0.1', 2000))
file = os.memfd_create('message')
os.ftruncate(file, 4096)
memory = mmap.mmap(file, 4096)
if os.fork() == 0:
    os.sched_setaffinity(0, {1})
    # In the middle of what an echo request carries.
    while True:
        memory[600] ^= 255
        memory[600] ^= 255
os.sched_setaffinity(0, {0})
print('ready', flush=True)
while True:
    for sock in select.select([inside, outside], [], [])[0]:
        if sock is inside:
            outside.sendto(inside.recv(65536), client)
            continue
        message, client = outside.recvfrom(65536)
        if len(message) < 700:
            inside.send(message)
        else:
            # All but the octet that changes: it may be either way.
            memory[:600] = message[:600]
            memory[600] = message[600]
            memory[601:len(message)] = message[601:]
            os.sendfile(inside.fileno(), file, 0, len(message))
" </dev/null >/tmp/relay 2>&1 &
relay=$!
wait_for 20 grep -q ready /tmp/relay
a wg set wg0 peer "$PUB_B" endpoint 10.0.0.2:4000
check "a tunnel through the relay" a ping -c 1 -W 5 192.168.241.2
bad=$(device_counter b rx_drop_bad_mac)
# Ping sums up when it is interrupted, not when it is terminated.
a timeout -s INT 60 ping -c 1500 -i 0.01 -W 1 -s 1000 192.168.241.2 >/tmp/pings 2>&1
bad=$(($(device_counter b rx_drop_bad_mac) - bad))
tail -n 3 /tmp/pings | sed 's/^/# /'
check "messages were changed on their way ($bad)" test "$bad" -gt 20
check "others were not" grep -E ' [1-9][0-9]* received' /tmp/pings
check "and those that were came to nothing" not grep 'wrong data byte' /tmp/pings
pkill -P $relay
kill $relay
teardown
finish
