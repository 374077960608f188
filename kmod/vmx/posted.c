// SPDX-License-Identifier: GPL-2.0-only
/*
 * APICv: virtual-interrupt delivery and posted interrupts. Without posting, a sender sets IRR
 * itself and kicks; with it, the bit goes into the descriptor and a notification reaches the CPU
 * in the guest.
 */
#include <asm/irq_vectors.h>
#include "backend.h"
#include "compat.h"
#include "irq/lapic.h"
#include "stay.h"
#include "vm.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

/*
 * Sender: the bit, then ON, then the notification; the entry does it the other way round (mode,
 * barrier, then ON), so one of the two sees the other.
 */
bool vmx_posted_post(struct vcpu *vcpu, u8 vector)
{
	struct posted_desc *pi = &vmx_of(vcpu)->pi;
	int cpu;

	if (!caps.posted)
		return false;
	set_bit(vector, (unsigned long *)pi->pir);
	if (test_and_set_bit(POSTED_ON, (unsigned long *)&pi->control))
		return true;	/* whoever set it has notified */
	smp_mb__after_atomic();
	cpu = READ_ONCE(vcpu->cpu);
	if (READ_ONCE(vcpu->mode) != VCPU_IN_GUEST)
		vcpu_kick(vcpu);		/* it may sleep; else it looks before it enters */
	else if (cpu >= 0 && cpu != smp_processor_id())
		compat_send_ipi(cpu, POSTED_INTR_VECTOR);
	return true;
}

/*
 * What was posted, into IRR, of which two words take what one of the descriptor holds. ON first, so that whoever
 * posts later sets it again. Return: the highest vector of it, 0 none.
 */
static unsigned int take_posted(struct vmx_vcpu *vmx, void *regs)
{
	atomic_t *irr = regs + APIC_IRR;
	unsigned int highest = 0;
	u64 bits;
	int i;

	clear_bit(POSTED_ON, (unsigned long *)&vmx->pi.control);
	smp_mb__after_atomic();
	for (i = 0; i < 4; i++, irr += 8) {
		if (!READ_ONCE(vmx->pi.pir[i]))
			continue;
		bits = xchg(&vmx->pi.pir[i], 0);
		if (lower_32_bits(bits))
			atomic_or(lower_32_bits(bits), irr);
		if (upper_32_bits(bits))
			atomic_or(upper_32_bits(bits), irr + 4);
		if (bits)
			highest = i * 64 + __fls(bits);
	}
	return highest;
}

/*
 * SDM, "Guest Interrupt Status": RVI low, SVI high. Only an entry needs them, and asks here when it
 * has said that it is one. Context: vCPU loaded, interrupts may be off.
 */
int vmx_posted_sync(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u16 status;
	int irr;

	if (caps.posted && desc_on(&vmx->pi)) {
		take_posted(vmx, vcpu->irq.lapic->regs);
		if (!vcpu->irq.apicv)		/* hardware does not know that we switched it off */
			vcpu_request(vcpu, REQ_EVENT);
	}
	irr = lapic_highest_irr(vcpu->irq.lapic);
	if (!vcpu->irq.apicv || READ_ONCE(vcpu->mode) == VCPU_OUTSIDE)
		return irr;
	vcpu->irq.rvi_behind = false;
	status = vmcs_read16(GUEST_INTR_STATUS);
	if ((status & 0xff) != max(irr, 0))
		vmcs_write16(GUEST_INTR_STATUS, (status & 0xff00) | max(irr, 0));
	return irr;
}

#define WAIT_TICKS	4096	/* about what two exits to userspace take: host interrupts wait as long */

/*
 * Where nothing is in service and TPR is 0, whatever comes is delivered. Who posts has seen a vCPU in the guest and
 * notifies it, but that may come when the guest is already past HLT: what was posted is taken over here.
 */
bool vmx_posted_wait(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	unsigned int vector;
	u64 now, end;

	if (!caps.posted || lapic_reg(vcpu->irq.lapic, APIC_PROCPRI))
		return false;
	if (vmcs_read16(GUEST_INTR_STATUS) & 0xf0)
		return true;
	vmx_regs_flush(vcpu, vcpu->regs.dirty);		/* while there is time */
	vcpu->regs.dirty = 0;
	now = rdtsc();
	for (end = now + WAIT_TICKS; !desc_on(&vmx->pi); now = rdtsc()) {
		if (unlikely(now >= vmx->timer_tsc)) {
			lapic_timer_serve(vcpu);
			return vcpu->irq.rvi_behind;
		}
		if (stay_unwanted(vcpu) || now >= end)
			return false;
		cpu_relax();
	}
	vector = take_posted(vmx, vcpu->irq.lapic->regs);
	if (vector)		/* no other is in service, or waits */
		vmcs_write16(GUEST_INTR_STATUS, vector);
	return vector >= 16;
}

/* Mode, in-service register or EOI-exit bitmap changed. Context: vCPU loaded. */
void vmx_posted_update(struct vcpu *vcpu)
{
	const u64 *eoi = vcpu->irq.eoi_exit;
	bool active = vcpu->irq.apicv;
	int isr;

	vmx_msr_x2apic(vcpu, active && lapic_mode(vcpu) == LAPIC_X2APIC);
	vmcs_controls(vcpu);
	if (!active)
		return;
	isr = max(lapic_highest_isr(vcpu->irq.lapic), 0);
	vmcs_write16(GUEST_INTR_STATUS, isr << 8 | max(lapic_highest_irr(vcpu->irq.lapic), 0));
	vmcs_write64(EOI_EXIT_BITMAP0, eoi[0]);
	vmcs_write64(EOI_EXIT_BITMAP1, eoi[1]);
	vmcs_write64(EOI_EXIT_BITMAP2, eoi[2]);
	vmcs_write64(EOI_EXIT_BITMAP3, eoi[3]);
}
