# SPDX-License-Identifier: GPL-2.0
"""Called by big-dump.sh; prints TAP. usage: big-dump.py PEERS ALLOWED-IPS-OF-EACH"""

import struct
import sys
import time

from wgnl import *

PEERS_WANTED, IPS = int(sys.argv[1]), int(sys.argv[2])
WG = name("wg0")
nl, changer = Socket(), Socket()
failed = False


def check(what, good, *details):
    global failed
    print(("ok" if good else "not ok") + " - " + what)
    for line in () if good else details:
        print("#", line)
    failed |= not good


def key(i):
    return struct.pack(">I", i + 1) + bytes(28)


def ips(i):
    """One in ten is IPv6, so that entries of both lengths end a message."""
    return [(f"fd00:{i:x}:{j:x}::", 64) if j % 10 == 9 else (f"10.{i >> 8}.{i & 255}.{j}", 32) for j in range(IPS)]


begun = time.time()
for i in range(PEERS_WANTED):
    nl.set(WG, nest(PEERS, nest(0, attr(P_PUBLIC_KEY, key(i)), attr(P_ENDPOINT, sockaddr("192.0.2.1", i % 60000 + 1)),
                                nest(P_ALLOWEDIPS, *[allowed_ip(*ip) for ip in ips(i)]))))
print(f"# {PEERS_WANTED} peers with {IPS} allowed IPs each were set in {time.time() - begun:.0f} s")


def right(peers):
    """The first peer that is not as it was set, or None."""
    for i, k in enumerate(peers.order):
        if k != key(i):
            return f"peer {i} is another one"
        if sorted(peers.peers[k]["allowed"]) != sorted(ips(i)):
            return f"peer {i} has {len(peers.peers[k]['allowed'])} allowed IPs: {peers.peers[k]['allowed']}"
        if peers.peers[k][P_ENDPOINT] != sockaddr("192.0.2.1", i % 60000 + 1):
            return f"peer {i} has a strange endpoint"


begun = time.time()
flags, found = nl.get(WG)
print(f"# the dump took {time.time() - begun:.1f} s")
check("all peers are shown once, in order", len(found.order) == PEERS_WANTED, len(found.order))
wrong = right(found)
check("each with all of its allowed IPs and no other one", wrong is None, wrong)
check("and the dump says that it is whole", not flags & NLM_F_DUMP_INTR, hex(flags))

nl.begin_get(WG)
parts = [(flags, payload) for _, flags, payload in nl.messages()]
changer.set(WG, nest(PEERS, nest(0, attr(P_PUBLIC_KEY, key(PEERS_WANTED // 2)), u32(P_FLAGS, REMOVE_ME))))
flags, found = nl.collect(parts + nl.answer())
check("a dump during which a peer is removed says so", flags & NLM_F_DUMP_INTR, hex(flags))
flags, found = nl.get(WG)
check("and the next one shows one peer less", not flags & NLM_F_DUMP_INTR and len(found.order) == PEERS_WANTED - 1)
sys.exit(failed)
