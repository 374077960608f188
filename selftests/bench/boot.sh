#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# "Guest boot to init", as lines like bench's: NAME MEDIAN MINIMUM. Runs in the one-CPU Bochs bed beside
# vmlinuz and off.cpio, whose only program turns the guest off; corbel in the PATH, msr loaded.
#
# Counted from before the launcher's start to after its end, by two registers that the bed's Bochs has:
# instructions that the processor completed, and those of them in guest mode. Both stand still while it
# is halted. So what is outside of the guest is launcher, host kernel and hypervisor together, and the
# total is what a boot costs.

boots=${BENCH_BOOTS:-3}

msr() { dd if=/dev/cpu/0/msr bs=8 count=1 iflag=skip_bytes skip=$(($1)) 2> /dev/null | od -An -tu8; }

boot() {
	local all guest

	all=$(msr 0x400000f0)
	guest=$(msr 0x400000f1)
	corbel run --kernel vmlinuz --initrd off.cpio --memory 128 --stats \
		--append "console=ttyS0 quiet cryptomgr.notests panic=-1" > out 2>&1 < /dev/null || {
		cat out >&2
		return 1
	}
	all=$(($(msr 0x400000f0) - all))
	guest=$(($(msr 0x400000f1) - guest))
	echo "boot_total $all"
	echo "boot_outside_guest $((all - guest))"
	echo "boot_exits $(sed -n 's/^  exits  *\([0-9]*\).*/\1/p' out)"
}

cd /root || exit 1
if [ "$(($(msr 0x400000f1)))" = 0 ]; then
	echo "boot.sh: this bed's Bochs does not count instructions of guests" >&2
	exit 1
fi
done=0
while [ "$done" -lt "$boots" ]; do
	boot >> figures || exit 1
	done=$((done + 1))
done
for name in boot_total boot_outside_guest boot_exits; do
	sed -n "s/^$name //p" figures | sort -n > sorted
	echo "$name $(sed -n "$(((boots + 1) / 2))p" sorted) $(head -n 1 sorted)"
done
