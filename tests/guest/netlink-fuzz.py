#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Random and mutated requests to the generic netlink family "wireguard".

usage: netlink-fuzz.py make COUNT SEED REQUESTS INTERFACE...
       netlink-fuzz.py make-own COUNT SEED REQUESTS INTERFACE...
       netlink-fuzz.py send REQUESTS OUTPUT INTERFACE...

The requests know the structure of the family (the attributes that include/uapi/linux/wireguard.h
names, their types, flags and nesting) and break it in one place or several. The same seed makes the
same requests; half of those of make-own are commands that only this driver has
(Documentation/netlink/wireguard-options.yaml), and of those of make, none. REQUESTS has a line for each: command,
flags, attributes. OUTPUT gets a line for each: its number and its errno.

They re-express syzkaller's description of the family (sys/linux/socket_netlink_generic_wireguard.txt): three
interfaces, three private keys and their public ones, no key at all, a public key that no private one has, endpoints at
the loopback addresses, at the interfaces' ports, and short prefixes. So an interface meets a peer that is itself, and
two that are up make sessions with each other; meanwhile packets are sent into them. What comes of that by itself differs
from run to run, and is not compared: counters, times, and endpoints that a peer may have been heard from.

The in-tree driver keeps what it did before it found the fault in a request; this one does nothing then, and the
errors of later requests depend on what is there. So what a refused request has changed is undone; how many there
were is the last line of what is printed.
"""

import os
import random
import re
import socket
import struct
import subprocess
import sys
from base64 import b64decode, b64encode

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLA_F_NESTED = 0x8000
NLMSG_ERROR, NLMSG_DONE = 2, 3
GENL_ID_CTRL = 16

# A kind of value: its lengths are what the policy wants, its contents what the driver looks at.
U8, U16, U32, U64, NAME, KEY, TIME, ENDPOINT, ADDRESS, PEERS, ALLOWED_IPS = range(11)
DEVICE = {1: U32, 2: NAME, 3: KEY, 4: KEY, 5: U32, 6: U16, 7: U32, 8: PEERS}
PEER = {1: KEY, 2: KEY, 3: U32, 4: ENDPOINT, 5: U16, 6: TIME, 7: U64, 8: U64, 9: ALLOWED_IPS, 10: U32}
ALLOWED_IP = {1: U16, 2: ADDRESS, 3: U8, 4: U32}
# Likewise for the commands that only this driver has.
GET_OPTIONS, SET_OPTIONS, REPLACE_ALLOWED_IPS = OWN = range(96, 99)
OPTIONS = {1: U32, 2: NAME, 3: U32, 4: NAME, 5: U8, 6: U8, 7: U8}
REPLACEMENT = {1: U32, 2: NAME, 3: KEY, 4: ALLOWED_IPS}

# In a dump, the attributes of a peer that change by themselves: the last handshake, octets received and sent.
VOLATILE = re.compile(rb"\x14\0\x06\0.{16}|\x0c\0[\x07\x08]\0.{8}", re.DOTALL)
# The ports that interfaces listen on, and that peers are looked for at.
PORTS = [51820, 51821, 51822]
# A point of order four in another encoding than its own: no private key makes it.
NOBODY = b"\xdb" + b"\xff" * 31
# A request with many peers is sent in parts of about this length.
PART = 30000


def attribute(kind, payload, nested=False):
    kind |= NLA_F_NESTED if nested else 0
    data = struct.pack("=HH", (4 + len(payload)) & 0xFFFF, kind) + payload
    return data + bytes(-len(data) % 4)


def public(key):
    """The public key of a private one."""
    return b64decode(subprocess.run(["wg", "pubkey"], input=b64encode(key), capture_output=True, check=True).stdout)


def loopback(endpoint):
    """Whether it may have been learned from the packets of one of our interfaces."""
    return endpoint[4:5] == b"\x7f" if len(endpoint) == 16 else endpoint[8:24] == bytes(15) + b"\1"


class Requests:
    """Makes requests out of random numbers."""

    def __init__(self, seed, interfaces):
        self.random = random.Random(seed)
        self.interfaces = interfaces
        # Few keys and few prefixes, so that requests meet what earlier ones have left.
        self.keys = [self.random.randbytes(32) for _ in range(16)] + [bytes(32)]
        self.privates = [self.random.randbytes(32) for _ in range(3)]
        self.publics = [public(key) for key in self.privates] + [NOBODY, bytes(32)]
        self.prefixes = [self.random.randbytes(16) for _ in range(36)]
        # Some that interfaces have addresses of.
        self.prefixes += [bytes([10, 77, i % 3, 1]) + self.random.randbytes(12) for i in range(6)]
        self.prefixes += [bytes([0xfd, 0x77, 0, i % 3]) + bytes(11) + b"\1" for i in range(6)]

    def one_in(self, n):
        # Called so often that its speed matters.
        return self.random.random() * n < 1

    def value(self, kind, table, number):
        r = self.random
        if kind == U8:
            if table is not ALLOWED_IP:
                return bytes([r.choice([0, 0, 0, 1, 1, 1, 2, 255])])
            return bytes([r.choice([0, 1, 8, 16, 24, 31, 32, 33, 64, 96, 127, 128, 129, 255])])
        if kind == U16:
            if table is ALLOWED_IP:
                return struct.pack("=H", r.choice([2, 2, 10, 10, 0, 1, 255, r.randrange(1 << 16)]))
            return struct.pack("=H", r.choice([0, 1, 25, 65535] + PORTS))
        if kind == U32:
            return struct.pack("=I", r.choice([0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1 << 31, r.getrandbits(32)]))
        if kind == U64:
            return r.randbytes(8)
        if kind == NAME:
            return r.choice(self.interfaces + ["lo", "nosuch", "", "x" * 15, "x" * 16]).encode() + bytes(r.randrange(2))
        if kind == KEY and table is DEVICE and number == 3 and not self.one_in(10):
            return r.choice(self.privates)
        if kind == KEY and table is PEER and number == 2 and not self.one_in(10):
            # Sessions need the same on both sides.
            return bytes(32)
        if kind == KEY and table is not DEVICE and self.one_in(2):
            return r.choice(self.publics)
        if kind == KEY:
            return r.choice(self.keys)
        if kind == TIME:
            return r.randbytes(16)
        if kind == ENDPOINT and self.one_in(2):
            return self.at_loopback(r.choice(PORTS))
        if kind == ENDPOINT:
            four = struct.pack("=H", socket.AF_INET) + struct.pack("!H", r.randrange(65536)) + r.randbytes(4) + bytes(8)
            six = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", r.randrange(65536), 0) + r.randbytes(16) + bytes(4)
            return r.choice([four, six, four[:15], six[:27], six + four, struct.pack("=H", r.randrange(50)) + r.randbytes(26)])
        if kind == ADDRESS:
            return r.choice(self.prefixes)[: r.choice([4, 16, 4, 16, 4, 16, 3, 5, 15])]
        if kind == PEERS:
            return self.nest(PEER, r.choice([0, 1, 1, 1, 2, 3, 8]))
        return self.nest(ALLOWED_IP, r.choice([0, 1, 1, 2, 2, 4, 16]))

    def nest(self, table, number):
        return b"".join(
            attribute(0 if not self.one_in(20) else self.random.randrange(12), self.attributes(table), not self.one_in(40))
            for _ in range(number)
        )

    def attributes(self, table, wanted=()):
        r = self.random
        kinds = [k for k in table if k in wanted or r.random() < 0.45]
        if table is PEER and not self.one_in(30):
            kinds = sorted(set(kinds) | {1})
        if table is ALLOWED_IP and not self.one_in(30):
            return self.allowed_ip()
        if self.one_in(25):
            r.shuffle(kinds)
        if kinds and self.one_in(25):
            kinds.append(r.choice(kinds))
        out = b""
        for kind in kinds:
            type_ = table[kind]
            payload = self.value(type_, table, kind)
            if type_ == U32 and kind in (3, 5) and not self.one_in(10):
                # Flags: mostly ones that exist.
                payload = struct.pack("=I", r.choice([0, 0, 0, 1] if table is DEVICE else [0, 0, 0, 1, 2, 4, 6]))
            if type_ == U32 and table is PEER and kind == 10 and not self.one_in(10):
                payload = struct.pack("=I", 1)
            if self.one_in(60):
                payload = r.choice([payload[:-1], payload + b"\0", b"", payload * 2, r.randbytes(r.randrange(64))])
            out += attribute(kind if not self.one_in(80) else r.randrange(40), payload, type_ >= PEERS and not self.one_in(30))
        if self.one_in(80):
            # A tail that is no attribute, or one that claims more than there is.
            out += r.choice([r.randbytes(r.randrange(1, 8)), struct.pack("=HH", r.randrange(1 << 16), r.randrange(1 << 16))])
        return out

    def allowed_ip(self):
        """One that makes sense, most of the time."""
        r = self.random
        six = self.one_in(2)
        out = attribute(1, struct.pack("=H", 10 if six else 2))
        out += attribute(2, r.choice(self.prefixes)[: 16 if six else 4])
        longest = 4 if self.one_in(4) else 129 if six else 33
        out += attribute(3, bytes([r.randrange(longest) if not self.one_in(20) else 200]))
        if self.one_in(4):
            out += attribute(4, struct.pack("=I", 1))
        return out

    def at_loopback(self, port):
        port = struct.pack("!H", port)
        if self.one_in(2):
            return struct.pack("=H", socket.AF_INET) + port + bytes([127, 0, 0, 1]) + bytes(8)
        return struct.pack("=H", socket.AF_INET6) + port + bytes(19) + b"\1" + bytes(4)

    def meeting(self):
        """What an interface needs for sessions with the others, if these have it as well."""
        me = self.random.randrange(3)
        peers = b""
        for other in range(3):
            ips = attribute(1, struct.pack("=H", 2)) + attribute(2, bytes([10, 77, other, 1])) + attribute(3, b"\x20")
            peer = attribute(1, self.publics[other]) + attribute(2, bytes(32)) + attribute(4, self.at_loopback(PORTS[other]))
            peers += attribute(0, peer + attribute(9, attribute(0, ips, True), True), True) if other != me else b""
        body = attribute(2, self.interfaces[me].encode() + b"\0")
        body += attribute(3, self.privates[me]) + attribute(6, struct.pack("=H", PORTS[me]))
        return body + attribute(8, peers, True)

    def next(self):
        """The command, its flags, and its attributes."""
        r = self.random
        if self.one_in(12):
            body = self.attributes({1: U32, 2: NAME}) if self.one_in(3) else attribute(2, r.choice(self.interfaces).encode() + b"\0")
            command, flags = 0, NLM_F_DUMP
        elif self.one_in(8):
            command, flags, body = 1, 0, self.meeting()
        else:
            # The interface that it names must mostly be right, or nothing else is looked at.
            if self.one_in(10):
                body = self.attributes(DEVICE)
            else:
                body = attribute(2, r.choice(self.interfaces).encode() + b"\0")
                body += self.attributes({k: v for k, v in DEVICE.items() if k > 2}, wanted=(8,) if self.one_in(2) else ())
            command, flags = 1, 0
        command, flags, body = self.broken(command, flags, body)
        return command ^ 128 if command in OWN else command, flags, body

    def next_own(self):
        """The same, of the commands that only this driver has; each other one is of the others."""
        r = self.random
        if self.one_in(2):
            return self.next()
        command = r.choice([GET_OPTIONS, SET_OPTIONS, SET_OPTIONS, REPLACE_ALLOWED_IPS, REPLACE_ALLOWED_IPS])
        table = REPLACEMENT if command == REPLACE_ALLOWED_IPS else OPTIONS
        if self.one_in(10):
            body = self.attributes(table)
        else:
            body = attribute(2, r.choice(self.interfaces).encode() + b"\0")
            body += self.attributes({k: v for k, v in table.items() if k > 2}, wanted=(3,) if table is REPLACEMENT else ())
        return self.broken(command, 0, body)

    def broken(self, command, flags, body):
        """The same request, or what has become of it."""
        r = self.random
        if self.one_in(60):
            flags ^= r.choice([NLM_F_DUMP, 0x100, 0x200, 0x400, 0x800])
        if self.one_in(60):
            command = r.randrange(256)
        if self.one_in(5) and body:
            changed = bytearray(body)
            for _ in range(r.randrange(1, 5)):
                changed[r.randrange(len(changed))] ^= 1 << r.randrange(8)
            body = bytes(changed)
        if self.one_in(60):
            body = body[: r.randrange(len(body) + 1)]
        return command, flags, body


def attributes(data):
    """Kind and payload of each attribute."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def same_peer(before, after):
    if loopback(after.get(4, b"")):
        before, after = ({k: v for k, v in peer.items() if k != 4} for peer in (before, after))
    return before == after


