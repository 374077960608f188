// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's state. Registers live in one page laid out as the MMIO page, which hardware
 * with APIC virtualization uses directly; IRR and TMR are set by any CPU, everything else by the
 * vCPU's own thread.
 */
#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/smp.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "irq/ioapic.h"
#include "irq/lapic_timer.h"
#include "irq/mp_state.h"

#define LAPIC_VERSION	0x14
#define LVT_ENTRIES	6		/* and one more with CMCI */
#define LVT_FIRST	APIC_LVTT
#define LVT_LAST	APIC_LVTERR

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

static u64 pair(const u32 *word)
{
	return (u64)READ_ONCE(word[4]) << 32 | READ_ONCE(word[0]);
}

static u32 any_of_four(const u32 *word)
{
	return READ_ONCE(word[0]) | READ_ONCE(word[4]) | READ_ONCE(word[8]) | READ_ONCE(word[12]);
}

/* Most often all eight are zero: four words are one question. */
int lapic_highest(const struct lapic *lapic, unsigned int base)
{
	const u32 *word = (const u32 *)(lapic->regs + base);
	int first = 128;
	u64 bits;

	if (!any_of_four(word + 16)) {
		if (!any_of_four(word))
			return -1;
		first = 0;
	}
	word += first / 8;
	bits = pair(word + 8);
	if (bits)
		return first + 64 + __fls(bits);
	bits = pair(word);
	return bits ? first + (int)__fls(bits) : -1;
}

/* Any CPU. What the flag speaks of is there before it. */
static bool irr_set(struct lapic *lapic, u8 vector)
{
	bool fresh = !test_and_set_bit(vector & 31, vector_word(lapic, APIC_IRR, vector));

	WRITE_ONCE(lapic->irr_any, true);
	return fresh;
}

/* The flag first: who sets a bit that the look behind has missed sets the flag after that. */
static void irr_clear(struct lapic *lapic, u8 vector)
{
	WRITE_ONCE(lapic->irr_any, caps.apicv);
	vector_clear(lapic, APIC_IRR, vector);	/* a full barrier */
	if (lapic_highest(lapic, APIC_IRR) >= 0)
		WRITE_ONCE(lapic->irr_any, true);
}

/* ISR is the vCPU's thread's own, but for hardware's. */
static u32 *isr_word(struct lapic *lapic, u8 vector)
{
	return (u32 *)(lapic->regs + APIC_ISR + (vector >> 5) * 0x10);
}

static void isr_set(struct lapic *lapic, u8 vector)
{
	*isr_word(lapic, vector) |= BIT(vector & 31);
	lapic->isr_top = vector;
	lapic->isr_count++;
}

/* Mostly it was the only one. */
static void isr_clear(struct lapic *lapic, u8 vector)
{
	*isr_word(lapic, vector) &= ~BIT(vector & 31);
	lapic->isr_top = --lapic->isr_count ? lapic_highest(lapic, APIC_ISR) : -1;
}

/* The page has been written as a whole. */
static void vectors_changed(struct lapic *lapic)
{
	int word;

	WRITE_ONCE(lapic->irr_any, true);
	lapic->isr_top = lapic_highest(lapic, APIC_ISR);
	lapic->isr_count = 0;
	for (word = 0; word < 8; word++)
		lapic->isr_count += hweight32(lapic_reg(lapic, APIC_ISR + word * 0x10));
}

/* Priorities */

/* Whether or not APICv is on: a post may still come in while it is being switched off. */
void lapic_collect(struct lapic *lapic)
{
	if (caps.apicv)
		backend_call(apicv_sync)(lapic->vcpu);
}

static u32 lapic_ppr(struct lapic *lapic)
{
	u32 tpr = lapic_reg(lapic, APIC_TASKPRI) & APIC_TPRI_MASK;
	int isr = lapic_highest_isr(lapic);
	u32 isr_class = isr < 0 ? 0 : isr & 0xf0;

	return (tpr & 0xf0) >= isr_class ? tpr : isr_class;
}

static __always_inline int highest_irq(struct lapic *lapic)
{
	int vector = caps.apicv ? backend_call(apicv_sync)(lapic->vcpu) : lapic_highest_irr(lapic);

	if (vector < 0 || !lapic_sw_enabled(lapic))
		return -1;
	return (vector & 0xf0) > (lapic_ppr(lapic) & 0xf0) ? vector : -1;
}

int lapic_highest_irq(struct lapic *lapic)
{
	return highest_irq(lapic);
}

