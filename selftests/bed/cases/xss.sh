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

xss_read() { dd if=/dev/cpu/0/msr bs=8 count=1 skip=$((0xda0)) iflag=skip_bytes 2> /dev/null | od -A n -t u8; }

printf '\000\030\000\000\000\000\000\000' |
	dd of=/dev/cpu/0/msr bs=8 seek=$((0xda0)) oflag=seek_bytes 2> /dev/null || fail "no IA32_XSS"
[ "$(xss_read)" -eq "$xss" ] || fail "IA32_XSS reads $(xss_read)"
insmod /bed/corbel.ko || fail "corbel.ko does not load"
/root/selftests/x86/fpu || fail "x86/fpu"
[ "$(xss_read)" -eq "$xss" ] || fail "IA32_XSS is $(xss_read) afterwards"
unload corbel
pass
