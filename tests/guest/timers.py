# SPDX-License-Identifier: GPL-2.0
"""Called by timers.sh, once for each scenario; prints TAP. The numbers are the whitepaper's (section 6); a
timer of the kernel may come late by 1/8 of the power of eight that it lies in, which `late` allows for."""

import os
import re
import select
import socket
import struct
import subprocess
import sys
import time

from wgnl import *

REKEY_AFTER, REJECT_AFTER, REKEY_TIMEOUT, KEEPALIVE = 120, 180, 5, 10
JITTER = 1 / 3
# Its resolution is a tick; Python has no name for it.
CLOCK_MONOTONIC_COARSE = 6
INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
failed = False


def check(what, good, *details):
    global failed
    print(("ok" if good else "not ok") + " - " + what)
    if not good:
        failed = True
        for line in details:
            print("#", line)


def latest(seconds):
    """When a timer over so many seconds has run out, in seconds: the timer wheel has a granularity."""
    tick = time.clock_getres(CLOCK_MONOTONIC_COARSE)
    granule = 1
    while seconds / tick >= 63 * granule:
        granule *= 8
    return seconds + (granule + 1) * tick + 0.04


def within(value, low, high):
    return low <= value <= high


def enter(namespace):
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    os.setns(fd, os.CLONE_NEWNET)
    os.close(fd)


class Side:
    """One namespace: a UDP socket in the tunnel, the netlink interface."""

    def __init__(self, namespace, number):
        enter(namespace)
        self.name = namespace
        self.to = (f"192.168.241.{3 - number}", 7)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((f"192.168.241.{number}", 7))
        self.udp.settimeout(3)
        self.netlink = Socket()

    def send(self, text=b"x"):
        # Taken before: what follows may be over when this call returns.
        at = time.time()
        self.udp.sendto(text, self.to)
        return at

    def heard(self):
        """Whether a packet came through the tunnel."""
        try:
            return self.udp.recv(100)
        except TimeoutError:
            return None

    def nft(self, rule):
        subprocess.run(["ip", "netns", "exec", self.name, "nft", "-f", "-"], input=rule, text=True, check=True)

    def deaf(self, yes=True):
        """Nothing that comes in on the link is heard any more."""
        self.nft("flush ruleset\n" + """
            table inet deaf {
                chain in {
                    type filter hook input priority 0;
                    iifname veth0 udp dport { 1000, 2000 } drop;
                }
            }
            """ * yes)


class Message:
    """A message on the link: when, by whom, type, length, receiver index of transport data."""

    def __init__(self, at, sender, payload):
        self.at, self.sender = at, sender
        self.type, = struct.unpack_from("<I", payload)
        self.len = len(payload)
        self.receiver = struct.unpack_from("<I", payload, 4)[0] if self.type == DATA else None

    def __repr__(self):
        return f"{self.at:.3f} {self.sender} type {self.type} len {self.len}"


class Link:
    """What an observer between the two sees."""

    def __init__(self):
        enter("a")
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.sock.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        self.sock.bind(("veth0", 3))
        self.seen = []

    def messages(self, since=0, **which):
        while select.select([self.sock], [], [], 0)[0]:
            data, ancillary, _, address = self.sock.recvmsg(2048, 64)
            if address[1] != 0x0800 or data[9] != 17:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            payload = data[(data[0] & 15) * 4 + 8:]
            sender = "a" if address[2] == socket.PACKET_OUTGOING else "b"
            self.seen.append(Message(seconds + nanoseconds / 1e9, sender, payload))
        return [m for m in self.seen if m.at >= since and all(getattr(m, k) == v for k, v in which.items())]


# All messages are wanted.
open("/proc/sys/net/core/message_cost", "w").write("0")
link = Link()
a, b = Side("a", 1), Side("b", 2)


def gaps(messages):
    return [late_one.at - early.at for early, late_one in zip(messages, messages[1:])]


def begin():
    """A session that a began, used in both directions; returns when it began."""
    a.send()
    if b.heard() is None:
        check("the first handshake", False)
        sys.exit(1)
    b.send()
    a.heard()
    return link.messages(type=INITIATION)[-1].at


def kernel_log():
    """What the kernel said in this scenario. No program is run for it: time would jump while it is loaded."""
    lines = []
    while True:
        try:
            head, _, text = os.read(LOG, 8192).decode(errors="replace").partition(";")
            lines.append(f"[{int(head.split(',')[2]) / 1e6:.6f}] {text.splitlines()[0]}")
        except BlockingIOError:
            kernel_log.text += "\n".join(lines + [""])
            return kernel_log.text


