// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's state. Registers live in one page laid out as the MMIO page, which hardware
 * with APIC virtualization uses directly; IRR and TMR are set by any CPU, everything else by the
 * vCPU's own thread.
 */
#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "irq/ioapic.h"
#include "irq/lapic_timer.h"
#include "irq/mp_state.h"

#define LAPIC_VERSION	0x50014		/* six LVT entries */
#define LVT_FIRST	APIC_LVTT
#define LVT_LAST	APIC_LVTERR

/* Writable bits of the LVT entries, in register order from LVTT. */
static const u32 lvt_writable[] = { 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

static unsigned long *vector_word(struct lapic *lapic, unsigned int base, u8 vector)
{
	return (unsigned long *)(lapic->regs + base + (vector >> 5) * 0x10);
}

static bool vector_test(struct lapic *lapic, unsigned int base, u8 vector)
{
	return lapic_reg(lapic, base + (vector >> 5) * 0x10) & BIT(vector & 31);
}

static void vector_set(struct lapic *lapic, unsigned int base, u8 vector)
{
	set_bit(vector & 31, vector_word(lapic, base, vector));
}

static void vector_clear(struct lapic *lapic, unsigned int base, u8 vector)
{
	clear_bit(vector & 31, vector_word(lapic, base, vector));
}

static int vector_highest(struct lapic *lapic, unsigned int base)
{
	int word;

	for (word = 7; word >= 0; word--) {
		u32 bits = lapic_reg(lapic, base + word * 0x10);

		if (bits)
			return word * 32 + fls(bits) - 1;
	}
	return -1;
}

enum lapic_mode lapic_mode(struct vcpu *vcpu)
{
	u64 base = READ_ONCE(vcpu->irq.apic_base);

	if (!(base & MSR_IA32_APICBASE_ENABLE))
		return LAPIC_DISABLED;
	return base & X2APIC_ENABLE ? LAPIC_X2APIC : LAPIC_XAPIC;
}

/* Priorities */

int lapic_highest_isr(struct lapic *lapic)
{
	return vector_highest(lapic, APIC_ISR);
}

int lapic_highest_irr(struct lapic *lapic)
{
	return vector_highest(lapic, APIC_IRR);
}

/* Whether or not APICv is on: a post may still come in while it is being switched off. */
void lapic_collect(struct lapic *lapic)
{
	if (caps.apicv)
		backend.apicv_sync(lapic->vcpu);
}

u32 lapic_ppr(struct lapic *lapic)
{
	u32 tpr = lapic_reg(lapic, APIC_TASKPRI) & APIC_TPRI_MASK;
	int isr = lapic_highest_isr(lapic);
	u32 isr_class = isr < 0 ? 0 : isr & 0xf0;

	return (tpr & 0xf0) >= isr_class ? tpr : isr_class;
}

int lapic_highest_irq(struct lapic *lapic)
{
	int vector;

	if (!lapic_sw_enabled(lapic))
		return -1;
	lapic_collect(lapic);
	vector = lapic_highest_irr(lapic);
	return vector >= 0 && (vector & 0xf0) > (lapic_ppr(lapic) & 0xf0) ? vector : -1;
}

static void look_for_events(struct lapic *lapic)
{
	if (lapic_highest_irq(lapic) >= 0)
		vcpu_request(lapic->vcpu, REQ_EVENT);
}

int lapic_ack(struct lapic *lapic)
{
	int vector = lapic_highest_irq(lapic);

	if (vector < 0)
		return -1;
	vector_clear(lapic, APIC_IRR, vector);
	vector_set(lapic, APIC_ISR, vector);
	return vector;
}

static void eoi_broadcast(struct lapic *lapic, u8 vector)
{
	struct vcpu *vcpu = lapic->vcpu;

	if (!test_bit(vector, (unsigned long *)vcpu->irq.eoi_exit))
		return;
	if (vcpu->vm->irq.mode == IRQCHIP_KERNEL) {
		ioapic_eoi(vcpu, vector, vector_test(lapic, APIC_TMR, vector));
	} else if (!(lapic_reg(lapic, APIC_SPIV) & APIC_SPIV_DIRECTED_EOI)) {
		vcpu->irq.eoi_vector = vector;
		vcpu_request(vcpu, REQ_IOAPIC_EOI);
	}
}

void lapic_eoi(struct lapic *lapic)
{
	int vector = lapic_highest_isr(lapic);

	if (vector < 0)
		return;		/* after a spurious interrupt */
	vector_clear(lapic, APIC_ISR, vector);
	if (lapic->vcpu->irq.apicv)
		backend.apicv_update(lapic->vcpu);
	eoi_broadcast(lapic, vector);
	look_for_events(lapic);
}

void lapic_eoi_vector(struct lapic *lapic, u8 vector)
{
	eoi_broadcast(lapic, vector);
}

bool lapic_accepts_extint(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	u32 lvt0;

	if (!lapic)
		return true;
	if (lapic_mode(vcpu) == LAPIC_DISABLED)
		return true;	/* LINT0 is the processor's INTR pin then */
	lvt0 = lapic_reg(lapic, APIC_LVT0);
	return !(lvt0 & APIC_LVT_MASKED) && GET_APIC_DELIVERY_MODE(lvt0) == LAPIC_EXTINT;
}

int lapic_tpr_threshold(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	u32 tpr;
	int irr;

	if (!lapic || vcpu->irq.apicv)
		return 0;
	irr = vector_highest(lapic, APIC_IRR);
	tpr = lapic_reg(lapic, APIC_TASKPRI) & 0xf0;
	return irr < 0 || (irr & 0xf0) > tpr ? 0 : irr >> 4;
}

bool lapic_post(struct lapic *lapic, u8 vector, bool level)
{
	struct vcpu *vcpu = lapic->vcpu;
	bool fresh;

	if (level)
		vector_set(lapic, APIC_TMR, vector);
	else if (vector_test(lapic, APIC_TMR, vector))
		vector_clear(lapic, APIC_TMR, vector);
	/* On the CPU that has it loaded the vCPU is not in the guest: its page can be written. */
	if (READ_ONCE(vcpu->irq.apicv) && READ_ONCE(vcpu->cpu) != raw_smp_processor_id() &&
	    backend.apicv_post(vcpu, vector)) {
		smp_mb();	/* post before flag; pairs with irq_apicv_refresh() */
		if (!READ_ONCE(vcpu->irq.apicv))
			vcpu_request_kick(vcpu, REQ_EVENT);
		return true;
	}
	fresh = !test_and_set_bit(vector & 31, vector_word(lapic, APIC_IRR, vector));
	vcpu_request_kick(vcpu, REQ_EVENT);
	return fresh;
}

void lapic_report_error(struct lapic *lapic, unsigned int bit)
{
	u32 lvt = lapic_reg(lapic, APIC_LVTERR);

	if (test_and_set_bit(bit, &lapic->esr))
		return;
	/* An LVTERR with a bad vector of its own must not report that for ever. */
	if (!(lvt & APIC_LVT_MASKED) && (lvt & APIC_VECTOR_MASK) >= 16)
		lapic_post(lapic, lvt & APIC_VECTOR_MASK, false);
}

static void icr_store(struct lapic *lapic, u32 lo, u32 hi)
{
	lo &= ~(u32)APIC_ICR_BUSY;
	lapic_reg_set(lapic, APIC_ICR, lo);
	if (lapic_mode(lapic->vcpu) == LAPIC_X2APIC)
		lapic_reg_set(lapic, APIC_ICR + 4, hi);	/* where hardware looks for it */
	lapic_reg_set(lapic, APIC_ICR2, hi);
}

static void icr_send(struct lapic *lapic, u32 lo, u32 hi)
{
	struct lapic_irq irq = {
		.dest_id = lapic_mode(lapic->vcpu) == LAPIC_X2APIC ? hi : hi >> 24,
		.vector = lo & APIC_VECTOR_MASK,
		.delivery_mode = GET_APIC_DELIVERY_MODE(lo),
		.dest_mode = !!(lo & APIC_DEST_LOGICAL),
		.level = !!(lo & APIC_INT_ASSERT),
		.trig_mode = !!(lo & APIC_INT_LEVELTRIG),
		.shorthand = (lo >> 18) & 3,
		.src = lapic->vcpu,
	};
	bool fixed = irq.delivery_mode == LAPIC_FIXED || irq.delivery_mode == LAPIC_LOWEST;

	if (fixed && irq.vector < 16) {
		lapic_report_error(lapic, ilog2(APIC_ESR_SENDILL));
		return;
	}
	if (fixed)		/* IPIs are edge-triggered whatever ICR says */
		irq.trig_mode = 0;
	lapic_deliver(lapic->vcpu->vm, &irq);
}

/* Registers */

static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | BIT(id & 15);
}

