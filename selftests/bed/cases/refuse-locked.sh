#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: VMXON, and a #GP, where the firmware has locked VT-x off.
# bed: --module none --modules msr --cpus 2

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

# IA32_FEATURE_CONTROL: the lock bit alone, on each processor, unless it is locked already.
for cpu in 0 1; do
	printf '\001\000\000\000\000\000\000\000' |
		dd of=/dev/cpu/$cpu/msr bs=8 seek=58 oflag=seek_bytes 2> /dev/null ||
		skip "IA32_FEATURE_CONTROL is locked already"
done
if insmod /bed/corbel.ko 2> /tmp/insmod; then
	fail "corbel.ko loaded though VT-x is locked off"
fi
dmesg | grep corbel: > /tmp/said
cat /tmp/said
grep -qi 'firmware\|bios' /tmp/said || fail "the log does not name the firmware"
pass
