# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the scripts have in common. To be sourced.

set -euo pipefail

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${WIREGUARD_RUST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wireguard-rust}
# The kernel series that the module is built for.
SERIES=${KERNEL:-7.3}
SYSROOT=$CACHE/sysroot-$SERIES
# Kernels for debugging, by flavour; /kernels in the sysroot.
# shellcheck disable=SC2034
KERNELS=$CACHE/kernels-$SERIES

say() {
	printf '%s\n' "$*" >&2
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# Runs a long command quietly: one line when it begins, one when it is done, its output only if it
# fails. usage: step "what it does" COMMAND...
step() {
	local what=$1 begun=$SECONDS log
	shift
	log=$(mktemp "${TMPDIR:-/tmp}/wireguard-rust.XXXXXX")
	say "  $what ..."
	if "$@" >"$log" 2>&1 </dev/null; then
		say "  $what: done in $((SECONDS - begun)) s"
		rm -f "$log"
	else
		say "  $what: FAILED after $((SECONDS - begun)) s; its last words:"
		tail -n 40 "$log" >&2
		rm -f "$log"
		return 1
	fi
}

# The version of the stock kernel in the sysroot.
kernel_version() {
	cat "$SYSROOT/build/version" 2>/dev/null || die "there is no sysroot yet; run 'make sysroot'"
}
