#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A driver domain: one guest has an NVMe disk for itself and serves it to another by a domain port.
# DOMAIN_MIB: how much the other one writes, instead of 16 MiB.
#
# Catches: data that is not what was written, or that passes through a launcher; a guest that takes the
# other one with it when it is killed; a port that knows one front-end in its life.
# bed: --bed qemu --iommu --cpus 2 --memory 1300 --timeout 1500
# bed: --modules vfio-pci,vfio_iommu_type1 --carry uio --device nvme
# needs: launcher guest port
# shellcheck disable=SC2016,SC3043

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1"
mib=${DOMAIN_MIB:-16}
port=/tmp/port.sock
nvme=$(pci_find 1b36:0010) || fail "no NVMe disk"
before=$(sha256sum < /dev/nvme0n1)
first=$(head -c 4194304 /dev/nvme0n1 | sha256sum)

initrd_files="/lib/bed-modules/uio.ko port_uio.ko serve"
initrd <<-'END'
	insmod /uio.ko && insmod /port_uio.ko || echo "no driver"
	/serve /dev/nvme0n1
END
mv initrd initrd.domain

# All of the disk, then $mib MiB written from the 16th on and read back, then a part again and again.
initrd_files=
{ echo "mib=$mib" && cat; } <<-'END' | initrd
	disk=/dev/vda
	dd if=/dev/urandom of=/data bs=1M count=$mib 2> /dev/null
	echo "first: $(head -c 4194304 $disk | sha256sum)"
	if grep -q test.write /proc/cmdline; then
		echo "begin $(cat /sys/block/vda/stat)"
		echo 3 > /proc/sys/vm/drop_caches
		echo "read: $(sha256sum < $disk)"
		dd if=/data of=$disk bs=1M seek=16 conv=fsync 2> /dev/null
		echo 3 > /proc/sys/vm/drop_caches
		back=$(dd if=$disk bs=1M skip=16 count=$mib 2> /dev/null | sha256sum)
		[ "$back" = "$(sha256sum < /data)" ] && echo "written: $back"
		echo "end $(cat /sys/block/vda/stat)"
		grep virtio /proc/interrupts
	fi
	while :; do
		dd if=$disk of=/dev/null bs=64k count=16 iflag=direct 2> /dev/null
		: > /tmp/read
	done &
	n=0
	while :; do
		n=$((n + 1))
		[ ! -e /tmp/read ] || echo "busy $n"
		rm -f /tmp/read
		echo "tick $n"
		usleep 200000
	done
END

# Front-end $1, with kernel parameters $2.
start() {
	corbel run --kernel vmlinuz --initrd initrd --memory 96 --name "$1" --disk "vhost-user=$port" \
		--append "$parameters $2" > "/tmp/guest.$1" 2> "/tmp/guest.$1.err" < /dev/null &
	pid=$!
}

