#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: VMXON, and a #GP, where the firmware has locked VT-x off; a refusal that does not say so.
# bed: --module none --modules msr --cpus 2 --locked-off

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

for cpu in 0 1; do
	[ "$(msr_read $cpu 0x3a)" = 1 ] || fail "CPU $cpu: IA32_FEATURE_CONTROL is not 1"
done
refused
grep -q 'VT-x is locked off by the firmware' /tmp/said || fail "no word of the firmware's setting"
pass
