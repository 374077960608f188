/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's dirty ring: pages in the order in which they were written. The vCPU's thread adds at
 * the head; userspace, which has the entries mapped and may write anything there, marks those that
 * it has taken; KVM_RESET_DIRTY_RINGS, under slots_lock, gives these back.
 */
#ifndef CORBEL_RING_H
#define CORBEL_RING_H

#include "types.h"

struct kvm_dirty_gfn;

#define RING_MAX_BYTES	(65536 * 16)	/* KVM_CAP_DIRTY_LOG_RING */

struct dirty_ring {
	struct kvm_dirty_gfn *entries;
	u32 size;		/* entries, a power of two; 0: there is no ring */
	u32 head, tail;		/* free running: next to be added, next to be given back */
};

/** ring_reserve() - entries that are kept free for what one stay in the guest may add */
u32 ring_reserve(void);

/** ring_vcpu_init() - Return: 0 or -ENOMEM */
int ring_vcpu_init(struct vcpu *vcpu);
void ring_vcpu_destroy(struct vcpu *vcpu);

/**
 * ring_push() - a page was written. Asks for an exit when only the reserve is left.
 * Context: any; the vCPU's own thread, vcpu->lock held.
 */
void ring_push(struct vcpu *vcpu, u32 slot, u64 offset);

/** ring_take() - the next entry that userspace has done with. Context: slots_lock. */
bool ring_take(struct dirty_ring *ring, u32 *slot, u64 *offset);

/** ring_serve() - REQ_RING_FULL: exit until there is room again. Return: RESUME or TO_USER */
int ring_serve(struct vcpu *vcpu);

#endif