# Of process $1: bytes that it has read and written by system calls; how often its vCPUs have returned to it
# for an access of a device's memory; how often its thread $2 has slept.
used() {
	local bytes exits slept task

	bytes=$(awk '/char:/ { sum += $2 } END { print sum }' "/proc/$1/io")
	for task in "/proc/$1"/task/*; do
		[ "$(cat "$task/comm")" != "$2" ] || slept=$(awk '/^voluntary/ { print $2 }' "$task/status")
	done
	# KVM has a file for it, Corbel a line.
	set -- "/sys/kernel/debug/$CORBEL_MODULE/$1"-*
	exits=$(awk '$1 == "mmio_exits" { print $2 }' "$1/vm" 2> /dev/null || cat "$1/mmio_exits")
	echo "$bytes $exits $slept"
}

# What process $1, which is guest $3, has used since its line in /tmp/used.$3, for all that was moved.
unused() {
	local bytes exits slept

	used "$1" "$2" | cat "/tmp/used.$3" - > /tmp/used
	bytes=$(awk '{ print $1 - last; last = $1 }' /tmp/used | tail -n 1)
	exits=$(awk '{ print $2 - last; last = $2 }' /tmp/used | tail -n 1)
	slept=$(awk '{ print $3 - last; last = $3 }' /tmp/used | tail -n 1)
	[ "$(awk 'NF == 3' /tmp/used | wc -l)" = 2 ] || { echo "# unknown: $(cat /tmp/used)"; return 1; }
	echo "# launcher of $3: for $requests requests, $((moved >> 20)) MiB, it moved $bytes bytes, its vCPUs" \
		"returned $exits times for memory ($(awk '{ print $2; exit }' /tmp/used) before), its thread $2 ran $slept times"
	[ "$bytes" -lt $((moved / 1000)) ] && [ "$exits" -lt $((requests / 10)) ] && [ "$slept" -lt 10 ]
}

# Number $2 of the first line of $1 that begins with $3.
field() { tr -d '\r' < "$1" | awk -v key="$3" -v n="$2" '$1 == key { print $(n + 1); exit }'; }

corbel pci bind "$nvme" || fail "corbel pci bind"
corbel run --kernel vmlinuz --initrd initrd.domain --memory 160 --name domain --pci "$nvme" \
	--serve "vhost-user=$port" --append "$parameters" > /tmp/guest.domain 2> /tmp/guest.domain.err < /dev/null &
domain=$!
says /tmp/guest.domain '^serving /dev/nvme0n1' 200 || fail "the driver domain does not serve"

start one test.write
one=$pid
says /tmp/guest.one '^begin' 200 || fail "guest one has no disk"
used "$one" disk0 > /tmp/used.one
used "$domain" port0 > /tmp/used.domain
says /tmp/guest.one '^end' 300 || fail "guest one does not come to its end"
requests=$(($(field /tmp/guest.one 1 end) + $(field /tmp/guest.one 5 end) - $(field /tmp/guest.one 1 begin)))
moved=$((96 * 1048576 + 2 * mib * 1048576))
unused "$one" disk0 one || fail "the launcher of guest one is in the path of data"
unused "$domain" port0 domain || fail "the launcher of the driver domain is in the path of data"
[ "$requests" -gt 500 ] || fail "only $requests requests"
says /tmp/guest.one "^read: $before" 1 || fail "guest one has read something else"
says /tmp/guest.one "^written: " 1 || fail "guest one has not read what it has written"
grep virtio /tmp/guest.one | tr -d '\r' | sed 's/^/# one: /'

# Killed while it reads, it leaves the driver domain ready for the next one.
says /tmp/guest.one '^busy' 60 || fail "guest one does not read"
guest_kill "$one"
says /tmp/guest.domain '^disconnected' 60 || fail "the driver domain does not know that guest one is gone"
start two
two=$pid
says /tmp/guest.two "^first: $first" 200 || fail "guest two has no disk, or another one"
says /tmp/guest.two '^busy' 60 || fail "guest two does not read"

# Killed while it serves, the driver domain leaves the other guest running.
guest_kill "$domain"
says /tmp/guest.two.err 'the back-end is gone' 20 || fail "guest two's launcher does not say what happened"
ticked=$(last_tick two)
says /tmp/guest.two "^tick $((ticked + 10))[^0-9]" 60 || fail "guest two stands still"
guest_kill "$two"
cat /tmp/guest.domain.err /tmp/guest.two.err | sed 's/^/# /'

corbel pci unbind "$nvme" || fail "corbel pci unbind"
says /proc/partitions 'nvme0n1' 30 || fail "the host has no disk any more"
says /tmp/guest.one "^written: $(dd if=/dev/nvme0n1 bs=1M skip=16 count="$mib" 2> /dev/null | sha256sum)" 1 ||
	fail "the disk has not what guest one wrote"
[ "$(head -c 4194304 /dev/nvme0n1 | sha256sum)" = "$first" ] || fail "the disk is not what it was"
! dmesg | grep 'DMAR:.*fault addr' || fail "DMA where it should not go"
echo "bed: disk0 holds $(sha256sum < /dev/nvme0n1 | cut -d' ' -f1)"
pass
