#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: memory of a VM that is written after it was freed, or beyond its end: the host's allocator
# poisons what is freed and says in the kernel log, which fails the run, what has changed since.
# bed: --append slub_debug=FZPU --timeout 600
# needs: selftests

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

for test in "lifecycle close_order many_vms" notifier memslots eventfd irqchip split_irqchip signals; do
	# shellcheck disable=SC2086	# program and cases
	"/root/selftests/x86/"$test || fail "$test"
done
unload "$(backend_module)"
# Objects that nobody has asked for again since.
for cache in /sys/kernel/slab/kmalloc-*; do
	echo 1 > "$cache/validate"
done
pass
