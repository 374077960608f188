#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a guest killed at any instant of its life that leaves something behind.
# bed: --timeout 600
# needs: launcher guest

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

instants=${KILL_INSTANTS:-100}
done=0
while [ "$done" -lt "$instants" ]; do
	guest_start victim 2
	# Dense where the VM is set up, thinner over the boot of its kernel.
	usleep $(($(od -An -N2 -tu2 /dev/urandom) * (done % 10 + 1)))
	guest_kill "$guest_pid"
	rm -f /tmp/guest.victim
	done=$((done + 1))
done
unload "$(backend_module)"
echo "# killed $done guests"
pass
