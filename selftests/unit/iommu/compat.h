/* SPDX-License-Identifier: GPL-2.0-only */
/* Instead of the module's: interrupts between CPUs are written down. */
#ifndef UNIT_COMPAT_H
#define UNIT_COMPAT_H

void compat_send_ipi(int cpu, int vector);

#endif
