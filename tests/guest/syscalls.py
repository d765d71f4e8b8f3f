# SPDX-License-Identifier: GPL-2.0
"""System calls that Python does not have, and the BPF program that some tests need."""

import ctypes
import os
import platform
import struct

# Per system call, its number on each architecture.
NUMBERS = {
    "bpf": {"x86_64": 321, "aarch64": 280},
    "perf_event_open": {"x86_64": 298, "aarch64": 241},
    "userfaultfd": {"x86_64": 323, "aarch64": 282},
}
BPF_PROG_LOAD, BPF_PROG_ATTACH = 5, 8
BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_CGROUP_SKB = 5, 8
BPF_CGROUP_INET_INGRESS = 0
_libc = ctypes.CDLL(None, use_errno=True)


def syscall(name, *arguments):
    """The result of the system call. OSError with its name if it fails."""
    result = _libc.syscall(NUMBERS[name][platform.machine()], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def load_program(kind):
    """The descriptor of a BPF program of this BPF_PROG_TYPE that returns 0, which is "no" where it is asked."""
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("=IIQQ", kind, 2, ctypes.addressof(code), ctypes.addressof(licence))
    return syscall("bpf", BPF_PROG_LOAD, attr, len(attr))


def attach_to_cgroup(path, program, where):
    """Asks the program about each packet of this control group, at this place of enum bpf_attach_type."""
    group = os.open(path, os.O_RDONLY)
    attr = struct.pack("=IIII", group, program, where, 0)
    syscall("bpf", BPF_PROG_ATTACH, attr, len(attr))
    os.close(group)
