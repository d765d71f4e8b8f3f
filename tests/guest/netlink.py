# SPDX-License-Identifier: GPL-2.0
"""Called by netlink.sh; prints TAP. What is refused is in errors.py, but for what comes of it here."""

import errno as e
import os
import struct
import sys

from wgnl import *

OURS = os.environ.get("WG_MODULE") == "ours"
WG = name("wg0")
tests = failed = 0
nl = Socket()


def check(what, good, *details):
    global tests, failed
    tests += 1
    if good:
        print(f"ok {tests} - {what}")
    else:
        failed += 1
        print(f"not ok {tests} - {what}")
        for line in details:
            print(f"# {line}")


def refused(what, errno, *attributes):
    try:
        nl.set(*attributes)
        got = 0
    except Refused as refusal:
        got = refusal.errno
    check(f"{what}: {e.errorcode[errno]}", got == errno, f"got {e.errorcode.get(got, got)}")


def taken(what, *attributes):
    try:
        nl.set(*attributes)
        check(what, True)
    except Refused as refusal:
        check(what, False, refusal)


def clean():
    nl.set(WG, u32(FLAGS, REPLACE_PEERS), attr(PRIVATE_KEY, bytes(32)), u16(LISTEN_PORT, 0), u32(FWMARK, 0))


def device():
    return nl.get(WG)[1]


def u(data):
    return int.from_bytes(data, sys.byteorder)


print("TAP version 13")

# What is ignored must be ignored.
V4 = attr(A_IPADDR, bytes([10, 0, 0, 0]))
clean()
taken("a list of peers with an entry that is too short has none", WG, attr(PEERS | NLA_F_NESTED, b"\x02\0\0\0"))
taken("the removal of a peer that is not there", WG, peer(u32(P_FLAGS, REMOVE_ME)))
taken("the update of a peer that is not there", WG, peer(u32(P_FLAGS, UPDATE_ONLY)))
BAD_IP = nest(P_ALLOWEDIPS, nest(0, u16(A_FAMILY, 9), V4, u8(A_MASK, 8)))
taken("nor are bad allowed IPs of a peer to be removed looked at", WG, peer(u32(P_FLAGS, REMOVE_ME), BAD_IP))
taken("nor those of an update of nobody", WG, peer(u32(P_FLAGS, UPDATE_ONLY), BAD_IP))
nl.set(WG, peer())
taken("nor those of an update of somebody who goes with all others", WG, u32(FLAGS, REPLACE_PEERS),
      peer(u32(P_FLAGS, UPDATE_ONLY), BAD_IP))
nl.set(WG, attr(PRIVATE_KEY, KEY))
own = device().attributes[PUBLIC_KEY]
taken("nor those of ourselves", WG, peer(BAD_IP, key=own))
taken("a peer that is ourselves", WG, peer(key=own))
check("none of these is there", not device().peers)
refused("but those of an update of somebody are", e.EINVAL, WG,
        nest(PEERS, nest(0, attr(P_PUBLIC_KEY, KEY)), nest(0, attr(P_PUBLIC_KEY, KEY), u32(P_FLAGS, UPDATE_ONLY), BAD_IP)))
clean()
taken("an endpoint of a strange family is ignored", WG, peer(attr(P_ENDPOINT, struct.pack("H", 9) + bytes(26))))
taken("an endpoint of a strange length is ignored", WG, peer(attr(P_ENDPOINT, sockaddr("10.0.0.1", 1) + bytes(4))))
check("there is no endpoint", P_ENDPOINT not in device().peers[KEY])
taken("what only GET shows may be set in vain", WG, attr(PUBLIC_KEY, OTHER),
      peer(attr(P_LAST_HANDSHAKE, bytes(range(16))), attr(P_RX, bytes(range(8))), attr(P_TX, bytes(range(8)))))
found = device()
check("in vain indeed", PUBLIC_KEY not in found.attributes and u(found.peers[KEY][P_RX]) == 0 and
      found.peers[KEY][P_LAST_HANDSHAKE] == bytes(16))
taken("protocol version 1", WG, peer(u32(P_VERSION, 1)))

