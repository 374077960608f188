/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The whole Intel/AMD seam. Vendor code decodes and programs hardware; behaviour is above.
 *
 * What needs no operation because enter() writes it when it is dirty: registers (cpu/regs.h), the
 * event to inject (events.entry), interrupt and NMI windows (events.want_*), the paging root
 * (mmu.root), the TPR threshold.
 */
#ifndef CORBEL_BACKEND_H
#define CORBEL_BACKEND_H

#include <linux/static_call.h>
#include "types.h"
#include "exit.h"

enum reg;
struct fmt;

/* What this machine's hardware can do, filled in by setup(). */
struct backend_caps {
	const char *name;		/* "vmx", "svm" */
	bool tdp;			/* EPT or NPT */
	bool tdp_ad;			/* accessed and dirty bits in its entries */
	u8 tdp_max_level;		/* largest leaf: 1 4K, 2 2M, 3 1G */
	u8 tdp_levels;			/* 4 or 5 */
	const struct fmt *tdp_format;	/* mmu/fmt.h: &fmt_ept or &fmt_npt */
	bool any_mode;			/* runs real mode natively: unrestricted guest, or SVM */
	bool any_mode_shadow;		/* the same without nested paging */
	bool apicv;			/* APIC-register virtualization and virtual-interrupt delivery */
	bool apic_access;		/* the same for xAPIC's page of registers */
	bool posted;			/* posted interrupts */
	bool pml;
	bool tsc_scaling;
	u8 tsc_frac_bits;		/* of the multiplier */
	u64 tsc_max_ratio;
	bool timer;			/* VMX preemption timer */
	bool ple;
	bool xsaves, invpcid, rdtscp, umip, waitpkg;
	bool virt_ssbd;			/* AMD's VIRT_SPEC_CTRL has an effect */
	u64 mcg_cap;			/* bits of IA32_MCG_CAP that this maker defines */
	u64 cr4_allowed;		/* bits a guest may set as far as the hardware goes */
	u64 cr0_fixed1;			/* bits hardware wants 1 in the guest's CR0, besides PE and PG */
};

enum tlb_scope {
	TLB_ALL,		/* everything cached for this vCPU's paging root (INVEPT, flush ASID) */
	TLB_GUEST,		/* the linear mappings of this vCPU (INVVPID single context) */
	TLB_GUEST_ADDR,		/* one linear address */
};

struct backend_ops {
	/* Module and CPU. probe: 0, or -ENODEV/-EOPNOTSUPP after one pr_err that says what to do. */
	int (*probe)(void);
	int (*setup)(struct backend_caps *caps);
	void (*teardown)(void);
	int (*cpu_on)(void);			/* interrupts off */
	void (*cpu_off)(void);			/* interrupts off; clears what is loaded here first */
	void (*emergency)(void);		/* cpu_off() from NMI, before a reset or a crash kernel */
	/* vCPU life. load and put: preemption off. */
	int (*vcpu_create)(struct vcpu *vcpu);
	void (*vcpu_destroy)(struct vcpu *vcpu);
	void (*vcpu_reset)(struct vcpu *vcpu);
	void (*vcpu_load)(struct vcpu *vcpu, int cpu);
	void (*vcpu_put)(struct vcpu *vcpu);
	/*
	 * A stay in the guest (stay.h), of which vcpu->exit has the last exit. True: it is not handled yet.
	 * Interrupts are off from here to host_events.
	 */
	bool (*enter)(struct vcpu *vcpu);
	void (*host_events)(struct vcpu *vcpu);	/* give the host its interrupt; outside guest context */
	/* State. reg_fetch: vCPU loaded. */
	void (*reg_fetch)(struct vcpu *vcpu, enum reg reg);
	int (*msr_get)(struct vcpu *vcpu, u32 msr, u64 *val);	/* 0, or -ENOENT: not this backend's */
	int (*msr_set)(struct vcpu *vcpu, u32 msr, u64 val);
	void (*msr_intercept)(struct vcpu *vcpu, u32 msr, bool read, bool write);
	void (*controls_changed)(struct vcpu *vcpu);	/* CPUID, exits disabled, debugging, apicv, TSC */
	void (*tlb_flush)(struct vcpu *vcpu, enum tlb_scope scope, gva_t gva);
	/* Called when caps.timer, or to switch it off (~0). false: use an hrtimer, for the TSC is scaled. */
	bool (*timer_set)(struct vcpu *vcpu, u64 guest_tsc);
	/* APICv; only called when caps.apicv */
	bool (*apicv_post)(struct vcpu *vcpu, u8 vector);	/* preemption off; false: not posted */
	/* In a stay, halted: did one come within a moment that ends HLT? false: go to sleep. */
	bool (*apicv_wait)(struct vcpu *vcpu);
	int (*apicv_sync)(struct vcpu *vcpu);			/* PIR into IRR; highest IRR vector or -1 */
	void (*apicv_update)(struct vcpu *vcpu);		/* mode, ISR, EOI bitmap changed */
	void (*dump)(struct vcpu *vcpu);			/* readable state into the log, rate-limited */
};

extern const struct backend_ops vmx_backend, svm_backend;
extern struct backend_ops backend;	/* copy of the chosen one; written once at load */
extern struct backend_caps caps;

/* Operations that are called often: backend_call(op)(...) is a direct call, made to be one at load. */
#define BACKEND_HOT(OP)										\
	OP(vcpu_load) OP(vcpu_put) OP(enter) OP(host_events) OP(reg_fetch) OP(msr_get) OP(msr_set)	\
	OP(tlb_flush) OP(timer_set) OP(apicv_post) OP(apicv_wait) OP(apicv_sync)
#define BACKEND_DECLARE(op)	DECLARE_STATIC_CALL(backend_##op, *backend.op);
BACKEND_HOT(BACKEND_DECLARE)
#define backend_call(op)	static_call(backend_##op)

#endif
