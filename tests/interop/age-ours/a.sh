#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest: --icount-a
# time: 500
# This driver renews sessions with the in-tree one; see age.sh.

source tests/interop/lib.sh
source tests/interop/age.sh
traveller
