#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Lets each allocation of each request fail, one after the other.

A request is made with the first allocation failing, then with the second, and so on, until it is served
with none failing (fail-nth of the kernel's fault injection). Each time it has to be refused with an
error, or to have done all it was asked for; and afterwards the same request without a failure works.
Prints a line for each request: name, failed allocations, how many were refused, how many served.
"""

import errno
import os
import socket
import struct
import sys

NLM_REQUEST, NLM_ACK, NLM_DUMP, NLM_CREATE, NLM_EXCL = 1, 4, 0x300, 0x400, 0x200
NEWLINK, DELLINK, NEWADDR = 16, 17, 20
SET_DEVICE, GET_DEVICE = 1, 0
NESTED = 0x8000
NETLINK_GENERIC = 16

nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)


def arm(number):
    """The number-th allocation from now on fails, once."""
    os.write(nth, str(number).encode())


def disarm():
    """Returns whether an allocation has failed."""
    try:
        failed = int(os.pread(nth, 16, 0)) == 0
    except OSError:
        failed = True
    while True:
        try:
            os.write(nth, b"0")
            return failed
        except OSError:
            pass


def attribute(kind, value):
    data = struct.pack("HH", len(value) + 4, kind) + value
    return data + bytes(-len(data) % 4)


def nest(kind, *parts):
    return attribute(kind | NESTED, b"".join(parts))


def u16(value):
    return struct.pack("H", value)


def u32(value):
    return struct.pack("I", value)


class Netlink:
    def __init__(self, protocol):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.bind((0, 0))
        self.socket.settimeout(20)

    def request(self, kind, flags, payload, fail=0):
        """Returns (errno, replies, whether an allocation failed)."""
        message = struct.pack("IHHII", 16 + len(payload), kind, NLM_REQUEST | flags, 1, 0) + payload
        if fail:
            arm(fail)
        error, replies = 0, []
        try:
            self.socket.send(message)
            done = False
            while not done:
                data = self.socket.recv(65536)
                while data:
                    length, answer = struct.unpack_from("IH", data)
                    if answer in (2, 3):
                        error = -struct.unpack_from("i", data, 16)[0]
                        done = True
                    else:
                        replies.append(data[16:length])
                        done = not flags & (NLM_ACK | NLM_DUMP)
                    data = data[(length + 3) & ~3:]
        except TimeoutError:
            error = errno.ETIMEDOUT
        except OSError as failure:
            error = failure.errno
        failed = disarm() if fail else False
        if error in (errno.ENOBUFS, errno.ETIMEDOUT, errno.ENOMEM):
            # An answer may still come, but not to a new socket.
            self.socket.close()
            self.__init__(self.socket.proto)
        return error, replies, failed


def resolve(name):
    payload = struct.pack("BBH", 3, 1, 0) + attribute(2, name + b"\0")
    error, replies, _ = genl.request(16, NLM_ACK, payload)
    assert error == 0, os.strerror(error)
    data = replies[0][4:]
    while data:
        length, kind = struct.unpack_from("HH", data)
        if kind == 1:
            return struct.unpack_from("H", data, 4)[0]
        data = data[(length + 3) & ~3:]


route = Netlink(socket.NETLINK_ROUTE)
genl = Netlink(NETLINK_GENERIC)
family = resolve(b"wireguard")
KEYS = [bytes([n]) * 31 + b"\x40" for n in range(1, 9)]


def link(flags, up, *attributes, fail=0, name=b"wg0"):
    info = struct.pack("BBHiII", 0, 0, 0, 0, 1 if up else 0, 1 if up is not None else 0)
    return route.request(NEWLINK, NLM_ACK | flags, info + attribute(3, name + b"\0") + b"".join(attributes), fail)


def create(fail=0):
    return link(NLM_CREATE | NLM_EXCL, None, nest(18, attribute(1, b"wireguard")), fail=fail)


def delete(fail=0):
    info = struct.pack("BBHiII", 0, 0, 0, 0, 0, 0)
    return route.request(DELLINK, NLM_ACK, info + attribute(3, b"wg0\0"), fail)


def up(fail=0):
    return link(0, True, fail=fail)


def down(fail=0):
    return link(0, False, fail=fail)


def wireguard(command, flags, *attributes, fail=0):
    payload = struct.pack("BBH", command, 1, 0) + attribute(2, b"wg0\0") + b"".join(attributes)
    return genl.request(family, flags, payload, fail)


def allowed(count, base):
    parts = []
    for n in range(count):
        parts.append(nest(0, attribute(1, u16(2)), attribute(2, bytes([10, base, n, 0])), attribute(3, b"\x18")))
        address = bytes([0xfd, base, n]) + bytes(13)
        parts.append(nest(0, attribute(1, u16(10)), attribute(2, address), attribute(3, b"\x40")))
    return parts


def peer(key, *more, flags=0, ips=3, base=1):
    endpoint = struct.pack("!HH4s8x", 0, 9, bytes([192, 0, 2, 1]))
    endpoint = struct.pack("H", 2) + endpoint[2:]
    return nest(0, attribute(1, key), attribute(3, u32(flags)), attribute(2, bytes([7]) * 32),
                attribute(4, endpoint), attribute(5, u16(25)), nest(9, *allowed(ips, base)), *more)


def configure(fail=0):
    return wireguard(SET_DEVICE, NLM_ACK, attribute(3, bytes([8]) * 32), attribute(6, u16(4000)),
                     attribute(7, u32(5)), attribute(5, u32(1)),
                     nest(8, *[peer(key, base=n) for n, key in enumerate(KEYS[:3])]), fail=fail)


def replace(fail=0):
    return wireguard(SET_DEVICE, NLM_ACK, nest(8, peer(KEYS[0], flags=2, ips=9, base=9)), fail=fail)


def move_port(fail=0):
    return wireguard(SET_DEVICE, NLM_ACK, attribute(6, u16(4001)), fail=fail)


def new_key(fail=0):
    return wireguard(SET_DEVICE, NLM_ACK, attribute(3, bytes([9]) * 32), fail=fail)


def remove(fail=0):
    return wireguard(SET_DEVICE, NLM_ACK, nest(8, nest(0, attribute(1, KEYS[0]), attribute(3, u32(1)))), fail=fail)


def dump(fail=0):
    return wireguard(GET_DEVICE, NLM_DUMP, fail=fail)


packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def send(fail=0):
    """A datagram into the interface."""
    error = 0
    if fail:
        arm(fail)
    try:
        packets.sendto(bytes(600), ("10.1.1.1", 9))
    except OSError as failure:
        error = failure.errno
    return error, [], disarm() if fail else False


NESTS = {(8,), (8, 0), (8, 0, 9), (8, 0, 9, 0)}
VALUES = {(3,), (6,), (7,), (8, 0, 1), (8, 0, 2), (8, 0, 4), (8, 0, 5), (8, 0, 9, 0, 2), (8, 0, 9, 0, 3)}


def shape(data, path=()):
    """What is configured, without what the driver counts by itself."""
    result = []
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        here = path + (kind & 0x3fff,)
        if here in NESTS:
            result += shape(data[4:length], here)
        elif here in VALUES:
            result.append((here, data[4:length]))
        data = data[(length + 3) & ~3:]
    return result


def shapes(replies):
    return [part for reply in replies for part in shape(reply[4:])]


def configured():
    error, replies, _ = dump()
    return shapes(replies) if error == 0 else None


def fresh():
    delete()
    assert create()[0] == 0


def fresh_configured():
    fresh()
    assert configure()[0] == 0


def fresh_up():
    fresh_configured()
    assert up()[0] == 0
    os.system("ip address add 10.99.0.1/32 dev wg0; ip route add 10.0.0.0/13 dev wg0")


REQUESTS = [
    ("create", lambda: delete(), create, False),
    ("configure", fresh, configure, True),
    ("dump", fresh_configured, dump, True),
    ("replace-allowed-ips", fresh_configured, replace, True),
    ("remove-peer", fresh_configured, remove, True),
    ("up", fresh_configured, up, True),
    ("move-port", fresh_up, move_port, True),
    ("new-key", fresh_up, new_key, True),
    ("send", fresh_up, send, False),
    ("down", fresh_up, down, True),
    ("delete", fresh_configured, delete, False),
]


def main():
    bad = 0
    wanted = sys.argv[1:]
    for name, prepare, run, compare in REQUESTS:
        if wanted and name not in wanted:
            continue
        prepare()
        assert run()[0] == 0, name
        goal = configured() if compare else None
        refused = served = 0
        number = 0
        while True:
            number += 1
            prepare()
            error, replies, failed = run(fail=number)
            if not failed:
                break
            if error:
                refused += 1
            else:
                served += 1
                done = shapes(replies) if run is dump else configured()
                if compare and done != goal:
                    print(f"# {name}: allocation {number} failed, success was said, and not all was done")
                    bad += 1
            # What is left of it can still be used: the same again, then the end.
            if name not in ("create", "delete"):
                again = run()[0]
                if again or (compare and configured() != goal):
                    print(f"# {name}: allocation {number} failed, and then the request: {os.strerror(again)}")
                    bad += 1
            if number > 3000:
                print(f"# {name}: no end")
                bad += 1
                break
        print(f"{name} {number - 1} {refused} {served}", flush=True)
    delete()
    return bad


sys.exit(1 if main() else 0)
