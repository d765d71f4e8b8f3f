#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Every bad request, and what it is answered with. Called by errors.sh.

usage: errors.py run FILE              makes the requests to the driver that is loaded, and keeps the answers
       errors.py compare OURS THEIRS   compares what the two drivers have answered; prints TAP

wg0 and dummy0 are there. The errno in the table says what users know from the in-tree driver; both have to give it, and
this one a text as well, except where the kernel's core answers without one, or where there is no place for one.
"""

import ctypes
import errno as e
import fcntl
import json
import os
import socket
import struct
import sys
import time

from wgnl import *

WG = name("wg0")
# What was asked, the errno that is expected, the one that came, the text, whether there has to be one.
answers = []


def ips(*entries):
    return peer(nest(P_ALLOWEDIPS, *entries))


def refusal(request):
    """The errno and the text that a request is refused with."""
    try:
        request()
        return 0, None
    except Refused as refused:
        return refused.errno, refused.text
    except OSError as error:
        return error.errno, None


def answer(what, errno, got, text=True):
    answers.append((what, errno, *got, text))


def refused(what, errno, *attributes, get=False):
    """A request to the family."""
    answer(what, errno, refusal(lambda: (nl.get if get else nl.set)(*attributes)))


def failed(what, errno, action):
    """Something else that a user does, which says why it has failed by an errno only."""
    answer(what, errno, refusal(action), False)


def in_child(before, request, between=lambda pid: None):
    """The answer to a request that a child makes as somebody else: the child does the first, we the last before it."""
    ready, go, result = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            before()
            os.write(ready[1], b"1")
            os.read(go[0], 1)
            os.write(result[1], json.dumps(refusal(request)).encode())
        finally:
            os._exit(0)
    os.close(result[1])
    os.close(ready[1])
    if os.read(ready[0], 1):
        between(pid)
    os.write(go[1], b"1")
    got = os.read(result[0], 4096)
    os.waitpid(pid, 0)
    return json.loads(got) if got else (-1, "the child could not be somebody else")


def run(command):
    assert os.system(command) == 0, command


def up(interface):
    """As ifconfig does it: what the driver says is all that comes back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = struct.pack("16sh14x", interface.encode(), 0)
    flags, = struct.unpack_from("h", fcntl.ioctl(sock, 0x8913, request), 16)
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", interface.encode(), flags | 1))


def command(number, *attributes, dump=False):
    nl.send(number, NLM_F_REQUEST | NLM_F_ACK | (NLM_F_DUMP if dump else 0), b"".join(attributes))
    nl.answer()


def nobody():
    global nl
    os.setuid(65534)
    nl = Socket()


def elsewhere():
    """In a namespace where we may do anything, and nothing outside of it."""
    global nl
    CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    nl = Socket()


def udp(address):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wg0")
    sock.sendto(b"x", (address, 9))


def raw(protocol, payload):
    socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM).sendto(payload, ("wg0", protocol))


