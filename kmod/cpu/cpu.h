/* SPDX-License-Identifier: GPL-2.0-only */
/* The virtual CPU's model: CPUID, MSRs, control registers, FPU, TSC, paravirtual services. */
#ifndef CORBEL_CPU_H
#define CORBEL_CPU_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include "types.h"

#define CORBEL_MCE_BANKS	32	/* KVM_CAP_MCE */
#define CORBEL_NR_VAR_MTRRS	8
#define CORBEL_NR_FIXED_MTRRS	11
#define CORBEL_NR_CPUID		256	/* entries that KVM_SET_CPUID2 takes */

struct cpuid_table;	/* cpuid.c */
struct msr_filter;	/* msr_filter.c */

/* Machine-check banks as KVM_X86_SETUP_MCE made them. */
struct mce_bank {
	u64 ctl, status, addr, misc;
};

struct vcpu_mce {
	u64 cap, status, ctl;		/* MCG_*; reset value of cap: 32 banks */
	u64 ctl2[CORBEL_MCE_BANKS];	/* CMCI: wanted, and from how many errors on */
	struct mce_bank banks[CORBEL_MCE_BANKS];
};

struct vcpu_mtrr {
	u64 deftype;
	u64 fixed[CORBEL_NR_FIXED_MTRRS];
	u64 var[2 * CORBEL_NR_VAR_MTRRS];	/* base, mask */
};

/* A page of the guest's that paravirtual code writes, cached for atomic context. */
struct pv_page {
	u64 msr;		/* as the guest wrote it: address and enable bit */
	hva_t hva;		/* 0: look it up again */
	const void *slots;	/* the slots snapshot that hva comes from */
};

struct vcpu_cpu {
	/* cpuid.c */
	struct cpuid_table *cpuid;	/* NULL before KVM_SET_CPUID2 */
	u64 features;			/* bitmap of enum guest_feature, guest_has() */
	u32 pv_features;		/* CPUID 0x40000001.EAX */
	u32 corbel_features;		/* CPUID 0x40000101.EAX */
	u8 maxphyaddr;			/* 32..52 */
	bool has_run;			/* KVM_RUN was called: CPUID is final */
	bool pv_enforce;		/* KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
	u64 cr3_reserved, cr4_reserved;	/* bits the guest's CPUID does not allow */
	u64 efer_allowed;
	u64 guest_xcr0_allowed;

	/* msr.c: values without an effect of their own */
	u64 pat;
	u64 spec_ctrl;			/* backend enter() switches it */
	bool spec_ctrl_live;		/* not intercepted: hardware may hold a newer value */
	u64 misc_enable, arch_caps, ucode_rev, platform_info, misc_features;
	u64 umwait, hwcr, power_ctl, feat_ctl;
	struct vcpu_mtrr mtrr;
	struct vcpu_mce mce;

	/* xstate.c */
	struct fpu_guest fpu;
	u64 xcr0, xss;			/* the guest's view */
	/* what enter loads: the host's while CR4.OSXSAVE is clear */
	u64 xcr0_live, xss_live;
	u32 pkru, host_pkru;
	bool xstate_switch;		/* any of these, or PKRU, differs from the host's in the guest */
	bool pkru_live;			/* CR4.PKE or XCR0.PKRU: PKRU must be switched */
	bool fpu_loaded;

	/* dr.c: regs.dr7 is what hardware gets; this is what the guest wrote */
	u64 dr7;
	bool dr_switch;			/* breakpoints enabled: load DR0-DR3 around the guest */

	/* tsc.c */
	u64 tsc_offset, tsc_ratio;	/* enter() uses them through controls_changed() */
	bool tsc_scaled;		/* the ratio is not one */
	u64 tsc_adjust;
	u32 tsc_khz;			/* the guest's */

	/* clock.c, pv.c */
	u64 system_time_msr;		/* kvmclock page, bit 0 enable */
	bool clock_stopped;		/* KVM_KVMCLOCK_CTRL: tell the guest it was paused */
	struct pv_page steal;
	u64 steal_last;			/* sched_info.run_delay already reported */
	bool steal_preempted;		/* the page says so: take it back */
	u64 pv_eoi_msr;
	bool pv_eoi_pending;
	u64 poll_control;		/* MSR_KVM_POLL_CONTROL; bit 0: the host may poll */
	bool pv_unhalted;		/* KVM_HC_KICK_CPU came; pv_take_unhalt() */

};

struct vm_cpu {
	raw_spinlock_t tsc_lock;	/* tsc_*, clock_*: any context */
	u32 tsc_khz;			/* of new vCPUs */
	u64 tsc_last_ns, tsc_last_write, tsc_last_offset;
	u32 tsc_last_khz;

	bool clock_master;		/* one (TSC, ns) pair serves all vCPUs */
	u64 clock_tsc, clock_ns;	/* that pair: host TSC and host boot-based ns */
	s64 clock_offset;		/* guest's kvmclock = host ns + this */
	u64 wall_clock_msr;
	struct list_head clock_node;	/* of all VMs: clocksource changes reach them */
	struct vm *clock_vm;

	/* Capabilities switched on; under vm->lock, before or while vCPUs run */
	u64 user_msr_reasons;		/* KVM_CAP_X86_USER_SPACE_MSR */
	bool exception_payload;		/* KVM_CAP_EXCEPTION_PAYLOAD */
	bool triple_fault_event;	/* KVM_CAP_X86_TRIPLE_FAULT_EVENT */
	bool platform_info_hidden;	/* KVM_CAP_MSR_PLATFORM_INFO off */
	u64 quirks_off;			/* KVM_CAP_DISABLE_QUIRKS(2): KVM_X86_QUIRK_* */
	/* KVM_X86_DISABLE_EXITS_*; backend reads it in controls_changed() */
	u32 exits_off;

	struct msr_filter __rcu *msr_filter;	/* SRCU vm->srcu */
};

/** cpu_quirk() - is a quirk still in force */
static inline bool cpu_quirk(const struct vm_cpu *vm, u64 quirk)
{
	return !(vm->quirks_off & quirk);
}

/** cpu_module_init() - after backend.setup(): host CPUID masks, host MSR values */
int cpu_module_init(void);
void cpu_module_exit(void);

/* Around suspend to RAM: one CPU, interrupts off, tasks frozen. */
void cpu_module_suspend(void);
void cpu_module_resume(void);

int cpu_vm_init(struct vm *vm);
void cpu_vm_destroy(struct vm *vm);
int cpu_vcpu_init(struct vcpu *vcpu);		/* after backend.vcpu_create() */
void cpu_vcpu_destroy(struct vcpu *vcpu);
void cpu_vcpu_reset(struct vcpu *vcpu, bool init);

/**
 * cpu_vcpu_load() - the vCPU arrives on a CPU; cpu_vcpu_put(): it leaves
 * @preempted: it would still like to run
 *
 * Clock and steal time. Context: preemption off, from vcpu_load(), vcpu_put() and the preempt
 * notifier.
 */
void cpu_vcpu_load(struct vcpu *vcpu);
void cpu_vcpu_put(struct vcpu *vcpu, bool preempted);

/* Around KVM_RUN and around the guest itself */
/* KVM_RUN begins: FPU registers become the guest's */
void xstate_load_guest(struct vcpu *vcpu);
void xstate_put_guest(struct vcpu *vcpu);	/* KVM_RUN ends */
/* interrupts off, before backend enter: XCR0, XSS, PKRU */
void xstate_enter(struct vcpu *vcpu);
void xstate_exit(struct vcpu *vcpu);		/* interrupts off, after */

#endif
