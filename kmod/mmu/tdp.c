// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT and NPT: one set of tables per VM, shared by its vCPUs and as old as the VM.
 *
 * With mmu_lock held for reading, entries are only added, made more permissive or replaced by a
 * table that maps the same; each by compare-and-exchange, since other vCPUs and the hardware's
 * accessed and dirty bits race. Taking permissions or tables away needs mmu_lock for writing.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include "vm.h"
#include "backend.h"
#include "trace.h"
#include "mem/notifier.h"
#include "mmu/iter.h"
#include "mmu/tdp.h"
#include "mmu/tlb.h"

struct fmt tdp_fmt __ro_after_init;
static bool tdp_pml __ro_after_init;	/* the dirty log is fed by cleared dirty bits */

int __init tdp_module_init(void)
{
	if (!caps.tdp_format)
		return -EOPNOTSUPP;
	tdp_fmt = *caps.tdp_format;
	if (!caps.tdp_ad)
		tdp_fmt.accessed = tdp_fmt.dirty = 0;
	tdp_pml = caps.pml && tdp_fmt.dirty;
	if (!(tdp_fmt.marker & ENTRY_ADDR))
		tdp_fmt.marker = fmt_marker_by_address(tdp_fmt.marker);
	return 0;
}

/* No table has an entry for it. Hardware says so by a violation, if its addresses are that long. */
static bool out_of_reach(gfn_t gfn)
{
	return gfn >> (caps.tdp_levels * 9);
}

static void count_leaves(struct vm *vm, int level, s64 n)
{
	atomic64_add(n, (atomic64_t *)&vm->stats.pages[level - 1]);
}

static u64 *entry_of(u64 *table, gfn_t gfn, int level)
{
	return &table[gfn >> (level - 1) * 9 & (ENTRIES - 1)];
}

static u64 table_entry(u64 *table)
{
	return tdp_fmt.table | __sme_set(__pa(table));
}

static bool entry_dirty(u64 entry)
{
	return entry & (tdp_fmt.dirty ?: tdp_fmt.write);
}

static bool entry_exec(u64 entry)
{
	return (entry & (tdp_fmt.exec | tdp_fmt.noexec)) == tdp_fmt.exec;
}

static void leaf_gone(struct vm *vm, u64 entry, int level)
{
	hfn_t hfn = entry_addr(entry) >> PAGE_SHIFT;

	count_leaves(vm, level, -1);
	if (!(entry & ENTRY_PAGE))
		return;
	if (!tdp_fmt.accessed || entry & tdp_fmt.accessed)
		pfn_set_accessed(hfn);
	if (entry_dirty(entry))
		pfn_set_dirty(hfn);
}

int tdp_topup(struct vcpu *vcpu)
{
	struct vcpu_mmu *mmu = &vcpu->mmu;

	while (mmu->nr_tables < MMU_CACHE_TABLES) {
		u64 *table = tlb_table_alloc();

		if (!table)
			return -ENOMEM;
		mmu->tables[mmu->nr_tables++] = table;
	}
	return 0;
}

bool tdp_has_tables(const struct vcpu *vcpu)
{
	return vcpu->mmu.nr_tables >= caps.tdp_levels - 1;
}

/*
 * Put a prepared table in the place of it->entry. Afterwards it->entry is what is there, ours or
 * not.
 */
static bool link_table(struct vcpu *vcpu, struct iter *it, u64 *table)
{
	u64 new = table_entry(table);

	if (!try_cmpxchg64(it->ptr, &it->entry, new))
		return false;
	it->entry = new;
	vcpu->mmu.nr_tables--;
	return true;
}

static u64 *cached_table(struct vcpu *vcpu)
{
	return vcpu->mmu.tables[vcpu->mmu.nr_tables - 1];
}

/* The entry of a smaller page in the place of part @index of a larger one. */
static u64 child_entry(u64 entry, int child_level, unsigned int index)
{
	entry += (u64)index * level_pages(child_level) << PAGE_SHIFT;
	if (child_level == 1) {
		entry &= ~(ENTRY_LARGE | tdp_fmt.noexec);
		entry |= tdp_fmt.exec;
	}
	return entry;
}

