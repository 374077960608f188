#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Debian's unmodified QEMU on /dev/kvm; QEMU_TESTS names those to run instead of all.
#
# Catches: machines and interrupt controllers that do not boot, resets that do not reset, state that is
# lost between KVM_GET_* and KVM_SET_*, memory that the dirty log has missed.
# bed: --memory 2500 --timeout 1500 --module-args alias_kvm=1
# needs: qemu guest
# shellcheck disable=SC2034,SC2317,SC2154,SC3043

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1"
memory=160

# Prints a line a tenth of a second: a number, and whether the memory that it keeps writing is whole.
worker() {
	initrd <<-'END'
		mkdir /work
		mount -t tmpfs tmpfs /work
		dd if=/dev/urandom of=/work/a bs=1M count=16 2> /dev/null
		sum=$(sha256sum < /work/a)
		n=0
		while :; do
			n=$((n + 1))
			cat /work/a > /work/b
			[ "$(sha256sum < /work/b)" = "$sum" ] || echo "broken $n"
			echo "tick $n"
			usleep 100000
		done
	END
}

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

# Wait until file $1 says $2, at most $3 seconds.
says() {
	local left="$3"

	until grep -q -- "$2" "$1" 2> /dev/null; do
		[ "$left" -gt 0 ] || { echo "# $1 does not say: $2"; return 1; }
		sleep 1
		left=$((left - 1))
	done
}

ticks() { says "/tmp/guest.$1" "^tick ${2}[^0-9]*\$" "$3" && ! grep '^broken' "/tmp/guest.$1"; }

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

t_reset_inside() {
	cat <<-'END' | initrd
		echo "a boot"
		reboot -f
	END
	linux reset -M pc -smp 2 || return 1
	left=120
	while [ "$(grep -c '^a boot' /tmp/guest.reset)" -lt 3 ]; do
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
	until tell 'info migrate' && grep -q 'status: completed' /tmp/saved.said; do
		sleep 1
	done
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
	left=120
	until tell 'info migrate' && grep -q 'status: completed' /tmp/source.said; do
		[ "$left" -gt 0 ] || { tail -n 20 /tmp/source.said; return 1; }
		sleep 1
		left=$((left - 1))
	done
	was=$(grep -c '^tick' /tmp/guest.source)
	ticks target $((was + 20)) 120 && ! grep '^broken' /tmp/guest.source
}

after_test() {
	quit
	irqchip=
	features=
	rm -f /tmp/guest.* /tmp/*.said
}

shown='/tmp/guest.* /tmp/*.said'
run_tests qemu "${QEMU_TESTS:-}"
