# SPDX-License-Identifier: GPL-2.0
"""Called by tracepoints.sh: counts an event of the driver while a command runs, as `perf stat -a -e
wireguard:EVENT` does. With --bpf a BPF program is run for each event, and says that it does not count.

usage: tracepoints.py [--bpf] EVENT COMMAND..."""

import ctypes
import fcntl
import os
import platform
import struct
import subprocess
import sys

# The numbers of the system calls.
PERF_EVENT_OPEN, BPF = {"x86_64": (298, 321), "aarch64": (241, 280)}[platform.machine()]
PERF_TYPE_TRACEPOINT, PERF_EVENT_IOC_SET_BPF = 2, 0x40042408
BPF_PROG_LOAD, BPF_PROG_TYPE_TRACEPOINT = 5, 5
libc = ctypes.CDLL(None, use_errno=True)


def syscall(name, *arguments):
    result = libc.syscall(*arguments)
    if result < 0:
        sys.exit(f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def bpf_program():
    """r0 = 0; exit"""
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("=IIQQ", BPF_PROG_TYPE_TRACEPOINT, 2, ctypes.addressof(code), ctypes.addressof(licence))
    return syscall("bpf", BPF, BPF_PROG_LOAD, attr, len(attr))


words = sys.argv[1:]
bpf = words[0] == "--bpf"
event, *command = words[bpf:]
with open(f"/sys/kernel/tracing/events/wireguard/{event}/id") as f:
    number = int(f.read())
attr = struct.pack("=IIQ", PERF_TYPE_TRACEPOINT, 64, number) + bytes(48)
counters = [syscall("perf_event_open", PERF_EVENT_OPEN, attr, -1, cpu, -1, 0) for cpu in range(os.cpu_count())]
if bpf:
    fcntl.ioctl(counters[0], PERF_EVENT_IOC_SET_BPF, bpf_program())
subprocess.run(command, check=False)
print(event, sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in counters))
