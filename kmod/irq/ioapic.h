/* SPDX-License-Identifier: GPL-2.0-only */
/* The I/O APIC: 24 pins, version 0x11. */
#ifndef CORBEL_IOAPIC_H
#define CORBEL_IOAPIC_H

#include <linux/spinlock.h>
#include "types.h"
#include "io/io.h"

#define IOAPIC_NR_PINS	24
#define IOAPIC_BASE	0xfec00000ull

union ioapic_entry {		/* a redirection table entry */
	u64 bits;
	struct {
		u64 vector:8, delivery_mode:3, dest_mode:1, delivery_status:1, polarity:1,
		    remote_irr:1, trig_mode:1, mask:1, :39, dest_id:8;
	};
};

struct ioapic {
	struct bus_dev dev;
	struct vm *vm;
	spinlock_t lock;	/* interrupts off; all below */
	u32 id;			/* as the register reads: bits 27:24 */
	u8 select;
	u32 irr;		/* asserted lines; edge: latched while it could not be delivered */
	u32 lines[IOAPIC_NR_PINS];	/* bit per enum irq_source */
	union ioapic_entry table[IOAPIC_NR_PINS];
};

int ioapic_create(struct vm *vm);		/* irq_lock held */
void ioapic_destroy(struct vm *vm);		/* irq_lock held */

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