static void look_for_events(struct lapic *lapic)
{
	if (READ_ONCE(lapic->irr_any) && lapic_highest_irq(lapic) >= 0)
		vcpu_request(lapic->vcpu, REQ_EVENT);
}

int lapic_ack(struct lapic *lapic)
{
	int vector = highest_irq(lapic);

	if (vector < 0)
		return -1;
	irr_clear(lapic, vector);
	isr_set(lapic, vector);
	return vector;
}

/* The ISR bit is already clear. */
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

/* @vector: the highest in service, or -1 after a spurious interrupt */
static __always_inline void eoi(struct lapic *lapic, int vector)
{
	if (vector < 0)
		return;
	isr_clear(lapic, vector);
	if (lapic->vcpu->irq.apicv)
		backend.apicv_update(lapic->vcpu);
	eoi_broadcast(lapic, vector);
	look_for_events(lapic);
}

void lapic_eoi(struct lapic *lapic)
{
	eoi(lapic, lapic_highest_isr(lapic));
}

int apic_eoi_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	if (vcpu->irq.lapic)
		eoi_broadcast(vcpu->irq.lapic, exit->eoi.vector);
	return RESUME;
}

bool lapic_accepts_extint(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	u32 lvt0;

	if (!lapic || lapic_mode(vcpu) == LAPIC_DISABLED)
		return true;	/* LINT0 is the processor's INTR pin then */
	lvt0 = lapic_reg(lapic, APIC_LVT0);
	return !(lvt0 & APIC_LVT_MASKED) && GET_APIC_DELIVERY_MODE(lvt0) == LAPIC_EXTINT;
}

/*
 * In a stay in the guest on this CPU: then it is the vCPU's own thread that asks, which looks before the next entry.
 * Preemption off.
 */
static bool in_stay_here(const struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->mode) == VCPU_IN_GUEST && READ_ONCE(vcpu->cpu) == smp_processor_id();
}

static bool post_request(struct lapic *lapic, u8 vector)
{
	bool fresh = irr_set(lapic, vector);

	preempt_disable();
	vcpu_request(lapic->vcpu, REQ_EVENT);
	if (!in_stay_here(lapic->vcpu))
		vcpu_kick(lapic->vcpu);
	preempt_enable();
	return fresh;
}

/*
 * On the CPU that has it loaded the vCPU is not in the guest: its page can be written, and the next
 * entry delivers. That looks at the page first, but for those of one stay (run.c).
 */
static bool post_here(struct lapic *lapic, u8 vector)
{
	struct vcpu *vcpu = lapic->vcpu;
	bool fresh = irr_set(lapic, vector);

	if (READ_ONCE(vcpu->mode) == VCPU_IN_GUEST)
		vcpu->irq.rvi_behind = true;
	else
		vcpu_kick(vcpu);	/* it may be about to sleep */
	return fresh;
}

static bool post_elsewhere(struct lapic *lapic, u8 vector)
{
	struct vcpu *vcpu = lapic->vcpu;

	if (!backend_call(apicv_post)(vcpu, vector))
		return post_request(lapic, vector);
	smp_mb();	/* post before flag; pairs with irq_apicv_refresh() */
	if (!READ_ONCE(vcpu->irq.apicv))
		vcpu_request_kick(vcpu, REQ_EVENT);
	return true;
}

static noinline bool post_apicv(struct lapic *lapic, u8 vector)
{
	bool fresh;

	preempt_disable();	/* the vCPU's CPU is compared with ours */
	if (READ_ONCE(lapic->vcpu->cpu) == smp_processor_id())
		fresh = post_here(lapic, vector);
	else
		fresh = post_elsewhere(lapic, vector);
	preempt_enable();
	return fresh;
}

static __always_inline bool post(struct lapic *lapic, u8 vector, bool level)
{
	if (level)
		vector_set(lapic, APIC_TMR, vector);
	else if (vector_test(lapic, APIC_TMR, vector))
		vector_clear(lapic, APIC_TMR, vector);
	return READ_ONCE(lapic->vcpu->irq.apicv) ? post_apicv(lapic, vector) : post_request(lapic, vector);
}

