#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a load, or an unclear refusal, on a processor with neither VT-x nor SVM.
# bed: --bed qemu --cpu Nehalem --module none

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

if insmod /bed/corbel.ko 2> /tmp/insmod; then
	fail "corbel.ko loaded on a processor without VT-x and SVM"
fi
dmesg | grep corbel: > /tmp/said
cat /tmp/said
grep -qi 'vt-x\|vmx\|svm' /tmp/said || fail "the log does not say what is missing"
pass