kernel_log.text = ""
LOG = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
os.lseek(LOG, 0, os.SEEK_END)


def renewal():
    begin()
    sent = answered = 0
    end = time.time() + 2 * REKEY_AFTER + 10
    while time.time() < end:
        text = b"%d" % sent
        a.send(text)
        sent += 1
        if b.heard() == text:
            b.send(text)
            answered += a.heard() == text
        time.sleep(0.25)
    check(f"renewal under traffic: no packet is lost ({answered} of {sent})", answered == sent and sent > 700)
    initiations = link.messages(type=INITIATION)
    check("two renewals, both begun by the initiator", [m.sender for m in initiations] == ["a"] * 3, *initiations)
    # The drivers' clock moves with the timer's ticks, of which there are at least a hundred a second.
    check("each when the session is two minutes old",
          all(within(g, REKEY_AFTER - 0.01, REKEY_AFTER + 0.6) for g in gaps(initiations)), gaps(initiations))
    check("each answered once", len(link.messages(type=RESPONSE)) == 3)
    check("three sessions carried data to b", len({m.receiver for m in link.messages(type=DATA, sender="a")}) == 3)
    check("and to a", len({m.receiver for m in link.messages(type=DATA, sender="b")}) == 3)


def late_data():
    began = begin()
    time.sleep(began + 160 - time.time())
    sent = b.send()
    a.heard()
    time.sleep(KEEPALIVE - 0.5)
    check("data in a session of 160 seconds: no renewal yet", not link.messages(sent, type=INITIATION))
    time.sleep(1.5)
    empty = link.messages(sent, type=DATA, sender="a")
    initiation = link.messages(sent, type=INITIATION)
    check("but the keepalive that answers it finds the session old",
          len(initiation) == 1 and initiation[0].sender == "a" and empty and
          within(initiation[0].at - empty[0].at, 0, 0.2), *link.messages(sent))
    began = initiation[0].at
    time.sleep(began + 166 - time.time())
    sent = b.send()
    a.heard()
    time.sleep(0.5)
    initiation = link.messages(sent, type=INITIATION)
    check("data in a session of 166 seconds: it is renewed before it can end",
          len(initiation) == 1 and initiation[0].sender == "a" and initiation[0].at - sent < 0.2,
          *link.messages(sent))


def expired():
    began = begin()
    time.sleep(began + REJECT_AFTER + 1 - time.time())
    sent = b.send()
    got = a.heard()
    messages = link.messages(sent)
    check("after three minutes the responder may not send either: it begins a handshake",
          got is not None and messages[0].type == INITIATION and messages[0].sender == "b", *messages)
    check("and the packet waits for it", [m.type for m in messages][:3] == [INITIATION, RESPONSE, DATA], *messages)


def keepalive():
    began = begin()
    a.send()  # Whatever was due is done.
    b.heard()
    time.sleep(12)
    sent = b.send()
    a.heard()
    time.sleep(35)
    empty = link.messages(sent, type=DATA, sender="a", len=32)
    check("data that nothing answers is answered by an empty message", len(empty) == 1, *link.messages(sent))
    check("after ten seconds", empty and within(empty[0].at - sent, KEEPALIVE, latest(KEEPALIVE)), empty, sent)
    check("which is not answered itself", not link.messages(sent + 1, type=DATA, sender="b"), *link.messages(sent))

    sent = b.send()
    time.sleep(5)
    b.send()
    time.sleep(30)
    empty = link.messages(sent, type=DATA, sender="a", len=32)
    check("the message answers all that came in these ten seconds", len(empty) == 1, *link.messages(sent))
    check("which begin with the first", empty and within(empty[0].at - sent, KEEPALIVE, latest(KEEPALIVE)),
          *empty)
    check("all in one session", began == link.messages(type=INITIATION)[-1].at and time.time() - began < REKEY_AFTER)


def answered():
    begin()
    time.sleep(12)
    sent = b.send()
    a.heard()
    time.sleep(5)
    a.send()
    b.heard()
    time.sleep(9)
    check("data that is answered needs no empty message",
          not link.messages(sent, type=DATA, sender="a", len=32), *link.messages(sent))


def set_persistent(seconds):
    key = a.netlink.get(name("wg0"))[1].order[0]
    a.netlink.set(name("wg0"), nest(PEERS, nest(0, attr(P_PUBLIC_KEY, key), u16(P_KEEPALIVE, seconds))))


