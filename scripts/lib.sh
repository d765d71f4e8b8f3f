# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the scripts have in common; to be sourced.

set -euo pipefail

# Where chroot and others are; an ordinary user's PATH may lack these.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${WIREGUARD_RUST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wireguard-rust}
# The supported kernel series, with the architecture if it is not amd64, the default one last; and the one that the
# module is built for. "sid" is whatever Debian's unstable distribution has at the time, with its compilers.
# shellcheck disable=SC2034
SUPPORTED=(sid 7.2 7.3-arm64 7.3)
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

# The architecture to build for, by Debian's name; the prefix of its tools; what make is told when it builds for the
# kernel; and where in the sysroot the guest's root directory is. A sysroot for an architecture other than the host's
# has compilers for it, and a second system inside for the guest.
# shellcheck disable=SC2034
case ${ARCH:-amd64} in
amd64 | x86_64 | x86)
	ARCH=amd64 TRIPLE=x86_64-linux-gnu GUEST_ROOT= KBUILD=
	;;
arm64 | aarch64)
	ARCH=arm64 TRIPLE=aarch64-linux-gnu GUEST_ROOT=/guest
	KBUILD="ARCH=arm64 CROSS_COMPILE=$TRIPLE-"
	SYSROOT+=-$ARCH KERNELS+=-$ARCH
	;;
*) die "the architecture '$ARCH' is not supported: amd64 and arm64 are" ;;
esac

# The compiler that built the kernel, as scripts/sysroot found out.
GCC=gcc-14
[ ! -s "$SYSROOT/build/gcc" ] || GCC=$(<"$SYSROOT/build/gcc")
KBUILD+=" CC=$TRIPLE-$GCC HOSTCC=$GCC"

# For what has not been made to work elsewhere. usage: amd64_only WHAT
amd64_only() {
	[ "$ARCH" = amd64 ] || die "$1: not for $ARCH"
}

# Where Debian comes from, and what makes a root directory of it. KERNEL_SUITE has the kernels, whose names end in
# KERNEL_MARK, and their tools.
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# shellcheck disable=SC2034
case $SERIES in
sid)
	SUITE=sid KERNEL_SUITE=sid KERNEL_MARK='deb[0-9]+'
	SOURCES=("deb $MIRROR sid main")
	;;
*)
	SUITE=trixie KERNEL_SUITE=trixie-backports KERNEL_MARK=deb13
	SOURCES=("deb $MIRROR trixie main" "deb $MIRROR trixie-updates main" "deb $MIRROR trixie-backports main")
	;;
esac
KEYRING=$CACHE/tools/usr/share/keyrings
MMDEBSTRAP=$CACHE/tools/usr/bin/mmdebstrap

# Makes a Debian system in a new directory. usage: bootstrap_debian DIR PACKAGE...
bootstrap_debian() {
	local dir=$1 include
	shift
	include=$(IFS=, && echo "$*")
	local options=(--variant=minbase "--keyring=$KEYRING" "--include=$include" --skip=cleanup/apt/lists)
	remove_tree "$dir"
	# An ordinary user is root of a user namespace, as in scripts/enter, and reaches what is in a home directory that is
	# closed to others. It mounts things in the new root: in a namespace of its own, the mounts go away with it.
	local user=()
	[ "$(id -u)" -eq 0 ] || user=(--user --map-auto --map-root-user)
	unshare "${user[@]}" --mount --pid --fork --kill-child --mount-proc --propagation private \
		perl "$MMDEBSTRAP" --mode=root "${options[@]}" $SUITE "$dir" "${SOURCES[@]}"
}

# Prints the newest stock kernel of a series, when run in a Debian system:
# bash -c "$NEWEST_KERNEL" newest SERIES FLAVOUR MARK
# shellcheck disable=SC2016,SC2034
NEWEST_KERNEL='series=${1//./\\.}
	[ "$series" != sid ] || series="[0-9]+\.[0-9]+"
	apt-get update -qq >/dev/null && apt-cache search --names-only "^linux-headers-$series\..*$3-$2\$" |
	cut -d " " -f 1 | sed "s/^linux-headers-//" | sort -V | tail -n 1'

