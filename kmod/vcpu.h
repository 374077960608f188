/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct vcpu: one virtual CPU, its lifetime, its requests and its kick.
 *
 * Everything not marked otherwise is guarded by vcpu->lock, which the ioctl row takes; KVM_RUN
 * holds it for as long as it runs.
 */
#ifndef CORBEL_VCPU_H
#define CORBEL_VCPU_H

#include <linux/kvm_types.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/signal_types.h>
#include "types.h"
#include "exit.h"
#include "stats.h"
#include "cpu/cpu.h"
#include "irq/irq.h"
#include "irq/inject.h"
#include "mem/ring.h"
#include "mmu/mmu.h"
#include "io/io.h"

enum reg {			/* 0..15 are the general registers in encoding order */
	GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	REG_RIP, REG_RFLAGS,
	REG_CR0, REG_CR3, REG_CR4, REG_EFER, REG_PDPTR, REG_DR7,
	REG_ES, REG_CS, REG_SS, REG_DS, REG_FS, REG_GS, REG_TR, REG_LDTR,	/* segs[] order */
	REG_GDTR, REG_IDTR,
	REG_SHADOW,		/* interruptibility: STI/MOV SS shadow and NMI blocking */
	REG_CPL, REG_CODE64,	/* read only: what is asked most often of SS and CS */
	NR_REGS
};

enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_TR, SEG_LDTR, NR_SEGS };

enum shadow_bits { SHADOW_STI = 1, SHADOW_MOV_SS = 2, SHADOW_NMI = 8 };	/* as VMX has them */

struct vcpu_regs {
	unsigned long gpr[16];	/* enter.S relies on this being first and in encoding order */
	u64 rip, rflags;
	u64 cr0, cr2, cr3, cr4, cr8;	/* guest view; cr2 is switched in assembly or by run */
	u64 efer;
	u64 pdptr[4];
	u64 dr[4], dr6, dr7;
	struct kvm_segment segs[NR_SEGS];	/* KVM's flat view of a segment register */
	struct kvm_dtable gdtr, idtr;
	u64 shadow;		/* enum shadow_bits */
	u8 cpl;			/* DPL of SS */
	bool code64;		/* CS.L, with EFER.LMA set */
	u64 avail, dirty;	/* bitmaps of enum reg */
};

/*
 * Requests: what must be done before the next entry. Set by anyone with vcpu_request(), tested and
 * cleared by the vCPU's own thread in run.c, which holds the one table that orders them.
 */
enum vcpu_req {
	REQ_DEAD,		/* the VM was killed: its memory is gone */
	REQ_MMU_RELOAD,		/* root dropped or paging mode changed */
	REQ_TLB_FLUSH,		/* all translations of this vCPU's VM: EPT/NPT changed under it */
	REQ_TLB_FLUSH_GUEST,	/* the guest's own linear translations only */
	REQ_TIMER,		/* a LAPIC timer fired or was moved: see lapic_timer.c */
	REQ_CLOCK,		/* rewrite the kvmclock page */
	REQ_TPR_REPORT,		/* exit: KVM_EXIT_TPR_ACCESS */
	REQ_TRIPLE_FAULT,	/* exit: KVM_EXIT_SHUTDOWN */
	REQ_IOAPIC_EOI,		/* exit: KVM_EXIT_IOAPIC_EOI */
	REQ_STEAL_TIME,
	REQ_NMI,		/* nmi_queued moved into the pending NMIs */
	REQ_EOI_BITMAP,		/* the set of level-triggered vectors changed */
	REQ_APICV,		/* APICv must be switched on or off for this vCPU */
	REQ_MSR_FILTER,
	REQ_EVENT,		/* look for events to inject (IRQ, NMI, exception, INIT, SIPI) */
	REQ_PML_DRAIN,		/* empty the page-modification log */
	REQ_RING_FULL,		/* exit: KVM_EXIT_DIRTY_RING_FULL */
	REQ_CONTROLS,		/* backend.controls_changed() */
	REQ_UNHALT,		/* a halted vCPU must look at its state again */
	NR_REQS
};

enum vcpu_mode { VCPU_OUTSIDE, VCPU_IN_GUEST, VCPU_EXITING };

