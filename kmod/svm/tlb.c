// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address-space identifiers and what is flushed by them. APM volume 2, "TLB Control". A vCPU has an
 * ASID on one CPU at a time and for one generation of that CPU's ASIDs; a fresh ASID knows nothing,
 * which is also how a vCPU's translations are dropped where the CPU cannot flush a single ASID.
 */
#include <asm/asm.h>
#include "svm/svm.h"

/* After SVM was switched on: nothing from before may be used. */
void svm_tlb_flush_cpu(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	cpu->asid_generation++;
	cpu->next_asid = svm_caps.nr_asids;	/* the first vCPU starts anew and flushes all */
}

/* Context: interrupts off */
void svm_tlb_asid(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);
	int me = smp_processor_id();

	if (likely(svm->asid_cpu == me && svm->asid_generation == cpu->asid_generation))
		return;
	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	if (cpu->next_asid >= svm_caps.nr_asids) {
		cpu->asid_generation++;
		cpu->next_asid = 1;
		control->tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	control->asid = cpu->next_asid++;
	svm->asid_generation = cpu->asid_generation;
	svm->asid_cpu = me;
}

static void invlpga(gva_t gva, u32 asid)
{
	asm volatile("1: invlpga %[gva], %[asid]\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : : [gva] "a" (gva), [asid] "c" (asid) : "memory");
}

/* Guest translations and nested ones are cached as one: there is no smaller part to drop. */
void svm_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope, gva_t gva)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	vcpu->stats.tlb_flushes++;
	if (svm->asid_cpu < 0)
		return;
	if (scope == TLB_GUEST_ADDR && svm->asid_cpu == raw_smp_processor_id())
		invlpga(gva, svm->vmcb->control.asid);
	else if (svm_caps.flush_by_asid)
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ASID;
	else
		svm->asid_cpu = -1;
}
