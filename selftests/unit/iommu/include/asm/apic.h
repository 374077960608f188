/* SPDX-License-Identifier: GPL-2.0-only */
#define cpu_physical_id(cpu)	((cpu) + 16)
extern int x2apic_mode;
