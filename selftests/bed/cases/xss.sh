#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a guest that was not given XSAVES and executes it nevertheless, which SVM cannot intercept,
# with the host's IA32_XSS: it would save the host's supervisor state, and load another.
# bed: --cpu ryzen --module none --modules msr --emulator-arg cpu:add_features=cet
# needs: selftests

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

# The two states of CET. This kernel uses neither.
xss=$((0x1800))

printf '\000\030\000\000\000\000\000\000' |
	dd of=/dev/cpu/0/msr bs=8 seek=$((0xda0)) oflag=seek_bytes 2> /dev/null || fail "no IA32_XSS"
[ "$(msr_read 0 0xda0)" -eq "$xss" ] || fail "IA32_XSS reads $(msr_read 0 0xda0)"
insmod /bed/corbel.ko || fail "corbel.ko does not load"
/root/selftests/x86/fpu || fail "x86/fpu"
[ "$(msr_read 0 0xda0)" -eq "$xss" ] || fail "IA32_XSS is $(msr_read 0 0xda0) afterwards"
unload corbel
pass
