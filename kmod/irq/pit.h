/* SPDX-License-Identifier: GPL-2.0-only */
/* The 8254 programmable interval timer, and the speaker port that shows its channel 2. */
#ifndef CORBEL_PIT_H
#define CORBEL_PIT_H

#include "types.h"

/** pit_create() - Context: vm->lock held. Return: 0, -EEXIST, -ENOENT (no PIC), -EINVAL, -ENOMEM */
int pit_create(struct vm *vm, const struct kvm_pit_config *config);
void pit_destroy(struct vm *vm);		/* no vCPU runs any more; before the buses go */

/* All: -ENXIO without a PIT. */
int pit_to_user(struct vm *vm, struct kvm_pit_state2 *out);
int pit_from_user(struct vm *vm, const struct kvm_pit_state2 *in);
int pit_reinject(struct vm *vm, const struct kvm_reinject_control *control);

/** pit_unmasked() - forget ticks that piled up while the guest had the line masked */
void pit_unmasked(struct vm *vm);

#endif
