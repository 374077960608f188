#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Debian's unmodified QEMU on /dev/kvm; QEMU_TESTS names those to run instead of all.
#
# Catches: machines and interrupt controllers that do not boot, resets that do not reset, state that is
# lost between KVM_GET_* and KVM_SET_*, memory that the dirty log has missed.
# bed: --memory 2000 --timeout 3000 --module-args alias_kvm=1 --modules tun,vhost_net
# needs: qemu guest iso
# shellcheck disable=SC2034,SC2317,SC2154,SC3043

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1"
memory=160

# $1: name, the rest QEMU's. Its console goes to guest.NAME, its monitor is at NAME.in and NAME.out.
qemu() {
	local name="$1"

	shift
	rm -f "/tmp/$name.in" "/tmp/$name.out"
	mkfifo "/tmp/$name.in" "/tmp/$name.out"
	qemu-system-x86_64 -accel "kvm${irqchip:+,kernel-irqchip=$irqchip}" -cpu "host${features:-}" -m "$memory" \
		-nodefaults -no-user-config -display none -serial "file:/tmp/guest.$name" \
		-chardev "pipe,id=monitor,path=/tmp/$name" -mon monitor -no-shutdown \
		"$@" > "/tmp/guest.$name.err" 2>&1 < /dev/null &
	pids="$pids $!"
	exec 3> "/tmp/$name.in"
	cat "/tmp/$name.out" > "/tmp/$name.said" &
}

linux() {
	local name="$1"

	shift
	qemu "$name" -kernel vmlinuz -initrd initrd -append "$parameters" "$@"
}

# To the monitor that was opened last.
tell() { echo "$*" >&3; }

# Ask monitor $1 for $2 until an answer given from now on has $3 in it, at most 120 times, one a second.
answers() {
	local name="$1" asked="$2" wanted="$3" left=120 from

	from=$(($(wc -l < "/tmp/$name.said") + 1))
	tell "$asked"
	until tail -n "+$from" "/tmp/$name.said" | grep -q -- "$wanted"; do
		[ "$left" -gt 0 ] || { tail -n 20 "/tmp/$name.said"; return 1; }
		sleep 1
		tell "$asked"
		left=$((left - 1))
	done
}

quit() {
	for pid in $pids; do
		kill "$pid" 2> /dev/null
		wait "$pid" 2> /dev/null
	done
	pids=
	exec 3>&-
}

# A boot to the first lines of the guest's own program.
boots() {
	echo 'nproc; cat /proc/interrupts; uname -r; echo "it runs"' | initrd
	linux boots "$@" && says /tmp/guest.boots '^it runs' 120
}

t_pc() { boots -M pc -smp 2; }
t_q35() { boots -M q35 -smp 2; }
t_microvm() { boots -M microvm -smp 2; }
t_four_processors() { boots -M pc -smp 4 && grep -q '^4' /tmp/guest.boots; }
t_split_irqchip() { irqchip='split' boots -M pc -smp 2; }
# Without the interrupt of asynchronous page faults: QEMU sets its MSR though KVM then has none.
t_irqchip_off() { features=,kvm-asyncpf-int=off irqchip='off' boots -M pc; }

t_disk() {
	dd if=/dev/urandom of=disk.img bs=1M count=8 2> /dev/null
	cat <<-'END' | initrd
		sha256sum < /dev/vda
		dd if=/dev/vda of=/dev/vda bs=1M count=4 seek=4 conv=notrunc 2> /dev/null
		sync
		echo "it is written"
	END
	sum=$(sha256sum < disk.img)
	linux disk -M pc -drive file=disk.img,format=raw,if=none,id=disk \
		-device virtio-blk-pci,drive=disk,romfile= || return 1
	says /tmp/guest.disk '^it is written' 120 && grep -q "^${sum%% *}" /tmp/guest.disk &&
		[ "$(head -c 4194304 disk.img | sha256sum)" = "$(tail -c 4194304 disk.img | sha256sum)" ]
}

