# SPDX-License-Identifier: GPL-2.0
"""Requests and answers of many lengths, by TCP or UDP.

usage: netload.py serve 4|6 tcp|udp
       netload.py ask 4|6 tcp|udp ADDRESS CLIENTS REQUESTS

A request says how long it is and is answered by itself.
"""

import os
import socket
import struct
import sys
import threading

PORT = 7777
LENGTHS = (100, 500, 1000, 1369, 2000, 9000, 60000)


def receive(one, length):
    data = b""
    while len(data) < length:
        part = one.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def serve_tcp(listener):
    def connection(one):
        try:
            while True:
                head = receive(one, 4)
                one.sendall(head + receive(one, struct.unpack(">I", head)[0]))
        except EOFError:
            one.close()

    while True:
        threading.Thread(target=connection, args=(listener.accept()[0],), daemon=True).start()


def ask(family, kind, address, requests, errors):
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(15)
            one.connect((address, PORT))
            for length in LENGTHS:
                for _ in range(requests):
                    data = os.urandom(length)
                    if kind == socket.SOCK_STREAM:
                        one.sendall(struct.pack(">I", length) + data)
                        back = receive(one, length + 4)[4:]
                    else:
                        one.send(data)
                        back = one.recv(65536)
                    if back != data:
                        raise ValueError(f"another answer to {length} octets")
    except Exception as error:  # whatever it is, the test has failed
        errors.append(error)


def main():
    what, version, kind = sys.argv[1:4]
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}[version]
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[kind]
    if what == "serve":
        with socket.socket(family, kind) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("", PORT))
            if kind == socket.SOCK_STREAM:
                one.listen(64)
                serve_tcp(one)
            while True:
                one.sendto(*one.recvfrom(65536))
    errors = []
    clients = [
        threading.Thread(target=ask, args=(family, kind, sys.argv[4], int(sys.argv[6]), errors))
        for _ in range(int(sys.argv[5]))
    ]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    for error in errors:
        print(repr(error))
    sys.exit(bool(errors))


main()
