// SPDX-License-Identifier: GPL-2.0-only
/* INIT, SIPI and what userspace sees of them. */
#include <linux/bitops.h>
#include "vm.h"
#include "cpu/regs.h"
#include "irq/halt.h"
#include "irq/mp_state.h"

void mp_state_init_signal(struct vcpu *vcpu)
{
	WRITE_ONCE(vcpu->irq.init_sipi, BIT(IRQ_INIT_PENDING));	/* a SIPI before it is void */
	vcpu_request_kick(vcpu, REQ_EVENT);
}

void mp_state_sipi_signal(struct vcpu *vcpu, u8 vector)
{
	WRITE_ONCE(vcpu->irq.sipi_vector, vector);
	smp_wmb();	/* the vector before the bit; pairs with test_and_clear_bit() below */
	set_bit(IRQ_SIPI_PENDING, &vcpu->irq.init_sipi);
	vcpu_request_kick(vcpu, REQ_EVENT);
}

static void start_at(struct vcpu *vcpu, u8 vector)
{
	struct kvm_segment cs = *seg_get(vcpu, SEG_CS);

	cs.selector = vector << 8;
	cs.base = vector << 12;
	seg_set(vcpu, SEG_CS, &cs);
	rip_set(vcpu, 0);
}

int irq_accept_init_sipi(struct vcpu *vcpu)
{
	unsigned long *pending = &vcpu->irq.init_sipi;

	if (!vcpu->irq.lapic || !READ_ONCE(*pending))
		return RESUME;
	pio_hold(vcpu);		/* userspace may ask for the state while a port's answer is awaited */
	if (test_and_clear_bit(IRQ_INIT_PENDING, pending)) {
		vcpu_reset(vcpu, true);
		WRITE_ONCE(vcpu->irq.mp_state, vcpu->id == vcpu->vm->bsp_id ?
			   KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED);
	}
	/* A SIPI to a CPU that is not waiting for one is dropped. */
	if (test_and_clear_bit(IRQ_SIPI_PENDING, pending) &&
	    vcpu->irq.mp_state == KVM_MP_STATE_INIT_RECEIVED) {
		start_at(vcpu, READ_ONCE(vcpu->irq.sipi_vector));
		WRITE_ONCE(vcpu->irq.mp_state, KVM_MP_STATE_RUNNABLE);
	}
	return RESUME;
}

int mp_state_get(struct vcpu *vcpu, struct kvm_mp_state *state)
{
	int ret = irq_accept_init_sipi(vcpu);

	if (ret < 0)
		return ret;
	state->mp_state = vcpu->irq.mp_state;
	if (state->mp_state == KVM_MP_STATE_HALTED && READ_ONCE(vcpu->arch.pv_unhalted))
		state->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

/* The states in between are those of other architectures. */
static bool state_valid(u32 state)
{
	return state <= KVM_MP_STATE_SIPI_RECEIVED || state == KVM_MP_STATE_AP_RESET_HOLD;
}

int mp_state_set(struct vcpu *vcpu, const struct kvm_mp_state *state)
{
	u32 new = state->mp_state;

	if (!state_valid(new) || (!vcpu->irq.lapic && new != KVM_MP_STATE_RUNNABLE))
		return -EINVAL;
	if (new == KVM_MP_STATE_SIPI_RECEIVED) {
		new = KVM_MP_STATE_INIT_RECEIVED;
		set_bit(IRQ_SIPI_PENDING, &vcpu->irq.init_sipi);
	}
	WRITE_ONCE(vcpu->irq.mp_state, new);
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}