bool lapic_post(struct lapic *lapic, u8 vector, bool level)
{
	return post(lapic, vector, level);
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

static noinline void icr_deliver(struct lapic *lapic, u32 lo, u32 dest_id)
{
	struct lapic_irq irq = lapic_irq_decode(lo);
	bool fixed = irq.delivery_mode == LAPIC_FIXED || irq.delivery_mode == LAPIC_LOWEST;

	irq.dest_id = dest_id;
	irq.dest_mode = !!(lo & APIC_DEST_LOGICAL);
	irq.level = !!(lo & APIC_INT_ASSERT);
	irq.shorthand = (lo >> 18) & 3;
	irq.src = lapic->vcpu;
	if (fixed && irq.vector < 16) {
		lapic_report_error(lapic, ilog2(APIC_ESR_SENDILL));
		return;
	}
	if (fixed)		/* IPIs are edge-triggered whatever ICR says */
		irq.trig_mode = 0;
	lapic_deliver(lapic->vcpu->vm, &irq);
}

/* Most are fixed and for one LAPIC, by its id. */
#define ICR_OTHER	(GENMASK(10, 8) | APIC_DEST_LOGICAL | GENMASK(19, 18)) /* mode, shorthand */

static void icr_send(struct lapic *lapic, u32 lo, u32 hi)
{
	u32 dest_id = lapic_mode(lapic->vcpu) == LAPIC_X2APIC ? hi : hi >> 24;
	struct lapic *one = NULL;

	if (!(lo & ICR_OTHER) && (lo & APIC_VECTOR_MASK) >= 16)
		one = lapic_map_one(lapic->vcpu->vm, dest_id);
	if (!one)
		icr_deliver(lapic, lo, dest_id);
	else if (lapic_sw_enabled(one))
		post(one, lo & APIC_VECTOR_MASK, false);
}

/* The interrupt first: who receives it need not wait for what only the sender can read. */
static void icr_write(struct lapic *lapic, u32 lo, u32 hi)
{
	icr_send(lapic, lo, hi);
	icr_store(lapic, lo, hi);
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
	u32 version = LAPIC_VERSION | (LVT_ENTRIES - 1 + mce_has_cmci(lapic->vcpu)) << 16;

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
	/* Whether the guest sees it or not: userspace may offer it later. */
	lapic_reg_set(lapic, APIC_LVTCMCI, lapic_reg(lapic, APIC_LVTCMCI) | APIC_LVT_MASKED);
}

/* In which mode a register can be read and written. */
enum {
	RX = BIT(0), WX = BIT(1),	/* xAPIC */
	R2 = BIT(2), W2 = BIT(3),	/* x2APIC */
	RS = RX | R2, RW = RS | WX | W2,
	STRICT = BIT(4),		/* x2APIC refuses other than the writable bits */
};

/* By offset / 16. */
static const struct {
	u8 access;
	u32 writable;
} registers[0x40] = {
	[APIC_ID >> 4]		= { RS | WX },	/* fixed: a write is undone, not refused */
	[APIC_LVR >> 4]		= { RS },
	[APIC_TASKPRI >> 4]	= { RW | STRICT, APIC_TPRI_MASK },
	[APIC_ARBPRI >> 4]	= { RX },
	[APIC_PROCPRI >> 4]	= { RS },
	[APIC_EOI >> 4]		= { RX | WX | W2 | STRICT },
	[APIC_RRR >> 4]		= { RX },
	[APIC_LDR >> 4]		= { RS | WX, APIC_LDR_MASK },
	[APIC_DFR >> 4]		= { RX | WX, ~(u32)APIC_DFR_CLUSTER },
	[APIC_SPIV >> 4]	= { RW, 0x3ff | APIC_SPIV_DIRECTED_EOI },
	[APIC_ISR >> 4 ... (APIC_ISR >> 4) + 7]	= { RS },
	[APIC_TMR >> 4 ... (APIC_TMR >> 4) + 7]	= { RS },
	[APIC_IRR >> 4 ... (APIC_IRR >> 4) + 7]	= { RS },
	[APIC_ESR >> 4]		= { RW | STRICT },
	[APIC_LVTCMCI >> 4]	= { RW, 0x107ff },
	[APIC_ICR >> 4]		= { RW, ~0u },
	[APIC_ICR2 >> 4]	= { RX | WX, 0xff000000 },
	[APIC_LVTT >> 4]	= { RW, 0x700ff },
	[APIC_LVTTHMR >> 4]	= { RW, 0x107ff },
	[APIC_LVTPC >> 4]	= { RW, 0x107ff },
	[APIC_LVT0 >> 4]	= { RW, 0x1a7ff },
	[APIC_LVT1 >> 4]	= { RW, 0x1a7ff },
	[APIC_LVTERR >> 4]	= { RW, 0x100ff },
	[APIC_TMICT >> 4]	= { RW, ~0u },
	[APIC_TMCCT >> 4]	= { RS },
	[APIC_TDCR >> 4]	= { RW, 0xb },
	[APIC_SELF_IPI >> 4]	= { W2 | STRICT, APIC_VECTOR_MASK },
};

/* Its index, or -EINVAL: no such register in this mode, or not to be read (written). */
static int register_find(struct lapic *lapic, unsigned int offset, unsigned int access)
{
	unsigned int index = array_index_nospec(offset >> 4, ARRAY_SIZE(registers));

	access &= lapic_mode(lapic->vcpu) == LAPIC_X2APIC ? R2 | W2 : RX | WX;
	if (offset == APIC_LVTCMCI && !mce_has_cmci(lapic->vcpu))
		return -EINVAL;
	return offset >> 4 == index && (registers[index].access & access) ? index : -EINVAL;
}

static void spiv_write(struct lapic *lapic, u32 val)
{
	if (!(lapic_reg(lapic, APIC_LVR) & APIC_LVR_DIRECTED_EOI))
		val &= ~APIC_SPIV_DIRECTED_EOI;
	lapic_reg_set(lapic, APIC_SPIV, val);
	if (!lapic_sw_enabled(lapic))
		mask_lvts(lapic);
	else
		vcpu_request(lapic->vcpu, REQ_EVENT);
}

static void lvt_write(struct lapic *lapic, unsigned int lvt, u32 val)
{
	if (!lapic_sw_enabled(lapic))
		val |= APIC_LVT_MASKED;
	lapic_reg_set(lapic, lvt, val);
	if (lvt == APIC_LVTT)
		lapic_timer_lvt_write(lapic);
	else if (lvt == APIC_LVT0)
		vcpu_request(lapic->vcpu, REQ_EVENT);	/* the PIC may have been waiting */
}

/* What a write of bits that can be written does. */
static void register_write(struct lapic *lapic, unsigned int offset, u32 val)
{
	switch (offset) {
	case APIC_ID:
		return set_ids(lapic);
	case APIC_EOI:
		return lapic_eoi(lapic);
	case APIC_SPIV:
		return spiv_write(lapic, val);
	case APIC_ICR:
		return icr_write(lapic, val, lapic_reg(lapic, APIC_ICR2));
	case APIC_LVTCMCI:
	case LVT_FIRST ... LVT_LAST:
		return lvt_write(lapic, offset, val);
	case APIC_TMICT:
		return lapic_timer_count_write(lapic, val);
	case APIC_TDCR:
		return lapic_timer_divide_write(lapic, val);
	case APIC_SELF_IPI:
		return icr_send(lapic, APIC_DEST_SELF | val, 0);
	case APIC_ESR:
		val = xchg(&lapic->esr, 0);
		break;
	case APIC_DFR:
		val |= APIC_DFR_CLUSTER;
		break;
	}
	lapic_reg_set(lapic, offset, val);
	if (offset == APIC_LDR || offset == APIC_DFR)
		lapic_map_update(lapic->vcpu->vm);
	else if (offset == APIC_TASKPRI)
		look_for_events(lapic);
}

/* Return: 0, or -EINVAL: no such register, or read-only. */
static int lapic_write(struct lapic *lapic, unsigned int offset, u32 val)
{
	int reg = register_find(lapic, offset, WX | W2);

	if (reg >= 0)
		register_write(lapic, offset, val & registers[reg].writable);
	return min(reg, 0);
}

static int lapic_read(struct lapic *lapic, unsigned int offset, u32 *val)
{
	int reg = register_find(lapic, offset, RX | R2);

	*val = 0;
	if (reg < 0)
		return reg;
	switch (offset) {
	case APIC_PROCPRI:
		*val = lapic_ppr(lapic);
		return 0;
	case APIC_TMCCT:
		*val = lapic_timer_count(lapic);
		return 0;
	case APIC_EOI:
		return 0;
	case APIC_IRR ... APIC_IRR + 0x70:
		lapic_collect(lapic);
		break;
	}
	*val = lapic_reg(lapic, offset);
	return 0;
}

int apic_write_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct lapic *lapic = vcpu->irq.lapic;
	unsigned int offset = exit->apic.offset & 0xff0;

	/*
	 * Trap-like: RIP is past the instruction, the value in the page. A refused write stays
	 * without effect.
	 */
	if (lapic && lapic_write(lapic, offset, lapic_reg(lapic, offset)))
		lapic_report_error(lapic, ilog2(APIC_ESR_ILLREGA));
	return RESUME;
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

		lapic->synced |= !guest_write(vcpu, lapic->vapic_gpa, &page, sizeof(page));
	}
}

