// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real mode, and protected mode while segment registers are left over from real mode, on a CPU
 * that enters neither.
 */
#include <linux/entry-kvm.h>
#include <asm/processor-flags.h>
#include "backend.h"
#include "compat.h"
#include "cpu/dr.h"
#include "cpu/regs.h"
#include "interpret.h"
#include "irq/halt.h"
#include "irq/lapic_timer.h"
#include "mmu/emulate.h"
#include "vm.h"

#define BATCH		1000	/* instructions; writers of slots wait no longer */
#define SEGMENTS	GENMASK_ULL(REG_GS, REG_ES)

static bool real_mode(const struct vcpu *vcpu)
{
	return !(vcpu->regs.cr0 & X86_CR0_PE);
}

static bool data_fits(const struct kvm_segment *s)
{
	bool conforming = (s->type & 0xc) == 0xc;

	return s->unusable || !s->present || conforming || s->dpl >= (s->selector & 3);
}

/* SDM, "Checks on Guest Segment Registers": those of which an unrestricted guest is free. */
static bool segments_fit(struct vcpu *vcpu)
{
	const struct kvm_segment *cs = seg_get(vcpu, SEG_CS), *ss = seg_get(vcpu, SEG_SS);

	if (!(cs->type & 8) || (cs->selector ^ ss->selector) & 3 || ss->dpl != (ss->selector & 3))
		return false;
	return data_fits(seg_get(vcpu, SEG_DS)) && data_fits(seg_get(vcpu, SEG_ES)) &&
	       data_fits(seg_get(vcpu, SEG_FS)) && data_fits(seg_get(vcpu, SEG_GS));
}

/* Segments that hardware has are good. */
bool interpret_wanted(struct vcpu *vcpu)
{
	if (real_mode(vcpu))
		return true;
	return (vcpu->regs.dirty & SEGMENTS) && !(rflags_get(vcpu) & X86_EFLAGS_VM) &&
	       !segments_fit(vcpu);
}

/*
 * Half-way into protected mode there is no way to deliver anything yet: interrupts wait until the
 * hardware can, and an exception is the end.
 */
static int deliver(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	if (real_mode(vcpu)) {
		inject_events(vcpu);
		return ev->entry.type == EVENT_NONE ? RESUME : emulate_interrupt_real(vcpu);
	}
	ev->want_irq_window = ev->want_nmi_window = false;
	return ev->exception.pending || ev->entry.type != EVENT_NONE ? emulate_failed(vcpu) : RESUME;
}

static bool window_open(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	return (ev->want_irq_window && inject_irq_allowed(vcpu)) ||
	       (ev->want_nmi_window && inject_nmi_allowed(vcpu));
}

static bool must_stop(struct vcpu *vcpu)
{
	/* The backend's timer stands still meanwhile. */
	lapic_timer_serve(vcpu);
	return READ_ONCE(vcpu->requests) || __xfer_to_guest_mode_work_pending() ||
	       compat_immediate_exit(vcpu->run) || halt_wanted(vcpu) || window_open(vcpu) ||
	       !interpret_wanted(vcpu);
}

int interpret(struct vcpu *vcpu)
{
	unsigned int left = BATCH;
	int next = deliver(vcpu);

	while (next == RESUME && left-- && !must_stop(vcpu)) {
		if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP))
			dr_step(vcpu);
		next = insn_exit(vcpu, &vcpu->exit);
	}
	vcpu_request(vcpu, REQ_EVENT);
	return next;
}