def persistent():
    began = time.time()
    set_persistent(7)
    time.sleep(0.5)
    messages = link.messages(began)
    check("a persistent keepalive begins a session at once",
          [m.type for m in messages] == [INITIATION, RESPONSE, DATA] and messages[-1].len == 32, *messages)
    start = messages[-1].at
    time.sleep(start + 72 - time.time())
    empty = link.messages(start, type=DATA)
    check("and is sent each time the interval is over", [m.sender for m in empty] == ["a"] * len(empty)
          and all(within(g, 7, latest(7)) for g in gaps(empty)) and len(empty) >= 10, *empty)
    time.sleep(empty[-1].at + 3 - time.time())
    sent = a.send()
    b.heard()
    time.sleep(9)
    messages = [m for m in link.messages(sent, type=DATA, sender="a") if m.len == 32]
    check("the interval begins with the last message", len(messages) == 1 and
          within(messages[0].at - sent, 7, latest(7)), *link.messages(sent))
    # b's passive keepalive answers what it got; it counts as well.
    set_persistent(0)
    time.sleep(12)
    off = time.time()
    time.sleep(30)
    check("until it is switched off", not link.messages(off), *link.messages(off))


def attempts(first, initiations):
    """What is to be true of the attempts to reach somebody who does not answer."""
    check("twenty attempts in all", len(initiations) == 20, len(initiations))
    between = gaps(initiations)
    check("five seconds and a bit apart", all(within(g, REKEY_TIMEOUT, latest(REKEY_TIMEOUT + JITTER)) for g in between),
          between)
    # Of which the timer wheel leaves two values.
    check("the bit is not always the same", len({round(g * 50) for g in between}) >= 2, between)
    total = initiations[-1].at - first
    check("over a minute and a half", within(total, 90, 19 * latest(REKEY_TIMEOUT + JITTER)), total)


def silence():
    begin()
    a.send()
    b.heard()
    b.send()
    a.heard()
    time.sleep(12)
    b.deaf()
    sent = a.send()
    time.sleep(180)
    initiations = link.messages(sent, type=INITIATION, sender="a")
    check("data and no sign of life: a new handshake after fifteen seconds", initiations and
          within(initiations[0].at - sent, KEEPALIVE + REKEY_TIMEOUT, latest(15 + JITTER)),
          *(m.at - sent for m in initiations[:2]))
    attempts(initiations[0].at, initiations)
    check("in the kernel's log: why", re.search(r"because we stopped hearing back after 15 seconds", kernel_log()))
    check("and the end", re.search(r"did not complete after 20 attempts, giving up", kernel_log()))


def tx_dropped():
    enter("a")
    for line in open("/proc/thread-self/net/dev"):
        if "wg0:" in line:
            return int(line.split(":")[1].split()[11])


def nobody():
    b.deaf()
    before = tx_dropped()
    sent = [a.send() for _ in range(3)][0]
    time.sleep(60)
    check("what waits for a handshake still waits after a minute", tx_dropped() == before)
    time.sleep(80)
    initiations = link.messages(sent, type=INITIATION)
    attempts(sent, initiations)
    check("then what has waited is dropped", tx_dropped() == before + 3, before, tx_dropped())
    quiet = time.time()
    time.sleep(60)
    check("and there is peace", not link.messages(quiet))
    b.deaf(False)
    again = a.send()
    time.sleep(7)
    check("until there is something to send", link.messages(again, type=INITIATION) and
          link.messages(again, type=RESPONSE) or "deaf", *link.messages(again))


def zeroing():
    begin()
    time.sleep(12)
    created = [float(t) for t in re.findall(r"\[([0-9.]+)\] wireguard: wg0: Keypair \d+ created", kernel_log())]
    check("both sides have a session", len(created) == 2, kernel_log())
    time.sleep(3 * REJECT_AFTER - 20)
    log = kernel_log()
    check("it exists for three times three minutes", "destroyed" not in log and "Zeroing" not in log, log)
    time.sleep(latest(540) - 526)
    log = kernel_log()
    ends = [float(t) for t in re.findall(r"\[([0-9.]+)\] wireguard: wg0: Zeroing out all keys for peer", log)]
    check("then both sides wipe all keys", len(ends) == 2 and
          all(within(e - created[0], 540, latest(540)) for e in ends), created, ends)
    check("and the sessions are gone", len(re.findall(r"Keypair \d+ destroyed for peer", log)) == 2, log)


{"renewal": renewal, "late": late_data, "expired": expired, "keepalive": lambda: (keepalive(), answered()),
 "persistent": persistent, "silence": silence, "nobody": nobody, "zeroing": zeroing}[sys.argv[1]]()
sys.exit(failed)