static void set_ids(struct lapic *lapic)
{
	u32 id = lapic->vcpu->id;

	if (lapic_mode(lapic->vcpu) == LAPIC_X2APIC) {
		lapic_reg_set(lapic, APIC_ID, id);
		lapic_reg_set(lapic, APIC_LDR, x2apic_ldr(id));
	} else {
		lapic_reg_set(lapic, APIC_ID, id << 24);
	}
}

/*
 * Directed EOI is only worth offering when the IOAPIC, which must have an EOI register, is
 * userspace's.
 */
static void set_version(struct lapic *lapic)
{
	u32 version = LAPIC_VERSION;

	if (lapic->vcpu->vm->irq.mode == IRQCHIP_SPLIT && guest_has(lapic->vcpu, GUEST_X2APIC))
		version |= APIC_LVR_DIRECTED_EOI;
	lapic_reg_set(lapic, APIC_LVR, version);
}

void lapic_cpuid_changed(struct vcpu *vcpu)
{
	if (vcpu->irq.lapic)
		set_version(vcpu->irq.lapic);
}

static void mask_lvts(struct lapic *lapic)
{
	unsigned int lvt;

	for (lvt = LVT_FIRST; lvt <= LVT_LAST; lvt += 0x10)
		lapic_reg_set(lapic, lvt, lapic_reg(lapic, lvt) | APIC_LVT_MASKED);
}

