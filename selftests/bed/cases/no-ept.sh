#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: on a CPU without EPT, a load that asks for nested paging and is not refused, or leaves VMX on
# or something taken; a load that asks for what it can have and gets no guest, on shadow page tables of
# both kinds; KVM, which needs no EPT either, must run one afterwards.
# bed: --cpu core2_penryn_t9600 --module none --carry kvm_intel
# 6.12 warns of this model's CPUID before any module is there.
# bed: --allow-log topology_common|Call.Trace
# needs: launcher pvh

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

boots() {
	CORBEL_DEV="$1" timeout 60 corbel run --kernel pvh.elf --initrd module --append hello > "/tmp/guest.$2" 2>&1
	grep -q 'PVH is well' "/tmp/guest.$2" || fail "no guest runs: $2"
}

corbel_args=mmu=tdp
refused
grep -q 'no nested paging' /tmp/said || fail "the log does not say what is missing"
printf junk > module
for mmu in auto shadow-wp shadow-lazy; do
	insmod /bed/corbel.ko mmu="$mmu" || fail "corbel.ko does not load with mmu=$mmu"
	boots /dev/corbel "$mmu"
	unload corbel
done
for module in kvm kvm-intel; do
	insmod "/lib/bed-modules/$module.ko" || fail "$module does not load afterwards"
done
boots /dev/kvm kvm
pass
