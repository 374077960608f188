// SPDX-License-Identifier: GPL-2.0-only
/* An interrupt message's way to the LAPICs it names. Everything here runs in any context. */
#include <linux/log2.h>
#include <linux/rcupdate.h>
#include <asm/apicdef.h>
#include "vm.h"
#include "irq/lapic.h"
#include "irq/mp_state.h"

static __always_inline bool accept_vector(struct lapic *lapic, u8 vector, bool level)
{
	if (!lapic_sw_enabled(lapic))
		return false;
	if (vector < 16) {
		lapic_report_error(lapic, ilog2(APIC_ESR_RECVILL));
		return false;
	}
	/* A level interrupt that is pending already is still owed an EOI to its pin. */
	return lapic_post(lapic, vector, level) || level;
}

static bool accept(struct lapic *lapic, const struct lapic_irq *irq)
{
	switch (irq->delivery_mode) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		if (irq->trig_mode && !irq->level)
			return false;
		return accept_vector(lapic, irq->vector, irq->trig_mode);
	case LAPIC_NMI:
		inject_nmi(lapic->vcpu);
		return true;
	case LAPIC_INIT:
		if (irq->trig_mode && !irq->level)
			return false; /* INIT level de-assert: synchronised arbitration ids once */
		mp_state_init_signal(lapic->vcpu);
		return true;
	case LAPIC_SIPI:
		mp_state_sipi_signal(lapic->vcpu, irq->vector);
		return true;
	case LAPIC_EXTINT:
		vcpu_request_kick(lapic->vcpu, REQ_EVENT);
		return true;
	default:		/* SMI, remote read: no such thing here */
		return false;
	}
}

static noinline void accept_local(struct lapic *lapic, u32 val)
{
	struct lapic_irq irq = lapic_irq_decode(val);

	irq.trig_mode = 0;
	accept(lapic, &irq);
}

void lapic_local(struct lapic *lapic, unsigned int lvt)
{
	u32 val = lapic_reg(lapic, lvt);

	if (lapic_mode(lapic->vcpu) == LAPIC_DISABLED || (val & APIC_LVT_MASKED))
		return;
	if (GET_APIC_DELIVERY_MODE(val) == LAPIC_FIXED)
		accept_vector(lapic, val & APIC_VECTOR_MASK, false);
	else
		accept_local(lapic, val);
}

/* To an x2APIC, a device's 0xff is a broadcast unless userspace said that it knows better. */
static bool is_broadcast(struct lapic *lapic, const struct lapic_irq *irq)
{
	if (irq->dest_id == ~0u)
		return true;
	if (irq->dest_id != 0xff)
		return false;
	return lapic_mode(lapic->vcpu) == LAPIC_XAPIC ||
	       (!irq->src && !lapic->vcpu->vm->irq.x2apic_no_broadcast_quirk);
}

static bool matches_logical(struct lapic *lapic, u32 dest)
{
	u32 ldr = lapic_reg(lapic, APIC_LDR);

	if (lapic_mode(lapic->vcpu) == LAPIC_X2APIC)
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	if (dest > 0xff)
		return false;
	ldr = GET_APIC_LOGICAL_ID(ldr);
	if (lapic_reg(lapic, APIC_DFR) == APIC_DFR_FLAT)
		return ldr & dest;
	return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

bool lapic_matches(struct lapic *lapic, const struct lapic_irq *irq)
{
	enum lapic_mode mode = lapic_mode(lapic->vcpu);

	if (mode == LAPIC_DISABLED)
		return false;
	switch (irq->shorthand) {
	case LAPIC_SELF:
		return lapic->vcpu == irq->src;
	case LAPIC_ALL:
		return true;
	case LAPIC_OTHERS:
		return lapic->vcpu != irq->src;
	}
	if (is_broadcast(lapic, irq))
		return true;
	if (irq->dest_mode)
		return matches_logical(lapic, irq->dest_id);
	return irq->dest_id == (mode == LAPIC_X2APIC ? lapic->vcpu->id : (u8)lapic->vcpu->id);
}

static bool is_lowest(const struct lapic_irq *irq)
{
	return irq->delivery_mode == LAPIC_LOWEST || irq->msi_redir_hint;
}

/*
 * "Lowest priority" picks by vector, so that one interrupt source keeps its CPU and sources
 * spread out.
 */
static int deliver_found(struct lapic **found, int n, const struct lapic_irq *irq)
{
	int i, enabled = 0, reached = 0;

	if (!n)
		return -1;
	if (!is_lowest(irq)) {
		for (i = 0; i < n; i++)
			reached += accept(found[i], irq);
		return reached;
	}
	for (i = 0; i < n; i++)
		if (lapic_sw_enabled(found[i]))
			found[enabled++] = found[i];
	return enabled ? accept(found[irq->vector % enabled], irq) : 0;
}

static bool is_candidate(struct vcpu *vcpu, const struct lapic_irq *irq)
{
	struct lapic *lapic = vcpu->irq.lapic;

	return lapic && lapic_matches(lapic, irq) && (!is_lowest(irq) || lapic_sw_enabled(lapic));
}

static int deliver_all(struct vm *vm, const struct lapic_irq *irq)
{
	int i, candidates = 0, reached = 0, skip;
	struct vcpu *vcpu;

	vm_for_each_vcpu(i, vcpu, vm)
		candidates += is_candidate(vcpu, irq);
	if (!candidates)
		return -1;
	skip = irq->vector % candidates;
	vm_for_each_vcpu(i, vcpu, vm) {
		if (!is_candidate(vcpu, irq))
			continue;
		if (!is_lowest(irq))
			reached += accept(vcpu->irq.lapic, irq);
		else if (skip-- == 0)
			return accept(vcpu->irq.lapic, irq);
	}
	return reached;
}

/* What the map finds stays for as long as the VM does. */
static noinline int deliver_looked_up(struct vm *vm, const struct lapic_irq *irq)
{
	struct lapic *found[LAPIC_MAP_FOUND];
	int n;

	rcu_read_lock();
	n = irq->shorthand ? -1 : lapic_map_find(vm, irq, found);
	rcu_read_unlock();
	return n < 0 ? deliver_all(vm, irq) : deliver_found(found, n, irq);
}

int lapic_deliver(struct vm *vm, const struct lapic_irq *irq)
{
	struct lapic *one = NULL;

	if (irq->shorthand == LAPIC_SELF)
		return accept(irq->src->irq.lapic, irq);
	if (!irq->shorthand && !irq->dest_mode && !is_lowest(irq))
		one = lapic_map_one(vm, irq->dest_id);
	return one ? accept(one, irq) : deliver_looked_up(vm, irq);
}

void lapic_irq_from_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data,
			struct lapic_irq *irq)
{
	*irq = lapic_irq_decode(data);
	irq->dest_id = (address_lo >> 12) & 0xff;
	irq->dest_mode = (address_lo >> 2) & 1;
	irq->msi_redir_hint = (address_lo >> 3) & 1;
	if (vm->irq.x2apic_32bit_ids)
		irq->dest_id |= address_hi & 0xffffff00;
}