# Three boots. The emulator of the QEMU bed takes minutes for one whose kernel is unpacked over pages where an
# earlier kernel ran, wherever address-space randomization puts both: it forgets that code write by write.
t_reset_inside() {
	cat <<-'END' | initrd
		echo "a boot"
		reboot -f
	END
	linux reset -M pc -smp 2 || return 1
	left=400
	until boots=$(grep -c '^a boot' /tmp/guest.reset 2> /dev/null) && [ "$boots" -ge 3 ]; do
		[ "$left" -gt 0 ] || return 1
		sleep 1
		left=$((left - 1))
	done
}

t_stop_and_go() {
	worker
	linux stop -M pc && ticks stop 5 120 || return 1
	tell stop
	sleep 1
	was=$(grep -c '^tick' /tmp/guest.stop)
	sleep 2
	[ "$(grep -c '^tick' /tmp/guest.stop)" = "$was" ] || { echo "# it runs on"; return 1; }
	tell cont
	ticks stop $((was + 10)) 60
}

# The state goes to a file, another QEMU goes on from there.
t_save_and_load() {
	worker
	linux saved -M pc -smp 2 && ticks saved 5 120 || return 1
	tell 'migrate "exec:cat > /tmp/state"'
	answers saved 'info migrate' 'status: completed' || return 1
	was=$(grep -c '^tick' /tmp/guest.saved)
	quit
	irqchip=
	linux loaded -M pc -smp 2 -incoming 'exec:cat /tmp/state' || return 1
	ticks loaded $((was + 20)) 120 && ! grep -q "^tick ${was}[^0-9]*\$" /tmp/guest.loaded
}

t_live_migration() {
	worker
	linux target -M pc -smp 2 -incoming unix:/tmp/migration || return 1
	sleep 1
	linux source -M pc -smp 2 && ticks source 5 120 || return 1
	tell 'migrate_set_parameter max-bandwidth 1G'
	tell 'migrate_set_parameter downtime-limit 2000'
	tell 'migrate -d unix:/tmp/migration'
	answers source 'info migrate' 'status: completed' || return 1
	was=$(grep -c '^tick' /tmp/guest.source)
	ticks target $((was + 20)) 120 && ! grep '^broken' /tmp/guest.source
}

# The state goes into the disk's image, and the guest back to it.
t_savevm_loadvm() {
	worker
	qemu-img create -q -f qcow2 disk.qcow2 64M
	linux snap -M pc -smp 2 -drive file=disk.qcow2,format=qcow2,if=none,id=disk \
		-device virtio-blk-pci,drive=disk,romfile= && ticks snap 5 120 || return 1
	tell 'savevm one'
	answers snap 'info snapshots' ' one ' || return 1
	was=$(last_tick snap)
	ticks snap $((was + 20)) 120 || return 1
	tell 'loadvm one'
	until [ "$(grep -c "^tick $((was + 10))[^0-9]*\$" /tmp/guest.snap)" = 2 ]; do
		[ "$(last_tick snap)" -lt $((was + 100)) ] || return 1
		sleep 1
	done
	! grep '^broken' /tmp/guest.snap
}

# Packets through the kernel's own back end, a ping of three sizes from either side.
t_vhost_net() {
	cat <<-'END' | initrd
		ip addr add 192.0.2.2/24 dev eth0
		ip link set eth0 up
		for size in 56 1000 1400; do
			ping -c 3 -s $size 192.0.2.1
		done
		echo "it pinged"
		sleep 1000
	END
	linux vhost -M pc -smp 2 -netdev tap,id=net,ifname=tap0,script=no,downscript=no,vhost=on \
		-device virtio-net-pci,netdev=net,romfile= || return 1
	until ip link set tap0 up 2> /dev/null; do
		sleep 1
	done
	ip addr add 192.0.2.1/24 dev tap0
	says /tmp/guest.vhost '^it pinged' 120 || return 1
	[ "$(grep -c '3 packets received' /tmp/guest.vhost)" = 3 ] || return 1
	ping -c 3 -q 192.0.2.2 | grep '3 packets received' || return 1
	grep '^vhost-' /proc/[0-9]*/comm 2> /dev/null || { echo "# no vhost thread"; return 1; }
}