# Every attribute, there and back.
clean()
os.system("ip link set wg0 up")
check("an interface that is up has a port", u(device().attributes[LISTEN_PORT]) != 0)
os.system("ip link set wg0 down")
V6_ENDPOINT = sockaddr("fe80::9", 4321, 0x12345, 1)
nl.set(WG, attr(PRIVATE_KEY, KEY), u16(LISTEN_PORT, 4242), u32(FWMARK, 0xdeadbeef), nest(
    PEERS,
    nest(0, attr(P_PUBLIC_KEY, KEY), attr(P_PRESHARED_KEY, OTHER), attr(P_ENDPOINT, sockaddr("192.0.2.1", 1234)),
         u16(P_KEEPALIVE, 65535), nest(P_ALLOWEDIPS, allowed_ip("10.1.2.3", 8), allowed_ip("fd00::1", 64))),
    nest(0, attr(P_PUBLIC_KEY, OTHER), attr(P_ENDPOINT, V6_ENDPOINT), nest(P_ALLOWEDIPS, allowed_ip("0.0.0.0", 0)))))
found = device()
a = found.attributes
check("the index and the name", u(a[IFINDEX]) == int(open("/sys/class/net/wg0/ifindex").read()) and
      a[IFNAME] == b"wg0\0")
private = bytearray(KEY)
private[0] &= 248
private[31] = private[31] & 127 | 64
check("the private key, clamped", a[PRIVATE_KEY] == bytes(private))
check("the public key", len(a[PUBLIC_KEY]) == 32 and a[PUBLIC_KEY] == own)
check("the port and the mark", u(a[LISTEN_PORT]) == 4242 and u(a[FWMARK]) == 0xdeadbeef)
check("no flags", FLAGS not in a)
first, second = found.peers[KEY], found.peers[OTHER]
check("the peers, in order", found.order == [KEY, OTHER])
check("the preshared keys, of which one is none",
      first[P_PRESHARED_KEY] == OTHER and second[P_PRESHARED_KEY] == bytes(32))
check("the endpoints", first[P_ENDPOINT] == sockaddr("192.0.2.1", 1234) and second[P_ENDPOINT] == V6_ENDPOINT,
      second[P_ENDPOINT].hex(), V6_ENDPOINT.hex())
check("the keepalive intervals", u(first[P_KEEPALIVE]) == 65535 and u(second[P_KEEPALIVE]) == 0)
check("handshakes and counters", all(p[P_LAST_HANDSHAKE] == bytes(16) and p[P_RX] == p[P_TX] == bytes(8)
                                     for p in (first, second)))
check("the protocol's version", u(first[P_VERSION]) == 1)
check("allowed IPs, cut to their length", first["allowed"] == [("10.0.0.0", 8), ("fd00::", 64)] and
      second["allowed"] == [("0.0.0.0", 0)], first, second)
nl.set(WG, peer(nest(P_ALLOWEDIPS, allowed_ip("10.0.0.0", 8, u32(A_FLAGS, A_REMOVE_ME)), allowed_ip("10.9.0.0", 16))))
check("an allowed IP is taken away, another one added",
      device().peers[KEY]["allowed"] in ([("fd00::", 64), ("10.9.0.0", 16)],), device().peers[KEY])
nl.set(WG, peer(nest(P_ALLOWEDIPS, allowed_ip("0.0.0.0", 0, u32(A_FLAGS, A_REMOVE_ME)))))
check("but not another peer's", device().peers[OTHER]["allowed"] == [("0.0.0.0", 0)])
nl.set(WG, peer(u32(P_FLAGS, REPLACE_ALLOWEDIPS), nest(P_ALLOWEDIPS, allowed_ip("10.7.0.0", 16))))
check("allowed IPs are replaced", device().peers[KEY]["allowed"] == [("10.7.0.0", 16)])
nl.set(WG, peer(u32(P_FLAGS, UPDATE_ONLY), u16(P_KEEPALIVE, 7)))
check("an update of a peer", u(device().peers[KEY][P_KEEPALIVE]) == 7)
nl.set(WG, peer(u32(P_FLAGS, REMOVE_ME)))
check("a peer is removed", device().order == [OTHER])
nl.set(WG, u32(FLAGS, REPLACE_PEERS), peer())
check("the peers are replaced", device().order == [KEY])
nl.set(u32(IFINDEX, u(a[IFINDEX])), u32(FWMARK, 1))
check("by index as well", u(nl.get(u32(IFINDEX, u(a[IFINDEX])))[1].attributes[FWMARK]) == 1)

