#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a load beside another hypervisor, or a refusal that does not say whom to unload.
# bed: --module none --modules kvm_intel

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

if insmod /bed/corbel.ko 2> /tmp/insmod; then
	fail "corbel.ko loaded while kvm_intel holds the processor"
fi
dmesg | grep corbel: > /tmp/said
cat /tmp/said
grep -q 'modprobe -r kvm_intel' /tmp/said || fail "the log does not name the command"
rmmod kvm_intel || fail "kvm_intel does not unload"
insmod /bed/corbel.ko || fail "corbel.ko does not load after kvm_intel went"
unload corbel
pass
