/* SPDX-License-Identifier: GPL-2.0-only */
/* The local APIC: registers, delivery to it, and the map that finds it. */
#ifndef CORBEL_LAPIC_H
#define CORBEL_LAPIC_H

#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "backend.h"
#include "vcpu.h"

/* An interrupt message: IPI, MSI, or from an IOAPIC pin. Fields as ICR and MSI encode them. */
struct lapic_irq {
	u32 dest_id;
	u8 vector;
	u8 delivery_mode;	/* enum lapic_delivery */
	u8 dest_mode;		/* 0 physical, 1 logical */
	u8 level;		/* 1 assert, 0 de-assert */
	u8 trig_mode;		/* 0 edge, 1 level */
	u8 shorthand;		/* enum lapic_shorthand; then src is set */
	bool msi_redir_hint;	/* deliver to one of the destinations */
	struct vcpu *src;	/* sender of an IPI, NULL: a device */
};

enum lapic_delivery {
	LAPIC_FIXED, LAPIC_LOWEST, LAPIC_SMI, LAPIC_REMRD, LAPIC_NMI, LAPIC_INIT, LAPIC_SIPI,
	LAPIC_EXTINT
};

enum lapic_shorthand { LAPIC_DEST, LAPIC_SELF, LAPIC_ALL, LAPIC_OTHERS };

enum lapic_timer_mode { LAPIC_ONESHOT, LAPIC_PERIODIC, LAPIC_DEADLINE };

struct lapic_timer {
	struct hrtimer hrtimer;
	u64 deadline;		/* MSR_IA32_TSC_DEADLINE, guest TSC; 0: disarmed */
	ktime_t target;		/* one-shot, periodic: when it fires next */
	u64 period_ns;		/* what TMICT stands for */
	enum lapic_timer_mode mode;	/* as LVTT was last written */
	u32 divisor;		/* as TDCR was last written */
	u32 advance_ns;		/* how much too late halted vCPUs woke: set the alarm earlier */
	bool early;		/* so it is */
	bool armed;
	bool in_hw;		/* backend.timer_set() holds it, the hrtimer only in a halt */
	atomic_t fired;		/* expiries not yet turned into interrupts */
};

struct lapic {
	struct vcpu *vcpu;
	u8 *regs;	/* one page, laid out as the MMIO page: hardware's virtual-APIC page */
	unsigned long esr;	/* atomic: errors since ESR was last written */
	struct lapic_timer timer;
	u64 vapic_gpa;		/* KVM_SET_VAPIC_ADDR; 0 none */
	bool synced;		/* the guest may end interrupts or set TPR in its own memory */
	bool irr_any;		/* IRR may hold something; always set where hardware has APICv */
	s16 isr_top;		/* the highest in service, -1 none; not where hardware has APICv */
	u16 isr_count;		/* how many are in service, likewise */
};

static inline u32 lapic_reg(const struct lapic *lapic, unsigned int offset)
{
	return READ_ONCE(*(u32 *)(lapic->regs + offset));
}

static inline void lapic_reg_set(struct lapic *lapic, unsigned int offset, u32 val)
{
	WRITE_ONCE(*(u32 *)(lapic->regs + offset), val);
}

static inline bool lapic_sw_enabled(const struct lapic *lapic)
{
	return lapic_reg(lapic, APIC_SPIV) & APIC_SPIV_APIC_ENABLED;
}

/* What the low half of ICR, an IOAPIC's entry, an LVT entry and an MSI's data have in common. */
static inline struct lapic_irq lapic_irq_decode(u32 low)
{
	return (struct lapic_irq){
		.vector = low & APIC_VECTOR_MASK,
		.delivery_mode = GET_APIC_DELIVERY_MODE(low),
		.level = 1,
		.trig_mode = !!(low & APIC_INT_LEVELTRIG),
	};
}

int lapic_create(struct vcpu *vcpu);
void lapic_destroy(struct vcpu *vcpu);
void lapic_reset(struct vcpu *vcpu, bool init);
void lapic_cpuid_changed(struct vcpu *vcpu);	/* the version register follows x2APIC, and CMCI */

/**
 * lapic_deliver() - send an interrupt message
 * Context: any, hard interrupt included. Return: CPUs reached; 0 all had it pending already
 * or ignored it; -1 no such destination.
 */
int lapic_deliver(struct vm *vm, const struct lapic_irq *irq);

/**
 * lapic_post() - set a vector in IRR or the posted-interrupt descriptor
 * Context: any. Return: true if it was not set.
 */
bool lapic_post(struct lapic *lapic, u8 vector, bool level);

/** lapic_report_error() - note a bit of ESR and raise the error interrupt. Context: any. */
void lapic_report_error(struct lapic *lapic, unsigned int bit);

/** lapic_local() - deliver what an LVT entry says. Context: any. */
void lapic_local(struct lapic *lapic, unsigned int lvt);

/** lapic_matches() - is this LAPIC a destination of the message */
bool lapic_matches(struct lapic *lapic, const struct lapic_irq *irq);

/** lapic_irq_from_msi() - decode address and data; KVM_CAP_X2APIC_API says if address_hi counts */
void lapic_irq_from_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data,
			struct lapic_irq *irq);

/*
 * State by MSR and by control register; the vCPU's own thread. lapic_base_get(),
 * lapic_base_set(), cr8 work without a LAPIC too. Set: 0, or -EINVAL: #GP. lapic_msr_*: MSRs
 * 0x800-0x8ff; -EINVAL also when not in x2APIC mode.
 */
