// SPDX-License-Identifier: GPL-2.0-only
#include <asm/cpu.h>
#include <asm/cpufeature.h>
#include <asm/trapnr.h>
#include <uapi/asm/debugreg.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "cpu/dr.h"
#include "cpu/hypercall.h"
#include "cpu/regs.h"
#include "mmu/shadow.h"

int debug_to_user(struct vcpu *vcpu, u8 vector, u64 dr6_bits)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = vector;
	run->debug.arch.pad = 0;
	run->debug.arch.pc = regs_linear_rip(vcpu);
	run->debug.arch.dr6 = DR6_RESERVED | dr6_bits;
	run->debug.arch.dr7 = dr7_effective(vcpu);
	return TO_USER;
}

int debug_step_done(struct vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return debug_to_user(vcpu, DB_VECTOR, DR_STEP);
	return inject_db(vcpu, DR_STEP);
}

static void step_stop(struct vcpu *vcpu)
{
	rflags_set(vcpu, rflags_get(vcpu) & ~(u64)X86_EFLAGS_TF);
}

int debug_set(struct vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	u32 control = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control : 0;
	bool inject = dbg->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP);

	if (dbg->control & ~(u32)DEBUG_CONTROLS)
		return -EINVAL;
	if (inject && vcpu->events.exception.pending)
		return -EBUSY;
	if (inject)
		inject_exception(vcpu, dbg->control & KVM_GUESTDBG_INJECT_DB ?
				 DB_VECTOR : BP_VECTOR);
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		step_stop(vcpu);
	vcpu->guest_debug = control;
	if (control & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(vcpu->debug_dr, dbg->arch.debugreg, sizeof(vcpu->debug_dr));
		vcpu->debug_dr7 = (u32)dbg->arch.debugreg[7] | DR7_RESET;
	} else {
		vcpu->debug_dr7 = 0;
	}
	if (control & KVM_GUESTDBG_SINGLESTEP)
		vcpu->debug_linear_rip = regs_linear_rip(vcpu);
	dr_update(vcpu);
	backend.controls_changed(vcpu);
	vcpu_request(vcpu, REQ_APICV);		/* BLOCKIRQ holds back what APICv would deliver */
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

static int db_exit(struct vcpu *vcpu, u64 dr6_bits)
{
	u32 mine = KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP;

	if (vcpu->guest_debug & mine)
		return debug_to_user(vcpu, DB_VECTOR, dr6_bits);
	return inject_db(vcpu, dr6_bits);
}

/* INT3 of a debugger's breakpoint; of the guest's own when there is no debugger. */
static int bp_exit(struct vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
		return debug_to_user(vcpu, BP_VECTOR, 0);
	vcpu->events.entry = (struct event) {
		.type = EVENT_SOFT_EXCEPTION,
		.vector = BP_VECTOR,
		.insn_len = vcpu->exit.insn_len,
	};
	return RESUME;
}

/*
 * An alignment check the guest did not ask for is a split lock: the host slows the task down or
 * kills it as for any process. false: it is the guest's own #AC.
 */
static bool split_lock(struct vcpu *vcpu)
{
	bool guests_own = regs_cpl(vcpu) == 3 && (cr0_get(vcpu) & X86_CR0_AM) &&
			  (rflags_get(vcpu) & X86_EFLAGS_AC);

	return !guests_own && handle_guest_split_lock(rip_get(vcpu));
}

static int ac_exit(struct vcpu *vcpu, u32 error)
{
	if (boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) && split_lock(vcpu))
		return RESUME;
	return inject_exception_error(vcpu, AC_VECTOR, error);
}

/*
 * A fault in the shadow of STI or MOV SS while TF is set: the trap that the shadow held back is
 * part of what an entry checks. Written anew, the backend makes the two agree.
 */
static void shadow_again(struct vcpu *vcpu)
{
	u64 shadow = shadow_get(vcpu);

	if ((shadow & (SHADOW_STI | SHADOW_MOV_SS)) && (rflags_get(vcpu) & X86_EFLAGS_TF))
		shadow_set(vcpu, shadow);
}

int exception_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u8 vector = exit->exception.vector;

	shadow_again(vcpu);
	switch (vector) {
	case DB_VECTOR:
		return db_exit(vcpu, exit->exception.payload);
	case BP_VECTOR:
		return bp_exit(vcpu);
	case UD_VECTOR:
		return hypercall_fix(vcpu) ? RESUME : inject_ud(vcpu);
	case PF_VECTOR:
		if (vcpu->vm->mmu.shadow)
			return shadow_fault(vcpu, exit);
		return inject_page_fault(vcpu, exit->exception.payload, exit->exception.error);
	case AC_VECTOR:
		return ac_exit(vcpu, exit->exception.error);
	case MC_VECTOR:
		return RESUME;		/* the host's; the backend has handled it */
	}
	if (exit->exception.has_error)
		return inject_exception_error(vcpu, vector, exit->exception.error);
	return inject_exception(vcpu, vector);
}

int triple_fault_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return TO_USER;
}