static void spiv_write(struct lapic *lapic, u32 val)
{
	u32 allowed = 0x3ff;

	if (lapic_reg(lapic, APIC_LVR) & APIC_LVR_DIRECTED_EOI)
		allowed |= APIC_SPIV_DIRECTED_EOI;
	lapic_reg_set(lapic, APIC_SPIV, val & allowed);
	if (!lapic_sw_enabled(lapic))
		mask_lvts(lapic);
	else
		vcpu_request(lapic->vcpu, REQ_EVENT);
}

static void lvt_write(struct lapic *lapic, unsigned int lvt, u32 val)
{
	val &= lvt_writable[(lvt - LVT_FIRST) >> 4];
	if (!lapic_sw_enabled(lapic))
		val |= APIC_LVT_MASKED;
	lapic_reg_set(lapic, lvt, val);
	if (lvt == APIC_LVTT)
		lapic_timer_lvt_write(lapic);
	else if (lvt == APIC_LVT0)
		vcpu_request(lapic->vcpu, REQ_EVENT);	/* the PIC may have been waiting */
}

/* What exists in xAPIC mode only, or not there. */
static bool mode_forbids(struct lapic *lapic, unsigned int offset)
{
	bool x2apic = lapic_mode(lapic->vcpu) == LAPIC_X2APIC;

	switch (offset) {
	case APIC_ARBPRI:
	case APIC_RRR:
	case APIC_DFR:
	case APIC_ICR2:
		return x2apic;
	case APIC_SELF_IPI:
		return !x2apic;
	default:
		return false;
	}
}

/*
 * Registers whose write has an effect, after decoding. APIC-write exits come here too, with the
 * value already in the page. Return: 0, or -EINVAL: no such register, or read-only.
 */
