#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The in-tree driver's side.

source tests/interop/lib.sh
source tests/interop/cookies.sh
side_b