/*
 * No flush: both map the same, and whoever wants more permission faults and drops the old
 * translation.
 */
static void split_leaf(struct vcpu *vcpu, struct iter *it, gfn_t gfn)
{
	u64 *table = cached_table(vcpu);
	int level = it->level;
	unsigned int i;

	for (i = 0; i < ENTRIES; i++)
		table[i] = child_entry(it->entry, level - 1, i);
	if (link_table(vcpu, it, table)) {
		trace_corbel_split(vcpu->id, gfn & ~(level_pages(level) - 1), level);
		count_leaves(vcpu->vm, level, -1);
		count_leaves(vcpu->vm, level - 1, ENTRIES);
	} else {
		memset(table, 0, PAGE_SIZE);
	}
}

static bool entry_allows(u64 entry, int level, const struct tdp_fault *f)
{
	return entry_is_leaf(entry, level) && (!f->write || entry & tdp_fmt.write) &&
	       (!f->exec || entry_exec(entry));
}

/*
 * Walk down to the entry for f->gfn at @goal, or above it if a larger page there will do, or below
 * it if a table is in the way; adds tables and splits pages.
 */
static void walk_down(struct vcpu *vcpu, struct iter *it, const struct tdp_fault *f, int goal)
{
	u64 *table = vcpu->vm->mmu.root_table;

	for (it->level = caps.tdp_levels; ; it->level--) {
		it->ptr = entry_of(table, f->gfn, it->level);
		it->entry = READ_ONCE(*it->ptr);
		while (!entry_is_table(it->entry, it->level)) {
			if (it->level <= goal || entry_allows(it->entry, it->level, f))
				return;
			if (entry_present(it->entry))
				split_leaf(vcpu, it, f->gfn);
			else
				link_table(vcpu, it, cached_table(vcpu));
		}
		table = entry_table(it->entry);
	}
}

bool slot_fits(const struct slot *slot, gfn_t gfn, int level)
{
	u64 pages = level_pages(level);
	gfn_t first = gfn & ~(pages - 1);

	return first >= slot->gfn && first + pages <= slot->gfn + slot->npages &&
	       !((slot->gfn ^ (slot->hva >> PAGE_SHIFT)) & (pages - 1));
}

static int goal_level(struct vm *vm, const struct tdp_fault *f)
{
	int level;

	if (!f->slot || slot_logged(f->slot) || (f->exec && vm->mmu.nx_huge_pages))
		return 1;
	level = min_t(int, f->host_level, caps.tdp_max_level);
	while (level > 1 && !slot_fits(f->slot, f->gfn, level))
		level--;
	return level;
}

static u64 make_leaf(struct vm *vm, const struct tdp_fault *f, int level)
{
	hpa_t hpa = (f->pfn.hfn & ~(level_pages(level) - 1)) << PAGE_SHIFT;
	bool logged = f->slot && slot_logged(f->slot);
	u64 entry = tdp_fmt.base | tdp_fmt.accessed;

	entry |= f->pfn.mmio ? tdp_fmt.mmio_type | hpa : tdp_fmt.ram | __sme_set(hpa);
	if (vm->mmu.noncoherent)
		entry &= ~tdp_fmt.ignore_pat;
	entry |= level > 1 && vm->mmu.nx_huge_pages ? tdp_fmt.noexec : tdp_fmt.exec;
	if (level > 1)
		entry |= ENTRY_LARGE;
	if (f->pfn.page)
		entry |= ENTRY_PAGE;
	if (!f->pfn.writable)
		return entry;
	entry |= ENTRY_WRITABLE;
	if (f->write || !logged || tdp_pml)
		entry |= tdp_fmt.write;
	if (f->write)
		entry |= tdp_fmt.dirty;
	return entry;
}

