/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Event delivery, vendor-free. Three stores: what is being delivered, the pending exception, and
 * pending NMIs and interrupts (the latter live in LAPIC and PIC).
 */
#ifndef CORBEL_INJECT_H
#define CORBEL_INJECT_H

#include <linux/atomic.h>
#include "types.h"

enum event_type {
	EVENT_NONE,
	EVENT_IRQ,		/* external interrupt, already acknowledged */
	EVENT_NMI,
	EVENT_EXCEPTION,
	EVENT_SOFT_INT,		/* INT n */
	EVENT_SOFT_EXCEPTION,	/* INT3, INTO */
	EVENT_PRIV_SOFT_EXCEPTION,	/* INT1 */
};

struct event {
	enum event_type type;
	u8 vector;
	bool has_error;
	u32 error;
	u8 insn_len;		/* soft types: length of the instruction */
};

struct exception {		/* raised, not yet delivered */
	bool pending;
	u8 vector;
	bool has_error;
	u32 error;
	bool has_payload;	/* DR6 bits or CR2, applied at delivery */
	u64 payload;
};

struct vcpu_events {
	/*
	 * Being delivered. inject_events() sets it, backend enter() gives it to the hardware,
	 * decode() sets it to what the exit interrupted (IDT vectoring) or to EVENT_NONE. It
	 * survives an aborted entry as it is.
	 */
	struct event entry;
	struct exception exception;
	u8 nmi_pending;		/* 0..2 */
	atomic_t nmi_queued;	/* from other threads; moved by REQ_NMI */
	bool want_irq_window, want_nmi_window; /* backend enter() programs them when they changed */
};

/**
 * inject_events() - choose at most one event for the next entry. Context: vCPU loaded, may sleep.
 */
int inject_events(struct vcpu *vcpu);

/**
 * inject_lapic_fast() - REQ_EVENT in a stay (stay.h), if no more than an interrupt of the LAPIC can come of it
 * Return: true: the request is served; false: nothing was done. Context: interrupts off.
 */
bool inject_lapic_fast(struct vcpu *vcpu);

/*
 * Raise an exception in the guest. Contributory pairs become #DF, a third one REQ_TRIPLE_FAULT.
 * All return RESUME, so that a handler can end with them.
 */
int inject_exception(struct vcpu *vcpu, u8 vector);
int inject_exception_error(struct vcpu *vcpu, u8 vector, u32 error);
int inject_page_fault(struct vcpu *vcpu, gva_t cr2, u32 error);
int inject_db(struct vcpu *vcpu, u64 dr6_bits);
#define inject_ud(vcpu)		inject_exception(vcpu, 6)
#define inject_gp(vcpu)		inject_exception_error(vcpu, 13, 0)

/** inject_nmi() - from any context */
void inject_nmi(struct vcpu *vcpu);

/** inject_nmi_collect() - REQ_NMI: move what was queued into the pending NMIs, at most two */
void inject_nmi_collect(struct vcpu *vcpu);

/** inject_irq_allowed() - RFLAGS.IF, no shadow, nothing being delivered. Context: vCPU loaded. */
bool inject_irq_allowed(struct vcpu *vcpu);
bool inject_nmi_allowed(struct vcpu *vcpu);

/* SREGS.interrupt_bitmap: the acknowledged interrupt that is being delivered, -1 none. */
int inject_irq_vector(struct vcpu *vcpu);
void inject_irq_requeue(struct vcpu *vcpu, u8 vector);

/** events_clear_exception() - KVM_SET_REGS forgets the pending exception */
void events_clear_exception(struct vcpu *vcpu);
void events_reset(struct vcpu *vcpu);
void events_to_user(struct vcpu *vcpu, struct kvm_vcpu_events *out);
int events_from_user(struct vcpu *vcpu, const struct kvm_vcpu_events *in);

#endif