u64 lapic_base_get(struct vcpu *vcpu);
int lapic_base_set(struct vcpu *vcpu, u64 val, bool host);
int lapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *val);
int lapic_msr_write(struct vcpu *vcpu, u32 msr, u64 val);
u64 lapic_cr8_get(struct vcpu *vcpu);
void lapic_cr8_set(struct vcpu *vcpu, u64 cr8);

/** lapic_at() - is it the page where this vCPU's local APIC would be? */
static inline bool lapic_at(const struct vcpu *vcpu, gpa_t gpa)
{
	return !((gpa ^ vcpu->irq.apic_base) & PAGE_MASK);
}

/** lapic_answers() - is the page at @gpa this vCPU's local APIC? */
bool lapic_answers(struct vcpu *vcpu, gpa_t gpa);

/*
 * MMIO by address: -EOPNOTSUPP when this vCPU has no xAPIC page there. vm->srcu held; do not
 * sleep.
 */
int lapic_mmio_read(struct vcpu *vcpu, gpa_t gpa, int len, void *val);
int lapic_mmio_write(struct vcpu *vcpu, gpa_t gpa, int len, const void *val);

/* Hot x2APIC writes, interrupts off. True: done, RIP not moved; false: take the long way. */
bool lapic_icr_fast(struct vcpu *vcpu, u64 val);
bool lapic_eoi_fast(struct vcpu *vcpu);
bool lapic_self_ipi_fast(struct vcpu *vcpu, u64 val);

enum lapic_mode { LAPIC_DISABLED, LAPIC_XAPIC, LAPIC_X2APIC };

static inline enum lapic_mode lapic_base_mode(u64 base)
{
	if (!(base & MSR_IA32_APICBASE_ENABLE))
		return LAPIC_DISABLED;
	return base & X2APIC_ENABLE ? LAPIC_X2APIC : LAPIC_XAPIC;
}

static inline enum lapic_mode lapic_mode(const struct vcpu *vcpu)
{
	return lapic_base_mode(READ_ONCE(vcpu->irq.apic_base));
}

/* Priorities. lapic_highest_irq(): vector above PPR that would be delivered, -1 none. */
int lapic_highest_irq(struct lapic *lapic);
void lapic_collect(struct lapic *lapic);	/* posted vectors into IRR. Context: vCPU loaded */
int lapic_highest(const struct lapic *lapic, unsigned int base);	/* APIC_ISR, APIC_IRR; -1 none */

/* Of the page: without what is only posted. */
static inline int lapic_highest_irr(const struct lapic *lapic)
{
	return READ_ONCE(lapic->irr_any) ? lapic_highest(lapic, APIC_IRR) : -1;
}

static inline int lapic_highest_isr(const struct lapic *lapic)
{
	return caps.apicv ? lapic_highest(lapic, APIC_ISR) : lapic->isr_top;
}

int lapic_ack(struct lapic *lapic);	/* IRR -> ISR of lapic_highest_irq(); its vector or -1 */
void lapic_eoi(struct lapic *lapic);
bool lapic_accepts_extint(struct vcpu *vcpu); /* the PIC's output reaches this vCPU through LINT0 */

/**
 * lapic_tpr_threshold() - class (0-15) below which the guest must exit when it lowers TPR
 *
 * For entry without APICv: VMX writes it as TPR threshold, SVM intercepts CR8 writes while it is
 * not 0. Context: interrupts may be off.
 */
static inline int lapic_tpr_threshold(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	int irr;

	if (!lapic || vcpu->irq.apicv)
		return 0;
	irr = lapic_highest_irr(lapic);
	return irr < 0 || (irr & 0xf0) > (lapic_reg(lapic, APIC_TASKPRI) & 0xf0) ? 0 : irr >> 4;
}

/* KVM_GET_LAPIC, KVM_SET_LAPIC: -EINVAL without a LAPIC or for a foreign APIC id. */
int lapic_to_user(struct vcpu *vcpu, struct kvm_lapic_state *state);
int lapic_from_user(struct vcpu *vcpu, const struct kvm_lapic_state *state);

/* KVM_SET_VAPIC_ADDR, KVM_TPR_ACCESS_REPORTING: -EINVAL without a LAPIC */
int lapic_vapic_set(struct vcpu *vcpu, u64 gpa);
int lapic_tpr_report_set(struct vcpu *vcpu, bool on);

/*
 * PV EOI and the vAPIC page: exit before REQ_EVENT is taken, enter after the choice of an event; may
 * sleep, vm->srcu held.
 */
void lapic_sync_enter(struct vcpu *vcpu);
void lapic_sync_take(struct vcpu *vcpu);	/* lapic_sync_exit(), if there may be something */

static inline void lapic_sync_exit(struct vcpu *vcpu)
{
	if (vcpu->irq.lapic && unlikely(vcpu->irq.lapic->synced))
		lapic_sync_take(vcpu);
}

/* lapic_map.c: rebuild after an id, a mode or a logical id changed. Never sleeps, cannot fail. */
struct lapic_map;
void lapic_map_update(struct vm *vm);
void lapic_map_destroy(struct vm *vm);

/*
 * Find the LAPICs a message goes to. Return: how many are in found[] (at most LAPIC_MAP_FOUND),
 * or -1: the map cannot tell, look at all. Context: RCU read side.
 */
#define LAPIC_MAP_FOUND	16
int lapic_map_find(struct vm *vm, const struct lapic_irq *irq, struct lapic **found);

/** lapic_map_one() - whose physical id it is, or NULL: the map cannot tell, or nobody's. Context: any */
struct lapic *lapic_map_one(struct vm *vm, u32 dest_id);

#endif
