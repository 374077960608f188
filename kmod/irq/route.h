/* SPDX-License-Identifier: GPL-2.0-only */
/* GSI routing: from an interrupt line to the pins and messages it stands for, and back for acks. */
#ifndef CORBEL_ROUTE_H
#define CORBEL_ROUTE_H

#include <linux/list.h>
#include "types.h"

struct lapic_irq;

#define ROUTE_NR_GSIS	4096	/* KVM_CAP_IRQ_ROUTING */

/* Who drives a line. A pin's level is the OR of its sources: one bit each, kept by the chip. */
enum irq_source { IRQ_SOURCE_USER, IRQ_SOURCE_RESAMPLE, IRQ_SOURCE_PIT };

static inline void line_drive(u32 *line, enum irq_source source, bool level)
{
	*line = level ? *line | BIT(source) : *line & ~BIT(source);
}

/* Told when the guest has acknowledged (PIC) or ended (IOAPIC, level) an interrupt of this GSI. */
struct route_ack {
	struct hlist_node link;
	u32 gsi;
	bool resample;		/* lower IRQ_SOURCE_RESAMPLE first, and when the last of the GSI goes */
	void (*acked)(struct route_ack *ack);
};

void route_vm_destroy(struct vm *vm);

/**
 * route_set() - replace the whole table
 * Context: takes vm->irq_lock; does not wait for readers. Return: 0, -EINVAL, -ENOMEM
 */
int route_set(struct vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int nr);

/* For irqchip creation: GSI 0-15 to PIC and IOAPIC pins, 16-23 to the IOAPIC. */
int route_set_default(struct vm *vm);

/**
 * irq_set_gsi() - drive a line
 * Context: process or soft-interrupt, no PIC/IOAPIC/LAPIC lock held. MSI routes fire on level 1.
 * Return: CPUs reached, 0 coalesced, -1 masked or not routed (as KVM_IRQ_LINE_STATUS)
 */
int irq_set_gsi(struct vm *vm, int source, u32 gsi, int level);

/** route_msi() - KVM_SIGNAL_MSI. Return: > 0 delivered, 0 blocked, -1 no target, -EINVAL */
int route_msi(struct vm *vm, const struct kvm_msi *msi);

/**
 * route_send_gsi() - fire a GSI that is a message
 * Context: any, hard interrupt included. Return: false: no message; irq_set_gsi() drives its pins
 */
bool route_send_gsi(struct vm *vm, u32 gsi);

/** route_message() - what message a GSI stands for. Context: vm->srcu. Return: false: it is none */
bool route_message(struct vm *vm, u32 gsi, struct lapic_irq *irq);

/**
 * route_acked() - PIC: vector acknowledged (or EOI in AEOI); IOAPIC: EOI of a level interrupt
 * @chip: KVM_IRQCHIP_*; @pin: of that chip, 0-7 for each PIC
 * Context: no PIC/IOAPIC/LAPIC lock held: the notifier may lower the pin. Takes vm->srcu itself.
 */
void route_acked(struct vm *vm, unsigned int chip, unsigned int pin);
/** route_has_ack() - does anyone want route_acked() for this pin */
bool route_has_ack(struct vm *vm, unsigned int chip, unsigned int pin);
/** route_unmasked() - the guest unmasked a pin; same context as route_acked() */
void route_unmasked(struct vm *vm, unsigned int chip, unsigned int pin);

void route_ack_register(struct vm *vm, struct route_ack *ack);
void route_ack_unregister(struct vm *vm, struct route_ack *ack);	/* waits for readers */

/**
 * route_eoi_vectors() - split irqchip: whose EOI userspace's IOAPIC must be told about
 * Adds the vectors of its level-triggered messages that are aimed at this vCPU. Context: takes
 * vm->srcu.
 */
void route_eoi_vectors(struct vcpu *vcpu, u64 bitmap[4]);

#endif
