# SPDX-License-Identifier: GPL-2.0
"""Called by tracepoints.sh: counts an event of the driver while a command runs, as `perf stat -a -e
wireguard:EVENT` does. With --bpf a BPF program is run for each event, and says that it does not count.

usage: tracepoints.py [--bpf] EVENT COMMAND..."""

import fcntl
import os
import struct
import subprocess
import sys

from syscalls import BPF_PROG_TYPE_TRACEPOINT, load_program, syscall

PERF_TYPE_TRACEPOINT, PERF_EVENT_IOC_SET_BPF = 2, 0x40042408

words = sys.argv[1:]
bpf = words[0] == "--bpf"
event, *command = words[bpf:]
with open(f"/sys/kernel/tracing/events/wireguard/{event}/id") as f:
    number = int(f.read())
attr = struct.pack("=IIQ", PERF_TYPE_TRACEPOINT, 64, number) + bytes(48)
counters = [syscall("perf_event_open", attr, -1, cpu, -1, 0) for cpu in range(os.cpu_count())]
if bpf:
    fcntl.ioctl(counters[0], PERF_EVENT_IOC_SET_BPF, load_program(BPF_PROG_TYPE_TRACEPOINT))
subprocess.run(command, check=False)
print(event, sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in counters))
