#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a guest that does not survive the host's suspend to RAM; processors wake without VMX or SVM.
# bed: --bed qemu --cpus 2 --append no_console_suspend
# needs: launcher guest rtcwake

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

# The firmware of this bed forgets where the chipset's power management is, and Linux does not know.
lpc=/sys/bus/pci/devices/0000:00:1f.0/config
pm_save() { dd if=$lpc of=/tmp/pm bs=1 skip=64 count=5 2> /dev/null; }
pm_restore() { dd if=/tmp/pm of=$lpc bs=1 seek=64 conv=notrunc 2> /dev/null; }

guest_start one 2
guest_wait one 2 60
pm_save
for round in 1 2; do
	began=$(date +%s)
	rtcwake -m mem -s 3 > /tmp/rtcwake 2>&1 || fail "round $round: $(cat /tmp/rtcwake)"
	pm_restore
	[ $(($(date +%s) - began)) -ge 2 ] || fail "round $round: the host did not sleep"
	guest_alive one
done
[ "$(dmesg | grep -c 'PM: suspend exit')" = 2 ] || fail "the host did not suspend twice"
guest_kill "$guest_pid"
unload "$(backend_module)"
pass