/* False: somebody else changed the entry, try again. */
static bool install(struct vcpu *vcpu, struct iter *it, const struct tdp_fault *f)
{
	struct vm *vm = vcpu->vm;
	u64 old = it->entry, new = make_leaf(vm, f, it->level);

	if (entry_allows(old, it->level, f))
		return true;
	if (entry_present(old) && entry_addr(old) != entry_addr(new)) {
		/* Device memory that moved without a word to the notifier. */
		if (!f->atomic && try_cmpxchg64(it->ptr, &old, 0)) {
			leaf_gone(vm, old, it->level);
			tlb_flush_vm(vm);
		}
		return false;
	}
	if (entry_present(old))
		new |= old & (tdp_fmt.accessed | tdp_fmt.dirty | tdp_fmt.write);
	if (!try_cmpxchg64(it->ptr, &old, new))
		return false;
	if (!entry_present(old))
		count_leaves(vm, it->level, 1);
	if (f->write && f->slot)
		slots_log_dirty(vcpu, f->slot, f->gfn);
	return true;
}

bool fault_stale(struct vm *vm, const struct tdp_fault *f)
{
	if (READ_ONCE(vm->dead) || rcu_access_pointer(vm->mem.slots) != f->slots)
		return true;
	return f->slot && notifier_retry(vm->mem.notifier, f->seq, f->hva,
					 f->hva + ((1 + f->nr_more) << PAGE_SHIFT));
}

/*
 * Up to the end of an aligned group of pages, if the log does not want to hear of each, the host
 * has no larger page, and dirty bits tell later which of them were written.
 */
unsigned int tdp_maps_more(const struct tdp_fault *f)
{
	u64 left = f->slot->gfn + f->slot->npages - f->gfn - 1;

	if (!tdp_fmt.dirty || slot_logged(f->slot) || f->slot->flags & KVM_MEM_READONLY || f->host_level > 1)
		return 0;
	return min_t(u64, left, PFN_MORE - (f->gfn & PFN_MORE));
}

/* Neither accessed nor dirty, and only where nothing is. */
static void install_more(struct vm *vm, const struct iter *it, const struct tdp_fault *f)
{
	struct tdp_fault next = { .slot = f->slot, .pfn = { .writable = true, .page = true } };
	unsigned int i, done = 0;

	for (i = 0; i < f->nr_more; i++) {
		next.pfn.hfn = f->more[i];
		if (!READ_ONCE(it->ptr[i + 1]) &&
		    !cmpxchg64(&it->ptr[i + 1], 0, make_leaf(vm, &next, 1) & ~tdp_fmt.accessed))
			done++;
	}
	count_leaves(vm, 1, done);
}

bool tdp_map(struct vcpu *vcpu, const struct tdp_fault *f)
{
	struct vm *vm = vcpu->vm;
	struct iter it;
	bool done = false;

	if (!f->atomic)
		read_lock(&vm->mmu_lock);
	else if (!read_trylock(&vm->mmu_lock))
		return false;
	if (!fault_stale(vm, f)) {
		walk_down(vcpu, &it, f, goal_level(vm, f));
		done = install(vcpu, &it, f);
		if (f->nr_more && it.level == 1)
			install_more(vm, &it, f);
	}
	read_unlock(&vm->mmu_lock);
	return done;
}

bool tdp_mark_mmio(struct vcpu *vcpu, const struct tdp_fault *f)
{
	struct vm *vm = vcpu->vm;
	struct iter it;
	bool current_slots;

	if (!tdp_fmt.marker || out_of_reach(f->gfn))
		return true;
	read_lock(&vm->mmu_lock);
	current_slots = !fault_stale(vm, f);
	if (current_slots) {
		walk_down(vcpu, &it, f, 1);
		if (!entry_present(it.entry))
			cmpxchg64(it.ptr, it.entry, entry_marker(tdp_fmt.marker, f->slots->generation));
	}
	read_unlock(&vm->mmu_lock);
	return current_slots;
}

/* The lowest entry on the way to @gfn. Context: rcu_read_lock() or mmu_lock. Return: its level */
static int lookup(struct vm *vm, gfn_t gfn, u64 **ptr, u64 *entry)
{
	u64 *table = vm->mmu.root_table;
	int level;

	for (level = caps.tdp_levels; ; level--) {
		*ptr = entry_of(table, gfn, level);
		*entry = READ_ONCE(**ptr);
		if (!entry_is_table(*entry, level))
			return level;
		table = entry_table(*entry);
	}
}

