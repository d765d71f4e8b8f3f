# SPDX-License-Identifier: GPL-2.0
"""The netlink interface of WireGuard, octet by octet, for tests that want to send what no library would."""

import os
import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_DUMP_INTR, NLM_F_ACK_TLVS = 0x10, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
NLA_F_NESTED = 0x8000
GET, SET = 0, 1

# enum wgdevice_attribute
IFINDEX, IFNAME, PRIVATE_KEY, PUBLIC_KEY, FLAGS, LISTEN_PORT, FWMARK, PEERS = range(1, 9)
# enum wgpeer_attribute
(P_PUBLIC_KEY, P_PRESHARED_KEY, P_FLAGS, P_ENDPOINT, P_KEEPALIVE, P_LAST_HANDSHAKE, P_RX, P_TX, P_ALLOWEDIPS,
 P_VERSION) = range(1, 11)
# enum wgallowedip_attribute
A_FAMILY, A_IPADDR, A_MASK, A_FLAGS = range(1, 5)
# Flags
REPLACE_PEERS = 1
REMOVE_ME, REPLACE_ALLOWEDIPS, UPDATE_ONLY = 1, 2, 4
A_REMOVE_ME = 1

AF_INET, AF_INET6 = 2, 10

# Two keys.
KEY, OTHER = bytes(range(1, 33)), bytes(range(2, 34))


def attr(kind, payload):
    data = struct.pack("HH", len(payload) + 4, kind) + payload
    return data + bytes(-len(data) % 4)


def nest(kind, *children):
    return attr(kind | NLA_F_NESTED, b"".join(children))


def u8(kind, value):
    return attr(kind, struct.pack("B", value))


def u16(kind, value):
    return attr(kind, struct.pack("H", value))


def u32(kind, value):
    return attr(kind, struct.pack("I", value))


def name(value):
    return attr(IFNAME, value.encode() + b"\0")


def allowed_ip(address, mask, *more):
    family = AF_INET6 if ":" in address else AF_INET
    return nest(0, u16(A_FAMILY, family), attr(A_IPADDR, socket.inet_pton(family, address)), u8(A_MASK, mask), *more)


def sockaddr(address, port, flow=0, scope=0):
    if ":" in address:
        return struct.pack("=H", AF_INET6) + struct.pack("!HI", port, flow) + socket.inet_pton(AF_INET6, address) + \
            struct.pack("=I", scope)
    return struct.pack("=H", AF_INET) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8)


def attrs(data):
    """(type without flags, payload) of the attributes in data."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        if length < 4:
            return
        yield kind & 0x3fff, data[4:length]
        data = data[length + 3 & ~3:]


def peer(*attributes, key=KEY):
    return nest(PEERS, nest(0, attr(P_PUBLIC_KEY, key), *attributes))


class Refused(Exception):
    """A request that was refused: errno, text of the extended acknowledgement or None."""

    def __init__(self, errno, text):
        super().__init__(f"{os.strerror(errno)} ({text})")
        self.errno, self.text = errno, text


class Socket:
    """A socket that speaks to the family."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.bind((0, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.seq = 0
        self.family = 16
        self.send(3, NLM_F_REQUEST | NLM_F_ACK, attr(2, b"wireguard\0"))
        for kind, payload in self.answer():
            for a, value in attrs(payload[4:]):
                if a == 1:
                    self.family = struct.unpack("H", value)[0]

    def send(self, command, flags, payload, version=1):
        self.seq += 1
        body = struct.pack("BBH", command, version, 0) + payload
        self.sock.send(struct.pack("IHHII", len(body) + 16, self.family, flags, self.seq, 0) + body)

    def messages(self):
        """The messages of one datagram: type, flags, payload."""
        data = self.sock.recv(1 << 20)
        while len(data) >= 16:
            length, kind, flags, _seq, _pid = struct.unpack_from("IHHII", data)
            yield kind, flags, data[16:length]
            data = data[length + 3 & ~3:]

    @staticmethod
    def refusal(flags, payload, header=4):
        errno = -struct.unpack_from("i", payload)[0]
        text = None
        if flags & NLM_F_ACK_TLVS:
            rest = payload[header:]
            if header == 4:
                # The error quotes the request, whole if there was one.
                quoted, = struct.unpack_from("I", payload, 4)
                rest = payload[4 + (16 if flags & 0x100 else quoted + 3 & ~3):]
            for kind, value in attrs(rest):
                if kind == 1:
                    text = value.rstrip(b"\0").decode()
        return errno, text

    def answer(self):
        """The messages up to the acknowledgement. Raises Refused."""
        out = []
        while True:
            for kind, flags, payload in self.messages():
                if kind == NLMSG_ERROR:
                    errno, text = self.refusal(flags, payload)
                    if errno:
                        raise Refused(errno, text)
                    return out
                if kind == NLMSG_DONE:
                    errno, text = self.refusal(flags, payload, 4 if len(payload) < 4 else 5)
                    if errno > 0:
                        raise Refused(errno, text)
                    out.append((flags, None))
                    return out
                out.append((flags, payload))

    def set(self, *attributes):
        self.send(SET, NLM_F_REQUEST | NLM_F_ACK, b"".join(attributes))
        self.answer()

    def begin_get(self, *attributes):
        self.send(GET, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP, b"".join(attributes))

    def get(self, *attributes):
        """The flags of all parts, and the device."""
        self.begin_get(*attributes)
        return self.collect(self.answer())

    @staticmethod
    def collect(parts):
        flags, device = 0, Device()
        for part_flags, payload in parts:
            flags |= part_flags
            if payload is not None:
                device.add(payload[4:])
        return flags, device


class Device:
    """What the parts of a dump say."""

    def __init__(self):
        self.attributes = {}
        self.peers = {}
        self.order = []
        # Peers whose counters are in more than one part: whoever adds them up would count these twice.
        self.repeated = []

    def add(self, payload):
        for kind, value in attrs(payload):
            if kind != PEERS:
                self.attributes[kind] = value
                continue
            for _, peer in attrs(value):
                fields = dict(attrs(peer))
                key = fields[P_PUBLIC_KEY]
                if key not in self.peers:
                    self.peers[key] = {"allowed": []}
                    self.order.append(key)
                elif P_RX in fields:
                    self.repeated.append(key)
                entry = self.peers[key]
                for kind2, value2 in fields.items():
                    if kind2 != P_ALLOWEDIPS:
                        entry[kind2] = value2
                for _, one in attrs(fields.get(P_ALLOWEDIPS, b"")):
                    one = dict(attrs(one))
                    family, = struct.unpack("H", one[A_FAMILY])
                    entry["allowed"].append((socket.inet_ntop(family, one[A_IPADDR]), one[A_MASK][0]))
