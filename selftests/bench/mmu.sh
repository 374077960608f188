#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# What page-table work of a Linux guest costs, by mmu_guest.c. Runs in the one-CPU Bochs bed beside
# vmlinuz and mmu.cpio, corbel in the PATH. MMU: what `corbel run --mmu` takes, if it is not for KVM.

corbel run --kernel vmlinuz --initrd mmu.cpio --memory 128 --stats ${MMU:+--mmu "$MMU"} \
	--append "console=ttyS0 quiet cryptomgr.notests panic=-1 ${APPEND:-pti=off}" > out 2>&1 < /dev/null || {
	cat out >&2
	exit 1
}
grep '^mmu_' out | tr -d '\r'
[ -z "$STATS" ] || grep '^  ' out | tr -d '\r' >&2
