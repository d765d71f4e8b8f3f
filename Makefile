# SPDX-License-Identifier: GPL-2.0
#
# Front door of the project; `make help` lists the targets. The module itself is built by Kbuild:
# `make -C KDIR M=$PWD modules` is all that is needed where a Rust-capable kernel build tree exists.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := modules
.DELETE_ON_ERROR:
.NOTPARALLEL:

DESTDIR ?=
KVER ?= $(shell uname -r)

ENTER := scripts/enter --

.PHONY: help sysroot modules demo test test-full test-host test-guest test-interop test-upstream debug-kernel test-debug test-kcsan bench check install clean distclean

help: ## this list
	@echo "usage: make TARGET [VARIABLE=VALUE...]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'
	@echo
	@echo "  TEST=name                  run one guest test only (test-guest, test-interop)"
	@echo "  QUICK=1                    the main figures only (bench)"
	@echo "  KERNEL=7.2                 build for another kernel series (default 7.3)"
	@echo "  DESTDIR=dir KVER=version   where to install"
	@echo "  WIREGUARD_RUST_CACHE=dir   where the sysroot is kept (default ~/.cache/wireguard-rust)"

sysroot: ## create or update toolchain, stock kernel and guest tools (4 minutes the first time)
	@scripts/sysroot $(if $(UPDATE),--update)

modules: sysroot ## build wireguard.ko for the stock kernel
	@scripts/build

demo: modules ## a tunnel between this driver and the in-tree one, in two guests
	@scripts/demo

test: modules ## all tests that a change has to pass
	@scripts/run-tests host guest interop

test-full: modules ## the slow ones as well
	@FULL=1 scripts/run-tests host guest interop upstream

test-host: sysroot ## the protocol core under cargo, without a kernel
	@scripts/run-tests host

test-guest: modules ## the module in a guest on the stock kernel
	@scripts/run-tests guest

test-interop: modules ## the module in one guest, the in-tree driver in another
	@scripts/run-tests interop

test-upstream: modules ## the kernel's own selftest of the driver, unmodified
	@scripts/run-tests upstream

debug-kernel: sysroot ## a kernel with KASAN, lockdep, kmemleak and more (FLAVOUR=kcsan: with KCSAN)
	@scripts/debug-kernel $(or $(FLAVOUR),debug)

test-debug: modules ## guest tests and the kernel's selftest on the kernel for debugging
	@scripts/debug-kernel debug
	@scripts/build debug
	@FLAVOUR=debug scripts/run-tests guest upstream

test-kcsan: modules ## bulk traffic with reconfiguration on a kernel that looks for data races
	@scripts/debug-kernel kcsan
	@scripts/build kcsan
	@FLAVOUR=kcsan TEST="$(or $(TEST),traffic churn hotplug)" scripts/run-tests guest

bench: modules ## this driver and the in-tree one, measured side by side in one guest
	@scripts/bench $(if $(QUICK),--quick)

check: modules ## formatting, lints, where unsafe stands, panic paths, spelling
	@$(ENTER) scripts/check

install: ## install wireguard.ko so that it takes precedence over the in-tree driver
	@test -f wireguard.ko || { echo "error: there is no wireguard.ko; run 'make' first" >&2; exit 1; }
	install -D -m 644 wireguard.ko "$(DESTDIR)/lib/modules/$(KVER)/updates/wireguard.ko"
	depmod $(if $(DESTDIR),-b "$(DESTDIR)") "$(KVER)"

clean: ## remove what was built in the tree
	@git clean -fdXq -- src include tests Kbuild '*.ko' '*.o' '*.mod*' 'Module.symvers' 'modules.order' '.*.cmd'
	@rm -rf tests/host/target

distclean: clean ## remove the sysroot as well
	@scripts/distclean
