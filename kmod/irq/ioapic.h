/* SPDX-License-Identifier: GPL-2.0-only */
/* The I/O APIC: 24 pins, version 0x11. */
#ifndef CORBEL_IOAPIC_H
#define CORBEL_IOAPIC_H

#include <linux/spinlock.h>
#include "types.h"
#include "io/io.h"

#define IOAPIC_NR_PINS	KVM_IOAPIC_NUM_PINS
#define IOAPIC_BASE	0xfec00000ull

struct ioapic {
	struct bus_dev dev;
	struct vm *vm;
	spinlock_t lock;	/* interrupts off; all below */
	struct kvm_ioapic_state state;	/* irr: asserted lines; edges: latched, not delivered yet */
	u32 lines[IOAPIC_NR_PINS];	/* bit per enum irq_source */
};

/* irq_lock held. Destroy: what there is, also after a create that failed. */
int ioapic_create(struct vm *vm);
void ioapic_destroy(struct vm *vm);

/**
 * ioapic_set_irq() - drive a pin
 * @source: enum irq_source
 * Context: any, hard interrupt included. Return: CPUs reached, 0 coalesced, -1 masked
 */
int ioapic_set_irq(struct vm *vm, unsigned int pin, int source, int level);

/** ioapic_eoi() - EOI message from a LAPIC. Context: vCPU thread, no chip lock held. */
void ioapic_eoi(struct vcpu *vcpu, u8 vector, bool level);

/** ioapic_eoi_vectors() - add the vectors of pins aimed at this vCPU whose EOI matters */
void ioapic_eoi_vectors(struct vcpu *vcpu, u64 bitmap[4]);

void ioapic_to_user(struct vm *vm, struct kvm_ioapic_state *state);
void ioapic_from_user(struct vm *vm, const struct kvm_ioapic_state *state);

#endif
