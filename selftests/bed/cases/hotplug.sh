#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a processor that goes offline with a guest's state on it, or comes back without VMX or SVM.
# bed: --cpus 2
# needs: launcher guest

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

guest_start one 2
guest_wait one 2 60
for round in 1 2 3; do
	echo 0 > /sys/devices/system/cpu/cpu1/online || fail "round $round: CPU 1 does not go offline"
	guest_alive one
	echo 1 > /sys/devices/system/cpu/cpu1/online || fail "round $round: CPU 1 does not come back"
	taskset -p 2 "$guest_pid" > /dev/null
	guest_alive one
	taskset -p 3 "$guest_pid" > /dev/null
done
guest_kill "$guest_pid"
unload "$(backend_module)"
pass
