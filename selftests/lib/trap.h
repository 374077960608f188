/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's IDT: 256 gates, a C handler per vector, and fixups for instructions that may fault.
 */
#ifndef SELFTESTS_TRAP_H
#define SELFTESTS_TRAP_H

#include "guest.h"

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

typedef void (*trap_handler)(struct trap_frame *frame);

struct trap_gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};

/* Of all vCPUs and VMs of the program; NULL = fixup table, else failure. */
void trap_set(unsigned int vector, trap_handler handler);
void trap_idt_build(struct trap_gate *idt);

/* Counts per vector; the usual handler for interrupts, with an EOI of the mode in use. */
extern volatile u64 trap_count[256];
void trap_count_irq(struct trap_frame *frame);
void trap_count_only(struct trap_frame *frame);

#endif