int lapic_write(struct lapic *lapic, unsigned int offset, u32 val)
{
	if (mode_forbids(lapic, offset))
		return -EINVAL;
	switch (offset) {
	case APIC_ID:
	case APIC_LDR:
		if (lapic_mode(lapic->vcpu) == LAPIC_X2APIC)
			return -EINVAL;
		if (offset == APIC_ID) {
			set_ids(lapic);		/* fixed: a write is undone, not refused */
			return 0;
		}
		lapic_reg_set(lapic, APIC_LDR, val & APIC_LDR_MASK);
		lapic_map_update(lapic->vcpu->vm);
		return 0;
	case APIC_DFR:
		lapic_reg_set(lapic, APIC_DFR, val | APIC_DFR_CLUSTER);
		lapic_map_update(lapic->vcpu->vm);
		return 0;
	case APIC_TASKPRI:
		lapic_reg_set(lapic, APIC_TASKPRI, val & APIC_TPRI_MASK);
		look_for_events(lapic);
		return 0;
	case APIC_EOI:
		lapic_eoi(lapic);
		return 0;
	case APIC_SPIV:
		spiv_write(lapic, val);
		return 0;
	case APIC_ESR:
		lapic_reg_set(lapic, APIC_ESR, xchg(&lapic->esr, 0));
		return 0;
	case APIC_ICR:
		icr_store(lapic, val, lapic_reg(lapic, APIC_ICR2));
		icr_send(lapic, val, lapic_reg(lapic, APIC_ICR2));
		return 0;
	case APIC_ICR2:
		lapic_reg_set(lapic, APIC_ICR2, val & 0xff000000);
		return 0;
	case LVT_FIRST ... LVT_LAST:
		lvt_write(lapic, offset, val);
		return 0;
	case APIC_TMICT:
		lapic_timer_count_write(lapic, val);
		return 0;
	case APIC_TDCR:
		lapic_timer_divide_write(lapic, val);
		return 0;
	case APIC_SELF_IPI:
		icr_send(lapic, APIC_DEST_SELF | (val & APIC_VECTOR_MASK), 0);
		return 0;
	default:
		return -EINVAL;
	}
}

int lapic_read(struct lapic *lapic, unsigned int offset, u32 *val)
{
	bool x2apic = lapic_mode(lapic->vcpu) == LAPIC_X2APIC;

	if (mode_forbids(lapic, offset))
		return -EINVAL;
	switch (offset) {
	case APIC_PROCPRI:
		*val = lapic_ppr(lapic);
		return 0;
	case APIC_TMCCT:
		*val = lapic_timer_count(lapic);
		return 0;
	case APIC_EOI:
		*val = 0;
		return x2apic ? -EINVAL : 0;
	case APIC_IRR ... APIC_IRR + 0x70:
		lapic_collect(lapic);
		fallthrough;
	case APIC_ID:
	case APIC_LVR:
	case APIC_TASKPRI:
	case APIC_ARBPRI:
	case APIC_RRR:
	case APIC_LDR:
	case APIC_DFR:
	case APIC_SPIV:
	case APIC_ISR ... APIC_ISR + 0x70:
	case APIC_TMR ... APIC_TMR + 0x70:
	case APIC_ESR:
	case APIC_ICR:
	case APIC_ICR2:
	case LVT_FIRST ... LVT_LAST:
	case APIC_TMICT:
	case APIC_TDCR:
		*val = lapic_reg(lapic, offset);
		return 0;
	default:
		*val = 0;
		return -EINVAL;
	}
}

/* The sleeping part of EOI and TPR: what the guest left in its own memory instead of telling us. */

/* Without APICv. Nothing to offer is the usual case and must cost nothing. */
void lapic_sync_enter(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	int isr, irr;

	if (!lapic || vcpu->irq.apicv || !(pv_eoi_enabled(vcpu) || lapic->vapic_gpa))
		return;
	isr = lapic_highest_isr(lapic);
	irr = lapic_highest_irr(lapic);
	/* With another interrupt waiting the EOI must exit, else nobody would deliver that one. */
	if (pv_eoi_enabled(vcpu) && isr >= 0 && irr < 0 &&
	    !test_bit(isr, (unsigned long *)vcpu->irq.eoi_exit))
		lapic->synced = pv_eoi_set(vcpu);
	if (lapic->vapic_gpa) {
		u32 page = (lapic_reg(lapic, APIC_TASKPRI) & 0xff) |
			   (isr < 0 ? 0 : (isr & 0xf0) << 8) | (irr < 0 ? 0 : (u32)irr << 24);

		lapic->synced |= !guest_write(vcpu->vm, lapic->vapic_gpa, &page, sizeof(page));
	}
}

void lapic_sync_exit(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	u32 page;

	if (!lapic || !lapic->synced)
		return;
	lapic->synced = false;
	if (lapic->vapic_gpa && !guest_read(vcpu->vm, lapic->vapic_gpa, &page, sizeof(page)))
		lapic_reg_set(lapic, APIC_TASKPRI, page & 0xff);
	if (pv_eoi_pending(vcpu) && pv_eoi_take(vcpu))
		lapic_eoi(lapic);
	look_for_events(lapic);
}

/* Access by address and by MSR */

