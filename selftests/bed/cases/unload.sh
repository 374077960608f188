#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a module that can be unloaded under a running guest, or not after it, or not loaded again.
# needs: launcher guest

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

module=$(backend_module)
guest_start one 1
guest_wait one 2 60
if rmmod "$module" 2> /dev/null; then
	fail "rmmod $module succeeded while a guest was running"
fi
guest_alive one
guest_kill "$guest_pid"
unload "$module"
[ ! -e "$CORBEL_DEV" ] || [ "$CORBEL_MODULE" = kvm ] || fail "$CORBEL_DEV is still there"
if [ "$CORBEL_MODULE" = corbel ]; then
	insmod /bed/corbel.ko || fail "corbel.ko does not load a second time"
	guest_start two 1
	guest_wait two 2 60
	guest_kill "$guest_pid"
fi
pass
