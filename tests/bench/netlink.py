#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Times what the kernel does for wg, without wg's own share. Prints seconds.

usage: netlink.py send FILE     sends prepared messages, each when the one before was acknowledged
       netlink.py dump DEVICE   reads the whole configuration, ten times; the shortest
"""

import os
import socket
import struct
import sys
import time

REQUEST, ACK, DUMP = 1, 4, 0x300
ERROR, DONE = 2, 3


def attribute(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def request(family, flags, command, attributes):
    body = struct.pack("<BBH", command, 1, 0) + attributes
    return struct.pack("<IHHII", len(body) + 16, family, flags | REQUEST, 0, 0) + body


def answer(netlink):
    """What has come, and whether the last message of it ends a dump."""
    data = netlink.recv(65536)
    at, done = 0, False
    while at < len(data):
        size, kind = struct.unpack_from("<IH", data, at)
        if kind == ERROR:
            error = -struct.unpack_from("<i", data, at + 16)[0]
            if error:
                sys.exit(f"netlink: {os.strerror(error)}")
        done = kind == DONE
        at += (size + 3) & ~3
    return data, done


def family_of(netlink, name):
    netlink.send(request(16, 0, 3, attribute(2, name + b"\0")))
    data, _ = answer(netlink)
    at = 20
    while at < len(data):
        size, kind = struct.unpack_from("<HH", data, at)
        if kind == 1:
            return struct.unpack_from("<H", data, at + 4)[0]
        at += (size + 3) & ~3
    sys.exit("netlink: no such family")


def send(netlink, family, name):
    with open(name, "rb") as file:
        data = bytearray(file.read())
    messages = []
    at = 0
    while at < len(data):
        struct.pack_into("<H", data, at + 4, family)
        size = struct.unpack_from("<I", data, at)[0]
        messages.append(bytes(data[at:at + size]))
        at += size
    begun = time.monotonic_ns()
    for message in messages:
        netlink.send(message)
        answer(netlink)
    return time.monotonic_ns() - begun


def dump(netlink, family, name):
    shortest = None
    for _ in range(10):
        begun = time.monotonic_ns()
        netlink.send(request(family, DUMP, 0, attribute(2, name.encode() + b"\0")))
        octets = 0
        while True:
            data, done = answer(netlink)
            octets += len(data)
            if done:
                break
        span = time.monotonic_ns() - begun
        if octets < 1000:
            sys.exit("netlink: the dump is empty")
        shortest = span if shortest is None else min(shortest, span)
    return shortest


def main():
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    netlink.settimeout(60)
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    netlink.bind((0, 0))
    family = family_of(netlink, b"wireguard")
    action = {"send": send, "dump": dump}[sys.argv[1]]
    print(action(netlink, family, sys.argv[2]) / 1e9)


if __name__ == "__main__":
    main()
