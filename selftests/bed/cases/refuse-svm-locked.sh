#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a #GP from EFER.SVME where the firmware has locked SVM off; a refusal that does not say so.
# bed: --cpu ryzen --module none --modules msr --locked-off

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

# LOCK and SVMDIS
[ "$(msr_read 0 0xc0010114)" = 24 ] || fail "VM_CR is $(msr_read 0 0xc0010114)"
refused
grep -q 'AMD-V is locked off by the firmware' /tmp/said || fail "no word of the firmware's setting"
pass
