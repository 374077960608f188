#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a guest that does not survive the host's suspend to RAM; processors wake without VMX or SVM.
# bed: --bed qemu --cpus 2 --append no_console_suspend
# needs: launcher guest rtcwake

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

guest_start one 2
guest_wait one 2 60
for round in 1 2; do
	rtcwake -m mem -s 3 > /tmp/rtcwake 2>&1 || fail "round $round: $(cat /tmp/rtcwake)"
	guest_alive one
done
[ "$(dmesg | grep -c 'PM: suspend exit')" = 2 ] || fail "the host did not suspend twice"
guest_kill "$guest_pid"
unload "$(backend_module)"
pass