static bool in_page(struct vcpu *vcpu, gpa_t gpa)
{
	return vcpu->irq.lapic && (gpa & PAGE_MASK) == (vcpu->irq.apic_base & PAGE_MASK);
}

/* Outside xAPIC mode the page is a hole, which by an old habit still swallows accesses. */
static bool is_hole(struct vcpu *vcpu)
{
	return lapic_mode(vcpu) != LAPIC_XAPIC;
}

static bool hole_answers(struct vcpu *vcpu)
{
	return !(vcpu->vm->arch.quirks_off & KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
}

static void report_tpr(struct vcpu *vcpu, unsigned int offset, bool write)
{
	if (offset != APIC_TASKPRI || !vcpu->irq.tpr_report)
		return;
	vcpu->irq.tpr_write = write;
	vcpu->irq.tpr_rip = rip_get(vcpu);
	vcpu_request(vcpu, REQ_TPR_REPORT);
}

int lapic_mmio_read(struct vcpu *vcpu, gpa_t gpa, int len, void *val)
{
	unsigned int offset = gpa & ~PAGE_MASK;
	unsigned int byte = offset & 0xf;
	u32 reg = 0;

	if (!in_page(vcpu, gpa))
		return -EOPNOTSUPP;
	if (is_hole(vcpu)) {
		if (!hole_answers(vcpu))
			return -EOPNOTSUPP;
		memset(val, 0xff, len);
		return 0;
	}
	lapic_sync_exit(vcpu);
	report_tpr(vcpu, offset & ~0xf, false);
	memset(val, 0, len);
	if (byte + len > sizeof(reg))
		return 0;
	if (lapic_read(vcpu->irq.lapic, offset & ~0xf, &reg))
		lapic_report_error(vcpu->irq.lapic, ilog2(APIC_ESR_ILLREGA));
	memcpy(val, (u8 *)&reg + byte, len);
	return 0;
}

int lapic_mmio_write(struct vcpu *vcpu, gpa_t gpa, int len, const void *val)
{
	unsigned int offset = gpa & ~PAGE_MASK;
	u32 reg;

	if (!in_page(vcpu, gpa))
		return -EOPNOTSUPP;
	if (is_hole(vcpu))
		return hole_answers(vcpu) ? 0 : -EOPNOTSUPP;
	lapic_sync_exit(vcpu);
	if (len != sizeof(reg) || (offset & 0xf))
		return 0;	/* undefined by the SDM; nothing happens */
	memcpy(&reg, val, sizeof(reg));
	report_tpr(vcpu, offset, true);
	if (lapic_write(vcpu->irq.lapic, offset, reg))
		lapic_report_error(vcpu->irq.lapic, ilog2(APIC_ESR_ILLREGA));
	return 0;
}

int lapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *val)
{
	struct lapic *lapic = vcpu->irq.lapic;
	unsigned int offset = (msr & 0xff) << 4;
	u32 reg;

	if (!lapic || lapic_mode(vcpu) != LAPIC_X2APIC || offset == APIC_SELF_IPI)
		return -EINVAL;
	lapic_sync_exit(vcpu);
	if (lapic_read(lapic, offset, &reg))
		return -EINVAL;
	*val = reg;
	if (offset == APIC_ICR)
		*val |= (u64)lapic_reg(lapic, APIC_ICR2) << 32;
	return 0;
}

static void x2apic_icr_write(struct lapic *lapic, u64 val)
{
	icr_store(lapic, val, val >> 32);
	icr_send(lapic, val, val >> 32);
}

int lapic_msr_write(struct vcpu *vcpu, u32 msr, u64 val)
{
	struct lapic *lapic = vcpu->irq.lapic;
	unsigned int offset = (msr & 0xff) << 4;

	if (!lapic || lapic_mode(vcpu) != LAPIC_X2APIC)
		return -EINVAL;
	lapic_sync_exit(vcpu);
	if (offset == APIC_ICR) {
		x2apic_icr_write(lapic, val);
		return 0;
	}
	if (val >> 32)
		return -EINVAL;
	if ((offset == APIC_EOI || offset == APIC_ESR) && val)
		return -EINVAL;
	if ((offset == APIC_SELF_IPI || offset == APIC_TASKPRI) && val > 0xff)
		return -EINVAL;
	return lapic_write(lapic, offset, val);
}

