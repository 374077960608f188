// SPDX-License-Identifier: GPL-2.0-only
/* Shadow pages, their entries, and what the host does to them. */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "vm.h"
#include "trace.h"
#include "mem/slots.h"
#include "mmu/shadow.h"
#include "mmu/tdp.h"
#include "mmu/tlb.h"

#define SHADOW_ORDER	2
#define MIN_PAGES	128
#define PAGES_PART	64	/* shadow pages, of a quarter of that many of guest memory */
#define RECLAIM_BATCH	16

u64 shadow_marker __ro_after_init;

int __init shadow_module_init(void)
{
	shadow_marker = fmt_marker_by_address(SHADOW_P | SHADOW_W | SHADOW_U);
	return 0;
}

struct shadow_page *shadow_of(const void *entry)
{
	return (void *)((unsigned long)entry & ~(SHADOW_PAGE_SIZE - 1));
}

static struct shadow_page *page_alloc(void)
{
	struct shadow_page *sp = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, SHADOW_ORDER);

	if (sp)
		stats_live(LIVE_PAGES, 1);
	return sp;
}

void shadow_free(struct shadow_page *sp)
{
	stats_live(LIVE_PAGES, -1);
	free_pages((unsigned long)sp, SHADOW_ORDER);
}

int shadow_topup(struct vcpu *vcpu)
{
	struct vcpu_mmu *mmu = &vcpu->mmu;

	while (mmu->nr_spares < MMU_SPARES) {
		struct shadow_page *sp = page_alloc();

		if (!sp)
			return -ENOMEM;
		mmu->spares[mmu->nr_spares++] = sp;
	}
	return 0;
}

void shadow_batch_start(struct shadow_batch *b, struct vm *vm)
{
	b->vm = vm;
	b->flush = false;
	INIT_LIST_HEAD(&b->dead);
}

/* Before mmu_lock is dropped: the hardware may still walk what was unlinked. */
void shadow_batch_finish(struct shadow_batch *b)
{
	struct shadow_page *sp, *next;

	if (b->flush || !list_empty(&b->dead)) {
		tlb_flush_vm(b->vm);
		b->vm->mmu.shadow->tlb_stale = false;
	}
	b->flush = false;
	list_for_each_entry_safe(sp, next, &b->dead, active)
		shadow_free(sp);
	INIT_LIST_HEAD(&b->dead);
}

static struct hlist_head *rmap_head(struct vm_shadow *s, gfn_t gfn)
{
	return &s->rmap[hash_64(gfn, SHADOW_RMAP_BITS)];
}

static void count_leaves(struct shadow_page *sp, s64 n)
{
	atomic64_add(n, (atomic64_t *)&sp->vm->stats.pages[sp->role.level - 1]);
}

static void leaf_gone(struct shadow_page *sp, u64 entry)
{
	hfn_t hfn = entry_addr(entry) >> PAGE_SHIFT;

	count_leaves(sp, -1);
	sp->vm->mmu.shadow->tlb_stale = true;
	if (!(entry & SHADOW_PAGE))
		return;
	if (entry & SHADOW_A)
		pfn_set_accessed(hfn);
	if (entry & SHADOW_D)
		pfn_set_dirty(hfn);
}

/* No flush: the guest asks for its own, and tlb_stale has the host's catch up before it relies on one. */
void shadow_drop(struct shadow_page *sp, unsigned int i)
{
	u64 old = xchg(&sp->table[i], 0);

	__clear_bit(i, sp->used);
	if (!entry_present(old))
		return;		/* an MMIO marker at most */
	hlist_del(&sp->links[i]);
	if (entry_is_leaf(old, sp->role.level))
		leaf_gone(sp, old);
}

void shadow_link(struct shadow_page *sp, unsigned int i, struct shadow_page *child)
{
	shadow_drop(sp, i);
	hlist_add_head(&sp->links[i], &child->parents);
	__set_bit(i, sp->used);
	WRITE_ONCE(sp->table[i], SHADOW_TABLE | __sme_set(__pa(child->table)));
}

