# SPDX-License-Identifier: GPL-2.0
"""Called by tracepoints.sh: counts an event of the driver while a command runs, as `perf stat -a -e
wireguard:EVENT` does.  usage: tracepoints.py EVENT COMMAND..."""

import ctypes
import os
import struct
import subprocess
import sys

PERF_EVENT_OPEN, PERF_TYPE_TRACEPOINT = 298, 2

event = sys.argv[1]
with open(f"/sys/kernel/tracing/events/wireguard/{event}/id") as f:
    number = int(f.read())
attr = struct.pack("=IIQ", PERF_TYPE_TRACEPOINT, 64, number) + bytes(48)
libc = ctypes.CDLL(None, use_errno=True)
counters = []
for cpu in range(os.cpu_count()):
    fd = libc.syscall(PERF_EVENT_OPEN, attr, -1, cpu, -1, 0)
    if fd < 0:
        sys.exit(f"perf_event_open: {os.strerror(ctypes.get_errno())}")
    counters.append(fd)
subprocess.run(sys.argv[2:], check=False)
print(event, sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in counters))
