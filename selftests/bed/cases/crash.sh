#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: VMX or SVM left on after a panic: the crash kernel could not start the other processor.
# bed: --cpus 2 --append crashkernel=256M
# bed: --allow-log sysrq.triggered.crash|Call.Trace
# needs: launcher guest kexec
# second: [ "$(nproc)" = 2 ] && echo "ok 1 case/crash"

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

kexec -p -c /root/vmlinuz --initrd=/bed/second.cpio \
	--append="$(sed 's/crashkernel=[^ ]*//' /proc/cmdline) nr_cpus=2" || fail "kexec -p"
guest_start one 2
guest_wait one 2 60
# The crash kernel can start the second processor only if it runs on the first.
taskset 1 sh -c 'echo c > /proc/sysrq-trigger'
fail "the panic came back"
