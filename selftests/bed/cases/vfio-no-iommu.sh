#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a device given to a guest whose DMA nothing confines.
# bed: --bed qemu --timeout 120 --modules vfio-pci,vfio_iommu_type1 --device nvme
# needs: launcher guest

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

nvme=$(pci_find 1b36:0010) || fail "no NVMe disk"
corbel pci list | grep "$nvme *- *nvme *not remapped" || fail "corbel pci list: $(corbel pci list)"
for command in "pci bind $nvme" "run --kernel vmlinuz --pci $nvme"; do
	# shellcheck disable=SC2086 # words
	! corbel $command 2> /tmp/said || fail "corbel $command"
	grep "no IOMMU isolates $nvme" /tmp/said || fail "corbel $command: $(cat /tmp/said)"
done
pass
