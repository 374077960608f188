// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: KVM_SET_USER_MEMORY_REGION, lookup, and the dirty log.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "vm.h"
#include "backend.h"
#include "mem/slots.h"
#include "mmu/fmt.h"
#include "mmu/mmu.h"
#include "mmu/tlb.h"

struct slots *slots_current(struct vm *vm)
{
	return srcu_dereference_check(vm->mem.slots, &vm->srcu, lockdep_is_held(&vm->slots_lock));
}

struct slot *slots_find(const struct slots *slots, gfn_t gfn)
{
	unsigned int low = 0, high = slots->nr;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (slots->by_gfn[mid]->gfn <= gfn)
			low = mid + 1;
		else
			high = mid;
	}
	if (low && slot_has_gfn(slots->by_gfn[low - 1], gfn))
		return slots->by_gfn[low - 1];
	return NULL;
}

/* Code and page tables are often in two of them. */
struct slot *slots_find_cached(struct vcpu *vcpu, const struct slots *slots, gfn_t gfn)
{
	struct vcpu_mmu *mmu = &vcpu->mmu;
	struct slot **recent = mmu->recent_slots, *slot;

	if (unlikely(mmu->recent_generation != slots->generation)) {
		mmu->recent_generation = slots->generation;
		recent[0] = NULL;
		recent[1] = NULL;
	}
	if (recent[0] && slot_has_gfn(recent[0], gfn))
		return recent[0];
	if (recent[1] && slot_has_gfn(recent[1], gfn))
		slot = recent[1];
	else
		slot = slots_find(slots, gfn);
	if (slot) {
		recent[1] = recent[0];
		recent[0] = slot;
	}
	return slot;
}

static struct slot *find_id(const struct slots *slots, u32 id)
{
	unsigned int i;

	for (i = 0; i < slots->nr; i++)
		if (slots->by_gfn[i]->id == id)
			return slots->by_gfn[i];
	return NULL;
}

static hva_t slot_end(const struct slot *slot)
{
	return slot->hva + (slot->npages << PAGE_SHIFT);
}

void slots_hva_first(const struct slots *slots, hva_t end, struct slot_range *range)
{
	unsigned int low = 0, high = slots->nr;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (slots->by_hva[mid].slot->hva < end)
			low = mid + 1;
		else
			high = mid;
	}
	range->next = low;
}

bool slots_hva_next(const struct slots *slots, hva_t start, hva_t end, struct slot_range *range)
{
	while (range->next && slots->by_hva[range->next - 1].max_end > start) {
		struct slot *slot = slots->by_hva[--range->next].slot;
		hva_t first = max(start, slot->hva), last = min(end, slot_end(slot));

		if (first >= last)
			continue;
		range->slot = slot;
		range->start = slot->gfn + ((first - slot->hva) >> PAGE_SHIFT);
		range->end = slot->gfn + ((last - slot->hva + PAGE_SIZE - 1) >> PAGE_SHIFT);
		return true;
	}
	return false;
}

/* A snapshot for @nr slots; the caller fills by_gfn[] in order, then calls order_by_hva(). */
static struct slots *snapshot_alloc(unsigned int nr)
{
	size_t size = struct_size((struct slots *)0, by_gfn, nr) + nr * sizeof(struct slot_by_hva);
	struct slots *slots = kvzalloc(size, GFP_KERNEL_ACCOUNT);

	if (slots) {
		slots->nr = nr;
		slots->by_hva = (void *)&slots->by_gfn[nr];
	}
	return slots;
}

/* Insertion sort: the previous order, kept by the caller's copy, differs in one place. */
static void order_by_hva(struct slots *slots)
{
	hva_t max_end = 0;
	unsigned int i, j;

	for (i = 0; i < slots->nr; i++) {
		struct slot *slot = slots->by_hva[i].slot;

		for (j = i; j && slots->by_hva[j - 1].slot->hva > slot->hva; j--)
			slots->by_hva[j].slot = slots->by_hva[j - 1].slot;
		slots->by_hva[j].slot = slot;
	}
	for (i = 0; i < slots->nr; i++) {
		max_end = max(max_end, slot_end(slots->by_hva[i].slot));
		slots->by_hva[i].max_end = max_end;
	}
}