void shadow_map_page(struct shadow_page *sp, unsigned int i, gfn_t gfn, u64 new)
{
	shadow_drop(sp, i);
	__set_bit(i, sp->used);
	if (entry_present(new)) {
		sp->gfns[i] = gfn;
		hlist_add_head(&sp->links[i], rmap_head(sp->vm->mmu.shadow, gfn));
		count_leaves(sp, 1);
	}
	WRITE_ONCE(sp->table[i], new);
}

/*
 * Entries that map a page of [start, end). The body may drop the entry. A large page is found at
 * its first gfn.
 */
struct rmap_iter {
	struct vm_shadow *s;
	gfn_t gfn, end;
	unsigned int level;		/* lowest one that may match at this gfn */
	struct hlist_node *next;
	struct shadow_page *sp;
	unsigned int i;
};

static void rmap_start(struct rmap_iter *it, struct vm *vm, gfn_t start, gfn_t end)
{
	it->s = vm->mmu.shadow;
	it->end = end;
	it->gfn = start & ~(level_pages(2) - 1);
	it->level = it->gfn == start ? 1 : 2;
	it->next = rmap_head(it->s, it->gfn)->first;
	it->sp = NULL;
}

static bool rmap_next(struct rmap_iter *it, gfn_t start)
{
	while (it->gfn < it->end) {
		struct hlist_node *node = it->next;

		if (!node) {
			it->gfn = it->level == 2 ? start : it->gfn + 1;
			it->level = 1;
			it->next = rmap_head(it->s, it->gfn)->first;
			continue;
		}
		it->next = node->next;
		it->sp = shadow_of(node);
		it->i = node - it->sp->links;
		if (it->sp->gfns[it->i] == it->gfn && it->sp->role.level >= it->level)
			return true;
	}
	return false;
}

#define for_each_mapping(it, vm, start, end)					\
	for (rmap_start(it, vm, start, end); rmap_next(it, start);)

bool shadow_find_frame(struct vm *vm, gfn_t gfn, struct pfn *pfn)
{
	struct rmap_iter it;
	u64 entry;

	for_each_mapping(&it, vm, gfn, gfn + 1) {
		entry = READ_ONCE(it.sp->table[it.i]);
		if (!(entry & SHADOW_PAGE) || !(entry & SHADOW_HOST_W))
			continue;
		*pfn = (struct pfn){
			.hfn = (entry_addr(entry) >> PAGE_SHIFT) + gfn - it.sp->gfns[it.i],
			.writable = true, .page = true,
		};
		return true;
	}
	return false;
}

static u64 entry_clear_bits(struct shadow_page *sp, unsigned int i, u64 bits)
{
	return atomic64_fetch_andnot(bits, (atomic64_t *)&sp->table[i]) & bits;
}

void shadow_write_protect(struct shadow_batch *b, gfn_t gfn)
{
	struct rmap_iter it;

	b->flush |= b->vm->mmu.shadow->tlb_stale;
	for_each_mapping(&it, b->vm, gfn, gfn + 1) {
		if (it.sp->role.level > 1) {
			shadow_drop(it.sp, it.i);	/* to come back in small pages */
			b->flush = true;
		} else if (entry_clear_bits(it.sp, it.i, SHADOW_W)) {
			b->flush = true;
		}
	}
}

/* From here on the guest does not write the table unnoticed. Not if it does so already: lazy. */
static void follow_table(struct shadow_batch *b, struct shadow_page *sp)
{
	struct vm_shadow *s = b->vm->mmu.shadow;
	struct shadow_page *other;

	shadow_for_each(other, s, sp->gfn) {
		if (!list_empty(&other->unsync) && !other->role.direct) {
			list_add(&sp->unsync, &s->unsync);
			return;
		}
	}
	shadow_write_protect(b, sp->gfn);
}