def table():
    global nl
    nl = Socket()

    # What the kernel's core turns away does not reach the driver, and gets no text.
    answer("GET that is no dump", e.EOPNOTSUPP, refusal(lambda: command(GET, WG)), False)
    answer("SET as a dump", e.EOPNOTSUPP, refusal(lambda: command(SET, WG, dump=True)), False)
    answer("a command that there is not", e.EOPNOTSUPP, refusal(lambda: command(77, WG)), False)
    for get in (True, False):
        answer(f"{'GET' if get else 'SET'} by who has no CAP_NET_ADMIN", e.EPERM,
               in_child(nobody, lambda: (nl.get if get else nl.set)(WG)), False)

    # Which interface is meant.
    GONE = 99999
    for get in (True, False):
        which = "GET" if get else "SET"
        refused(f"{which} of no interface", e.EBADR, get=get)
        refused(f"{which} by index and by name", e.EBADR, WG, u32(IFINDEX, 1), get=get)
        refused(f"{which} of an index that is not there", e.ENODEV, u32(IFINDEX, GONE), get=get)
        refused(f"{which} of index 0", e.ENODEV, u32(IFINDEX, 0), get=get)
        refused(f"{which} of a name that is not there", e.ENODEV, name("nobody"), get=get)
        refused(f"{which} of an empty name", e.ENODEV, name(""), get=get)
        refused(f"{which} of an interface of another kind", e.EOPNOTSUPP, name("lo"), get=get)
        refused(f"{which} of another one", e.EOPNOTSUPP, name("dummy0"), get=get)
        refused(f"{which} of a name without its end", e.EINVAL, attr(IFNAME, b"wg0"), get=get)
        refused(f"{which} of a name that is too long", e.EINVAL, name("a" * 16), get=get)
        refused(f"{which} of an index of two octets", e.EINVAL, attr(IFINDEX, b"12"), get=get)

    # The device's own attributes.
    refused("a private key of 31 octets", e.ERANGE, WG, attr(PRIVATE_KEY, bytes(31)))
    refused("a private key of 33 octets", e.ERANGE, WG, attr(PRIVATE_KEY, bytes(33)))
    refused("a public key of 31 octets", e.ERANGE, WG, attr(PUBLIC_KEY, bytes(31)))
    refused("an unknown flag of the device", e.EINVAL, WG, u32(FLAGS, 2))
    refused("device flags of one octet", e.EINVAL, WG, attr(FLAGS, b"1"))
    refused("a port of one octet", e.EINVAL, WG, attr(LISTEN_PORT, b"1"))
    refused("a mark of three octets", e.EINVAL, WG, attr(FWMARK, b"123"))
    refused("an unknown attribute of the device", e.EINVAL, WG, u32(9, 0))
    refused("attribute 0", e.EINVAL, WG, u32(0, 0))
    refused("an attribute that is longer than the message", e.EINVAL, WG, struct.pack("HH", 40, FWMARK) + bytes(4))
    refused("peers that do not nest", e.EINVAL, WG, attr(PEERS, b""))
    refused("GET with peers", e.EINVAL, WG, nest(PEERS), get=True)

    # Peers.
    refused("a peer without a key", e.EINVAL, WG, nest(PEERS, nest(0)))
    refused("a peer that does not nest", e.EINVAL, WG, nest(PEERS, attr(0, attr(P_PUBLIC_KEY, KEY))))
    refused("a peer's key of 31 octets", e.ERANGE, WG, peer(key=bytes(31)))
    refused("a peer's key of 33 octets", e.ERANGE, WG, peer(key=bytes(33)))
    refused("a preshared key of 16 octets", e.ERANGE, WG, peer(attr(P_PRESHARED_KEY, bytes(16))))
    refused("an unknown flag of a peer", e.EINVAL, WG, peer(u32(P_FLAGS, 8)))
    refused("an endpoint of 15 octets", e.ERANGE, WG, peer(attr(P_ENDPOINT, bytes(15))))
    refused("a keepalive of one octet", e.EINVAL, WG, peer(attr(P_KEEPALIVE, b"1")))
    refused("a handshake time of 8 octets", e.ERANGE, WG, peer(attr(P_LAST_HANDSHAKE, bytes(8))))
    refused("a counter of 4 octets", e.EINVAL, WG, peer(attr(P_RX, bytes(4))))
    refused("another counter of 4 octets", e.EINVAL, WG, peer(attr(P_TX, bytes(4))))
    refused("protocol version 2", e.EPFNOSUPPORT, WG, peer(u32(P_VERSION, 2)))
    refused("protocol version 0", e.EPFNOSUPPORT, WG, peer(u32(P_VERSION, 0)))
    refused("an unknown attribute of a peer", e.EINVAL, WG, peer(u32(11, 0)))
    refused("allowed IPs that do not nest", e.EINVAL, WG, peer(attr(P_ALLOWEDIPS, b"")))

    # Allowed IPs.
    V4 = attr(A_IPADDR, bytes([10, 0, 0, 0]))
    V6 = attr(A_IPADDR, bytes(16))
    refused("an allowed IP without a family", e.EINVAL, WG, ips(nest(0, V4, u8(A_MASK, 8))))
    refused("an allowed IP without an address", e.EINVAL, WG, ips(nest(0, u16(A_FAMILY, AF_INET), u8(A_MASK, 8))))
    refused("an allowed IP without a length", e.EINVAL, WG, ips(nest(0, u16(A_FAMILY, AF_INET), V4)))
    refused("an allowed IP that does not nest", e.EINVAL, WG,
            ips(attr(0, u16(A_FAMILY, AF_INET) + V4 + u8(A_MASK, 8))))
    refused("an allowed IP of a strange family", e.EINVAL, WG, ips(nest(0, u16(A_FAMILY, 9), V4, u8(A_MASK, 8))))
    refused("IPv4 with 33 bits", e.EINVAL, WG, ips(nest(0, u16(A_FAMILY, AF_INET), V4, u8(A_MASK, 33))))
    refused("IPv6 with 129 bits", e.EINVAL, WG, ips(nest(0, u16(A_FAMILY, AF_INET6), V6, u8(A_MASK, 129))))
    refused("IPv4 with 16 octets", e.EINVAL, WG, ips(nest(0, u16(A_FAMILY, AF_INET), V6, u8(A_MASK, 8))))
    refused("IPv6 with 4 octets", e.EINVAL, WG, ips(nest(0, u16(A_FAMILY, AF_INET6), V4, u8(A_MASK, 8))))
    refused("an address of 3 octets", e.ERANGE, WG,
            ips(nest(0, u16(A_FAMILY, AF_INET), attr(A_IPADDR, b"123"), u8(A_MASK, 8))))
    refused("an unknown flag of an allowed IP", e.EINVAL, WG, ips(allowed_ip("10.0.0.0", 8, u32(A_FLAGS, 2))))
    refused("an unknown attribute of an allowed IP", e.EINVAL, WG, ips(allowed_ip("10.0.0.0", 8, u32(5, 0))))
    refused("to take a strange family away", e.EINVAL, WG,
            ips(nest(0, u16(A_FAMILY, 9), V4, u8(A_MASK, 8), u32(A_FLAGS, A_REMOVE_ME))))

    refused("an allowed IP of an update of a peer that an entry before makes", e.EINVAL, WG, nest(
        PEERS, nest(0, attr(P_PUBLIC_KEY, KEY)), nest(0, attr(P_PUBLIC_KEY, KEY), u32(P_FLAGS, UPDATE_ONLY), nest(
            P_ALLOWEDIPS, nest(0, u16(A_FAMILY, 9), V4, u8(A_MASK, 8))))))

    # Ports.
    nl.set(WG, u32(FLAGS, REPLACE_PEERS), u16(LISTEN_PORT, 4242))
    run("ip link set wg0 up; ip link add wg1 type wireguard")
    nl.set(name("wg1"), u16(LISTEN_PORT, 4242))
    failed("an interface goes up, and its port is taken", e.EADDRINUSE, lambda: up("wg1"))
    nl.set(name("wg1"), u16(LISTEN_PORT, 0))
    up("wg1")
    refused("a port that is taken", e.EADDRINUSE, name("wg1"), u16(LISTEN_PORT, 4242))

    # Whoever administers only the namespace that an interface is in has no say in that of its sockets.
    for what, attribute in (("port", u16(LISTEN_PORT, 4243)), ("mark", u32(FWMARK, 1))):
        answer(f"a {what} by who may not administer the namespace of the sockets", e.EPERM,
               in_child(elsewhere, lambda: nl.set(name("wg1"), attribute),
                        lambda pid: run(f"ip link set wg1 netns {pid}")))
        # It has gone with the namespace.
        run("ip link add wg1 type wireguard")
    run("ip link del wg1")

    # That namespace is gone.
    run("ip netns add born; ip -n born link add wg1 type wireguard; ip -n born link set wg1 netns 1; ip netns del born")
    tries = 300
    while refusal(lambda: up("wg1"))[0] != e.ENONET and tries > 0:
        run("ip link set wg1 down")
        time.sleep(0.1)
        tries -= 1
    failed("an interface goes up, and the namespace of its sockets is gone", e.ENONET, lambda: up("wg1"))
    refused("a port in a namespace that is gone", e.EPERM, name("wg1"), u16(LISTEN_PORT, 4243))
    refused("a mark in a namespace that is gone", e.EPERM, name("wg1"), u32(FWMARK, 1))
    run("ip link del wg1")

    # What is sent into an interface.
    run("ip addr add 192.0.2.1/24 dev wg0; ip addr add fd00::1/64 dev wg0 nodad")
    for address in ("192.0.2.2", "fd00::2"):
        failed(f"a packet to {address}, which no peer has", e.ENOKEY, lambda: udp(address))
    nl.set(WG, attr(PRIVATE_KEY, OTHER), ips(allowed_ip("192.0.2.0", 24), allowed_ip("fd00::", 64)))
    for address in ("192.0.2.2", "fd00::2"):
        failed(f"a packet to {address}, whose peer has no endpoint", e.EDESTADDRREQ, lambda: udp(address))
    failed("a packet that is not IP", e.EPROTONOSUPPORT, lambda: raw(0x1234, bytes(20)))
    failed("a packet that says it is IPv4, and is not", e.EPROTONOSUPPORT, lambda: raw(0x0800, bytes(20)))
    failed("a packet that says it is IPv6, and is too short", e.EPROTONOSUPPORT, lambda: raw(0x86dd, b"\x60" * 8))


