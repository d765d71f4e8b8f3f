#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends prepared initiations and takes the responses; prints handshakes a second, one line for the first
handshake of all peers and one for the second.

usage: handshakes.py FILE ADDRESS PORT

As many as WINDOW are under way at any time, so that the responder always has work and never finds itself under
load. Each half's first ones are not counted.
"""

import socket
import sys
import time

SIZE, WINDOW = 148, 32


def run(udp, messages):
    """Sends all messages and takes the answers; the answers a second after the first WINDOW."""
    sent = 0
    for _ in range(WINDOW):
        udp.send(messages[sent])
        sent += 1
    for got in range(1, len(messages) + 1):
        answer = udp.recv(2048)
        if len(answer) != 92 or answer[0] != 2:
            sys.exit(f"handshakes: not a response: {answer.hex()}")
        if got == WINDOW:
            begun = time.monotonic_ns()
        if sent < len(messages):
            udp.send(messages[sent])
            sent += 1
    return (len(messages) - WINDOW) * 1e9 / (time.monotonic_ns() - begun)


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    messages = [data[i:i + SIZE] for i in range(0, len(data), SIZE)]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(5)
    udp.connect((sys.argv[2], int(sys.argv[3])))
    half = len(messages) // 2
    print(f"{run(udp, messages[:half]):.1f}")
    # A responder takes one initiation of a peer in 50 ms.
    time.sleep(0.1)
    print(f"{run(udp, messages[half:]):.1f}")


if __name__ == "__main__":
    main()
