#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a device taken from the host while it is in use, or while a guest could reach more with it
# than its own memory; a refusal that does not say why. The host remaps DMA, but not interrupts.
# bed: --bed qemu --iommu --memory 800 --timeout 300 --append intremap=off
# bed: --modules vfio-pci,vfio_iommu_type1,virtio_pci,virtio_net,virtio_rng --device nvme
# bed: --emulator-arg=-device --emulator-arg=virtio-net-pci,disable-legacy=on,iommu_platform=on,romfile=
# bed: --emulator-arg=-device --emulator-arg=pcie-pci-bridge,id=shared
# bed: --emulator-arg=-device --emulator-arg=edu,bus=shared,addr=1
# bed: --emulator-arg=-device --emulator-arg=virtio-rng-pci,bus=shared,addr=2,disable-legacy=on
# needs: launcher guest
# shellcheck disable=SC2317,SC3043

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

refuses() {
	local words="$1"

	shift
	"$@" > /tmp/said 2>&1 < /dev/null
	code=$?
	grep -q -- "$words" /tmp/said || code=0
	[ "$code" = 1 ] || fail "$*: $(cat /tmp/said)"
	[ "$(wc -l < /tmp/said)" = 1 ] || fail "$*: more than a sentence: $(cat /tmp/said)"
	sed 's/^/# /' /tmp/said
}

run() { corbel run --kernel vmlinuz --initrd guest.cpio --pci "$1"; }

unsafe=/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
nvme=$(pci_find 1b36:0010) || fail "no NVMe disk"
net=$(pci_find 1af4:1041) || fail "no network interface"
edu=$(pci_find 1234:11e8) || fail "no edu device"
rng=$(pci_find 1af4:1044) || fail "no entropy source"
bridge=$(pci_find 1b36:000c) || fail "no bridge"
corbel pci list > /tmp/list
sed "s/^/# /" /tmp/list
! grep -v -e ADDRESS -e 'not remapped' /tmp/list || fail "interrupts are not remapped here"

refuses 'there is no PCI function' corbel pci bind 0000:7f:00.0
refuses "held by the host's driver nvme" run "$nvme"
refuses 'does not remap interrupts' corbel pci bind "$nvme"
echo Y > "$unsafe"
refuses 'is a bridge' corbel pci bind "$bridge"
refuses "not be viable: the host's driver virtio-pci holds $rng" corbel pci bind "$edu"
ip link set eth0 up
refuses 'network interface eth0 is up' corbel pci bind "$net"
ip link set eth0 down
corbel pci bind "$net" || fail "an unused interface is refused"
mkswap /dev/nvme0n1 > /dev/null
swapon /dev/nvme0n1 || fail "no swap space"
refuses 'block device nvme0n1 is mounted or otherwise in use' corbel pci bind "$nvme"
swapoff /dev/nvme0n1
corbel pci bind "$nvme" || fail "an unused disk is refused"
refuses 'has no virtual functions' corbel pci vfs "$nvme" 1

# Bound by hand beside a driver of the host's.
echo vfio-pci > "/sys/bus/pci/devices/$edu/driver_override"
echo "$edu" > /sys/bus/pci/drivers_probe
refuses "is not viable: the host's driver virtio-pci holds $rng" run "$edu"

guest_start holder 1 --pci "$nvme"
guest_wait holder 1 100
refuses 'in use by another guest' run "$nvme"
refuses 'is in use by a guest' corbel pci unbind "$nvme"
kill "$guest_pid"
wait "$guest_pid"
echo N > "$unsafe"
refuses 'does not remap interrupts' run "$nvme"
corbel pci unbind "$nvme" "$net" || fail "corbel pci unbind"
[ -e "/sys/bus/pci/drivers/nvme/$nvme" ] || fail "the host's driver did not take the disk back"
[ -e "/sys/bus/pci/drivers/virtio-pci/$net" ] || fail "the host's driver did not take the interface"
pass
