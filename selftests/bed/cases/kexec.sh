#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: VMX or SVM left on over kexec: the second kernel could not start the other processor.
# bed: --cpus 2
# needs: launcher guest kexec
# second: [ "$(nproc)" = 2 ] && echo "ok 1 case/kexec"

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

kexec -l -c /root/vmlinuz --initrd=/bed/second.cpio \
	--append="$(cat /proc/cmdline)" || fail "kexec -l"
guest_start one 2
guest_wait one 2 60
kexec -e
fail "kexec -e came back"
