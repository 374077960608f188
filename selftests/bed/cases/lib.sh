# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# For the cases beside this file: start guests, watch them, give one verdict.
#
# A case runs as the command of a host of its own. Lines "# bed:" in its head are options for the
# runner, "# needs:" names what has to be among the files: launcher, guest, kexec. "# second:" is what
# runs when the case has booted another kernel with /bed/second.cpio.

case_name=${0##*/}
case_name=${case_name%.sh}

pass() {
	echo "ok 1 case/$case_name"
	exit 0
}

fail() {
	echo "# $*"
	for log in /tmp/guest.*; do
		[ ! -e "$log" ] || tail -n 15 "$log" | sed "s|^|# ${log##*/}: |"
	done
	echo "not ok 1 case/$case_name"
	exit 1
}

# The module that has to go away for the device to go.
backend_module() {
	[ "$CORBEL_MODULE" = kvm ] || { echo corbel; return; }
	lsmod | sed -n 's/^\(kvm_[a-z]*\) .*/\1/p' | head -n 1
}

# A guest that does work on all its processors and prints "tick N" twice a second.
guest_start() {
	local name="$1" cpus="$2"

	shift 2
	corbel run --kernel /root/vmlinuz --initrd /root/guest.cpio --memory 128 --cpus "$cpus" \
		--append "console=ttyS0 quiet cryptomgr.notests demo.ticks" --console "file:/tmp/guest.$name" \
		--name "$name" "$@" > "/tmp/guest.$name.out" 2>&1 < /dev/null &
	# shellcheck disable=SC2034 # for the cases
	guest_pid=$!
}

guest_ticks() { sed -n 's/^tick \([0-9]*\).*/\1/p' "/tmp/guest.$1" 2> /dev/null | wc -l; }

# Wait until the guest has ticked as often as $2 says, at most $3 seconds.
guest_wait() {
	local left="$3"

	while [ "$(guest_ticks "$1")" -lt "$2" ]; do
		[ "$left" -gt 0 ] || fail "guest $1 came to $(guest_ticks "$1") of $2 ticks in $3 s"
		sleep 1
		left=$((left - 1))
	done
}

# The guest still runs: it ticks again, more than once.
guest_alive() { guest_wait "$1" $(($(guest_ticks "$1") + 3)) 30; }

guest_kill() {
	kill -9 "$1"
	wait "$1" 2> /dev/null
}

# Of CPU $1 the MSR $2, decimal; the module msr is loaded.
msr_read() {
	dd if="/dev/cpu/$1/msr" bs=8 count=1 skip="$(($2))" iflag=skip_bytes 2> /dev/null |
		od -A n -t u8 | tr -d ' '
}

# corbel.ko does not load, says something (in /tmp/said), and leaves nothing behind.
refused() {
	if insmod /bed/corbel.ko ${corbel_args:+"$corbel_args"} 2> /tmp/insmod; then
		fail "corbel.ko loaded"
	fi
	grep -q 'not supported' /tmp/insmod || fail "not -EOPNOTSUPP: $(cat /tmp/insmod)"
	dmesg | grep corbel: > /tmp/said
	cat /tmp/said
	[ ! -e /dev/corbel ] || fail "/dev/corbel is there"
	[ ! -d /sys/module/corbel ] || fail "the module is still there"
	[ ! -d /sys/kernel/debug/corbel ] || fail "its debugfs directory is still there"
}

# Unloading waits until the last reference to a killed guest's files is gone.
unload() {
	local left=10

	until rmmod "$1" 2> /tmp/rmmod; do
		[ "$left" -gt 0 ] || fail "rmmod $1: $(cat /tmp/rmmod)"
		sleep 1
		left=$((left - 1))
	done
}

# Makes ./initrd, whose first process runs the script on standard input, then powers off. $initrd_files: more
# files to have there, in /.
initrd() {
	rm -rf over
	mkdir over
	# shellcheck disable=SC2086 # words
	[ -z "${initrd_files:-}" ] || cp $initrd_files over
	{
		cat <<-'END'
			#!/bin/sh
			export PATH=/usr/sbin:/usr/bin:/sbin:/bin
			mount -t proc proc /proc; mount -t sysfs sysfs /sys
			mount -t devtmpfs devtmpfs /dev 2> /dev/null
			while read -r module; do
				insmod "/lib/modules/$module"
			done < /lib/modules/order
		END
		cat
		echo 'poweroff -f'
	} > over/test
	chmod 755 over/test
	(cd over && find . -type f | cpio -o -H newc 2> /dev/null) > over.cpio
	cat over.cpio guest.cpio > initrd
}

# Prints a line a tenth of a second: a number, and whether the memory that it keeps writing, $work MiB, is whole.
worker() {
	{ echo "work=${work:-16}" && cat; } <<-'END' | initrd
		mkdir /work
		mount -t tmpfs tmpfs /work
		dd if=/dev/urandom of=/work/a bs=1M count=$work 2> /dev/null
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

# Wait until file $1 says $2, at most $3 seconds.
says() {
	local left="$3"

	until grep -q -- "$2" "$1" 2> /dev/null; do
		[ "$left" -gt 0 ] || { echo "# $1 does not say: $2"; return 1; }
		sleep 1
		left=$((left - 1))
	done
}

last_tick() { sed -n 's/^tick \([0-9]*\).*/\1/p' "/tmp/guest.$1" | tail -n 1; }
ticks() { says "/tmp/guest.$1" "^tick ${2}[^0-9]*\$" "$3" && ! grep '^broken' "/tmp/guest.$1"; }

# Prints the address of the host's PCI function number $2 (default: 1) of vendor:device $1.
pci_find() {
	local device n="${2:-1}"

	for device in /sys/bus/pci/devices/*; do
		[ "$(cut -c 3- "$device/vendor"):$(cut -c 3- "$device/device")" = "$1" ] || continue
		n=$((n - 1))
		[ "$n" -gt 0 ] || { echo "${device##*/}"; return; }
	done
	return 1
}

# Run the functions t_NAME of this file, or those that $2 names, as tests $1/NAME. $shown: files to show
# of one that fails; after_test, if there is one, cleans up.
run_tests() {
	# shellcheck disable=SC2154 # of the case
	local shown="$shown" name number=0 failed=

	for name in ${2:-$(sed -n 's/^t_\([a-z_0-9]*\)() {.*/\1/p' "$0")}; do
		number=$((number + 1))
		if "t_$name" < /dev/null; then
			echo "ok $number $1/$name"
		else
			failed="$failed $name"
			for file in $shown; do
				tail -n 12 "$file" 2> /dev/null | tr -d '\r' | sed "s|^|# ${file##*/}: |"
			done
			echo "not ok $number $1/$name"
		fi
		! type after_test > /dev/null 2>&1 || after_test
	done
	[ -z "$failed" ] || fail "failed:$failed"
	pass
}