static struct lapic *fast_lapic(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	return lapic && lapic_mode(vcpu) == LAPIC_X2APIC && !lapic->synced ? lapic : NULL;
}

bool lapic_icr_fast(struct vcpu *vcpu, u64 val)
{
	struct lapic *lapic = fast_lapic(vcpu);

	if (!lapic)
		return false;
	x2apic_icr_write(lapic, val);
	return true;
}

bool lapic_eoi_fast(struct vcpu *vcpu)
{
	struct lapic *lapic = fast_lapic(vcpu);
	int isr;

	if (!lapic)
		return false;
	isr = lapic_highest_isr(lapic);
	if (isr >= 0 && test_bit(isr, (unsigned long *)vcpu->irq.eoi_exit))
		return false;
	lapic_eoi(lapic);
	return true;
}

bool lapic_self_ipi_fast(struct vcpu *vcpu, u64 val)
{
	struct lapic *lapic = fast_lapic(vcpu);

	if (!lapic || val > 0xff)
		return false;
	return !lapic_write(lapic, APIC_SELF_IPI, val);
}

u64 lapic_cr8_get(struct vcpu *vcpu)
{
	if (!vcpu->irq.lapic)
		return vcpu->regs.cr8;
	lapic_sync_exit(vcpu);
	return (lapic_reg(vcpu->irq.lapic, APIC_TASKPRI) & 0xf0) >> 4;
}

void lapic_cr8_set(struct vcpu *vcpu, u64 cr8)
{
	if (!vcpu->irq.lapic) {
		vcpu->regs.cr8 = cr8;
		return;
	}
	lapic_sync_exit(vcpu);
	lapic_write(vcpu->irq.lapic, APIC_TASKPRI, (cr8 & 0xf) << 4);
}

u64 lapic_base_get(struct vcpu *vcpu)
{
	return vcpu->irq.apic_base;
}

static bool base_valid(struct vcpu *vcpu, u64 val, bool host)
{
	u64 mode = val & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
	u64 reserved = ~0ull << vcpu->arch.maxphyaddr | 0x2ff;

	if (!guest_has(vcpu, GUEST_X2APIC))
		reserved |= X2APIC_ENABLE;
	if ((val & reserved) || mode == X2APIC_ENABLE)
		return false;
	if (host)
		return true;
	/* x2APIC mode is entered from xAPIC mode and left only by disabling. */
	switch (lapic_mode(vcpu)) {
	case LAPIC_X2APIC:
		return mode != MSR_IA32_APICBASE_ENABLE;
	case LAPIC_DISABLED:
		return !(mode & X2APIC_ENABLE);
	default:
		return true;
	}
}

int lapic_base_set(struct vcpu *vcpu, u64 val, bool host)
{
	struct lapic *lapic = vcpu->irq.lapic;
	u64 old = vcpu->irq.apic_base;

	if (!base_valid(vcpu, val, host))
		return -EINVAL;
	WRITE_ONCE(vcpu->irq.apic_base, val);
	if ((old ^ val) & MSR_IA32_APICBASE_ENABLE)
		cpuid_refresh(vcpu);
	if (!lapic || old == val)
		return 0;
	if ((old ^ val) & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE)) {
		set_ids(lapic);
		lapic_map_update(vcpu->vm);
		vcpu_request(vcpu, REQ_EVENT);
	}
	vcpu_request(vcpu, REQ_APICV);
	return 0;
}

/* Life */

void lapic_reset(struct vcpu *vcpu, bool init)
{
	struct lapic *lapic = vcpu->irq.lapic;
	bool bsp = vcpu->id == vcpu->vm->bsp_id;
	unsigned int reg;

	if (!init) {
		vcpu->irq.apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE;
		if (bsp)
			vcpu->irq.apic_base |= MSR_IA32_APICBASE_BSP;
	}
	if (!lapic)
		return;
	lapic_timer_reset(lapic);
	lapic_collect(lapic);		/* what was posted is void */
	for (reg = 0; reg < PAGE_SIZE; reg += 4)
		lapic_reg_set(lapic, reg, 0);
	lapic->esr = 0;
	lapic->synced = false;
	pv_eoi_clear(vcpu);
	set_version(lapic);
	set_ids(lapic);
	lapic_reg_set(lapic, APIC_SPIV, 0xff);
	if (lapic_mode(vcpu) != LAPIC_X2APIC)
		lapic_reg_set(lapic, APIC_DFR, APIC_DFR_FLAT);
	mask_lvts(lapic);
	/* Firmware that never sets up its LAPIC expects the PIC to reach the boot processor. */
	if (bsp && !(vcpu->vm->arch.quirks_off & KVM_X86_QUIRK_LINT0_REENABLED))
		lapic_reg_set(lapic, APIC_LVT0, LAPIC_EXTINT << 8);
	lapic_map_update(vcpu->vm);
	vcpu_request(vcpu, REQ_APICV);
	vcpu_request(vcpu, REQ_EVENT);
}

