#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# time: 600
# This driver and the in-tree one over IPv4; see tcp.sh.

source tests/interop/lib.sh
source tests/interop/tcp.sh
side_a 4