t_balloon() {
	worker
	linux balloon -M pc -device virtio-balloon-pci && ticks balloon 5 120 || return 1
	tell 'balloon 120'
	answers balloon 'info balloon' 'actual=120' || return 1
	tell "balloon $memory"
	answers balloon 'info balloon' "actual=$memory" || return 1
	ticks balloon $(($(last_tick balloon) + 10)) 60
}

# The firmware's own loader, in 16-bit code, reads the kernel from a disc.
t_grub_disc() {
	qemu grub -M pc -smp 2 -cdrom guest.iso -boot d && ticks grub 3 180
}

# UEFI: flash that is read as memory and written as a device.
t_ovmf() {
	echo 'ls /sys/firmware/efi; echo "it runs"' | initrd
	cp OVMF_VARS_4M.fd vars
	linux ovmf -M q35 -smp 2 -drive if=pflash,format=raw,readonly=on,file=OVMF_CODE_4M.fd \
		-drive if=pflash,format=raw,file=vars || return 1
	says /tmp/guest.ovmf '^it runs' 300 && grep -q systab /tmp/guest.ovmf
}

# To the debugger's stub: $1 as a packet of its protocol. Its answers go to gdb.said.
packet() {
	local sum=0 text="$1"

	while [ -n "$text" ]; do
		sum=$(((sum + $(printf %d "'$text")) & 255))
		text=${text#?}
	done
	printf '$%s#%02x' "$1" "$sum" >&4
}

# Its packets so far, a line each.
packets() { tr '$' '\n' < /tmp/gdb.said; }

# How often it has reported a stop.
stops() { packets | grep -c '^T05'; }

# Packet $1 makes it run: wait until it has stopped once more, at most 60 seconds.
run_to_stop() {
	local was left=60

	was=$(stops)
	packet "$1"
	until [ "$(stops)" -gt "$was" ]; do
		[ "$left" -gt 0 ] || { echo "# no stop after $1"; return 1; }
		sleep 1
		left=$((left - 1))
	done
}

# The program counter, behind the 16 general registers, as the stub writes it: the bytes in the order of memory.
counter() {
	packet g
	sleep 1
	packets | sed -n 's/^[0-9a-f]\{256\}\([0-9a-f]\{16\}\).*/\1/p' | tail -n 1
}

reversed() { echo "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\8\7\6\5\4\3\2\1/'; }

# A guest that calls sync(2) all the time and says where its kernel has that.
debugged() {
	cat <<-'END' | initrd
		echo "here $(sed -n 's/ T __x64_sys_sync$//p' /proc/kallsyms)"
		n=0
		while :; do
			n=$((n + 1))
			sync
			echo "tick $n"
			usleep 100000
		done
	END
	mkfifo /tmp/gdb.in /tmp/gdb.out 2> /dev/null
	linux debugged -M pc -chardev pipe,id=gdb,path=/tmp/gdb -gdb chardev:gdb || return 1
	exec 4> /tmp/gdb.in
	cat /tmp/gdb.out > /tmp/gdb.said &
	ticks debugged 3 120 || return 1
	address=$(sed -n 's/^here \([0-9a-f]\{16\}\).*/\1/p' /tmp/guest.debugged)
	printf '\003' >&4	# stop
	sleep 1
}

# Twice to the breakpoint of kind $1, a step in between, and on without it.
breakpoint() {
	local at was

	at=$(reversed "$address")
	packet "Z$1,$address,1"
	for _ in 1 2; do
		run_to_stop c || return 1
		[ "$(counter)" = "$at" ] || { echo "# stopped at $(counter), not at $at"; return 1; }
		packet "z$1,$address,1"
		run_to_stop s || return 1
		[ "$(counter)" != "$at" ] || { echo "# the step stayed"; return 1; }
		packet "Z$1,$address,1"
	done
	packet "z$1,$address,1"
	was=$(last_tick debugged)
	packet c
	ticks debugged $((was + 10)) 60
}

t_gdb_software_breakpoint() { debugged && breakpoint 0; }
t_gdb_hardware_breakpoint() { debugged && breakpoint 1; }

after_test() {
	quit
	exec 4>&-
	irqchip=
	features=
	rm -f /tmp/guest.* /tmp/*.said
}

shown='/tmp/guest.* /tmp/*.said'
run_tests qemu "${QEMU_TESTS:-}"
