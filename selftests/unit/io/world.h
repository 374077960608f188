/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM with buses and routing, and chips that only write down what reaches them. */
#ifndef UNIT_WORLD_H
#define UNIT_WORLD_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include "ktap.h"
#include "vm.h"
#include "irq/ioapic.h"
#include "irq/lapic.h"
#include "irq/pic.h"
#include "irq/pit.h"
#include "irq/route.h"

struct world {
	struct vm vm;
	struct vcpu vcpu;
	u32 pic_level, ioapic_level;		/* by pin */
	int pic_calls, ioapic_calls, pic_raised;
	int pic_status, ioapic_status;		/* what the chips answer */
	struct lapic_irq irq;			/* the last message */
	int messages, eoi_requests;
	struct eventfd_ctx eventfds[4];		/* descriptors 0..3; 10: not an eventfd */
};

extern struct world world;

void world_start(enum irqchip_mode mode);
void world_end(void);			/* checks that nothing is left */

void world_advance(u64 ns);		/* and fire the timer as often as it is due on the way */

u32 port_in(u16 port, int len);		/* ~0u when nobody answers */
int port_out(u16 port, int len, u32 val);

#endif
