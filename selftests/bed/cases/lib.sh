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
	if insmod /bed/corbel.ko 2> /tmp/insmod; then
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
