// SPDX-License-Identifier: GPL-2.0-only
#include <linux/hw_breakpoint.h>
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "cpu/dr.h"
#include "cpu/regs.h"

#define DR7_ENABLES	0xffull
#define DR7_VOLATILE	0xffff2bffull	/* the bits that exist */
#define DR7_GD		BIT_ULL(13)
#define DR6_WRITABLE	(DR_TRAP_BITS | DR_STEP | DR_BD_BIT | DR_BT_BIT)
#define DR_BD_BIT	BIT(13)
#define DR_BT_BIT	BIT(15)

static u64 dr6_fixed(u64 val)
{
	return DR6_RESERVED | (val & DR6_WRITABLE);
}

static u64 dr7_fixed(u64 val)
{
	return (val & DR7_VOLATILE) | DR7_RESET;
}

void dr_update(struct vcpu *vcpu)
{
	u64 dr7 = dr7_effective(vcpu);

	dr7_set(vcpu, dr7);
	vcpu->arch.dr_switch = dr7 & DR7_ENABLES;
}

void dr_reset(struct vcpu *vcpu)
{
	memset(vcpu->regs.dr, 0, sizeof(vcpu->regs.dr));
	vcpu->regs.dr6 = DR6_RESERVED;
	vcpu->arch.dr7 = DR7_RESET;
	dr_update(vcpu);
}

static bool dr_write(struct vcpu *vcpu, unsigned int nr, u64 val)
{
	if (nr >= 6 && val >> 32)
		return false;
	if (nr == 7) {
		vcpu->arch.dr7 = dr7_fixed(val);
		dr_update(vcpu);
	} else if (nr == 6) {
		vcpu->regs.dr6 = dr6_fixed(val);
	} else {
		vcpu->regs.dr[nr & 3] = val;
	}
	return true;
}

static u64 dr_read(struct vcpu *vcpu, unsigned int nr)
{
	if (nr == 7)
		return vcpu->arch.dr7;
	return nr == 6 ? vcpu->regs.dr6 : vcpu->regs.dr[nr & 3];
}

/* DR7.GD: whoever set it hears of the access before it happens. */
static int general_detect(struct vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		return debug_to_user(vcpu, DB_VECTOR, DR_BD_BIT);
	return inject_db(vcpu, DR_BD_BIT);
}

/* SDM, "Debug Status Register (DR6)": B0-B3 are cleared by a new exception, the others stay. */
void dr_deliver(struct vcpu *vcpu, u64 dr6_bits)
{
	vcpu->regs.dr6 &= ~(u64)DR_TRAP_BITS;
	vcpu->regs.dr6 |= dr6_bits & DR6_WRITABLE;
	if (!(vcpu->arch.dr7 & DR7_GD))
		return;
	vcpu->arch.dr7 &= ~DR7_GD;
	dr_update(vcpu);
}

static void load_breakpoints(const u64 *dr)
{
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

/* Stepping: TF in hardware; a blocked boundary after STI or MOV SS must not swallow the trap. */
void dr_step(struct vcpu *vcpu)
{
	u64 rflags = rflags_get(vcpu), shadow = shadow_get(vcpu);

	if (!(rflags & X86_EFLAGS_TF))
		rflags_set(vcpu, rflags | X86_EFLAGS_TF);
	if (shadow & (SHADOW_STI | SHADOW_MOV_SS))
		shadow_set(vcpu, shadow & ~(u64)(SHADOW_STI | SHADOW_MOV_SS));
}

static noinline void breakpoints_enter(struct vcpu *vcpu)
{
	set_debugreg(0, 7);
	load_breakpoints(vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ?
			 vcpu->debug_dr : vcpu->regs.dr);
}

void dr_enter(struct vcpu *vcpu)
{
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP))
		dr_step(vcpu);
	if (unlikely(vcpu->arch.dr_switch))
		breakpoints_enter(vcpu);
}

/*
 * The exit has loaded DR7 with no breakpoint enabled; the host's own come back only if it has
 * any.
 */
void dr_exit_guest(struct vcpu *vcpu)
{
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
}

void debugregs_to_user(struct vcpu *vcpu, struct kvm_debugregs *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->db, vcpu->regs.dr, sizeof(out->db));
	out->dr6 = vcpu->regs.dr6;
	out->dr7 = vcpu->arch.dr7;
}

int debugregs_from_user(struct vcpu *vcpu, const struct kvm_debugregs *in)
{
	if (in->flags || in->dr6 >> 32 || in->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->regs.dr, in->db, sizeof(in->db));
	vcpu->regs.dr6 = dr6_fixed(in->dr6);
	vcpu->arch.dr7 = dr7_fixed(in->dr7);
	dr_update(vcpu);
	return 0;
}

int dr_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	unsigned int nr = exit->dr.dr;
	u64 mask = regs_64bit(vcpu) ? ~0ull : U32_MAX;

	if (nr == 4 || nr == 5) {
		if (cr4_get(vcpu) & X86_CR4_DE)
			return inject_ud(vcpu);
		nr += 2;
	}
	if (regs_cpl(vcpu))
		return inject_gp(vcpu);
	if (unlikely(dr7_effective(vcpu) & DR7_GD))
		return general_detect(vcpu);
	if (exit->dr.read)
		gpr_set(vcpu, exit->dr.gpr, dr_read(vcpu, nr) & mask);
	else if (!dr_write(vcpu, nr, gpr_get(vcpu, exit->dr.gpr) & mask))
		return inject_gp(vcpu);
	return vcpu_skip_insn(vcpu);
}
