#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One direction of a telephone call: 50 packets a second of 160 octets.

usage: call.py send ADDRESS PORT COUNT
       call.py receive PORT COUNT     prints the delay of each packet in milliseconds

Both ends are in one guest, so they read the same clock: the delay is from the sender's call of send until the
receiver has the packet.
"""

import socket
import struct
import sys
import time

INTERVAL = 20_000_000
# Packets that are this late are lost.
PATIENCE = 2


def send(address, port, count):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect((address, port))
    due = time.monotonic_ns()
    for i in range(count):
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        udp.send(struct.pack("<Iq", i, time.monotonic_ns()) + bytes(148))
        due += INTERVAL


def receive(port, count):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("", port))
    udp.settimeout(30)
    delays = {}
    print("ready", flush=True)
    try:
        while len(delays) < count:
            data = udp.recv(2048)
            now = time.monotonic_ns()
            number, stamp = struct.unpack_from("<Iq", data)
            delays[number] = (now - stamp) / 1e6
            if number == count - 1:
                udp.settimeout(PATIENCE)
    except TimeoutError:
        pass
    for delay in delays.values():
        print(f"{delay:.3f}")


if sys.argv[1] == "send":
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    receive(int(sys.argv[2]), int(sys.argv[3]))
