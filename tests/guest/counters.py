# SPDX-License-Identifier: GPL-2.0
"""Called by counters.sh and others, in a's namespace: records the messages that a sends over veth0, and plays
such messages to b, as they were or changed.

usage: counters.py record FILE             writes each UDP payload to port 2000 as a line of hexadecimal
       counters.py play FILE TYPE [flip]   sends the first message of that type (1 to 4) again
       counters.py train FILE              sends the longest message, which is a train of four, as such a train again
       counters.py stray                   sends what is no WireGuard message, or is for nobody
       counters.py hold SECONDS            sends ten initiations without a mac, and keeps the CPU for so long
       counters.py knowing KEY             sends handshake messages with a good mac1, and nothing else that is right
       counters.py late KEY FILE           sends 200 responses with a good mac1 to the session of the first data message
       counters.py inside VERSION          writes a packet of that version to wg0, which says that it is longer than it is"""

import base64
import hashlib
import os
import socket
import struct
import sys
import time

TO = ("10.0.0.2", 2000)


def send(*payloads):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for payload in payloads:
            s.sendto(payload, TO)


def record(path):
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as s, open(path, "w") as out:
        s.bind(("veth0", 3))
        print("recording", flush=True)
        while True:
            packet = s.recv(65536)
            # IPv4 without options, UDP to port 2000.
            if packet[0] == 0x45 and packet[9] == 17 and packet[22:24] == (2000).to_bytes(2, "big"):
                print(packet[28:].hex(), file=out, flush=True)


def recorded(path, kind):
    with open(path) as lines:
        messages = [bytes.fromhex(line) for line in lines]
    return next(m for m in messages if m[0] == kind)


def play(path, kind, flip=None):
    message = recorded(path, int(kind))
    if flip:
        message = message[:-1] + bytes([message[-1] ^ 1])
    send(message)


def train(path):
    with open(path) as lines, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        messages = bytes.fromhex(max(lines, key=len))
        s.sendmsg([messages], [(socket.SOL_UDP, 103, struct.pack("H", len(messages) // 4))], 0, TO)


def stray():
    send(b"hello", bytes(200))                                  # no message at all
    send(b"\x04\0\0\0" + bytes(28))                             # transport data for nobody
    send(b"\x01\0\0\0" + bytes(144))                            # an initiation without a mac
    send(b"\x02\0\0\0" + bytes(88))                             # a response without a mac
    send(b"\x03\0\0\0" + bytes(60))                             # a cookie for nobody


def hold(seconds):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    send(*[b"\x01\0\0\0" + bytes(144)] * 10)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        pass


def with_macs(key, message):
    # Section 5.4.4 of the whitepaper.
    key = hashlib.blake2s(b"mac1----" + base64.b64decode(key)).digest()
    return message + hashlib.blake2s(message, key=key, digest_size=16).digest() + bytes(16)


def knowing(key):
    for message in b"\x01\0\0\0" + bytes(112), b"\x02\0\0\0" + bytes(56):
        send(with_macs(key, message))


def late(key, path):
    receiver = recorded(path, 4)[4:8]
    for _ in range(200):
        send(with_macs(key, b"\x02\0\0\0" + bytes(4) + receiver + bytes(48)))
        # Few enough at a time for the queue to stay short.
        time.sleep(0.001)


def inside(version):
    header = bytes([int(version) << 4 | 5, 0]) + (1000).to_bytes(2, "big") + bytes(4) + bytes([64, 17, 0, 0])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.sendto(header + bytes([192, 168, 241, 1, 192, 168, 241, 2]) + bytes(20), ("wg0", 0x0800))


{
    "record": record, "play": play, "train": train, "stray": stray, "hold": hold, "knowing": knowing, "late": late,
    "inside": inside,
}[sys.argv[1]](*sys.argv[2:])
