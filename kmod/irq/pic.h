/* SPDX-License-Identifier: GPL-2.0-only */
/* The pair of 8259 interrupt controllers. */
#ifndef CORBEL_PIC_H
#define CORBEL_PIC_H

#include <linux/spinlock.h>
#include "types.h"
#include "io/io.h"

#define PIC_NR_PINS	16

struct pic {
	struct vm *vm;
	spinlock_t lock;	/* interrupts off; all below */
	struct kvm_pic_state chip[2];	/* master, slave; uapi's structure is the state */
	u32 lines[PIC_NR_PINS];	/* bit per enum irq_source */
	u16 acked;		/* pins whose acknowledgement is to be told after unlocking */
	u16 unmasked;		/* pins that were unmasked, likewise */
	bool output;		/* INTR */
	bool raised;		/* it went up, to be told likewise */
	struct bus_dev dev[3];	/* master, slave, ELCR */
};

/* irq_lock held. Destroy: what there is, also after a create that failed. */
int pic_create(struct vm *vm);
void pic_destroy(struct vm *vm);

/** pic_set_irq() - drive a pin, 0-15; the rest as ioapic_set_irq() */
int pic_set_irq(struct vm *vm, unsigned int pin, int source, int level);

/** pic_output() - is INTR raised, if there is one (NULL: none). Context: any. */
static inline bool pic_output(const struct pic *pic)
{
	return pic && READ_ONCE(pic->output);
}

/** pic_ack() - INTA cycle: vector; spurious ones too. Context: vCPU thread. */
int pic_ack(struct vm *vm);

void pic_to_user(struct vm *vm, unsigned int chip, struct kvm_pic_state *state);
void pic_from_user(struct vm *vm, unsigned int chip, const struct kvm_pic_state *state);

#endif
