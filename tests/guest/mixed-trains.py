#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A relay for UDP that can keep back what comes from one side and send it as one train (UDP_SEGMENT).

usage: mixed-trains.py LISTEN:PORT FORWARD:PORT

Signals: USR1 keeps data messages back from now on, HUP keeps all messages back. USR2 sends what was kept as a train,
the data messages in their order and the shortest message last, ALRM the same behind a forged message for a receiver
index that nobody has, FPE the initiation and the shortest message behind it; what does not fit that is sent alone.
Then nothing is kept any more. Each time a line says so, and what the train is.
"""

import os
import select
import signal
import socket
import struct
import sys

UDP_SEGMENT = 103
INITIATION, DATA = 1, 4


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Relay:
    def __init__(self, listen, forward):
        self.outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outside.bind(listen)
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.connect(forward)
        self.client = None
        self.keep = None
        self.kept = []
        self.sessions = []
        self.nobody = None

    def name(self, message):
        if message[0] == INITIATION:
            return "initiation"
        receiver = message[4:8]
        if receiver == self.nobody:
            return "nobody"
        if receiver not in self.sessions:
            self.sessions.append(receiver)
        return f"{'data' if len(message) > 150 else 'short'}-{self.sessions.index(receiver) + 1}"

    def from_client(self):
        message, self.client = self.outside.recvfrom(65536)
        data = message[0] == DATA
        if data:
            self.name(message)
        if self.keep == "all" or self.keep == "data" and data:
            self.kept.append(message)
        else:
            self.inside.send(message)

    def from_server(self):
        message = self.inside.recv(65536)
        if self.client:
            self.outside.sendto(message, self.client)

    def send(self, first_kind, forged=False):
        """Sends what was kept: a run of equally long messages of a kind, and one shorter one."""
        kept, self.kept, self.keep = self.kept, [], None
        of_kind = [m for m in kept if m[0] == first_kind]
        length = max((len(m) for m in of_kind), default=0)
        run = [m for m in of_kind if len(m) == length]
        if first_kind == INITIATION:
            run = run[:1]
        short = [m for m in kept if len(m) < length]
        # If there is an initiation, a train of data is to end with it.
        short.sort(key=lambda m: (m[0] != INITIATION, len(m)))
        train = run + short[:1]
        if forged and run:
            self.nobody = bytes(octet ^ 0xFF for octet in run[0][4:8])
            train.insert(0, run[0][:4] + self.nobody + run[0][8:])
        if len(train) > 1:
            control = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", length))]
            self.inside.sendmsg([b"".join(train)], control)
        alone = [m for m in kept if m not in train]
        for message in alone:
            self.inside.send(message)
        print("train", *(self.name(m) for m in train), flush=True)


def main():
    relay = Relay(address(sys.argv[1]), address(sys.argv[2]))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGALRM, signal.SIGFPE):
        signal.signal(number, lambda *_: None)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([relay.outside, relay.inside, woken], [], [])
        # Messages first: what came before the signal is to be kept or passed on by what held then.
        if relay.outside in ready:
            relay.from_client()
            continue
        if relay.inside in ready:
            try:
                relay.from_server()
            except ConnectionRefusedError:
                pass
            continue
        for number in os.read(woken, 16):
            if number == signal.SIGUSR1:
                relay.keep = "data"
                print("holding-data", flush=True)
            elif number == signal.SIGHUP:
                relay.keep = "all"
                print("holding-all", flush=True)
            elif number in (signal.SIGUSR2, signal.SIGALRM):
                relay.send(DATA, forged=number == signal.SIGALRM)
            elif number == signal.SIGFPE:
                relay.send(INITIATION)


main()
