#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Killed launchers and unplugged devices in mid-DMA: VFIO_KILLS=100 for more than a few.
#
# Catches: a device that goes on with its DMA when its guest is gone, or that nobody can use after it.
# bed: --bed qemu --iommu --cpus 2 --memory 1200 --timeout 7000
# bed: --modules vfio-pci,vfio_iommu_type1 --device nvme
# needs: launcher guest

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

kills=${VFIO_KILLS:-6}
parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1"
nvme=$(pci_find 1b36:0010) || fail "no NVMe disk"
constant=$(head -c 8388608 /dev/nvme0n1 | sha256sum)

initrd <<-'END'
	dd if=/dev/nvme0n1 bs=1M count=8 2> /dev/null > /data
	echo "begins with $(sha256sum < /data)"
	while :; do
		dd if=/data of=/dev/nvme0n1 bs=1M seek=64 oflag=direct 2> /dev/null
		dd if=/dev/nvme0n1 of=/dev/null bs=1M iflag=direct 2> /dev/null
		echo busy
	done
END

# Bit 2 of its command register: it may master the bus.
masters() {
	[ $(($(dd "if=/sys/bus/pci/devices/$nvme/config" bs=1 skip=4 count=1 2> /dev/null |
		od -A n -t u1) & 4)) != 0 ]
}

# The host takes it from the running guest, and finds it again with its own driver.
unplug() {
	echo 1 > "/sys/bus/pci/devices/$nvme/remove" || return 1
	wait "$1"
	[ $? = 1 ] && says /tmp/guest.err "the host takes $nvme back" 1 || return 1
	echo 1 > /sys/bus/pci/rescan
	says /proc/partitions 'nvme0n1' 20 &&
		[ "$(head -c 8388608 /dev/nvme0n1 | sha256sum)" = "$constant" ]
}

n=0
while [ "$n" -lt "$kills" ]; do
	n=$((n + 1))
	corbel pci bind "$nvme" || fail "corbel pci bind, round $n"
	: > /tmp/guest.out	# what the last one said is not to be taken for this one's
	corbel run --kernel vmlinuz --initrd initrd --memory 128 --pci "$nvme" \
		--append "$parameters" > /tmp/guest.out 2> /tmp/guest.err < /dev/null &
	pid=$!
	says /tmp/guest.out "^begins with $constant" 100 || fail "round $n: no disk, or another one"
	masters || fail "round $n: no DMA before the end"
	usleep $(($(od -An -N2 -tu2 /dev/urandom) * 15))
	if [ $((n % 3)) = 0 ]; then
		unplug "$pid" || fail "round $n: unplugged in vain"
		continue
	fi
	guest_kill "$pid"
	! masters || fail "round $n: the device may go on"
done
corbel pci bind "$nvme" || fail "corbel pci bind"
corbel pci unbind "$nvme" || fail "corbel pci unbind"
says /proc/partitions 'nvme0n1' 20 || fail "the host has no disk any more"
[ "$(head -c 8388608 /dev/nvme0n1 | sha256sum)" = "$constant" ] || fail "the disk is not what it was"
! dmesg | grep 'DMAR:.*fault addr' || fail "DMA after the guest's end"
echo "# $n guests ended in mid-DMA"
echo "bed: disk0 holds $(sha256sum < /dev/nvme0n1 | cut -d' ' -f1)"
pass
