#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# slow
# This driver and the in-tree one get through a flood of each other's by way of a cookie; see cookies.sh.

source tests/interop/lib.sh
source tests/interop/cookies.sh
side_a
