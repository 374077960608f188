/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CPUID_H
#define CPUID_H

struct vcpu;

void cpuid_set(struct vcpu *v);

#endif
