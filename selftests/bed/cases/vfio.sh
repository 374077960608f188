#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a VFIO group that is not held while the VM has it, or for ever; a module that VFIO calls
# into after it was unloaded.
# bed: --bed qemu --iommu --modules vfio-pci,vfio_iommu_type1 --emulator-arg=-device --emulator-arg=edu
# needs: selftests

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

for device in /sys/bus/pci/devices/*; do
	[ "$(cat "$device/vendor" "$device/device" | tr -d '\n')" = 0x12340x11e8 ] && break
done
group=$(readlink "$device/iommu_group") || fail "no IOMMU group"
echo vfio-pci > "$device/driver_override"
echo "${device##*/}" > /sys/bus/pci/drivers_probe
TEST_VFIO_GROUP=/dev/vfio/${group##*/} /root/selftests/x86/vfio || fail "x86/vfio"
unload "$(backend_module)"
pass
