# SPDX-License-Identifier: GPL-2.0-only
#
# 'make help' lists what there is. Kbuild, beside this file, is what the kernel's build reads.

# Headers to build against; empty: the running kernel's, else Debian's newest cloud headers.
KDIR ?=
PREFIX ?= /usr/local
UDEVDIR ?= /etc/udev/rules.d
MODPROBEDIR ?= /etc/modprobe.d
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=

build_module = scripts/build-module $(if $(KDIR),$(abspath $(KDIR)))

all: modules launcher

help:
	@echo 'Building:'
	@echo '  all            the module and the launcher (default)'
	@echo '  modules        corbel.ko, in build/RELEASE; KDIR=DIR chooses the kernel headers'
	@echo '  launcher       userspace/corbel'
	@echo '  install        module, launcher, udev rule, modprobe file, man pages, completion;'
	@echo '                 DESTDIR, PREFIX'
	@echo '  uninstall      take those away again'
	@echo '  deps           install the Debian packages that all of this needs'
	@echo '  clean          remove what was built here (the cache of beds stays)'
	@echo 'Showing and testing, in emulated machines (nothing is loaded into this one):'
	@echo '  demo           boot a host, load the module, boot Linux on it; BED=bochs (VT-x, default)'
	@echo '                 or BED=qemu (AMD SVM)'
	@echo '  check          unit tests, every selftest on VT-x and on AMD SVM, and the beds'\'' cases'
	@echo '  check-all      the whole matrix of beds, processors and kernels'
	@echo '  check-peer     the selftests on real KVM, in the same beds'
	@echo '  check-debug    the selftests on a host kernel with KASAN, lockdep and the like'
	@echo '  check-kvm-selftests'
	@echo '                 the kernel'\''s KVM selftests, on real KVM and on Corbel in the same beds'
	@echo '  check-clients  unmodified clients, on real KVM and on Corbel in the same beds'
	@echo '  sparse         no warning by sparse, W=1 or objtool, for 6.1 and 6.12'
	@echo '  bench          what an exit and a boot cost, beside real KVM'
	@echo '  bench-guard    the same beside what it was, for Corbel alone'
	@echo '  bench-mmu      what page-table work of a guest costs, with nested and shadow paging'

modules:
	$(build_module)

launcher:
	$(MAKE) -C userspace all

deps:
	scripts/deps

demo:
	scripts/demo

check check-all check-peer check-debug check-kvm-selftests check-clients sparse:
	scripts/check --suite $@

bench:
	$(MAKE) -C selftests/bench run

bench-guard:
	$(MAKE) -C selftests/bench guard

bench-mmu:
	selftests/bench/mmu

clean:
	rm -rf build
	[ ! -e userspace/Makefile ] || $(MAKE) -C userspace clean
	[ ! -e selftests/Makefile ] || $(MAKE) -C selftests clean
	[ ! -e selftests/unit/Makefile ] || $(MAKE) -C selftests/unit clean

install: all
	scripts/install-module '$(KDIR)' '$(DESTDIR)'
	$(MAKE) -C userspace install DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' MANDIR='$(MANDIR)' \
		BASHCOMPDIR='$(BASHCOMPDIR)'
	install -D -m 644 udev/60-corbel.rules '$(DESTDIR)$(UDEVDIR)/60-corbel.rules'
	install -D -m 644 modprobe.d/corbel.conf '$(DESTDIR)$(MODPROBEDIR)/corbel.conf'
	[ -n '$(DESTDIR)' ] || udevadm control --reload 2>/dev/null || true
	@echo "Loaded by 'modprobe corbel'. If KVM holds the processor: 'modprobe -r kvm_intel' or"
	@echo "'modprobe -r kvm_amd', and see $(MODPROBEDIR)/corbel.conf."

uninstall:
	scripts/install-module --remove '$(KDIR)' '$(DESTDIR)'
	[ ! -e userspace/Makefile ] || $(MAKE) -C userspace uninstall DESTDIR='$(DESTDIR)' \
		PREFIX='$(PREFIX)' MANDIR='$(MANDIR)' BASHCOMPDIR='$(BASHCOMPDIR)'
	rm -f '$(DESTDIR)$(UDEVDIR)/60-corbel.rules' '$(DESTDIR)$(MODPROBEDIR)/corbel.conf'

.PHONY: all help modules launcher deps demo check check-all check-peer check-debug \
	check-kvm-selftests check-clients sparse bench bench-guard bench-mmu clean install uninstall