struct shadow_page *shadow_page_find(const struct vm_shadow *s, gfn_t gfn, union shadow_role role)
{
	struct shadow_page *sp;

	shadow_for_each(sp, s, gfn)
		if (sp->role.word == role.word)
			return sp;
	return NULL;
}

struct shadow_page *shadow_page_get(struct vcpu *vcpu, struct shadow_batch *b, gfn_t gfn,
				    union shadow_role role)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct shadow_page *sp = shadow_page_find(s, gfn, role);

	if (sp) {
		list_move(&sp->active, &s->active);
		return sp;
	}
	if (WARN_ON_ONCE(!vcpu->mmu.nr_spares))
		return NULL;
	sp = vcpu->mmu.spares[--vcpu->mmu.nr_spares];
	sp->gfn = gfn;
	sp->role = role;
	sp->vm = vcpu->vm;
	INIT_LIST_HEAD(&sp->unsync);
	if (!role.direct) {
		s->regions[(gfn >> 9) % SHADOW_REGIONS]++;
		smp_mb();	/* before any entry is read; pairs with shadow_written() */
		follow_table(b, sp);
	}
	hlist_add_head(&sp->hash, &s->pages[hash_64(gfn, SHADOW_HASH_BITS)]);
	list_add(&sp->active, &s->active);
	s->nr++;
	return sp;
}

void shadow_zap_page(struct shadow_batch *b, struct shadow_page *sp)
{
	struct vm_shadow *s = b->vm->mmu.shadow;
	unsigned int i;

	for_each_set_bit(i, sp->used, ENTRIES)
		shadow_drop(sp, i);
	while (!hlist_empty(&sp->parents)) {
		struct shadow_page *parent = shadow_of(sp->parents.first);

		shadow_drop(parent, sp->parents.first - parent->links);
	}
	hlist_del(&sp->hash);
	list_del(&sp->active);
	list_del_init(&sp->unsync);
	if (!sp->role.direct)
		s->regions[(sp->gfn >> 9) % SHADOW_REGIONS]--;
	s->nr--;
	if (!sp->roots) {
		list_add(&sp->active, &b->dead);
		return;
	}
	sp->dead = true;
	vm_request_all(b->vm, REQ_MMU_RELOAD, false);
	b->flush = true;
}

static unsigned int page_limit(struct vm *vm)
{
	const struct slots *slots = rcu_dereference_raw(vm->mem.slots);
	unsigned long pages = 0;
	unsigned int i;

	for (i = 0; i < slots->nr; i++)
		pages += slots->by_gfn[i]->npages;
	return max_t(unsigned long, pages / PAGES_PART, MIN_PAGES);
}

unsigned long shadow_give_up(struct shadow_batch *b, unsigned long n)
{
	struct shadow_page *sp, *next;
	unsigned long done = 0;

	list_for_each_entry_safe_reverse(sp, next, &b->vm->mmu.shadow->active, active) {
		if (done == n)
			break;
		if (sp->roots)
			continue;
		shadow_zap_page(b, sp);
		done++;
	}
	return done;
}

/* Context: vm->srcu held */
void shadow_reclaim(struct shadow_batch *b)
{
	if (unlikely(b->vm->mmu.shadow->nr >= page_limit(b->vm)))
		shadow_give_up(b, RECLAIM_BATCH);
}

/* The host */

static void zap_yield(struct shadow_batch *b)
{
	if (!need_resched() && !rwlock_needbreak(&b->vm->mmu_lock))
		return;
	shadow_batch_finish(b);
	cond_resched_rwlock_write(&b->vm->mmu_lock);
}

static void zap_part(struct shadow_batch *b, gfn_t start, gfn_t end)
{
	struct rmap_iter it;

	b->flush |= b->vm->mmu.shadow->tlb_stale;
	for_each_mapping(&it, b->vm, start, end) {
		shadow_drop(it.sp, it.i);
		b->flush = true;
	}
}