# Removes a directory. Files of other users inside our namespace cannot be removed from outside it.
remove_tree() {
	if [ "$(id -u)" -eq 0 ]; then
		rm -rf --one-file-system "$1"
	elif [ -e "$1" ]; then
		unshare --user --map-auto --map-root-user rm -rf --one-file-system "$1"
	fi
}

# Closes the files inherited from whoever started us, and our own lock: mmdebstrap, for one, hands a pipe to a
# shell by its number, which may have one digit only.
close_files() {
	local fd
	for fd in "/proc/$BASHPID/fd/"*; do
		fd=${fd##*/}
		# 255 is the script itself.
		[ "$fd" -le 2 ] || [ "$fd" -eq 255 ] || eval "exec $fd>&-"
	done
}

# Runs a command in a process group of its own, so that it can be ended with all that it has started.
# usage: run_group COMMAND...   Not to be used in a condition: bash would then go on after a failure.
GROUP=
run_group() {
	local code=0
	set -m
	(
		set -e
		close_files
		"$@"
	) &
	GROUP=$!
	set +m
	wait "$GROUP" || code=$?
	GROUP=
	GROUP_CODE=$code
}

# Ends what run_group has started: politely at first, and by force after ten seconds. On a busy host a guest needs some of
# them until its memory is gone, and only then is its directory removed.
end_group() {
	local tries=100
	[ -n "$GROUP" ] || return 0
	kill -TERM -- "-$GROUP" 2>/dev/null || true
	while [ $((tries -= 1)) -gt 0 ] && kill -0 -- "-$GROUP" 2>/dev/null; do
		sleep 0.1
	done
	kill -KILL -- "-$GROUP" 2>/dev/null || true
	wait "$GROUP" 2>/dev/null || true
	GROUP=
}

# Lets a signal end the script in a way that its trap for EXIT runs.
exit_on_signals() {
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# To be called by a script before it does anything: all that it starts, such as guests, then ends with it, however it
# ends. The script is run again, as a process group, and does its work after this call. usage: with_all_it_starts "$@"
with_all_it_starts() {
	if [ -n "${IN_GROUP:-}" ]; then
		unset IN_GROUP
		return
	fi
	trap end_group EXIT
	exit_on_signals
	run_group env IN_GROUP=1 "$0" "$@" </dev/null
	exit "$GROUP_CODE"
}

# Runs a long command quietly: one line when it begins, one when it is done. If it fails, so does the script,
# with the command's last words and one line that says what that means. A script that is interrupted takes
# the command with it. usage: step "what it does" "what it means if it fails" COMMAND...
STEP_LOG=
step() {
	[ $# -ge 3 ] || die "step '$1' has no command"
	local what=$1 meaning=$2 begun=$SECONDS
	shift 2
	STEP_LOG=$(mktemp "${TMPDIR:-/tmp}/wireguard-rust.XXXXXX")
	trap 'end_group; rm -f "$STEP_LOG"' EXIT
	exit_on_signals
	say "  $what ..."
	run_group "$@" >"$STEP_LOG" 2>&1 </dev/null
	if [ "$GROUP_CODE" -ne 0 ]; then
		say "  $what: FAILED after $((SECONDS - begun)) s; its last words:"
		tail -n 40 "$STEP_LOG" >&2
		die "$meaning"
	fi
	say "  $what: done in $((SECONDS - begun)) s"
	rm -f "$STEP_LOG"
	STEP_LOG=
	trap - EXIT HUP INT TERM
}

# The version of the stock kernel in the sysroot.
kernel_version() {
	cat "$SYSROOT/build/version" 2>/dev/null || die "there is no sysroot yet; run 'make sysroot'"
}
