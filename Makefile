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
DURATION ?= 1800

ENTER := scripts/enter --

.PHONY: help sysroot modules demo test test-full test-host test-guest test-recipes test-clients test-peers \
	test-interop test-upstream test-kernels test-deb test-in-tree deb rust-project.json debug-kernel test-debug \
	test-kcsan test-release soak bench fuzz check install clean distclean

help: ## this list
	@echo "usage: make TARGET [VARIABLE=VALUE...]"
	@echo
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  QUICK=1 METRICS='tcp-*'    the main figures only; these only (bench)"
	@echo "  RUNS=3 RECORD=1            the median of so many; keep it in Documentation/ (bench)"
	@echo "  ACCEL=kvm                  real time instead of counted instructions (bench)"
	@echo "  TEST=name                  run one test only (test-guest, test-recipes, ...)"
	@echo "  KERNEL=7.2                 build for another kernel series (default 7.3), or for that of Debian sid"
	@echo "  ARCH=arm64                 cross-build, and test in emulated guests (default amd64)"
	@echo "  DESTDIR=dir KVER=version   where to install"
	@echo "  WIREGUARD_RUST_CACHE=dir   where the sysroot is kept (default ~/.cache/wireguard-rust)"

sysroot: ## create or update toolchain, stock kernel and guest tools (4 minutes the first time)
	@scripts/sysroot $(if $(UPDATE),--update)

modules: sysroot ## build wireguard.ko for the stock kernel
	@scripts/build

demo: modules ## a tunnel between this driver and the in-tree one, in two guests
	@scripts/demo

test: modules ## all tests that a change has to pass
	@scripts/run-tests check guest host recipes interop

test-full: modules ## the slow ones as well, other programs and peers, the kernel's own selftest, what an editor shows
	@FULL=1 scripts/run-tests check guest host recipes clients peers interop upstream analyzer

test-host: sysroot ## the protocol core under cargo, without a kernel
	@scripts/run-tests host

test-guest: modules ## the module in a guest on the stock kernel
	@scripts/run-tests guest

test-recipes: modules ## set-ups that people publish, as they are written
	@scripts/run-tests recipes

test-clients: modules ## the programs that configure interfaces, for real
	@FULL=1 scripts/run-tests clients

test-peers: modules ## wireguard-go and boringtun on the other side
	@FULL=1 scripts/run-tests peers

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
	@FLAVOUR=kcsan TEST="$(or $(TEST),race-found traffic churn hotplug)" scripts/run-tests guest

bench: modules ## this driver and the in-tree one, measured side by side in one guest
	@scripts/bench $(if $(QUICK),--quick) $(if $(RECORD),--record) $(if $(RUNS),--runs $(RUNS)) $(METRICS)

test-deb: deb ## the packages in Debian systems with systemd: install, reboot, kernel update, remove (slow)
	@scripts/run-tests deb

test-in-tree: modules ## the driver laid into a kernel tree and built there, as a module and built-in (slow)
	@scripts/test-in-tree

test-kernels: ## build and test in a guest for each supported kernel series and for arm64; prints a table
	@scripts/test-kernels

test-release: ## all of the above: what is worth a day's time before a release
	@$(MAKE) -k --no-print-directory test-full test-debug test-kcsan test-deb test-in-tree test-kernels

soak: modules ## half an hour of traffic, configuration and moves, and what is left of it (DURATION=1800)
	@$(if $(FLAVOUR),scripts/debug-kernel $(FLAVOUR) && scripts/build $(FLAVOUR))
	@DURATION=$(DURATION) TEST=$(or $(TEST),churn) scripts/run-tests guest

fuzz: sysroot ## fuzz the protocol core and keep what reaches new code (FUZZ_SECONDS=60 for each target)
	@scripts/fuzz $(TEST)

check: modules ## formatting, lints, where unsafe stands, panic paths, spelling
	@$(ENTER) scripts/check

deb: modules ## Debian packages in build/deb: for DKMS, and with the module for the stock kernel
	@$(ENTER) env SIGN_KEY="$(SIGN_KEY)" SIGN_CERT="$(SIGN_CERT)" scripts/deb $$(scripts/version)

rust-project.json: modules ## what rust-analyzer wants to know, for the module and the crates of the tests
	@scripts/rust-analyzer

install: ## install wireguard.ko so that it takes precedence over the in-tree driver
	@test -f wireguard.ko || { echo "error: there is no wireguard.ko; run 'make' first" >&2; exit 1; }
	@built=$$(modinfo -F vermagic ./wireguard.ko | cut -d ' ' -f 1); [ "$$built" = "$(KVER)" ] || \
		{ echo "error: wireguard.ko was built for Linux $$built, not for $(KVER); KVER=version says for which" >&2; exit 1; }
	install -D -m 644 wireguard.ko "$(DESTDIR)/lib/modules/$(KVER)/updates/wireguard.ko"
	depmod $(if $(DESTDIR),-b "$(DESTDIR)") "$(KVER)"

clean: ## remove what was built in the tree
	@git clean -fdXq -- src include tests Kbuild '*.ko' '*.o' '*.mod*' 'Module.symvers' 'modules.order' '.*.cmd'
	@rm -rf tests/host/target build rust-project.json

distclean: clean ## remove the sysroot as well
	@scripts/distclean
