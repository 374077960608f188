#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a load on a CPU without EPT, an unclear refusal, or one that leaves VMX on or something
# taken: KVM, which needs no EPT, must run a guest afterwards.
# bed: --cpu core2_penryn_t9600 --module none --carry kvm_intel
# 6.12 warns of this model's CPUID before any module is there.
# bed: --allow-log topology_common|Call.Trace
# needs: launcher pvh

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

refused
grep -q EPT /tmp/said || fail "the log does not say what is missing"
for module in irqbypass kvm kvm-intel; do
	insmod "/lib/bed-modules/$module.ko" || fail "$module does not load afterwards"
done
printf junk > module
CORBEL_DEV=/dev/kvm timeout 60 corbel run --kernel pvh.elf --initrd module --append hello > /tmp/guest.kvm 2>&1
grep -q 'PVH is well' /tmp/guest.kvm || fail "no guest runs on KVM afterwards"
pass