bool tdp_is_mmio(struct vm *vm, gfn_t gfn)
{
	u64 *ptr, entry;

	if (out_of_reach(gfn))
		return false;
	rcu_read_lock();
	lookup(vm, gfn, &ptr, &entry);
	rcu_read_unlock();
	return entry_is_marker(entry) &&
	       entry == entry_marker(tdp_fmt.marker, slots_current(vm)->generation);
}

/*
 * The mark is set after the entry, through a fresh look at the slots: a read-only entry that only
 * the log keeps so proves that the snapshot with the log had been published before.
 */
bool tdp_fast_fault(struct vcpu *vcpu, const struct tdp_fault *f)
{
	u64 *ptr, entry;
	bool fixed = false;

	if (!f->write || f->exec || !slot_logged(f->slot))
		return false;
	rcu_read_lock();
	if (lookup(vcpu->vm, f->gfn, &ptr, &entry) == 1 && entry_present(entry) &&
	    entry & ENTRY_WRITABLE)
		fixed = try_cmpxchg64(ptr, &entry, entry | tdp_fmt.write | tdp_fmt.dirty);
	rcu_read_unlock();
	if (fixed) {
		slots_mark_dirty(vcpu, f->gfn);
		vcpu->stats.pf_fixed++;
	}
	return fixed;
}

/* Empty a table that nothing points to any more, and all below it. */
static void zap_table(struct tlb_gather *gather, u64 *table, int level)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		/* Exchanged, lest a lock-free fault or the hardware bring it back to life. */
		u64 old = READ_ONCE(table[i]) ? xchg(&table[i], 0) : 0;

		if (entry_is_leaf(old, level))
			leaf_gone(gather->vm, old, level);
		else if (entry_is_table(old, level))
			zap_table(gather, entry_table(old), level - 1);
	}
	tlb_gather_table(gather, table);
}

static void zap_entry(struct tlb_gather *gather, struct iter *it)
{
	u64 old = xchg(it->ptr, 0);

	it->entry = 0;
	if (entry_is_leaf(old, it->level)) {
		leaf_gone(gather->vm, old, it->level);
		gather->flush = true;
	} else if (entry_is_table(old, it->level)) {
		zap_table(gather, entry_table(old), it->level - 1);
	}
}

static void zap_yield(struct tlb_gather *gather, struct iter *it)
{
	struct vm *vm = gather->vm;

	if (!need_resched() && !rwlock_needbreak(&vm->mmu_lock))
		return;
	tlb_gather_finish(gather);
	cond_resched_rwlock_write(&vm->mmu_lock);
	iter_restart(it);
}

/*
 * Zap leaves in the range and tables of up to @level whose whole reach is in it. One level after
 * the other, so that a step is never longer than a table's worth of entries.
 */
static void zap_level(struct tlb_gather *gather, gfn_t start, gfn_t end, int level, bool may_yield)
{
	struct vm *vm = gather->vm;
	struct iter it;

	for_each_entry(&it, vm->mmu.root_table, caps.tdp_levels, start, end,
		       level > 2 ? level : 1) {
		if (!it.entry)
			continue;
		if (entry_is_table(it.entry, it.level) &&
		    (it.level > level || it.gfn < start || it.gfn + level_pages(it.level) > end))
			continue;
		zap_entry(gather, &it);
		if (may_yield)
			zap_yield(gather, &it);
	}
}

void tdp_zap(struct vm *vm, gfn_t start, gfn_t end, bool may_yield)
{
	struct tlb_gather gather;
	int level;

	trace_corbel_zap(vm->userspace_pid, start, end);
	tlb_gather_start(&gather, vm);
	write_lock(&vm->mmu_lock);
	zap_level(&gather, start, end, 2, may_yield);
	for (level = 3; level <= caps.tdp_levels && level_pages(level) <= end - start; level++)
		zap_level(&gather, start, end, level, may_yield);
	tlb_gather_finish(&gather);
	write_unlock(&vm->mmu_lock);
}

