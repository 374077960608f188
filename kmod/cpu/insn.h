/* SPDX-License-Identifier: GPL-2.0-only */
/* Exits of single instructions that need no state of their own. */
#ifndef CORBEL_CPU_INSN_H
#define CORBEL_CPU_INSN_H

#include "vcpu.h"

int invd_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int rdpmc_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int rdtsc_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int mwait_exit(struct vcpu *vcpu, struct vcpu_exit *exit);	/* and MONITOR */
int ud_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

#endif