/* The current snapshot without @old (may be NULL) and with @new (may be NULL). */
static struct slots *snapshot_change(const struct slots *cur, struct slot *old, struct slot *new)
{
	struct slots *next = snapshot_alloc(cur->nr - !!old + !!new);
	struct slot *waiting = new;
	unsigned int i, n = 0, h = 0;

	if (!next)
		return NULL;
	for (i = 0; i < cur->nr; i++) {
		struct slot *slot = cur->by_gfn[i];

		if (waiting && waiting->gfn < slot->gfn) {
			next->by_gfn[n++] = waiting;
			waiting = NULL;
		}
		if (slot != old)
			next->by_gfn[n++] = slot;
		if (cur->by_hva[i].slot != old)
			next->by_hva[h++].slot = cur->by_hva[i].slot;
	}
	if (waiting)
		next->by_gfn[n] = waiting;
	if (new)
		next->by_hva[h].slot = new;
	order_by_hva(next);
	next->generation = cur->generation + 1;
	return next;
}

static void free_retired(struct vm *vm)
{
	struct slots *slots;

	while ((slots = vm->mem.retired)) {
		vm->mem.retired = slots->retired;
		kvfree(slots);
	}
}

/*
 * Nobody can use @cur for a new translation from here on: they check under mmu_lock that their
 * snapshot is current. MMIO markers carry a few bits of the generation only.
 */
static void publish(struct vm *vm, struct slots *cur, struct slots *next)
{
	rcu_assign_pointer(vm->mem.slots, next);
	if (!(next->generation & ENTRY_GEN_MASK))
		mmu_zap_all(vm);
	cur->retired = vm->mem.retired;
	vm->mem.retired = cur;
}

static size_t dirty_bytes(const struct slot *slot)
{
	return ALIGN(slot->npages, BITS_PER_LONG) / 8;
}

static void slot_free(struct slot *slot, const struct slot *heir)
{
	if (!heir || heir->dirty != slot->dirty)
		kvfree(slot->dirty);
	kfree(slot);
}

static int check_region(const struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	u64 last = r->guest_phys_addr + r->memory_size - 1;
	unsigned int bits = min_t(unsigned int, boot_cpu_data.x86_phys_bits,
				  vm->mmu.shadow ? SHADOW_GPA_BITS : caps.tdp_levels == 5 ? 57 : 48);

	if (r->flags & ~SLOT_FLAGS)
		return -EINVAL;
	if (!PAGE_ALIGNED(r->memory_size) || !PAGE_ALIGNED(r->guest_phys_addr) ||
	    !PAGE_ALIGNED(r->userspace_addr))
		return -EINVAL;
	if (r->userspace_addr != untagged_addr(r->userspace_addr) ||
	    !access_ok((void __user *)(unsigned long)r->userspace_addr, r->memory_size))
		return -EINVAL;
	/* the upper half is the address space: there is one */
	if (r->slot >= CORBEL_NR_MEMSLOTS)
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	if (r->memory_size >> PAGE_SHIFT > SLOT_MAX_PAGES)
		return -EINVAL;
	return r->memory_size && last >> bits ? -EINVAL : 0;
}

static bool overlaps(const struct vm *vm, const struct slots *slots, const struct slot *new,
		     const struct slot *old)
{
	unsigned int i;

	for (i = 0; i < slots->nr; i++) {
		const struct slot *slot = slots->by_gfn[i];

		if (slot != old && new->gfn < slot->gfn + slot->npages &&
		    slot->gfn < new->gfn + new->npages)
			return true;
	}
	return vm->mmu.identity && slot_has_gfn(new, vm->mmu.identity_gfn);
}

static int dirty_log_prepare(struct vm *vm, struct slot *new, const struct slot *old)
{
	if (!slot_logged(new) || vm->mem.ring_bytes)
		return 0;
	if (old && old->dirty) {
		new->dirty = old->dirty;
		return 0;
	}
	new->dirty = kvzalloc(2 * dirty_bytes(new), GFP_KERNEL_ACCOUNT);
	if (!new->dirty)
		return -ENOMEM;
	if (vm->mem.manual_dirty & KVM_DIRTY_LOG_INITIALLY_SET)
		bitmap_set(new->dirty, 0, new->npages);
	return 0;
}

static struct slot *slot_new(struct vm *vm, const struct kvm_userspace_memory_region *r,
			     const struct slot *old)
{
	struct slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->id = r->slot;
	slot->flags = r->flags;
	slot->gfn = r->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = r->memory_size >> PAGE_SHIFT;
	slot->hva = r->userspace_addr;
	if (dirty_log_prepare(vm, slot, old)) {
		kfree(slot);
		return NULL;
	}
	return slot;
}