struct vcpu {
	struct vcpu_regs regs;		/* first: enter.S finds gpr[] at offset 0 */
	struct vm *vm;
	void *hw;			/* the backend's own: struct vmx_vcpu, svm_vcpu */
	u32 id;				/* as given to KVM_CREATE_VCPU: the APIC id */
	int index;			/* position in vm->vcpus */

	struct mutex lock;
	unsigned long requests;		/* atomic bitmap of enum vcpu_req */
	int mode;			/* enum vcpu_mode; sender and entry agree by cmpxchg and smp_mb */
	int cpu;			/* CPU it is loaded on, -1 when none */
	int last_cpu;			/* CPU it was last loaded on, -1 at first */
	struct rcuwait wait;		/* where a halted vCPU sleeps */
	struct pid __rcu *pid;		/* last thread that ran it; for yielding and kicks */
	struct preempt_notifier preempt;
	int srcu_idx;			/* of vm->srcu, held by KVM_RUN outside the guest and outside sleeps */
	bool preempted;			/* scheduled out while runnable */
	bool in_run;			/* between vcpu_load() and vcpu_put() of KVM_RUN */
	bool cache_tainted;		/* this thread may have cached what the guest must not guess (L1TF) */

	struct kvm_run *run;		/* page 0 of the mapping; userspace may write it at any time */
	void *pio_data;			/* page 1 */

	/*
	 * Set by a handler that returned TO_USER and needs userspace's answer; called at the start of the
	 * next KVM_RUN, before anything else, even with immediate_exit. Return: enum vcpu_next or -errno.
	 */
	int (*complete)(struct vcpu *vcpu);

	struct vcpu_exit exit;		/* of the last exit */
	struct vcpu_cpu arch;		/* cpu/cpu.h: CPUID, MSRs, FPU, TSC, paravirtual state */
	struct vcpu_irq irq;		/* irq/irq.h: LAPIC and mp_state */
	struct vcpu_events events;	/* irq/inject.h */
	struct vcpu_mmu mmu;		/* mmu/mmu.h */
	struct vcpu_io io;		/* io/io.h */
	struct dirty_ring ring;		/* mem/ring.h */
	bool sigset_active;		/* KVM_SET_SIGNAL_MASK: sigset is used during KVM_RUN */
	sigset_t sigset;
	struct vcpu_stats stats;	/* stats.h */
	u32 guest_debug;		/* KVM_GUESTDBG_*; 0: no debugger */
	u64 debug_dr[4], debug_dr7;	/* the debugger's breakpoints */
	gva_t debug_linear_rip;		/* where single-stepping started */
};

/** vcpu_request() - ask for work before the next entry; does not kick. Context: any. */
static inline void vcpu_request(struct vcpu *vcpu, enum vcpu_req req)
{
	smp_wmb();	/* the data behind the request first; pairs with vcpu_take_request() */
	set_bit(req, &vcpu->requests);
}

static inline bool vcpu_take_request(struct vcpu *vcpu, enum vcpu_req req)
{
	if (likely(!test_bit(req, &vcpu->requests)))
		return false;
	clear_bit(req, &vcpu->requests);
	smp_mb__after_atomic();
	return true;
}

/**
 * vcpu_kick() - make the vCPU look at its requests soon
 *
 * Wakes it when it sleeps, interrupts it when it is in the guest; nothing otherwise.
 * Context: any, hard interrupt included. Never sleeps.
 */
void vcpu_kick(struct vcpu *vcpu);

/** vcpu_request_kick() - both of the above */
static inline void vcpu_request_kick(struct vcpu *vcpu, enum vcpu_req req)
{
	vcpu_request(vcpu, req);
	vcpu_kick(vcpu);
}

int vcpu_create(struct vm *vm, u32 id);		/* -> file descriptor or -errno */
void vcpu_destroy(struct vcpu *vcpu);
void vcpu_load(struct vcpu *vcpu);		/* disables nothing; arms the preempt notifier */
void vcpu_put(struct vcpu *vcpu);
void vcpu_reset(struct vcpu *vcpu, bool init);	/* RESET, or INIT signal */

/** run_vcpu() - KVM_RUN, with vcpu->lock held. Return: 0 or -errno (-EINTR). */
int run_vcpu(struct vcpu *vcpu);

#endif