#define ZAP_PART	1024	/* gfns without a look at who waits */

void shadow_zap(struct vm *vm, gfn_t start, gfn_t end, bool may_yield)
{
	struct shadow_batch b;

	trace_corbel_zap(vm->userspace_pid, start, end);
	shadow_batch_start(&b, vm);
	write_lock(&vm->mmu_lock);
	while (start < end) {
		gfn_t next = min(end, start + ZAP_PART);

		zap_part(&b, start, next);
		if (may_yield)
			zap_yield(&b);
		start = next;
	}
	shadow_batch_finish(&b);
	write_unlock(&vm->mmu_lock);
}

void shadow_zap_all(struct vm *vm)
{
	struct vm_shadow *s = vm->mmu.shadow;
	struct shadow_batch b;

	shadow_batch_start(&b, vm);
	write_lock(&vm->mmu_lock);
	while (!list_empty(&s->active)) {
		shadow_zap_page(&b, list_first_entry(&s->active, struct shadow_page, active));
		zap_yield(&b);
	}
	b.flush |= s->tlb_stale;
	shadow_batch_finish(&b);
	write_unlock(&vm->mmu_lock);
}

bool shadow_age(struct vm *vm, gfn_t start, gfn_t end, bool clear, bool flush)
{
	struct rmap_iter it;
	bool young = false;

	write_lock(&vm->mmu_lock);
	for_each_mapping(&it, vm, start, end)
		young |= clear ? entry_clear_bits(it.sp, it.i, SHADOW_A) :
				 READ_ONCE(it.sp->table[it.i]) & SHADOW_A;
	if (young && clear && flush)
		tlb_flush_vm(vm);
	write_unlock(&vm->mmu_lock);
	return young;
}

/* Have the next write noticed; large pages then come back in small ones. */
bool shadow_log_rearm(struct vm *vm, gfn_t first, u64 mask)
{
	bool flush = vm->mmu.shadow->tlb_stale;
	struct rmap_iter it;

	for_each_mapping(&it, vm, first, first + 64) {
		if (it.sp->role.level > 1 || mask & BIT_ULL(it.gfn - first))
			flush |= entry_clear_bits(it.sp, it.i, SHADOW_W | SHADOW_HOST_W);
	}
	return flush;
}

void shadow_log_start(struct vm *vm, const struct slot *slot)
{
	gfn_t gfn, end = slot->gfn + slot->npages;
	struct shadow_batch b;

	shadow_batch_start(&b, vm);
	write_lock(&vm->mmu_lock);
	for (gfn = slot->gfn; gfn < end; gfn += 64) {
		u64 left = end - gfn;

		b.flush |= shadow_log_rearm(vm, gfn, left < 64 ? BIT_ULL(left) - 1 : ~0ull);
		zap_yield(&b);
	}
	shadow_batch_finish(&b);
	write_unlock(&vm->mmu_lock);
}

int shadow_vm_init(struct vm *vm, bool lazy)
{
	struct vm_shadow *s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	INIT_LIST_HEAD(&s->active);
	INIT_LIST_HEAD(&s->unsync);
	s->lazy = lazy;
	s->vm = vm;
	vm->mmu.shadow = s;
	shrink_add(s);
	return 0;
}

/* After mem_vm_destroy() there is only what vCPUs still had as their roots. */
void shadow_vm_destroy(struct vm *vm)
{
	struct shadow_batch b;
	struct vcpu *vcpu;
	int i;

	shrink_del(vm->mmu.shadow);
	shadow_batch_start(&b, vm);
	write_lock(&vm->mmu_lock);
	vm_for_each_vcpu(i, vcpu, vm)
		shadow_put_roots(vcpu, &b);
	shadow_batch_finish(&b);
	write_unlock(&vm->mmu_lock);
	kvfree(vm->mmu.shadow);
	vm->mmu.shadow = NULL;
}