/* Tables follow the change that has just been published. */
static void tables_follow(struct vm *vm, const struct slot *old, const struct slot *new)
{
	if (!new || new->gfn != old->gfn)
		mmu_slot_gone(vm, old);
	else if (slot_logged(old) && !slot_logged(new))	/* huge pages may come back */
		mmu_zap(vm, old->gfn, old->gfn + old->npages, true);
	else if (!slot_logged(old) && slot_logged(new) &&
		 !(vm->mem.manual_dirty & KVM_DIRTY_LOG_INITIALLY_SET))
		mmu_log_start(vm, new);
}

static int replace(struct vm *vm, struct slots *cur, struct slot *old, struct slot *new)
{
	struct slots *next = snapshot_change(cur, old, new);

	if (!next)
		return -ENOMEM;
	publish(vm, cur, next);
	if (old)
		tables_follow(vm, old, new);
	/*
	 * At return nobody may still read or write through the old host addresses. Not
	 * call_srcu() for what nobody waits for: its grace period is counted in ticks, and the
	 * next to wait here would have to sit it out.
	 */
	if (old || next->generation % SLOTS_MAX_RETIRED == 0) {
		synchronize_srcu_expedited(&vm->srcu);
		free_retired(vm);
	}
	if (old)
		slot_free(old, new);
	return 0;
}

/* May @r change @old? Return: 0 nothing to do, 1 go on, -EINVAL */
static int check_change(const struct kvm_userspace_memory_region *r, const struct slot *old)
{
	if (!old)
		return 1;
	if (r->userspace_addr != old->hva || r->memory_size >> PAGE_SHIFT != old->npages ||
	    (r->flags ^ old->flags) & KVM_MEM_READONLY)
		return -EINVAL;
	return r->guest_phys_addr >> PAGE_SHIFT != old->gfn || r->flags != old->flags;
}

static int set_region_locked(struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	struct slots *cur = slots_current(vm);
	struct slot *old = find_id(cur, r->slot), *new;
	int ret;

	if (!r->memory_size)
		return old ? replace(vm, cur, old, NULL) : -EINVAL;
	ret = check_change(r, old);
	if (ret <= 0)
		return ret;
	new = slot_new(vm, r, old);
	if (!new)
		return -ENOMEM;
	ret = overlaps(vm, cur, new, old) ? -EEXIST : replace(vm, cur, old, new);
	if (ret)
		slot_free(new, old);
	return ret;
}

