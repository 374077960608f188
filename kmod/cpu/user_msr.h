/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSRs that only matter in user mode: the guest's value stays in the CPU until it next goes there,
 * when the kernel's user-return notifier brings back the host's.
 */
#ifndef CORBEL_USER_MSR_H
#define CORBEL_USER_MSR_H

#include <linux/types.h>

#define USER_MSRS_MAX	5

/* user_msr_setup() - at load: which MSRs, known by their place in @index from now on */
void user_msr_setup(const u32 *index, int nr);

/* The CPU's own values are read when it is switched on. Context: preemption off. */
void user_msr_cpu_on(void);
void user_msr_cpu_off(void);

/**
 * user_msr_load() - give MSRs the guest's values
 * @guest: by their places
 * @which: a bit for each that the guest can use; what another guest has left in the others is out of its reach
 * Context: interrupts off
 */
void user_msr_load(const u64 *guest, unsigned long which);

#endif
