#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount-b
# time: 500
# The in-tree driver renews sessions with this one; see age.sh.

source tests/interop/lib.sh
source tests/interop/age.sh
resident