int slots_set_region(struct vm *vm, const struct kvm_userspace_memory_region *region)
{
	int ret = check_region(vm, region);

	if (ret)
		return ret;
	mutex_lock(&vm->slots_lock);
	ret = set_region_locked(vm, region);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

void slots_log_dirty(struct vcpu *vcpu, const struct slot *slot, gfn_t gfn)
{
	u64 bit = gfn - slot->gfn;

	if (!slot_logged(slot))
		return;
	if (vcpu->ring.size)
		ring_push(vcpu, slot->id, bit);
	else if (!test_bit(bit, slot->dirty))
		set_bit(bit, slot->dirty);
}

void slots_mark_dirty(struct vcpu *vcpu, gfn_t gfn)
{
	struct slot *slot = slots_find_cached(vcpu, slots_current(vcpu->vm), gfn);

	if (slot)
		slots_log_dirty(vcpu, slot, gfn);
}

static struct slot *logged_slot(struct vm *vm, u32 id)
{
	struct slot *slot;

	if (vm->mem.ring_bytes)
		return ERR_PTR(-ENXIO);
	if (id >= CORBEL_NR_MEMSLOTS)
		return ERR_PTR(-EINVAL);
	slot = find_id(slots_current(vm), id);
	return slot && slot->dirty ? slot : ERR_PTR(-ENOENT);
}

/* Behind the log, of the same size: what goes to userspace or comes from there. */
static unsigned long *scratch(const struct slot *slot)
{
	return slot->dirty + dirty_bytes(slot) / sizeof(long);
}

/*
 * Take bits out of @n words of the log from @first on, those of @bits or @all, and have further
 * writes noticed. @bits: what was taken. The flush comes before userspace hears of it.
 */
static void dirty_take(struct vm *vm, struct slot *slot, unsigned long first, unsigned long n,
		       unsigned long *bits, bool all)
{
	bool flush = false;
	unsigned long i;

	write_lock(&vm->mmu_lock);
	for (i = 0; i < n; i++) {
		unsigned long *word = &slot->dirty[first + i], mask = all ? ~0ul : bits[i];

		bits[i] = READ_ONCE(*word) & mask;
		if (bits[i]) {
			bits[i] = atomic_long_fetch_andnot(mask, (atomic_long_t *)word) & mask;
			flush |= mmu_log_rearm(vm, slot->gfn + (first + i) * BITS_PER_LONG, bits[i]);
		}
		cond_resched_rwlock_write(&vm->mmu_lock);
	}
	write_unlock(&vm->mmu_lock);
	if (flush)
		tlb_flush_vm(vm);
}

static int get_dirty_locked(struct vm *vm, const struct kvm_dirty_log *log)
{
	struct slot *slot = logged_slot(vm, log->slot);
	unsigned long *out;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	vm_request_all(vm, REQ_PML_DRAIN, true);
	out = slot->dirty;
	if (!(vm->mem.manual_dirty & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)) {
		out = scratch(slot);
		dirty_take(vm, slot, 0, dirty_bytes(slot) / sizeof(long), out, true);
	}
	return copy_to_user(log->dirty_bitmap, out, dirty_bytes(slot)) ? -EFAULT : 0;
}

int slots_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log)
{
	int ret;

	mutex_lock(&vm->slots_lock);
	ret = get_dirty_locked(vm, log);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

static int clear_dirty_locked(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	struct slot *slot = logged_slot(vm, log->slot);
	unsigned long *mask, n = DIV_ROUND_UP(log->num_pages, BITS_PER_LONG);

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (log->first_page > slot->npages || log->num_pages > slot->npages - log->first_page ||
	    (log->num_pages < slot->npages - log->first_page && (log->num_pages & 63)))
		return -EINVAL;
	vm_request_all(vm, REQ_PML_DRAIN, true);
	mask = scratch(slot);
	if (copy_from_user(mask, log->dirty_bitmap, n * sizeof(long)))
		return -EFAULT;
	if (log->num_pages % BITS_PER_LONG)
		mask[n - 1] &= BITMAP_LAST_WORD_MASK(log->num_pages);
	dirty_take(vm, slot, log->first_page / BITS_PER_LONG, n, mask, false);
	return 0;
}

int slots_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	int ret;

	if (log->first_page & 63)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	ret = clear_dirty_locked(vm, log);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

/* What userspace made of an entry may be anything. Return: flush needed */
static bool reset_page(struct vm *vm, u32 id, u64 offset)
{
	struct slot *slot = find_id(slots_current(vm), id);
	bool flush;

	if (!slot || offset >= slot->npages)
		return false;
	write_lock(&vm->mmu_lock);
	flush = mmu_log_rearm(vm, slot->gfn + offset, 1);
	write_unlock(&vm->mmu_lock);
	return flush;
}

/* A fast client and a fast guest could keep this going: no more than the rings hold. */
int slots_reset_rings(struct vm *vm)
{
	unsigned long i;
	struct vcpu *vcpu;
	bool flush = false;
	int count = 0;

	mutex_lock(&vm->slots_lock);
	vm_for_each_vcpu(i, vcpu, vm) {
		u32 id, left = vcpu->ring.size;
		u64 offset;

		for (; left-- && ring_take(&vcpu->ring, &id, &offset); count++) {
			flush |= reset_page(vm, id, offset);
			cond_resched();
		}
	}
	if (flush)
		tlb_flush_vm(vm);
	mutex_unlock(&vm->slots_lock);
	return count;
}

int slots_vm_init(struct vm *vm)
{
	struct slots *slots = snapshot_alloc(0);

	if (!slots)
		return -ENOMEM;
	rcu_assign_pointer(vm->mem.slots, slots);
	return 0;
}

void slots_vm_destroy(struct vm *vm)
{
	struct slots *slots = rcu_dereference_protected(vm->mem.slots, true);
	unsigned int i;

	free_retired(vm);
	for (i = 0; i < slots->nr; i++)
		slot_free(slots->by_gfn[i], NULL);
	kvfree(slots);
	RCU_INIT_POINTER(vm->mem.slots, NULL);
}
