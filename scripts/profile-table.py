#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Shows what scripts/profile has counted: guest instructions by function or by source line."""

import argparse
import bisect
import collections
import os
import re
import subprocess

parser = argparse.ArgumentParser()
parser.add_argument("--top", type=int, default=50)
parser.add_argument("--lines", action="store_true")
parser.add_argument("dir")
options = parser.parse_args()


def path(name):
    return os.path.join(options.dir, name)


# Symbols: sorted addresses, names, modules.
symbols = []
for line in open(path("profile.symbols"), encoding="ascii"):
    field = line.split()
    if field[1] in "tTwW":
        symbols.append((int(field[0], 16), field[2], field[3].strip("[]") if len(field) > 3 else "kernel"))
symbols.sort()
starts = [s[0] for s in symbols]


def symbol(address):
    if address < 1 << 63:
        return 0, "(user space)", "user"
    i = bisect.bisect_right(starts, address) - 1
    return symbols[i] if i >= 0 else (0, "(unknown)", "kernel")


blocks = []
for line in open(path("profile.counts"), encoding="ascii"):
    address, instructions, count = line.split()
    blocks.append((int(address, 16), int(instructions), int(count)))
traffic = {}
for line in open(path("traffic"), encoding="ascii"):
    field = line.split()
    if len(field) == 2 and field[0] in ("packets", "octets"):
        traffic[field[0]] = int(field[1])

functions = collections.Counter()
calls = collections.Counter()
modules = collections.Counter()
for address, instructions, count in blocks:
    start, name, module = symbol(address)
    functions[name, module] += instructions * count
    modules[module] += instructions * count
    if address == start:
        calls[name, module] += count
total = sum(functions.values())
packets = max(traffic.get("packets", 0), 1)


def readable(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [re.sub(r"\b(wireguard|kernel|core)\[[0-9a-f]+\]::", "", n) for n in text.splitlines()]


print(f"{total:,} instructions, {traffic.get('packets', 0):,} packets and {traffic.get('octets', 0):,} octets "
      "received (both directions)")
print("per packet: instructions in one packet; a packet that goes up the stack merged counts as one\n")
print(f"{'share':>6} {'per packet':>10}  module")
for module, instructions in modules.most_common(12):
    print(f"{100 * instructions / total:5.1f}% {instructions / packets:10.0f}  {module}")
print(f"\n{'share':>6} {'per packet':>10} {'calls/pkt':>9} {'per call':>9}  function")
most = functions.most_common(options.top)
for (key, instructions), name in zip(most, readable([k[0] for k, _ in most])):
    count = calls[key]
    each = f"{instructions / count:9.0f}" if count else f"{'':9}"
    print(f"{100 * instructions / total:5.1f}% {instructions / packets:10.1f} {count / packets:9.2f} {each}  "
          f"{name} [{key[1]}]")

if options.lines:
    # Addresses in the module's file: that of the function of the same name, plus the offset.
    where = {}
    table = subprocess.run(["nm", path("wireguard.ko")], capture_output=True, text=True, check=True).stdout
    for line in table.splitlines():
        field = line.split()
        if len(field) == 3 and field[1] in "tT":
            where[field[2]] = int(field[0], 16)
    lines = collections.Counter()
    asked = []
    for address, instructions, count in blocks:
        start, name, module = symbol(address)
        if module == "wireguard" and name in where:
            asked.append((where[name] + address - start, instructions * count))
    text = subprocess.run(
        ["addr2line", "-i", "-f", "-a", "-j", ".text", "-e", path("wireguard.ko")],
        input="\n".join(hex(a) for a, _ in asked), capture_output=True, text=True, check=True).stdout
    stack, answers = [], []
    for line in text.splitlines():
        if line.startswith("0x"):
            stack = []
            answers.append(stack)
        else:
            stack.append(line)
    for (_, instructions), stack in zip(asked, answers):
        places = [f"{os.path.relpath(p.split(' ')[0], '/src') if p.startswith('/src') else p.split('/')[-1]}"
                  for p in stack[1::2]]
        lines[" < ".join(places[:3])] += instructions
    print(f"\n{'share':>6} {'per packet':>10}  first line of the block < where it is inlined")
    for place, instructions in lines.most_common(options.top):
        print(f"{100 * instructions / total:5.1f}% {instructions / packets:10.1f}  {place}")