class State:
    """The configuration of an interface, out of a dump."""

    def __init__(self, dump):
        self.attributes, self.peers = {}, {}
        for kind, payload in attributes(dump):
            if kind != 8:
                self.attributes[kind] = payload
            for _, peer in attributes(payload) if kind == 8 else ():
                # A peer that does not fit into one message continues in the next one, by its key alone.
                parts = dict(attributes(peer))
                known = self.peers.setdefault(parts[1], {9: ()})
                known.update((k, v) for k, v in parts.items() if k not in (1, 9))
                known[9] += tuple(ip for _, ip in attributes(parts.get(9, b"")))

    def became(self, later):
        """Whether the later state is this one, but for the order of the peers and for endpoints that were learned."""
        return self.attributes == later.attributes and self.peers.keys() == later.peers.keys() and all(
            same_peer(peer, later.peers[key]) for key, peer in self.peers.items()
        )

    def requests_from(self, name, present):
        """The bodies of requests that lead here from another state."""
        head = attribute(2, name.encode() + b"\0")
        first = head
        for kind, length in ((3, 32), (6, 2), (7, 4)):
            value, old = (state.attributes.get(kind, bytes(length)) for state in (self, present))
            first += attribute(kind, value) if value != old else b""
        parts = [attribute(1, key) + attribute(3, struct.pack("=I", 1)) for key in present.peers if key not in self.peers]
        for key, peer in self.peers.items():
            old = present.peers.get(key)
            if old and same_peer(peer, old):
                continue
            if old and 4 in old and 4 not in peer:
                # An endpoint cannot be removed.
                parts.append(attribute(1, key) + attribute(3, struct.pack("=I", 1)))
            ips = b"".join(attribute(0, ip, True) for ip in peer[9])
            values = b"".join(attribute(k, peer[k]) for k in (2, 4, 5) if k in peer)
            parts.append(attribute(1, key) + attribute(3, struct.pack("=I", 2)) + values + attribute(9, ips, True))
        bodies, peers = [], b""
        for part in parts:
            peers += attribute(0, part, True)
            if len(peers) > PART:
                bodies.append(attribute(8, peers, True))
                peers = b""
        bodies.append(attribute(8, peers, True) if peers else b"")
        return [(first if i == 0 else head) + body for i, body in enumerate(bodies)]


