// SPDX-License-Identifier: GPL-2.0-only
/* VMCB life: memory, initial contents, what is intercepted. APM volume 2, "VMCB Layout". */
#include <linux/gfp.h>
#include <linux/kvm.h>
#include <linux/string.h>
#include <asm/trapnr.h>
#include "cpu/cpuid.h"
#include "cpu/regs.h"
#include "stats.h"
#include "vm.h"
#include "svm/svm.h"

#define MSRPM_ORDER	1	/* two pages */
#define IOPM_ORDER	2	/* three pages and a byte that a port at the end may reach */

static_assert(sizeof(struct vmcb) <= PAGE_SIZE);
static_assert(offsetof(struct vmcb, save) == 0x400);
static_assert(offsetof(struct vmcb, control.next_rip) == 0xc8);
static_assert(offsetof(struct vmcb, save.rax) == 0x400 + 0x1f8);
static_assert(offsetof(struct vmcb, save.spec_ctrl) == 0x400 + 0x2e0);

static void *iopm __ro_after_init;	/* every port exits, for every guest */

/* Always intercepted: the host's events, and instructions that would reach the host. */
static const u8 always[] = {
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT, INTERCEPT_SHUTDOWN,
	INTERCEPT_SELECTIVE_CR0, INTERCEPT_CR4_WRITE, INTERCEPT_RDPMC, INTERCEPT_CPUID,
	INTERCEPT_INVD, INTERCEPT_WBINVD, INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT,
	INTERCEPT_MSR_PROT, INTERCEPT_FERR_FREEZE, INTERCEPT_VMRUN, INTERCEPT_VMMCALL,
	INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT,
	INTERCEPT_XSETBV, INTERCEPT_RDPRU, INTERCEPT_RSM, INTERCEPT_INVLPGB,
	INTERCEPT_INVLPGB_ILLEGAL, INTERCEPT_MCOMMIT, INTERCEPT_TLBSYNC,
};

int vmcb_module_setup(void)
{
	iopm = (void *)__get_free_pages(GFP_KERNEL, IOPM_ORDER);
	if (!iopm)
		return -ENOMEM;
	memset(iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
	return 0;
}

void vmcb_module_teardown(void)
{
	free_pages((unsigned long)iopm, IOPM_ORDER);
}

int vmcb_alloc(struct svm_vcpu *svm)
{
	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	svm->msrpm = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT, MSRPM_ORDER);
	stats_live(LIVE_PAGES, 1);
	if (!svm->vmcb || !svm->msrpm)
		return -ENOMEM;
	memset(svm->msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
	svm->ctx.vmcb = __sme_pa(svm->vmcb);
	return 0;
}

void vmcb_free(struct svm_vcpu *svm)
{
	int cpu;

	/* Another VMCB in this page must not look like the one that ran last. */
	for_each_possible_cpu(cpu)
		cmpxchg(&per_cpu(svm_cpus, cpu).current_vmcb, svm->vmcb, NULL);
	free_page((unsigned long)svm->vmcb);
	free_pages((unsigned long)svm->msrpm, MSRPM_ORDER);
	stats_live(LIVE_PAGES, -1);
}

/* What never changes in a vCPU's life, and no event. */
void vmcb_setup(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(always); i++)
		svm_intercept(svm, always[i], true);
	control->intercepts[INTERCEPT_DR] = 0xffffffff;
	control->iopm_base_pa = __sme_pa(iopm);
	control->msrpm_base_pa = __sme_pa(svm->msrpm);
	control->nested_ctl = svm->vcpu->vm->mmu.shadow ? 0 : SVM_NESTED_CTL_NP_ENABLE;
	control->int_ctl = V_INTR_MASKING_MASK;
	control->int_state = 0;
	control->event_inj = 0;
	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	svm->asid_cpu = -1;
	svm_nmi_mask(svm, false);
	svm->stepping = false;
	svm->soft_injected = false;
}

static u32 want_exceptions(struct vcpu *vcpu)
{
	u32 map = BIT(X86_TRAP_UD) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);

	if ((vcpu->guest_debug & (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)) ==
	    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP))
		map |= BIT(X86_TRAP_BP);
	if (vcpu->vm->mmu.shadow)
		map |= BIT(X86_TRAP_PF);
	return map;
}

void vmcb_controls(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb *vmcb = svm->vmcb;
	u32 off = READ_ONCE(vcpu->vm->arch.exits_off);
	bool shadow = vcpu->vm->mmu.shadow;
	bool mwait = !(off & KVM_X86_DISABLE_EXITS_MWAIT);

	vmcb->control.intercepts[INTERCEPT_EXCEPTION] = want_exceptions(vcpu);
	svm_intercept(svm, INTERCEPT_HLT, !(off & KVM_X86_DISABLE_EXITS_HLT));
	svm_intercept(svm, INTERCEPT_MONITOR, mwait);
	svm_intercept(svm, INTERCEPT_MWAIT, mwait);
	svm_intercept(svm, INTERCEPT_MWAIT_COND, mwait);
	/* What the guest was not told of is #UD; the ones it has need no exit. */
	svm_intercept(svm, INTERCEPT_INVPCID, shadow || !guest_has(vcpu, GUEST_INVPCID));
	svm_intercept(svm, INTERCEPT_INVLPG, shadow);
	svm_intercept(svm, INTERCEPT_CR3_READ, shadow);
	svm_intercept(svm, INTERCEPT_CR3_WRITE, shadow);
	svm_intercept(svm, INTERCEPT_RDTSCP, !guest_has(vcpu, GUEST_RDTSCP));
	vmcb->control.tsc_offset = vcpu->arch.tsc_offset;
	vmcb->save.spec_ctrl = vcpu->arch.spec_ctrl;
	svm->ctx.spec_ctrl = vcpu->arch.spec_ctrl;
	svm->ctx.flags = vcpu->arch.spec_ctrl_live ? BIT(SVM_CTX_SAVE_SPEC_CTRL) : 0;
	/* Windows are wanted anew with the next injection. */
	vcpu->events.want_irq_window = false;
	vcpu->events.want_nmi_window = false;
	vcpu_request(vcpu, REQ_EVENT);
}
