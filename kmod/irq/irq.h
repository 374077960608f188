/* SPDX-License-Identifier: GPL-2.0-only */
/* The interrupt controllers of a VM, and what the rest of the module asks of them. */
#ifndef CORBEL_IRQ_H
#define CORBEL_IRQ_H

#include <linux/spinlock.h>
#include "types.h"
#include "irqfd.h"
#include "iommu/ir.h"

struct lapic;
struct lapic_map;
struct pic;
struct ioapic;
struct pit;
struct irq_routing;
struct vcpu_exit;

enum irqchip_mode { IRQCHIP_NONE, IRQCHIP_SPLIT, IRQCHIP_KERNEL };

/* Why APICv is off although the hardware has it: bits of vm_irq.apicv_inhibits. */
enum apicv_inhibit {
	APICV_NO_IRQCHIP,	/* no LAPIC in the kernel */
	APICV_PIT_REINJECT, /* matters only where EOIs of edge interrupts cannot be made to exit */
};

struct vm_irq {
	enum irqchip_mode mode;		/* set once under vm->lock, before the first vCPU */
	struct pic *pic;
	struct ioapic *ioapic;
	struct pit *pit;
	struct irq_routing __rcu *routing;	/* SRCU vm->srcu */
	atomic_t routes_retired;		/* tables replaced and not yet freed */
	struct hlist_head route_acks;		/* irq_lock; SRCU vm->srcu */
	struct vm_irqfd irqfd;			/* irqfd.h */
	struct vm_ir ir;			/* iommu/ir.h: interrupts that hardware may post */
	u32 split_pins;			/* IOAPIC pins of userspace, KVM_CAP_SPLIT_IRQCHIP */
	bool x2apic_32bit_ids;		/* KVM_CAP_X2APIC_API; under vm->lock */
	bool x2apic_no_broadcast_quirk;
	spinlock_t map_lock;		/* writers of map; interrupts off */
	struct lapic_map __rcu *map;	/* RCU; NULL: search all vCPUs */
	void *apic_page;		/* APIC-access page, NULL: none */
	unsigned long apicv_inhibits;	/* atomic bitmap of enum apicv_inhibit */
};

struct vcpu_irq {
	struct lapic *lapic;		/* NULL without an in-kernel LAPIC */
	u64 apic_base;			/* MSR_IA32_APICBASE; with or without a LAPIC */
	u32 mp_state;			/* KVM_MP_STATE_* */
	unsigned long init_sipi;	/* atomic: bits below */
	u8 sipi_vector;
	int user_irq;			/* KVM_INTERRUPT without a full irqchip; -1 none */
	bool apicv;			/* APICv is in use: backend.apicv_update() acts on it */
	bool rvi_behind;		/* IRR has grown since backend.apicv_sync() */
	bool tpr_report;		/* KVM_TPR_ACCESS_REPORTING */
	bool tpr_write;			/* the access that REQ_TPR_REPORT is about */
	u8 eoi_vector;			/* what REQ_IOAPIC_EOI is about */
	u64 tpr_rip;
	u64 eoi_exit[4];	/* vectors whose EOI somebody must hear of; EOI-exit bitmap */
	unsigned int poll_ns;		/* how long a HLT may spin before it sleeps */
	struct vcpu_ir ir;		/* iommu/ir.h: the descriptor, and whom it notifies */
};

#define IRQ_INIT_PENDING	0	/* bits of init_sipi */
#define IRQ_SIPI_PENDING	1

int irq_vm_init(struct vm *vm);
void irq_vm_destroy(struct vm *vm);		/* no vCPU runs any more */
int irq_vcpu_init(struct vcpu *vcpu);		/* id, index and vm are set; not yet in vm->vcpus */
void irq_vcpu_ready(struct vcpu *vcpu);		/* after it was published in vm->vcpus */
void irq_vcpu_destroy(struct vcpu *vcpu);
void irq_vcpu_reset(struct vcpu *vcpu, bool init);

/*
 * KVM_CREATE_IRQCHIP and KVM_CAP_SPLIT_IRQCHIP. Context: vm->lock held.
 * Return: 0, -EEXIST (there is one), -EINVAL (a vCPU exists, too many pins), -ENOMEM
 */
int irqchip_create(struct vm *vm);
int irqchip_create_split(struct vm *vm, unsigned int pins);

/* KVM_GET_IRQCHIP, KVM_SET_IRQCHIP. Return: 0, -ENXIO (no full irqchip), -EINVAL (chip_id) */
int irqchip_to_user(struct vm *vm, struct kvm_irqchip *chip);
int irqchip_from_user(struct vm *vm, const struct kvm_irqchip *chip);

/*
 * For injection. irq_pending(): is there an interrupt that the guest would take if it could
 * (LAPIC above PPR, PIC through LINT0/ExtINT, KVM_INTERRUPT). irq_injectable(): the same without
 * what APICv delivers by itself. irq_only_lapic(): nobody but the LAPIC has one, or wants to be told of it.
 * irq_ack(): acknowledge and return its vector, or -1.
 */
bool irq_pending(struct vcpu *vcpu);
bool irq_injectable(struct vcpu *vcpu);
bool irq_only_lapic(struct vcpu *vcpu);
int irq_ack(struct vcpu *vcpu);

/**
 * irq_user_interrupt() - KVM_INTERRUPT
 * Return: 0; -EINVAL: vector > 255; -ENXIO: full irqchip; -EEXIST: split, and one is pending
 */
int irq_user_interrupt(struct vcpu *vcpu, u32 vector);

/**
 * irq_accept_init_sipi() - act on pending INIT/SIPI; called by REQ_EVENT. Return: RESUME or
 * -errno
 */
int irq_accept_init_sipi(struct vcpu *vcpu);

/* REQ_EOI_BITMAP: this vCPU's set, and the way to ask all vCPUs for it (any context). */
void irq_eoi_bitmap_update(struct vcpu *vcpu);
void irq_eoi_bitmap_request(struct vm *vm);

/* APICv: switch a reason on or off (any context); REQ_APICV: let this vCPU follow. */
void irq_apicv_inhibit(struct vm *vm, enum apicv_inhibit reason, bool on);
void irq_apicv_refresh(struct vcpu *vcpu);

/* Requests that end in userspace. Return: TO_USER, or RESUME when there is no need any more. */
int irq_ioapic_eoi_to_user(struct vcpu *vcpu);	/* REQ_IOAPIC_EOI: KVM_EXIT_IOAPIC_EOI */
int irq_tpr_report_to_user(struct vcpu *vcpu);	/* REQ_TPR_REPORT: KVM_EXIT_TPR_ACCESS */

/*
 * kvm_run's interrupt fields. irq_run_begin(): take cr8 from userspace's irqchip, -EINVAL if it
 * is bad. irq_run_end(): if_flag, cr8, apic_base, ready_for_interrupt_injection.
 * irq_window_exit_wanted(): userspace asked for a window and it is open: leave with
 * KVM_EXIT_IRQ_WINDOW_OPEN.
 */
int irq_run_begin(struct vcpu *vcpu);
void irq_run_end(struct vcpu *vcpu);
bool irq_window_exit_wanted(struct vcpu *vcpu);

/* Exit handlers: irq.c, lapic.c, lapic_timer.c, inject.c */
int apic_access_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int apic_write_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int apic_eoi_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int lapic_timer_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int inject_window_exit(struct vcpu *vcpu, struct vcpu_exit *exit);	/* and TPR_BELOW */

#endif