class Netlink:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)  # NETLINK_GENERIC
        self.socket.bind((0, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.settimeout(120)
        self.sequence = 0
        # The times of handshakes that were seen.
        self.handshakes = set()

    def ask(self, family, command, flags, body):
        """Sends a request; the errno of the answer and the payloads that came before it."""
        self.sequence += 1
        genl = struct.pack("=BBH", command, 1, 0) + body
        flags |= NLM_F_REQUEST | NLM_F_ACK
        self.socket.send(struct.pack("=IHHII", 16 + len(genl), family, flags, self.sequence, 0) + genl)
        answers = []
        while True:
            data = self.socket.recv(1 << 17)
            while len(data) >= 16:
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
                message, data = data[16:length], data[(length + 3) & ~3 :]
                if sequence != self.sequence:
                    continue
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return -struct.unpack_from("=i", message)[0], answers
                answers.append(message)

    def dump(self, family, interface):
        """The attributes of an interface and its peers, and its options."""
        error, answers = self.ask(family, 0, NLM_F_DUMP, attribute(2, interface.encode() + b"\0"))
        assert error == 0, os.strerror(error)
        data = b"".join(answer[4:] for answer in answers)
        # What only this driver has is there, too.
        _, options = self.ask(family, GET_OPTIONS, 0, attribute(2, interface.encode() + b"\0"))
        return VOLATILE.sub(self.blank, data), b"".join(options)

    def blank(self, match):
        if match[0][2] == 6 and any(match[0][4:]):
            self.handshakes.add(match[0][4:])
        return match[0][:4] + bytes(len(match[0]) - 4)

    def family(self, name):
        error, answers = self.ask(GENL_ID_CTRL, 3, 0, attribute(2, name.encode() + b"\0"))
        if error:
            raise OSError(error, "no such family")
        data = answers[0][4:]
        while data:
            length, kind = struct.unpack_from("=HH", data)
            if kind == 1:
                return struct.unpack_from("=H", data, 4)[0]
            data = data[(length + 3) & ~3 :]
        raise OSError("no family id")


class Traffic:
    """Packets into the interfaces, one into each at a time."""

    def __init__(self, interfaces):
        self.random = random.Random(1)
        self.sockets = []
        for interface in interfaces:
            for family in (socket.AF_INET, socket.AF_INET6):
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
                self.sockets.append(sock)

    def send(self):
        for sock in self.sockets:
            to = self.random.randrange(3)
            try:
                sock.sendto(b"x", (f"10.77.{to}.1" if sock.family == socket.AF_INET else f"fd77:{to}::1", 9))
            except OSError:
                # No peer has the address, say, or it is our own.
                pass


def received(interface):
    with open(f"/sys/class/net/{interface}/statistics/rx_packets", encoding="ascii") as file:
        return int(file.read())


def make(following, count, seed, path, *interfaces):
    requests = Requests(int(seed), list(interfaces))
    with open(path, "w", encoding="ascii") as out:
        for _ in range(int(count)):
            command, flags, body = following(requests)
            out.write(f"{command} {flags:x} {body.hex()}\n")


def send(path, output, *interfaces):
    netlink = Netlink()
    family = netlink.family("wireguard")
    traffic = Traffic(interfaces)
    errors, undone = {}, 0
    before = {interface: netlink.dump(family, interface) for interface in interfaces}
    with open(path, encoding="ascii") as requests, open(output, "w", encoding="ascii") as out:
        for number, line in enumerate(requests):
            command, flags, body = line.rstrip("\n").split(" ")
            body = bytes.fromhex(body)
            error, _ = netlink.ask(family, int(command), int(flags, 16), body)
            traffic.send()
            changed = False
            # A request that names none may name one by its number.
            for interface in [name for name in interfaces if name.encode() in body] or interfaces:
                after = netlink.dump(family, interface)
                wanted = State(before[interface][0]) if error and after != before[interface] else None
                if wanted and not (after[1] == before[interface][1] and wanted.became(State(after[0]))):
                    changed = True
                    for undo in wanted.requests_from(interface, State(after[0])):
                        refused, _ = netlink.ask(family, 1, 0, undo)
                        assert refused == 0, os.strerror(refused)
                    after = netlink.dump(family, interface)
                    assert wanted.became(State(after[0])), f"request {number} could not be undone"
                before[interface] = after
            undone += changed
            errors[error] = errors.get(error, 0) + 1
            out.write(f"{number} {error}\n")
    for error, n in sorted(errors.items(), key=lambda item: -item[1]):
        print(f"# {n:8} {os.strerror(error) if error else 'success'}")
    came = sum(received(interface) for interface in interfaces)
    print(f"# {len(netlink.handshakes)} sessions began, {came} packets came through them")
    print(f"# {undone} requests were refused and had changed something")


{
    "make": lambda *words: make(Requests.next, *words),
    "make-own": lambda *words: make(Requests.next_own, *words),
    "send": send,
}[sys.argv[1]](*sys.argv[2:])
