/* SPDX-License-Identifier: GPL-2.0-only */
/* kvmclock: the guest's nanoseconds. */
#ifndef CORBEL_CLOCK_H
#define CORBEL_CLOCK_H

#include "vcpu.h"

struct kvm_clock_pairing;

int clock_module_init(void);
void clock_module_exit(void);
void clock_resume(void);
void clock_vm_init(struct vm *vm);
void clock_vm_destroy(struct vm *vm);

void clock_to_user(struct vm *vm, struct kvm_clock_data *out);
int clock_from_user(struct vm *vm, const struct kvm_clock_data *in);	/* 0 or -EINVAL */
int clock_guest_stopped(struct vcpu *vcpu);	/* KVM_KVMCLOCK_CTRL: 0 or -EINVAL */

/** clock_update() - REQ_CLOCK: rewrite this vCPU's page. Context: may sleep, vm->srcu held. */
void clock_update(struct vcpu *vcpu);

/** clock_resync() - a TSC offset or the host's clocksource changed. Context: any. */
void clock_resync(struct vm *vm);

void clock_system_time_set(struct vcpu *vcpu, u64 msr);
void clock_wall_set(struct vcpu *vcpu, u64 msr);

/**
 * clock_pairing() - KVM_HC_CLOCK_PAIRING: host time and guest TSC of one moment. 0 or
 * -EOPNOTSUPP
 */
int clock_pairing(struct vcpu *vcpu, struct kvm_clock_pairing *out);

#endif