int lapic_create(struct vcpu *vcpu)
{
	struct lapic *lapic = kzalloc(sizeof(*lapic), GFP_KERNEL_ACCOUNT);

	if (!lapic)
		return -ENOMEM;
	lapic->regs = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!lapic->regs) {
		kfree(lapic);
		return -ENOMEM;
	}
	lapic->vcpu = vcpu;
	lapic_timer_init(lapic);
	vcpu->irq.lapic = lapic;
	return 0;
}

void lapic_destroy(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	if (!lapic)
		return;
	lapic_timer_destroy(lapic);
	vcpu->irq.lapic = NULL;
	free_page((unsigned long)lapic->regs);
	kfree(lapic);
}

/* Userspace */

int lapic_to_user(struct vcpu *vcpu, struct kvm_lapic_state *state)
{
	struct lapic *lapic = vcpu->irq.lapic;
	u32 *id = (u32 *)(state->regs + APIC_ID);

	if (!lapic)
		return -EINVAL;
	lapic_sync_exit(vcpu);
	lapic_collect(lapic);
	set_version(lapic);
	lapic_reg_set(lapic, APIC_PROCPRI, lapic_ppr(lapic));
	memcpy(state->regs, lapic->regs, sizeof(state->regs));
	*(u32 *)(state->regs + APIC_TMCCT) = lapic_timer_count(lapic);
	*(u32 *)(state->regs + APIC_ICR + 4) = 0;
	if (lapic_mode(vcpu) == LAPIC_X2APIC && !vcpu->vm->irq.x2apic_32bit_ids)
		*id <<= 24;
	return 0;
}

static bool id_matches(struct vcpu *vcpu, u32 id)
{
	if (lapic_mode(vcpu) == LAPIC_X2APIC && vcpu->vm->irq.x2apic_32bit_ids)
		return id == vcpu->id;
	return id >> 24 == (u8)vcpu->id;
}

int lapic_from_user(struct vcpu *vcpu, const struct kvm_lapic_state *state)
{
	struct lapic *lapic = vcpu->irq.lapic;

	if (!lapic || !id_matches(vcpu, *(u32 *)(state->regs + APIC_ID)))
		return -EINVAL;
	lapic_sync_exit(vcpu);
	lapic_collect(lapic);		/* what was posted is void */
	lapic_timer_reset(lapic);
	memcpy(lapic->regs, state->regs, sizeof(state->regs));
	set_version(lapic);
	set_ids(lapic);
	if (lapic_mode(vcpu) != LAPIC_X2APIC)
		lapic_reg_set(lapic, APIC_LDR, *(u32 *)(state->regs + APIC_LDR) & APIC_LDR_MASK);
	icr_store(lapic, lapic_reg(lapic, APIC_ICR), lapic_reg(lapic, APIC_ICR2));
	lapic->esr = 0;
	lapic_map_update(vcpu->vm);
	lapic_timer_restore(lapic, *(u32 *)(state->regs + APIC_TMCCT));
	if (vcpu->irq.apicv)
		backend.apicv_update(vcpu);
	vcpu_request(vcpu, REQ_EOI_BITMAP);
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

int lapic_vapic_set(struct vcpu *vcpu, u64 gpa)
{
	if (!vcpu->irq.lapic)
		return -EINVAL;
	lapic_sync_exit(vcpu);
	vcpu->irq.lapic->vapic_gpa = gpa;
	return 0;
}

int lapic_tpr_report_set(struct vcpu *vcpu, bool on)
{
	if (!vcpu->irq.lapic)
		return -EINVAL;
	vcpu->irq.tpr_report = on;
	return 0;
}
