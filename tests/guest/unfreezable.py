#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A process that the kernel cannot freeze: a system call of it waits for a page that nobody brings, where only a fatal
signal would end it. So a suspend that has been announced gets no further, until the kernel gives up. The process ends
after so many seconds, or when it may run again if that is later.
usage: unfreezable.py SECONDS"""

import ctypes
import fcntl
import mmap
import os
import struct
import sys
import threading
import time

from syscalls import syscall

UFFD_API = 0xAA
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
UFFDIO_REGISTER_MODE_MISSING = 1

faults = syscall("userfaultfd", os.O_CLOEXEC)
fcntl.ioctl(faults, UFFDIO_API, struct.pack("QQQ", UFFD_API, 0, 0))

page = mmap.mmap(-1, mmap.PAGESIZE)
start = ctypes.addressof(ctypes.c_char.from_buffer(page))
fcntl.ioctl(faults, UFFDIO_REGISTER,
            struct.pack("QQQQ", start, mmap.PAGESIZE, UFFDIO_REGISTER_MODE_MISSING, 0))


def end():
    time.sleep(float(sys.argv[1]))
    # The page is an ordinary one from here on.
    os.close(faults)


threading.Thread(target=end).start()
os.write(os.pipe()[1], page)
