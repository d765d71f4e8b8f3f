#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The in-tree driver's side; see a.sh.

source tests/interop/lib.sh
setup 6
barrier up
iperf3 -s -D
sleep 1
barrier served
barrier transferred
barrier roamed
wg set wg0 listen-port 5555
ping -c 2 -i 0.3 -W 3 10.99.0.1 >/dev/null
barrier roamed-back
barrier forget
# A change of the private key and back ends all sessions.
wg set wg0 private-key <(wg genkey)
wg set wg0 private-key <(echo "$KEY")
ping -c 2 -W 7 10.99.0.1 >/dev/null
barrier begun
barrier rekey
# The timestamp of an initiation has to be newer than the last one.
wg set wg0 private-key <(wg genkey)
wg set wg0 private-key <(echo "$KEY")
ping -c 1 -W 7 10.99.0.1 >/dev/null
barrier rekeyed
wg set wg0 peer "$(wg pubkey <<<"$PEER_KEY")" preshared-key <(echo "$PSK")
barrier psk
barrier done
