/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts of assigned devices. Hardware that can post writes them into the vCPU's descriptor
 * by itself; otherwise the host takes them, remapped where its hardware does that, and signals an
 * irqfd.
 */
#ifndef CORBEL_IR_H
#define CORBEL_IR_H

#include <linux/irqbypass.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include "types.h"

struct posted_desc;

struct vm_ir {
	spinlock_t lock;		/* interrupts off: all of this, and what its bypasses say */
	struct list_head bypasses;	/* of irqfds whose device has shown up */
	bool posts;			/* hardware has posted to it: stays; read unlocked */
};

/* An irqfd's end of the way from a device. */
struct ir_bypass {
	struct irq_bypass_consumer consumer;
	struct vm *vm;
	u32 gsi;
	struct list_head link;		/* vm->irq.ir.bypasses */
	int host_irq;			/* the device's */
	bool posted;			/* hardware delivers it */
};

struct vcpu_ir {
	struct posted_desc *desc;	/* set once by the backend; NULL: has none */
	struct hlist_node link;		/* of a CPU's sleepers, while NV is the wake-up vector */
	int cpu;			/* which CPU's */
};

int ir_module_init(void);
void ir_module_exit(void);
void ir_cpu_off(void);		/* nobody is notified on this CPU any more. Interrupts off */
void ir_vm_init(struct vm *vm);

/**
 * ir_connect() - let devices that signal the eventfd @token post to where @gsi leads
 * That it cannot be (another irqfd has the eventfd) is no error: then the eventfd carries it.
 * Context: may sleep.
 */
void ir_connect(struct ir_bypass *bypass, struct vm *vm, u32 gsi, void *token);
void ir_disconnect(struct ir_bypass *bypass);	/* returns when nothing is posted for it any more */

/** ir_update() - routes or APIC ids have changed, as published. Context: any, no spinlock held */
void ir_update(struct vm *vm);

/* The vCPU comes to a CPU, or leaves it. Preemption off; put: before the backend's. */
void ir_vcpu_load(struct vcpu *vcpu, int cpu);
void ir_vcpu_put(struct vcpu *vcpu, int cpu);

#endif
