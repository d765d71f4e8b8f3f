#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# TCP over the link below the tunnel, with none above it: what a tunnel that costs nothing would reach.

cd "$(dirname "$0")" && source ./lib.sh
wanted link-tcp-1 || exit 0

tunnel 4 || exit
result link-tcp-1 "$(rate 10.0.0.2 "$(seconds 3 1)")" Mbit/s
