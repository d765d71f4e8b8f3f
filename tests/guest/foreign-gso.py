#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes a frame with a GSO packet to a tap device, as a virtual machine does that leaves the cutting to its host.

usage: foreign-gso.py v4|v6|tcp GSO-TYPE GSO-SIZE WORD LENGTH

UDP goes to port 2000 of the device's own address, TCP (over IPv4) to 192.168.241.2. The data are LENGTH octets that begin
with WORD (four octets, little endian).
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import time

IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, TUNSETIFF = 2, 0x1000, 0x4000, 0x400454CA
NEEDS_CSUM = 1


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def folded(octets):
    """The sum of 16-bit words in ones' complement."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def main():
    kind, gso_type, gso_size, word, length = sys.argv[1], *map(int, sys.argv[2:])
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    ip("link", "set", "tap0", "up")
    ip("addr", "add", "10.5.0.1/24", "dev", "tap0")
    ip("addr", "add", "fd05::1/64", "dev", "tap0", "nodad")
    # The kernel makes the address its own some time later.
    for _ in range(1000):
        if "local fd05::1 " in subprocess.check_output(["ip", "-6", "route", "show", "table", "local"], text=True):
            break
        time.sleep(0.01)
    with open("/sys/class/net/tap0/address", encoding="ascii") as file:
        mac = bytes.fromhex(file.read().strip().replace(":", ""))
    data = struct.pack("<I", word) + os.urandom(length - 4)

    if kind == "v6":
        ends = socket.inet_pton(socket.AF_INET6, "fd05::2") + socket.inet_pton(socket.AF_INET6, "fd05::1")
    else:
        ends = socket.inet_aton("10.5.0.2") + socket.inet_aton("192.168.241.2" if kind == "tcp" else "10.5.0.1")
    if kind == "tcp":
        protocol, header, at = 6, struct.pack("!HHIIBBHHH", 1234, 80, 1, 1, 5 << 4, 0x10, 1000, 0, 0), 16
    else:
        protocol, header, at = 17, struct.pack("!HHHH", 1234, 2000, 8 + length, 0), 6
    above = len(header) + length
    # The hardware is left to sum up all but the pseudo header, whose sum is there already.
    pseudo = ends + struct.pack("!IHBB", above, 0, 0, protocol)
    header = header[:at] + struct.pack("!H", folded(pseudo)) + header[at + 2 :]
    if kind == "v6":
        ether, network = 0x86DD, struct.pack("!IHBB", 6 << 28, above, protocol, 64) + ends
    else:
        ether, network = 0x0800, struct.pack("!BBHHHBBH", 0x45, 0, 20 + above, 1, 0, 64, protocol, 0) + ends
        network = network[:10] + struct.pack("!H", ~folded(network) & 0xFFFF) + network[12:]
    start = 14 + len(network)
    virtio = struct.pack("<BBHHHH", NEEDS_CSUM, gso_type, start + len(header), gso_size, start, at)
    os.write(tun, virtio + mac + bytes.fromhex("020000000002") + struct.pack("!H", ether) + network + header + data)


main()