# A mistake at the end leaves everything as it was: here the in-tree driver does the part before it.
if OURS:
    before = device()
    refused("a bad allowed IP of the last of two peers", e.EINVAL, WG, u32(FWMARK, 99), u32(FLAGS, REPLACE_PEERS), nest(
        PEERS, nest(0, attr(P_PUBLIC_KEY, OTHER)),
        nest(0, attr(P_PUBLIC_KEY, KEY), nest(P_ALLOWEDIPS, allowed_ip("10.3.0.0", 16),
                                             nest(0, u16(A_FAMILY, AF_INET), V4, u8(A_MASK, 33))))))
    after = device()
    check("changes nothing", after.attributes == before.attributes and after.peers == before.peers,
          before.peers, after.peers)

# A dump of several parts.
clean()


def key_of(i):
    return struct.pack(">I", i + 1) + bytes(28)


for i in range(0, 400, 50):
    nl.set(WG, nest(PEERS, *[nest(0, attr(P_PUBLIC_KEY, key_of(j)), nest(
        P_ALLOWEDIPS, *[allowed_ip(f"10.{j >> 8}.{j & 255}.{k}", 32) for k in range(5)])) for j in range(i, i + 50)]))
flags, found = nl.get(WG)
check("a dump that nobody disturbs does not say that it is torn", not flags & NLM_F_DUMP_INTR)
check("and is whole", len(found.peers) == 400 and all(len(p["allowed"]) == 5 for p in found.peers.values()))
# What the first peer has more puts the ends of the parts elsewhere.
repeated = list(found.repeated)
for i in range(40):
    nl.set(WG, peer(nest(P_ALLOWEDIPS, allowed_ip(f"10.250.{i}.0", 24)), key=key_of(0)))
    repeated += nl.get(WG)[1].repeated
check("no peer's counters are in two parts, wherever these end", not repeated, len(repeated))

changer = Socket()
for what, change in (
        ("a peer is added", lambda: changer.set(WG, peer(key=OTHER))),
        ("a peer is removed", lambda: changer.set(WG, peer(u32(P_FLAGS, REMOVE_ME), key=OTHER))),
        ("a peer that was shown is removed", lambda: changer.set(WG, peer(u32(P_FLAGS, REMOVE_ME), key=key_of(0)))),
        ("the next one is removed", lambda: changer.set(WG, nest(PEERS, *[
            nest(0, attr(P_PUBLIC_KEY, key_of(i)), u32(P_FLAGS, REMOVE_ME)) for i in range(1, 60)]))),
        ("an allowed IP is added", lambda: changer.set(WG, peer(
            nest(P_ALLOWEDIPS, allowed_ip("10.200.0.0", 16)), key=key_of(399)))),
        ("all peers are replaced", lambda: changer.set(WG, u32(FLAGS, REPLACE_PEERS), peer(key=OTHER)))):
    nl.begin_get(WG)
    first = list(nl.messages())
    several = all(kind != NLMSG_DONE for kind, _, _ in first)
    change()
    parts = [(flags, payload) for kind, flags, payload in first] + nl.answer()
    flags, found = nl.collect(parts)
    check(f"a dump during which {what} says that it is torn", several and flags & NLM_F_DUMP_INTR,
          f"several parts: {several}, flags {flags:#x}")
    again = nl.get(WG)
    check("and the next one is not", not again[0] & NLM_F_DUMP_INTR)

# The device is deleted while it is shown.
for i in range(0, 400, 50):
    nl.set(WG, nest(PEERS, *[nest(0, attr(P_PUBLIC_KEY, key_of(j)), nest(
        P_ALLOWEDIPS, *[allowed_ip(f"10.{j >> 8}.{j & 255}.{k}", 32) for k in range(5)])) for j in range(i, i + 50)]))
nl.begin_get(WG)
list(nl.messages())
if OURS:
    # The in-tree driver holds the device until the dump has ended, so that deletion waits.
    gone = os.system("timeout 20 ip link del wg0") == 0
    try:
        nl.answer()
        result = 0
    except Refused as refusal:
        result = refusal.errno
    check("a device can be deleted while it is shown", gone and result in (0, e.ENODEV), gone, result)
else:
    nl.answer()
print(f"1..{tests}")
sys.exit(failed != 0)
