/* SPDX-License-Identifier: GPL-2.0-only */
int irq_set_vcpu_affinity(unsigned int irq, void *info);