def driver():
    """What sets the two drivers apart from outside."""
    return open("/sys/module/wireguard/taint").read().strip()


def compare(ours, theirs):
    def number(errno):
        return e.errorcode.get(errno, errno)

    tests = failures = 0
    print("TAP version 13")
    with open(ours) as one, open(theirs) as other:
        (our_driver, ours), (their_driver, theirs) = json.load(one), json.load(other)
    rows = [("the drivers are two", len(ours) == len(theirs) and our_driver != their_driver,
             f"{our_driver!r} {their_driver!r} {len(ours)} {len(theirs)}")]
    for (what, errno, got, said, text), (same, _, reference, theirs_says, _) in zip(ours, theirs):
        rows.append((f"{what}: {number(errno)}" + (f" ({said})" if said else ""),
                     what == same and got == reference == errno and (said or not text),
                     f"this driver {number(got)} {said!r}, the in-tree one {number(reference)} {theirs_says!r}"))
    for what, good, why in rows:
        tests += 1
        print(f"{'' if good else 'not '}ok {tests} - {what}")
        if not good:
            failures += 1
            print(f"# {why}")
    print(f"1..{tests}")
    return failures != 0


if sys.argv[1] == "run":
    table()
    with open(sys.argv[2], "w") as out:
        json.dump([driver(), answers], out)
else:
    sys.exit(compare(*sys.argv[2:]))
