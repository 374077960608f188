/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_IRQBYPASS_H
#define SHIM_IRQBYPASS_H

#include <linux/types.h>

struct irq_bypass_producer { void *token; int irq; };

struct irq_bypass_consumer {
	void *token;
	int (*add_producer)(struct irq_bypass_consumer *consumer, struct irq_bypass_producer *producer);
	void (*del_producer)(struct irq_bypass_consumer *consumer, struct irq_bypass_producer *producer);
};

int irq_bypass_register_consumer(struct irq_bypass_consumer *consumer);
void irq_bypass_unregister_consumer(struct irq_bypass_consumer *consumer);

#endif
