/* SPDX-License-Identifier: GPL-2.0-only */
/* A machine without a hypervisor: memory, buses and devices are real, interrupts are lost. */
#ifndef WORLD_H
#define WORLD_H

#include "machine.h"

#define WORLD_LOW	(8ULL << 20)
#define WORLD_HIGH	(8ULL << 20)

struct world {
	struct machine m;
	struct config config;
};

/* Level of each line (shared ones: how many hold it), and messages sent by the low byte of data. */
extern unsigned int world_lines[], world_messages[];

/* With has_irqfd: the eventfd that each GSI of a message is wired to, 0: none; and the messages. */
extern int world_irqfds[];
extern uint64_t world_routes[];

/* With has_ioeventfd: what rings where; and memory slots beside the guest's own memory. */
#define WORLD_BELLS	32
#define WORLD_SLOTS	16
extern struct world_bell { struct vm *vm; uint64_t gpa; int eventfd; } world_bells[];
extern struct world_slot { uint64_t gpa, size; uint8_t *hva; } world_slots[];

void world_init(struct world *w);
void world_add_devices(struct world *w);
void world_free(struct world *w);
uint64_t world_random(void);
unsigned long world_env(const char *name, unsigned long fallback);

/* One access of the guest's to a PCI function's BAR 0 or configuration space. */
uint32_t world_read(struct world *w, unsigned int slot, uint32_t off, unsigned int len);
void world_write(struct world *w, unsigned int slot, uint32_t off, unsigned int len,
		 uint64_t value);
uint32_t world_cfg_read(struct world *w, unsigned int slot, uint32_t off, unsigned int len);
void world_cfg_write(struct world *w, unsigned int slot, uint32_t off, unsigned int len,
		     uint32_t value);

#endif
