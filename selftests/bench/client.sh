#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What clients take for a port that they serve themselves: our launcher, and unmodified QEMU. Prints lines as bench does.
# Runs in the bed. The launcher takes its own device if there is one, QEMU always /dev/kvm.

# Line of row $1 from what the guest (port.S) printed into /tmp/out, else all there is to see.
row() {
	tr -d '\r' < /tmp/out | while read -r word mean least; do
		[ "$word" != port ] || echo "$1 $((0x$mean)) $((0x$least))"
	done | grep . || cat /tmp/out /tmp/err >&2
}

corbel run --kernel /root/port.elf --memory 64 > /tmp/out 2> /tmp/err < /dev/null
row port_read_launcher
qemu-system-x86_64 -accel kvm -cpu host -M pc -m 64 -nodefaults -no-user-config -display none -no-reboot \
	-serial file:/tmp/out -kernel /root/port.elf > /tmp/err 2>&1 < /dev/null
row port_read_qemu
