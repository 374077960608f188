/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU that spins gives its time to one that could end the spinning. */
#ifndef CORBEL_SPIN_H
#define CORBEL_SPIN_H

#include "vcpu.h"

/** spin_yield_to() - run @target now if it waits for a CPU. Return: did it get ours? May sleep. */
bool spin_yield_to(struct vcpu *target);

int pause_exit(struct vcpu *vcpu, struct vcpu_exit *exit);	/* EXIT_PAUSE */

#endif
