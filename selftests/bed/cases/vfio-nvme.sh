#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# An NVMe disk behind VT-d, assigned to Linux guests; VFIO_TESTS names those to run instead of all.
#
# Catches: DMA that goes elsewhere, interrupts that are lost, not remapped or kept from a guest that
# shares its MSI-X table's BAR with registers; a device that the host does not get back as it was.
# bed: --bed qemu --iommu --cpus 2 --memory 1500 --timeout 1200 --module-args alias_kvm=1
# bed: --modules vfio-pci,vfio_iommu_type1 --device nvme --device nvme-bar0
# needs: launcher guest qemu
# shellcheck disable=SC2034,SC2317,SC2016,SC2154,SC3043

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1"
written=${VFIO_WRITTEN:-64}

# What the guest does with its disk: read all, write and read back $written MiB from the 16th on.
user() {
	{ echo "written=$written" && cat; } <<-'END' | initrd
		disk=/dev/nvme0n1
		echo "read: $(sha256sum < $disk)"
		dd if=/dev/urandom of=/data bs=1M count=$written 2> /dev/null
		dd if=/data of=$disk bs=1M seek=16 conv=fsync 2> /dev/null
		echo 3 > /proc/sys/vm/drop_caches
		back=$(dd if=$disk bs=1M skip=16 count=$written 2> /dev/null | sha256sum)
		[ "$back" = "$(sha256sum < /data)" ] && echo "written: $back"
		grep nvme /proc/interrupts
		echo "it is done"
	END
}

# Sum of the numbers of processors 0 and 1 in the lines of file $1 with $2.
interrupts() { grep -- "$2" "$1" | awk '{ sum += $2 + $3 } END { print sum + 0 }'; }

# Irqfds that a device signals through the host, as the VMs' files in debugfs say.
remapped_now() {
	cat /sys/kernel/debug/corbel/*/vm 2> /dev/null | awk '$1 == "irqfds_remapped" { n += $2 } END { print n + 0 }'
}

# While process $1 runs: what the host counts as interrupts of assigned devices, at its highest, and so Corbel's row.
watch_host() {
	: > /tmp/host.interrupts
	remapped=0
	while kill -0 "$1" 2> /dev/null; do
		now=$(remapped_now)
		[ "$now" -le "$remapped" ] || remapped=$now
		grep vfio /proc/interrupts > /tmp/host.now
		[ "$(interrupts /tmp/host.now vfio)" -lt "$(interrupts /tmp/host.interrupts vfio)" ] ||
			mv /tmp/host.now /tmp/host.interrupts
		usleep 300000
	done
	wait "$1"
}

# Corbel counts each of the messages that a device sends to a guest by an irqfd; not a line, whose end it must hear of.
counts_remapped() {
	[ "$CORBEL_MODULE" = corbel ] || return 0
	echo "# corbel: irqfds_remapped $remapped"
	case $1 in
	PCI-MSI) [ "$remapped" -ge 2 ] ;;
	*) [ "$remapped" -eq 0 ] ;;
	esac || { echo "# irqfds_remapped: not what $1 makes of it"; return 1; }
}

corbel_guest() {
	corbel run --kernel vmlinuz --initrd initrd --memory 256 --cpus 2 --pci "$1" \
		--append "$parameters $2" > /tmp/guest.out 2> /tmp/guest.err < /dev/null &
	watch_host $! || { echo "# exit code $?"; return 1; }
}

qemu_guest() {
	qemu-system-x86_64 -accel kvm -cpu host -M q35 -smp 2 -m 256 -nodefaults -no-user-config \
		-display none -serial file:/tmp/guest.out -kernel vmlinuz -initrd initrd \
		-append "$parameters $2" -device "vfio-pci,host=$1" > /tmp/guest.err 2>&1 < /dev/null &
	watch_host $! || { echo "# exit code $?"; return 1; }
}

# Disk $2 of the bed, at $1, in a guest started by $3; $4: kernel parameters, $5: kind of its interrupts, there
# and $6: on the host.
disk() {
	local node before

	node=$(echo "/sys/bus/pci/devices/$1"/nvme/nvme*/nvme*n1)
	before=$(sha256sum < "/dev/${node##*/}")
	rm -f /tmp/host.*
	user
	corbel pci bind "$1" || return 1
	"$3" "$1" "$4" || return 1
	corbel pci unbind "$1" || return 1
	node=
	until [ -n "$node" ] && [ -b "/dev/$node" ]; do
		sleep 0.3
		node=$(cd "/sys/bus/pci/devices/$1" && echo nvme/nvme*/nvme*n1)
		node=${node##*/}
	done
	grep nvme /tmp/guest.out | tr -d '\r' | sed 's/^/# guest: /'
	sed 's/^/# host: /' /tmp/host.interrupts
	says /tmp/guest.out "^read: $before" 1 && says /tmp/guest.out '^it is done' 1 &&
		says /tmp/guest.out "^written: $(dd "if=/dev/$node" bs=1M skip=16 count="$written" \
			2> /dev/null | sha256sum)" 1 || return 1
	[ "$(interrupts /tmp/guest.out "$5.* nvme0q")" -gt 100 ] || { echo "# no $5 in the guest"; return 1; }
	[ "$(interrupts /tmp/host.interrupts "$6.* vfio")" -gt 100 ] || { echo "# no $6"; return 1; }
	counts_remapped "$5" || return 1
	echo "bed: disk$2 holds $(sha256sum < "/dev/$node" | cut -d' ' -f1)"
}

t_corbel() { disk "$own" 0 corbel_guest '' PCI-MSI IR-PCI-MSI; }
t_corbel_bar0() { disk "$shared" 1 corbel_guest '' PCI-MSI IR-PCI-MSI; }
t_corbel_lines() { disk "$own" 0 corbel_guest pci=nomsi IO-APIC IR-IO-APIC; }
t_qemu() { disk "$own" 0 qemu_guest '' PCI-MSI IR-PCI-MSI; }
t_qemu_bar0() { disk "$shared" 1 qemu_guest '' PCI-MSI IR-PCI-MSI; }

own=$(pci_find 1b36:0010 1) || fail "no NVMe disk"
shared=$(pci_find 1b36:0010 2) || fail "no second NVMe disk"
corbel pci list
shown='/tmp/guest.out /tmp/guest.err'
run_tests vfio-nvme "${VFIO_TESTS:-}"
