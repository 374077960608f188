/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM without a guest: the rooms around the interrupt controllers, as far as these ask anything
 * of them.
 */
#ifndef UNIT_WORLD_H
#define UNIT_WORLD_H

#include <linux/hrtimer.h>
#include <linux/slab.h>
#include "ktap.h"
#include "vm.h"
#include "backend.h"
#include "cpu/cpuid.h"
#include "cpu/regs.h"
#include "irq/halt.h"
#include "irq/inject.h"
#include "irq/ioapic.h"
#include "irq/lapic.h"
#include "irq/lapic_timer.h"
#include "irq/mp_state.h"
#include "irq/pic.h"
#include "irq/route.h"

struct world {
	struct vm vm;
	u32 acked[3], unmasked[3];	/* by chip: pins told to route_acked(), route_unmasked() */
	u32 has_ack;			/* IOAPIC pins that route_has_ack() knows */
	void (*on_ack)(unsigned int chip, unsigned int pin);
	struct bus_dev *dev[8];		/* registered */
	enum bus_space space[8];
	int nr_dev;
	u32 kicked;			/* by vCPU index */
	u64 tsc;			/* the guest's; 1 per ns */
	u64 hw_timer;			/* what backend.timer_set() was told last */
	int hw_sets;
	u32 pir[64][8];			/* posted vectors by vCPU index */
	bool post_refused;
	int apicv_updates;
	bool pv_eoi_ended;		/* the guest has cleared its PV EOI bit */
	u32 vapic;			/* the one word of guest memory */
	struct lapic_irq level_msi[4];	/* what route_eoi_vectors() knows */
	int nr_level_msi;
	int resets;
	void (*on_sleep)(void);
};

extern struct world world;

/* Begin with a fresh VM; mode as after KVM_CREATE_IRQCHIP. vCPU ids are first, first + 1, ... */
void world_start(enum irqchip_mode mode, int nr_vcpus);
struct vcpu *world_add_vcpu(u32 id);
void world_end(void);

struct vcpu *world_vcpu(int index);
struct lapic *world_lapic(int index);

/* Let time pass and fire what is due; a TSC tick is a nanosecond. */
void world_advance(u64 ns);

/* Guest accesses */
u32 mmio_read32(u64 gpa);
void mmio_write32(u64 gpa, u32 val);
u8 port_in(u16 port);
void port_out(u16 port, u8 val);
u32 world_reg(int index, unsigned int offset);
void world_reg_write(int index, unsigned int offset, u32 val);

/* All requests that would be served at the next entry. */
void world_serve(struct vcpu *vcpu);

u32 world_random(void);

#endif
