#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The commands for options, octet by octet; run by options.sh. wg0 is there, and dummy0, which is none of ours."""

import struct
import sys

from wgnl import FWMARK, IFINDEX, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, Refused, Socket, attr, attrs, name, u8, u32

GET_OPTIONS, SET_OPTIONS = 96, 97
BIND_IFINDEX, BIND_IFNAME, COPY_DSCP, PATH_MTU, LINK_LOCAL = 3, 4, 5, 6, 7
SWITCHES = [COPY_DSCP, PATH_MTU, LINK_LOCAL]
EBADR, EINVAL, ENODEV, EOPNOTSUPP, ERANGE = 53, 22, 19, 95, 34

sock = Socket()
number = failed = 0


def check(what, holds, detail=""):
    global number, failed
    number += 1
    failed += not holds
    print(f"{'' if holds else 'not '}ok {number} - {what}")
    if not holds:
        print(f"# {detail}")


def ask(command, *attributes, flags=0):
    sock.send(command, NLM_F_REQUEST | NLM_F_ACK | flags, b"".join(attributes))
    return [dict(attrs(payload[4:])) for _, payload in sock.answer() if payload]


def options():
    (answer,) = ask(GET_OPTIONS, name("wg0"))
    return answer


def refused(what, errno, text, command, *attributes, flags=0):
    before = options()
    try:
        ask(command, *attributes, flags=flags)
        got = (0, "accepted")
    except Refused as e:
        got = (e.errno, e.text)
    check(f"{what} is refused", got[0] == errno and text in (got[1] or ""), got)
    check("and changes nothing", options() == before, options())


print(f"TAP version 13\n1..{sys.argv[1]}")
answer = options()
index = struct.unpack("I", answer[IFINDEX])[0]
check("all is off at first", all(answer[s] == b"\0" for s in SWITCHES) and answer[BIND_IFINDEX] == bytes(4) and
      BIND_IFNAME not in answer, answer)
check("the interface is found by its number", ask(GET_OPTIONS, u32(IFINDEX, index)) == [answer])
for switch in SWITCHES:
    ask(SET_OPTIONS, name("wg0"), u8(switch, 1))
    check(f"option {switch} is on", options() == answer | {switch: b"\1"}, options())
    ask(SET_OPTIONS, name("wg0"))
    check("a request without options changes none", options() == answer | {switch: b"\1"}, options())
    ask(SET_OPTIONS, u32(IFINDEX, index), u8(switch, 0))
    check("and off again", options() == answer, options())

refused("no interface", EBADR, "exactly one", GET_OPTIONS)
refused("an interface twice", EBADR, "exactly one", SET_OPTIONS, name("wg0"), u32(IFINDEX, index), u8(COPY_DSCP, 1))
refused("an interface that is not there", ENODEV, "no such interface", SET_OPTIONS, name("wg7"), u8(COPY_DSCP, 1))
refused("an interface of another kind", EOPNOTSUPP, "not a WireGuard", SET_OPTIONS, name("dummy0"), u8(COPY_DSCP, 1))
refused("a value that is neither on nor off", ERANGE, "", SET_OPTIONS, name("wg0"), u8(COPY_DSCP, 2))
refused("an unknown attribute", EINVAL, "Unknown attribute", SET_OPTIONS, name("wg0"), u8(COPY_DSCP, 1), u32(40, 1))
refused("an attribute of another length", EINVAL, "", SET_OPTIONS, name("wg0"), u32(COPY_DSCP, 1))
refused("an attribute of the kernel's commands", EINVAL, "", SET_OPTIONS, name("wg0"), u8(COPY_DSCP, 1),
        attr(FWMARK + 40, bytes(4)))
refused("an option in a question", EINVAL, "Unknown attribute", GET_OPTIONS, name("wg0"), u8(COPY_DSCP, 1))
refused("a dump", EOPNOTSUPP, "", GET_OPTIONS, name("wg0"), flags=NLM_F_DUMP)
refused("to bind to what is not there", ENODEV, "no such interface in the namespace of the sockets", SET_OPTIONS,
        name("wg0"), u8(COPY_DSCP, 1), u32(BIND_IFINDEX, 77777))
refused("a number that no interface has", ENODEV, "no such interface", SET_OPTIONS, name("wg0"),
        u32(BIND_IFINDEX, 0xffffffff))
refused("a name that is not there", ENODEV, "no such interface", SET_OPTIONS, name("wg0"), u8(COPY_DSCP, 1),
        attr(BIND_IFNAME, b"wg7\0"))
refused("a tunnel in itself", EINVAL, "itself", SET_OPTIONS, name("wg0"), u8(COPY_DSCP, 1), u32(BIND_IFINDEX, index))
refused("to bind to two", EINVAL, "not by both", SET_OPTIONS, name("wg0"), u8(COPY_DSCP, 1),
        u32(BIND_IFINDEX, 1), attr(BIND_IFNAME, b"lo\0"))
sys.exit(failed)
