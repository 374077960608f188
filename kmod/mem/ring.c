// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "vm.h"
#include "backend.h"
#include "mem/ring.h"

#define RING_RESERVE	64	/* what the kernel may write between two entries, as in KVM */
#define PML_ENTRIES	512	/* of the hardware's log, which adds all it has at once */

u32 ring_reserve(void)
{
	return RING_RESERVE + (caps.pml ? PML_ENTRIES : 0);
}

int ring_vcpu_init(struct vcpu *vcpu)
{
	struct dirty_ring *ring = &vcpu->ring;
	u32 bytes = vcpu->vm->mem.ring_bytes;

	if (!bytes)
		return 0;
	ring->entries = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->entries)
		return -ENOMEM;
	ring->size = bytes / sizeof(*ring->entries);
	return 0;
}

void ring_vcpu_destroy(struct vcpu *vcpu)
{
	vfree(vcpu->ring.entries);
}

static struct kvm_dirty_gfn *entry_at(const struct dirty_ring *ring, u32 index)
{
	return &ring->entries[index & (ring->size - 1)];
}

static u32 used(const struct dirty_ring *ring)
{
	return ring->head - smp_load_acquire(&ring->tail);
}

/*
 * Userspace has not seen the last entry yet, and it is for the same page: who takes it will see
 * this write, too.
 */
static bool pushed_already(const struct dirty_ring *ring, u32 slot, u64 offset)
{
	const struct kvm_dirty_gfn *last = entry_at(ring, ring->head - 1);

	smp_mb();	/* the write to the page before the look at the flags */
	return READ_ONCE(last->flags) == KVM_DIRTY_GFN_F_DIRTY &&
	       READ_ONCE(last->slot) == slot && READ_ONCE(last->offset) == offset;
}

void ring_push(struct vcpu *vcpu, u32 slot, u64 offset)
{
	struct dirty_ring *ring = &vcpu->ring;
	struct kvm_dirty_gfn *entry = entry_at(ring, ring->head);

	/*
	 * Full: only who has the kernel write guest memory again and again without KVM_RUN, by
	 * KVM_SET_MSRS, gets here, and loses the page.
	 */
	if (used(ring) >= ring->size || pushed_already(ring, slot, offset))
		return;
	WRITE_ONCE(entry->slot, slot);
	WRITE_ONCE(entry->offset, offset);
	/* Who has seen the flag may have it taken at once: ring_take() must find it below the head. */
	WRITE_ONCE(ring->head, ring->head + 1);
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
	if (used(ring) >= ring->size - ring_reserve())
		vcpu_request(vcpu, REQ_RING_FULL);
}

bool ring_take(struct dirty_ring *ring, u32 *slot, u64 *offset)
{
	struct kvm_dirty_gfn *entry = entry_at(ring, ring->tail);

	if (ring->tail == READ_ONCE(ring->head) ||
	    !(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
		return false;
	*slot = READ_ONCE(entry->slot);
	*offset = READ_ONCE(entry->offset);
	WRITE_ONCE(entry->flags, 0);
	smp_store_release(&ring->tail, ring->tail + 1);	/* the entry may be used again */
	return true;
}

int ring_serve(struct vcpu *vcpu)
{
	if (used(&vcpu->ring) < vcpu->ring.size - ring_reserve())
		return RESUME;
	vcpu_request(vcpu, REQ_RING_FULL);
	vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
	return TO_USER;
}
