/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of this folder share: the per-vCPU SVM state and the folder's inner functions. */
#ifndef CORBEL_SVM_H
#define CORBEL_SVM_H

#include <linux/bitops.h>
#include <linux/percpu.h>
#include <asm/mem_encrypt.h>
#include <asm/svm.h>
#include "backend.h"
#include "vcpu.h"
#include "svm/caps.h"
#include "svm/enter.h"

/* In the VMCB before VMRUN: still there after it, the instruction did not run. */
#define SVM_EXIT_NONE	SVM_EXIT_SW
#define SVM_EXIT_INVALID ((u32)SVM_EXIT_ERR)

/* CR0.TS and CR0.MP may change without an exit; all else is ours to check. */
#define SVM_CR0_GUEST_OWNED	(X86_CR0_TS | X86_CR0_MP)

/* One for each CPU */
struct svm_cpu {
	void *save;			/* VM_HSAVE_PA: the hardware's */
	struct vmcb *host;		/* VMSAVE's: the state that VMRUN does not keep */
	struct vmcb *current_vmcb;	/* last one to run here; compared, never followed */
	u64 asid_generation;		/* one more whenever the ASIDs have been used up */
	u32 next_asid;
};
DECLARE_PER_CPU(struct svm_cpu, svm_cpus);

struct svm_vcpu {
	struct svm_enter_ctx ctx;	/* first: enter.S */
	struct vcpu *vcpu;
	struct vmcb *vmcb;
	unsigned long *msrpm;
	int asid_cpu;			/* where the ASID is ours, -1 nowhere */
	u64 asid_generation;
	bool host_saved;		/* since the vCPU was loaded here */
	const void *host_ldt;		/* what was loaded then */
	hpa_t root;			/* of nested or shadow tables, in the VMCB */
	u8 tpr;				/* the guest's, bits 7:4, as hardware was given it or gave it */
	u64 tsc_aux;
	u64 virt_spec_ctrl;

	/*
	 * NMIs. The CPU does not say when it blocks them: they are from an injection to the end of
	 * the IRET, which is intercepted and stepped over when one waits for it.
	 */
	bool nmi_masked;
	bool iret_pending;		/* the IRET at iret_rip was seen, its end was not */
	u64 iret_rip;
	bool stepping;			/* RFLAGS.TF is ours, for this one stay in the guest */
	bool step_tf;			/* the guest's own */

	bool soft_injected;		/* RIP stands behind the INT n or INT3 that is being delivered */
};

static inline struct svm_vcpu *svm_of(struct vcpu *vcpu)
{
	return vcpu->hw;
}

/* @bit: enum in asm/svm.h, INTERCEPT_* */
static inline void svm_intercept(struct svm_vcpu *svm, unsigned int bit, bool on)
{
	u32 *word = &svm->vmcb->control.intercepts[bit / 32];

	*word = on ? *word | BIT(bit % 32) : *word & ~BIT(bit % 32);
}

/* caps.c */
int svm_probe(void);
int svm_caps_setup(struct backend_caps *caps);

/* vmcb.c */
int vmcb_alloc(struct svm_vcpu *svm);
void vmcb_free(struct svm_vcpu *svm);
void vmcb_setup(struct svm_vcpu *svm);
void vmcb_controls(struct vcpu *vcpu);	/* recompute what depends on guest and debugger */
int vmcb_module_setup(void);
void vmcb_module_teardown(void);

/* regs.c */
void svm_reg_fetch(struct vcpu *vcpu, enum reg reg);
void svm_regs_flush(struct vcpu *vcpu, u64 dirty);
void svm_nmi_mask(struct svm_vcpu *svm, bool masked);

/* msr.c */
int svm_msr_get(struct vcpu *vcpu, u32 msr, u64 *val);
int svm_msr_set(struct vcpu *vcpu, u32 msr, u64 val);
void svm_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write);
void svm_user_msrs_setup(void);
void svm_user_msrs_load(struct svm_vcpu *svm);

/* run.c */
bool svm_run_enter(struct vcpu *vcpu);
void svm_run_host_events(struct vcpu *vcpu);
bool svm_run_timer_set(struct vcpu *vcpu, u64 guest_tsc);

/* tlb.c */
void svm_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope, gva_t gva);
void svm_tlb_flush_cpu(void);
void svm_tlb_asid(struct svm_vcpu *svm);	/* an ASID that is valid here and now */

/* dump.c */
void svm_dump(struct vcpu *vcpu);

#endif