void tdp_zap_all(struct vm *vm)
{
	tdp_zap(vm, 0, level_pages(caps.tdp_levels + 1), true);
}

/* @entry: as it was read. Return: one of @bits was set */
static bool clear_bits(u64 *ptr, u64 entry, u64 bits)
{
	do {
		if (!(entry & bits))
			return false;
	} while (!try_cmpxchg64(ptr, &entry, entry & ~bits));
	return true;
}

bool tdp_age(struct vm *vm, gfn_t start, gfn_t end, bool clear, bool flush)
{
	/* Without accessed bits, young means mapped, and only a new fault tells whether it is again. */
	bool zap = clear && !tdp_fmt.accessed;
	struct iter it;
	bool young = false;

	read_lock(&vm->mmu_lock);
	for_each_entry(&it, vm->mmu.root_table, caps.tdp_levels, start, end, 1) {
		if (!entry_is_leaf(it.entry, it.level) ||
		    !(it.entry & (tdp_fmt.accessed ?: ENTRY_PRESENT)))
			continue;
		young = true;
		if (!clear || zap)
			break;
		clear_bits(it.ptr, it.entry, tdp_fmt.accessed);
	}
	if (young && flush && !zap)
		tlb_flush_vm(vm);
	read_unlock(&vm->mmu_lock);
	if (young && zap)
		tdp_zap(vm, start, end, false);
	return young;
}

/*
 * Have the next write noticed. Large pages are always write-protected: the write then splits them.
 */
static bool rearm(u64 *ptr, int level)
{
	bool by_dirty = tdp_pml && level == 1;
	u64 entry = READ_ONCE(*ptr);

	if (!entry_is_leaf(entry, level) ||
	    !clear_bits(ptr, entry, by_dirty ? tdp_fmt.dirty : tdp_fmt.write))
		return false;
	if (by_dirty && entry & ENTRY_PAGE)
		pfn_set_dirty(entry_addr(entry) >> PAGE_SHIFT);
	return true;
}

/* The small pages of @mask, bit 0 for that of @ptr. */
static bool rearm_small(u64 *ptr, u64 mask)
{
	bool flush = false;

	for (; mask; mask &= mask - 1)
		flush |= rearm(ptr + __ffs64(mask), 1);
	return flush;
}

bool tdp_log_rearm(struct vm *vm, gfn_t first, u64 mask)
{
	struct iter it;
	bool flush = false;

	for_each_entry(&it, vm->mmu.root_table, caps.tdp_levels, first, first + fls64(mask), 1) {
		gfn_t gfn = it.gfn;

		if (it.level > 1)
			flush |= rearm(it.ptr, it.level);
		else
			flush |= rearm_small(it.ptr, mask >> (gfn - first) &
						     GENMASK_ULL(iter_rest(&it) - 1, 0));
	}
	return flush;
}

void tdp_log_start(struct vm *vm, const struct slot *slot)
{
	struct tlb_gather gather;
	struct iter it;

	tlb_gather_start(&gather, vm);
	write_lock(&vm->mmu_lock);
	for_each_entry(&it, vm->mmu.root_table, caps.tdp_levels, slot->gfn,
		       slot->gfn + slot->npages, 1) {
		unsigned int i, nr;

		if (it.level > 1) {
			gather.flush |= rearm(it.ptr, it.level);
			continue;
		}
		nr = iter_rest(&it);
		for (i = 0; i < nr; i++)
			gather.flush |= rearm(it.ptr + i, 1);
		zap_yield(&gather, &it);
	}
	tlb_gather_finish(&gather);
	write_unlock(&vm->mmu_lock);
}

int tdp_vm_init(struct vm *vm)
{
	vm->mmu.root_table = tlb_table_alloc();
	if (!vm->mmu.root_table)
		return -ENOMEM;
	vm->mmu.root = __pa(vm->mmu.root_table);
	return 0;
}

void tdp_vm_destroy(struct vm *vm)
{
	tlb_table_free(vm->mmu.root_table);	/* mem_vm_destroy() has emptied it */
	vm->mmu.root_table = NULL;
	vm->mmu.root = INVALID_HPA;
}