void lapic_sync_take(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	u32 page;

	lapic->synced = false;
	if (lapic->vapic_gpa && !guest_read(vcpu->vm, lapic->vapic_gpa, &page, sizeof(page)))
		lapic_reg_set(lapic, APIC_TASKPRI, page & 0xff);
	if (pv_eoi_pending(vcpu) && pv_eoi_take(vcpu))
		lapic_eoi(lapic);
	look_for_events(lapic);
}

/* Access by address and by MSR */

/* Outside xAPIC mode the page is a hole, which by an old habit still swallows accesses. */
bool lapic_answers(struct vcpu *vcpu, gpa_t gpa)
{
	return vcpu->irq.lapic && lapic_at(vcpu, gpa) &&
	       (lapic_mode(vcpu) == LAPIC_XAPIC ||
		cpu_quirk(&vcpu->vm->arch, KVM_X86_QUIRK_LAPIC_MMIO_HOLE));
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

	if (!lapic_answers(vcpu, gpa))
		return -EOPNOTSUPP;
	if (lapic_mode(vcpu) != LAPIC_XAPIC) {
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

	if (!lapic_answers(vcpu, gpa))
		return -EOPNOTSUPP;
	if (lapic_mode(vcpu) != LAPIC_XAPIC)
		return 0;
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

	if (!lapic || lapic_mode(vcpu) != LAPIC_X2APIC)
		return -EINVAL;
	lapic_sync_exit(vcpu);
	if (lapic_read(lapic, offset, &reg))
		return -EINVAL;
	*val = reg;
	if (offset == APIC_ICR)
		*val |= (u64)lapic_reg(lapic, APIC_ICR2) << 32;
	return 0;
}

int lapic_msr_write(struct vcpu *vcpu, u32 msr, u64 val)
{
	struct lapic *lapic = vcpu->irq.lapic;
	unsigned int offset = (msr & 0xff) << 4;
	int reg;

	if (!lapic || lapic_mode(vcpu) != LAPIC_X2APIC)
		return -EINVAL;
	lapic_sync_exit(vcpu);
	if (offset == APIC_ICR) {
		icr_write(lapic, val, val >> 32);
		return 0;
	}
	reg = register_find(lapic, offset, W2);
	if (reg < 0 || val >> 32 ||
	    ((registers[reg].access & STRICT) && (val & ~registers[reg].writable)))
		return -EINVAL;
	register_write(lapic, offset, val & registers[reg].writable);
	return 0;
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
	icr_write(lapic, val, val >> 32);
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
	eoi(lapic, isr);
	return true;
}

bool lapic_self_ipi_fast(struct vcpu *vcpu, u64 val)
{
	struct lapic *lapic = fast_lapic(vcpu);

	if (!lapic || val > 0xff)
		return false;
	icr_send(lapic, APIC_DEST_SELF | val, 0);
	return true;
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
	register_write(vcpu->irq.lapic, APIC_TASKPRI, (cr8 & 0xf) << 4);
}

u64 lapic_base_get(struct vcpu *vcpu)
{
	return vcpu->irq.apic_base;
}

static bool base_valid(struct vcpu *vcpu, u64 val, bool host)
{
	enum lapic_mode old = lapic_mode(vcpu), new = lapic_base_mode(val);
	u64 reserved = ~0ull << vcpu->arch.maxphyaddr | 0x2ff;

	if (!guest_has(vcpu, GUEST_X2APIC) || new == LAPIC_DISABLED)
		reserved |= X2APIC_ENABLE;
	if (val & reserved)
		return false;
	/* x2APIC mode is entered from xAPIC mode and left only by disabling. */
	return host || !((old == LAPIC_X2APIC && new == LAPIC_XAPIC) ||
			 (old == LAPIC_DISABLED && new == LAPIC_X2APIC));
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

	if (!init) {
		vcpu->irq.apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE;
		if (bsp)
			vcpu->irq.apic_base |= MSR_IA32_APICBASE_BSP;
	}
	if (!lapic)
		return;
	lapic_timer_reset(lapic);
	lapic_collect(lapic);		/* what was posted is void */
	memset(lapic->regs, 0, PAGE_SIZE);
	vectors_changed(lapic);
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
	if (bsp && cpu_quirk(&vcpu->vm->arch, KVM_X86_QUIRK_LINT0_REENABLED))
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
	vectors_changed(lapic);
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
		*(u32 *)(state->regs + APIC_ID) <<= 24;
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
	vectors_changed(lapic);
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
