/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of this folder share: the per-vCPU VMX state and the folder's inner functions. */
#ifndef CORBEL_VMX_H
#define CORBEL_VMX_H

#include <asm/desc_defs.h>
#include <asm/vmx.h>
#include "backend.h"
#include "iommu/desc.h"
#include "vcpu.h"
#include "vmx/caps.h"
#include "vmx/enter.h"

struct vmcs {			/* SDM, "Format of the VMCS Region" */
	u32 revision;
	u32 abort;
	u8 data[];
};

/* CR0.TS may change without an exit; all else is ours to check. */
#define VMX_CR0_GUEST_OWNED	X86_CR0_TS
/* Where the guest has no paging of its own but needs some, CR3 is not what it has written. */
#define VMX_CR3_EXITS		(CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING)
#define VMX_REASON_ENTRY_FAILED	0x80000000u
#define VMX_PML_ENTRIES		512

/* MSRs that only matter in user mode, restored when this CPU next goes there. */
enum user_msr { USER_MSR_STAR, USER_MSR_LSTAR, USER_MSR_SFMASK, USER_MSR_EFER, USER_MSR_TSC_AUX,
		NR_USER_MSRS };

#define VMX_NO_SELECTOR	0xfff8		/* no thread has it: the host's GDT is not that long */

struct vmx_host_state {
	unsigned long cr3, cr4, fs_base;	/* as last written to the VMCS */
	u16 fs_sel, gs_sel;			/* the same, but for RPL and TI */
	u16 ldt_sel, ds_sel, es_sel;
	u64 user_gs_base;			/* MSR_KERNEL_GS_BASE while in the kernel */
	struct desc_ptr gdt;			/* of the CPU we are on */
	u64 debugctl;
	u64 pebs;				/* MSR_IA32_PEBS_ENABLE to put back after the exit */
	bool loaded;				/* guest values are in the CPU's registers */
};

struct vmx_vcpu {
	struct vmx_enter_ctx ctx;	/* first: enter.S */
	struct posted_desc pi;
	struct vcpu *vcpu;
	struct vmcs *vmcs;
	struct list_head on_cpu;	/* per-CPU list of VMCSs that the CPU may hold */
	int cpu;			/* whose list, -1 none */
	u16 vpid;
	unsigned long *msr_bitmap;
	u64 *pml;
	struct vmx_host_state host;

	/* Shadows of VMCS fields, to write only what changes */
	u32 pin, exec, exec2, entry, exit_ctls;
	u32 exceptions;
	bool identity;			/* runs on the identity map for want of its own paging */
	hpa_t root;			/* of second-level or shadow tables */
	u64 timer_tsc;			/* host TSC at which the preemption timer fires, ~0 never */
	u64 kernel_gs_base;		/* the guest's, while host.loaded is false */
	u64 user_msrs[NR_USER_MSRS];
	u8 which_user_msrs;		/* the guest can use: a bit for each */
	bool syscalls;			/* EFER.SCE in long mode */
	u64 cstar;
	u32 tpr_threshold;
};

static inline struct vmx_vcpu *vmx_of(struct vcpu *vcpu)
{
	return vcpu->hw;
}

/* caps.c */
int vmx_probe(void);
int caps_setup(struct backend_caps *caps);

/* vmcs.c */
struct vmcs *vmcs_alloc(int node);
void vmcs_free(struct vmcs *vmcs);
void vmcs_init_cpu(int cpu);
void vmcs_clear_cpu(void);		/* every VMCS this CPU may hold; interrupts off */
void vmcs_emergency_clear(void);	/* the same from NMI context */
void vmcs_forget(struct vmx_vcpu *vmx);	/* VMCLEAR wherever it is; interrupts on */
void vmcs_load(struct vmx_vcpu *vmx, int cpu);	/* preemption off */
void vmcs_setup(struct vmx_vcpu *vmx);
void vmcs_controls(struct vcpu *vcpu);	/* recompute what depends on guest and debugger */
void vmcs_error(unsigned long field, bool write);	/* called by enter.S */
int vpid_alloc(void);
void vpid_free(u16 vpid);

/* regs.c */
void vmx_reg_fetch(struct vcpu *vcpu, enum reg reg);
void vmx_regs_flush(struct vcpu *vcpu, u64 dirty);
void vmx_regs_reset(struct vcpu *vcpu);
u64 vmx_cr4_guest_owned(struct vcpu *vcpu);

/* msr.c */
int vmx_msr_get(struct vcpu *vcpu, u32 msr, u64 *val);
int vmx_msr_set(struct vcpu *vcpu, u32 msr, u64 val);
void vmx_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write);
void vmx_msr_x2apic(struct vcpu *vcpu, bool apicv);
void vmx_user_msrs_setup(void);
void vmx_user_msrs_update(struct vmx_vcpu *vmx);
void vmx_user_msr_set(struct vmx_vcpu *vmx, int i, u64 val);

/* run.c */
extern unsigned long vmx_host_idt;
void vmx_run_setup(void);
bool vmx_run_enter(struct vcpu *vcpu);
void vmx_run_host_events(struct vcpu *vcpu);
bool vmx_run_timer_set(struct vcpu *vcpu, u64 guest_tsc);

/* host.c */
void vmx_host_save(struct vmx_vcpu *vmx);	/* before the first entry since vmcs_load() */
void vmx_host_restore(struct vmx_vcpu *vmx);	/* before the thread leaves the CPU */

/* exit.c */
void vmx_exit_pml_drain(struct vcpu *vcpu);

/* tlb.c */
void vmx_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope, gva_t gva);
void vmx_tlb_flush_cpu(void);
u64 vmx_tlb_eptp(hpa_t root);

/* posted.c */
bool vmx_posted_post(struct vcpu *vcpu, u8 vector);
bool vmx_posted_wait(struct vcpu *vcpu);
int vmx_posted_sync(struct vcpu *vcpu);
void vmx_posted_update(struct vcpu *vcpu);

/* dump.c */
void vmx_dump(struct vcpu *vcpu);

#endif
