// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow tables follow the guest's: roots, what its flushes ask for, and what is written to its
 * tables.
 */
#include <linux/corbel.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <asm/processor-flags.h>
#include "vm.h"
#include "cpu/regs.h"
#include "mem/slots.h"
#include "mmu/shadow.h"

#define MAX_WRITES	3	/* to a table that nobody uses: it is none any more */

/* Where the host has a page of the guest's. 0: nowhere */
static hva_t page_hva(struct vcpu *vcpu, gfn_t gfn)
{
	struct slot *slot = slots_find_cached(vcpu, slots_current(vcpu->vm), gfn);

	return slot ? slot_hva(slot, gfn) : 0;
}

/* Does not sleep: what is swapped out cannot be read. */
static bool entry_read(hva_t page, unsigned int offset, unsigned int size, u64 *entry)
{
	hva_t hva = page + offset;
	int ret;

	if (!page)
		return false;
	*entry = 0;
	pagefault_disable();
	ret = size == sizeof(u64) ? __get_user(*entry, (u64 __user *)hva) :
				    __get_user(*(u32 *)entry, (u32 __user *)hva);
	pagefault_enable();
	return !ret;
}

bool shadow_entry_read(struct vcpu *vcpu, gpa_t gpa, unsigned int size, u64 *entry)
{
	return entry_read(page_hva(vcpu, gpa >> PAGE_SHIFT), offset_in_page(gpa), size, entry);
}

/* Four bytes an entry: half as many fit into a shadow page, and at level 2 each takes two. */
static gpa_t guest_entry(const struct shadow_page *sp, unsigned int i)
{
	gpa_t table = sp->gfn << PAGE_SHIFT;

	if (sp->role.wide)
		return table + i * 8;
	if (sp->role.level == 1)
		return table + (sp->role.quadrant * ENTRIES + i) * 4;
	return table + (sp->role.quadrant * ENTRIES + i) / 2 * 4;
}

/* First gfn that the leaf entry @gpte gives to shadow entry @i. */
static gfn_t leaf_gfn(const struct gwalk *w, const struct shadow_page *sp, unsigned int i, u64 gpte)
{
	gfn_t gfn = gwalk_leaf_base(w, sp->role.level, gpte) >> PAGE_SHIFT;

	if (!sp->role.wide && sp->role.level == 2)
		gfn += (i & 1) * level_pages(2);
	return gfn;
}

static bool same_rights(union shadow_role child, union shadow_role parent, u64 gpte)
{
	return child.w == (parent.w && gpte & GPTE_W) && child.u == (parent.u && gpte & GPTE_U) &&
	       child.x == (parent.x && !(gpte & GPTE_NX));
}

/* May a present entry stay as it is, now that the guest's is @gpte? */
static bool table_stays(const struct gwalk *w, const struct shadow_page *sp, unsigned int i,
			u64 gpte)
{
	const struct shadow_page *child = shadow_of(entry_table(sp->table[i]));

	if (!same_rights(child->role, sp->role, gpte))
		return false;
	if (gwalk_is_large(w, sp->role.level, gpte))
		return child->role.direct && child->gfn == leaf_gfn(w, sp, i, gpte) &&
		       child->role.dirty == !!(gpte & GPTE_D);
	return !child->role.direct && child->gfn == (gpte & GPTE_ADDR) >> PAGE_SHIFT;
}

/* A table's pages are all unsync or none. @followed: none */
static bool has_table(const struct vm_shadow *s, gfn_t gfn, bool followed)
{
	const struct shadow_page *sp;

	if (!shadow_region_used(s, gfn))
		return false;
	shadow_for_each(sp, s, gfn)
		if (!sp->role.direct && (!followed || list_empty(&sp->unsync)))
			return true;
	return false;
}

bool shadow_followed(const struct vm_shadow *s, gfn_t gfn)
{
	return has_table(s, gfn, true);
}

/* Tables that are unsync now may be followed by the time that all are looked at. */
static bool leaf_writable(const struct shadow_page *sp, unsigned int i, u64 old, u64 gpte)
{
	return sp->role.w && (gpte & (GPTE_W | GPTE_D)) == (GPTE_W | GPTE_D) && old & SHADOW_HOST_W &&
	       (old & SHADOW_W || !has_table(sp->vm->mmu.shadow, sp->gfns[i], false));
}

/* With the rights that the guest gives it now, and the host has found it to have. */
static bool leaf_stays(const struct gwalk *w, struct shadow_page *sp, unsigned int i, u64 gpte)
{
	u64 old = READ_ONCE(sp->table[i]), new;

	if (sp->role.level > 1 && !gwalk_is_large(w, sp->role.level, gpte))
		return false;
	if (sp->gfns[i] != leaf_gfn(w, sp, i, gpte))
		return false;
	do {
		new = old & ~(SHADOW_U | SHADOW_NX | SHADOW_W);
		if (sp->role.u && gpte & GPTE_U)
			new |= SHADOW_U;
		if (!sp->role.x || gpte & GPTE_NX)
			new |= SHADOW_NX;
		if (leaf_writable(sp, i, old, gpte))
			new |= SHADOW_W;
	} while (new != old && !try_cmpxchg64(&sp->table[i], &old, new));
	if (old & ~new & SHADOW_W)
		sp->vm->mmu.shadow->tlb_stale = true;
	return true;
}

/* @table: where the guest's is */
static void sync_entry(const struct gwalk *w, struct shadow_page *sp, unsigned int i, hva_t table)
{
	u64 old = READ_ONCE(sp->table[i]), gpte;

	if (entry_present(old) && entry_read(table, offset_in_page(guest_entry(sp, i)), w->size, &gpte) &&
	    (gpte & (GPTE_P | GPTE_A)) == (GPTE_P | GPTE_A) &&
	    !gwalk_has_reserved(w, sp->role.level, gpte) &&
	    (entry_is_leaf(old, sp->role.level) ? leaf_stays(w, sp, i, gpte) :
						  table_stays(w, sp, i, gpte)))
		return;
	shadow_drop(sp, i);
}

/* The modes that say what an entry means, at the guest's root. */
union shadow_role shadow_root_role(struct vcpu *vcpu)
{
	u64 efer = efer_get(vcpu), cr4 = cr4_get(vcpu);
	union shadow_role role = { .w = 1, .u = 1, .x = 1 };

	role.level = 2;
	if (!regs_paging(vcpu)) {
		role.direct = 1;
		return role;
	}
	role.lma = !!(efer & EFER_LMA);
	role.wide = role.lma || cr4 & X86_CR4_PAE;
	role.nx = role.wide && efer & EFER_NX;
	role.pse = !role.wide && cr4 & X86_CR4_PSE;
	if (role.lma)
		role.level = 4;
	return role;
}

/* Is @sp, made from a guest's table, of the mode that @root is for? Of none, without paging. */
static bool same_mode(union shadow_role sp, union shadow_role root)
{
	return !root.direct && sp.wide == root.wide && sp.lma == root.lma && sp.nx == root.nx &&
	       sp.pse == root.pse;
}

/* The first @n of vcpu_mmu.writes. */
static void announce_writes(struct vcpu *vcpu, unsigned int n)
{
	smp_store_release(&vcpu->mmu.nr_writes, n);
	atomic_inc(&vcpu->vm->mmu.shadow->writers);	/* before memory: who sees that, sees this */
}

void shadow_write_start(struct vcpu *vcpu, gpa_t gpa)
{
	vcpu->mmu.writes[0] = gpa >> PAGE_SHIFT;
	announce_writes(vcpu, 1);
}

void shadow_update_start(struct vcpu *vcpu, const struct corbel_mmu_update *updates, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		vcpu->mmu.writes[i] = updates[i].gpa >> PAGE_SHIFT;
	announce_writes(vcpu, n);
}

void shadow_write_end(struct vcpu *vcpu)
{
	vcpu->mmu.nr_writes = 0;
	atomic_dec(&vcpu->vm->mmu.shadow->writers);
}

/* No table differs from what is followed. */
static bool all_synced(struct vm_shadow *s)
{
	return list_empty_careful(&s->unsync) && !atomic_read(&s->writers);
}

static void sync_entries(const struct gwalk *w, struct shadow_page *sp)
{
	hva_t table = page_hva(w->vcpu, sp->gfn);
	unsigned int i;

	for_each_set_bit(i, sp->used, ENTRIES)
		sync_entry(w, sp, i, table);
}

/* In another paging mode the vCPU cannot tell what the page's entries mean. */
static void sync_page(const struct gwalk *w, struct shadow_batch *b, struct shadow_page *sp)
{
	if (same_mode(sp->role, shadow_root_role(w->vcpu)))
		sync_entries(w, sp);
	else
		shadow_zap_page(b, sp);
}

static void sync_table(const struct gwalk *w, gfn_t gfn)
{
	union shadow_role mode = shadow_root_role(w->vcpu);
	struct shadow_page *sp;

	shadow_for_each(sp, w->vcpu->vm->mmu.shadow, gfn)
		if (!sp->role.direct && same_mode(sp->role, mode))
			sync_entries(w, sp);
}

/*
 * What others have written for the guest, and have not followed yet, it may have seen already. They wait
 * for the lock that we have: the next who flushes looks again, until they are done.
 */
static void sync_written(const struct gwalk *w)
{
	struct vm *vm = w->vcpu->vm;
	unsigned int i, n;
	struct vcpu *other;
	int k;

	if (!atomic_read(&vm->mmu.shadow->writers))
		return;
	vm_for_each_vcpu(k, other, vm) {
		n = smp_load_acquire(&other->mmu.nr_writes);
		for (i = 0; i < n; i++)
			sync_table(w, READ_ONCE(other->mmu.writes[i]));
	}
}

/*
 * A page comes to another place: what a processor reads there for the first time is what the guest
 * has now. So it must be for all tables below the page.
 */
void shadow_sync_below(struct vcpu *vcpu, struct shadow_batch *b, struct shadow_page *sp)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct shadow_page *next;
	struct gwalk w;

	if (all_synced(s) || sp->role.direct || bitmap_empty(sp->used, ENTRIES))
		return;
	gwalk_mode(&w, vcpu);
	sync_written(&w);
	if (sp->role.level == 1) {
		if (!list_empty(&sp->unsync))
			sync_page(&w, b, sp);
		return;
	}
	list_for_each_entry_safe(sp, next, &s->unsync, unsync)
		sync_page(&w, b, sp);
}

/* First follow the tables again, then look at them: what is written later is noticed. */
void shadow_sync(struct vcpu *vcpu)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct shadow_page *sp, *next;
	struct shadow_batch b;
	struct gwalk w;

	if (all_synced(s))
		return;
	gwalk_mode(&w, vcpu);
	shadow_batch_start(&b, vcpu->vm);
	write_lock(&vcpu->vm->mmu_lock);
	list_for_each_entry_safe(sp, next, &s->unsync, unsync) {
		if (hlist_empty(&sp->parents) && !sp->roots)
			shadow_zap_page(&b, sp);	/* written, and perhaps no table any more */
		else
			shadow_write_protect(&b, sp->gfn);
	}
	shadow_batch_finish(&b);
	list_for_each_entry_safe(sp, next, &s->unsync, unsync) {
		list_del_init(&sp->unsync);
		sync_page(&w, &b, sp);
	}
	sync_written(&w);
	shadow_batch_finish(&b);
	write_unlock(&vcpu->vm->mmu_lock);
}

/*
 * Of the lowest page on the way to @gva, and of those above it all of what the guest may write.
 * Return: TLBs may have the guest's page there in several pieces. They may still if nothing is on the
 * way any more, or a large page of ours has come in the place of its pieces; and 4 MiB are two of those.
 */
static bool sync_way(const struct gwalk *w, struct vcpu *vcpu, gva_t gva)
{
	struct shadow_page *sp = shadow_root_of(vcpu, gva);
	unsigned int i;

	sync_written(w);
	while (sp) {
		i = shadow_index(gva, sp->role.level);
		if (!list_empty(&sp->unsync) && sp->table[i])
			sync_entry(w, sp, i, page_hva(vcpu, sp->gfn));
		if (!entry_is_table(sp->table[i], sp->role.level))
			return sp->role.level > 1 || sp->role.direct;
		sp = shadow_of(entry_table(sp->table[i]));
	}
	return true;
}

/*
 * INVLPG drops the paging-structure caches for all addresses, so all tables above the lowest level
 * must be right afterwards. Context: mmu_lock held for writing.
 */
static bool sync_addr(struct vcpu *vcpu, gva_t gva)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	union shadow_role mode = shadow_root_role(vcpu);
	struct shadow_page *sp;
	struct gwalk w;

	gwalk_mode(&w, vcpu);
	list_for_each_entry(sp, &s->unsync, unsync)
		if (sp->role.level > 1 && same_mode(sp->role, mode))
			sync_entries(&w, sp);
	return sync_way(&w, vcpu, gva);
}

bool shadow_sync_addr(struct vcpu *vcpu, gva_t gva)
{
	bool several;

	write_lock(&vcpu->vm->mmu_lock);
	several = sync_addr(vcpu, gva);
	write_unlock(&vcpu->vm->mmu_lock);
	return several;
}

/* Waiting for the lock with interrupts off, nobody who holds it could have us leave the guest. */
bool shadow_try_sync_addr(struct vcpu *vcpu, gva_t gva, bool *several)
{
	int idx;

	if (!write_trylock(&vcpu->vm->mmu_lock))
		return false;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	*several = sync_addr(vcpu, gva);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	write_unlock(&vcpu->vm->mmu_lock);
	return true;
}

void shadow_sync_fault(struct vcpu *vcpu, const struct gwalk *w)
{
	if (all_synced(vcpu->vm->mmu.shadow))
		return;
	write_lock(&vcpu->vm->mmu_lock);
	sync_way(w, vcpu, w->gva);
	write_unlock(&vcpu->vm->mmu_lock);
}

bool shadow_try_sync_fault(struct vcpu *vcpu, const struct gwalk *w)
{
	if (all_synced(vcpu->vm->mmu.shadow))
		return true;
	if (!write_trylock(&vcpu->vm->mmu_lock))
		return false;
	sync_way(w, vcpu, w->gva);
	write_unlock(&vcpu->vm->mmu_lock);
	return true;
}

/* All pages made from one table, or none: it is its memory that the guest may write. */
void shadow_unsync(struct vm *vm, gfn_t gfn)
{
	struct vm_shadow *s = vm->mmu.shadow;
	struct shadow_page *sp;

	shadow_for_each(sp, s, gfn)
		if (!sp->role.direct && list_empty(&sp->unsync))
			list_add(&sp->unsync, &s->unsync);
}

/* The reverse of guest_entry(): the first entry made from the guest's at @gpa. Return: how many */
static unsigned int entries_of(const struct shadow_page *sp, gpa_t gpa, unsigned int *i)
{
	unsigned int n = sp->role.level == 2 && !sp->role.wide ? 2 : 1;

	*i = offset_in_page(gpa) / (sp->role.wide ? 8 : 4) * n - sp->role.quadrant * ENTRIES;
	return *i < ENTRIES ? n : 0;
}

static void sync_guest_entry(const struct gwalk *w, struct shadow_page *sp, gpa_t gpa)
{
	unsigned int i, n;

	for (n = entries_of(sp, gpa, &i); n; n--, i++)
		if (test_bit(i, sp->used))
			sync_entry(w, sp, i, page_hva(w->vcpu, sp->gfn));
}

/* All that were made from the guest's table at @gfn; the body may zap them. */
#define for_each_table_page(sp, next, vm, _gfn)						\
	hlist_for_each_entry_safe(sp, next,						\
				  &(vm)->mmu.shadow->pages[hash_64(_gfn, SHADOW_HASH_BITS)], hash) \
		if ((sp)->gfn == (_gfn) && !(sp)->role.direct)

/* Entries of @sp that the guest's bytes [first, last] of the table are in. */
static void sync_bytes(const struct gwalk *w, struct shadow_page *sp, gpa_t first, gpa_t last)
{
	gpa_t gpa;

	for (gpa = first & -(gpa_t)w->size; gpa <= last; gpa += w->size)
		sync_guest_entry(w, sp, gpa);
}

static bool looks_like_data(struct shadow_page *sp, gpa_t gpa, unsigned int len)
{
	return len > 8 || len < 4 || gpa % len || ++sp->writes > MAX_WRITES;
}

static void table_written(struct vcpu *vcpu, gpa_t gpa, unsigned int len)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;
	union shadow_role mode = shadow_root_role(vcpu);
	struct shadow_batch b;
	struct shadow_page *sp;
	struct hlist_node *next;
	struct gwalk w;

	gwalk_mode(&w, vcpu);
	shadow_batch_start(&b, vcpu->vm);
	write_lock(&vcpu->vm->mmu_lock);
	for_each_table_page(sp, next, vcpu->vm, gfn) {
		if (!same_mode(sp->role, mode) || looks_like_data(sp, gpa, len))
			shadow_zap_page(&b, sp);
		else
			sync_bytes(&w, sp, gpa, gpa + len - 1);
	}
	shadow_batch_finish(&b);
	write_unlock(&vcpu->vm->mmu_lock);
}

void shadow_written(struct vcpu *vcpu, gpa_t gpa, unsigned int len)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));

	smp_mb();	/* memory before the count of tables; pairs with shadow_page_get() */
	if (shadow_region_used(s, gpa >> PAGE_SHIFT))
		table_written(vcpu, gpa, n);
	if (len > n)
		shadow_written(vcpu, gpa + n, len - n);
}

/* Nothing is there, and an access would set no bit of the guest's entry. */
static bool maps_ahead(const struct gwalk *w, struct shadow_page *sp, unsigned int i, u64 gpte)
{
	u64 now;

	return sp->role.level == 1 && !sp->table[i] && (gpte & (GPTE_P | GPTE_A)) == (GPTE_P | GPTE_A) &&
	       !gwalk_has_reserved(w, 1, gpte) && shadow_entry_read(w->vcpu, guest_entry(sp, i), w->size, &now) &&
	       now == gpte;
}

static void update_page(const struct gwalk *w, struct shadow_page *sp,
			const struct corbel_mmu_update *u)
{
	unsigned int i;

	sp->writes = 0;
	sync_guest_entry(w, sp, u->gpa);
	if (entries_of(sp, u->gpa, &i) && maps_ahead(w, sp, i, u->value))
		shadow_map_ahead(w->vcpu, sp, i, u->value);
}

static void follow_updates(struct vcpu *vcpu, const struct corbel_mmu_update *u, unsigned int n)
{
	union shadow_role mode = shadow_root_role(vcpu);
	struct shadow_batch b;
	struct shadow_page *sp;
	struct hlist_node *next;
	struct gwalk w;

	gwalk_mode(&w, vcpu);
	shadow_batch_start(&b, vcpu->vm);
	for (; n; n--, u++) {
		for_each_table_page(sp, next, vcpu->vm, u->gpa >> PAGE_SHIFT) {
			if (same_mode(sp->role, mode))
				update_page(&w, sp, u);
			else
				shadow_zap_page(&b, sp);
		}
	}
	shadow_batch_finish(&b);
}

void shadow_updated(struct vcpu *vcpu, const struct corbel_mmu_update *updates, unsigned int n)
{
	write_lock(&vcpu->vm->mmu_lock);
	follow_updates(vcpu, updates, n);
	write_unlock(&vcpu->vm->mmu_lock);
	shadow_write_end(vcpu);
}

/* Written with the lock held, so that who does not get it has written nothing. */
bool shadow_try_update(struct vcpu *vcpu, const struct corbel_mmu_update *u, unsigned int size,
		       gva_t *flush, bool *several)
{
	bool done;

	if (!write_trylock(&vcpu->vm->mmu_lock))
		return false;
	done = !guest_write_entry(vcpu, u->gpa, u->value, size);
	if (done) {
		follow_updates(vcpu, u, 1);
		*several = flush && sync_addr(vcpu, *flush);
	}
	write_unlock(&vcpu->vm->mmu_lock);
	return done;
}

void shadow_forget_table(struct vcpu *vcpu, gfn_t gfn)
{
	struct shadow_batch b;
	struct shadow_page *sp;
	struct hlist_node *next;

	shadow_batch_start(&b, vcpu->vm);
	write_lock(&vcpu->vm->mmu_lock);
	for_each_table_page(sp, next, vcpu->vm, gfn)
		shadow_zap_page(&b, sp);
	shadow_batch_finish(&b);
	write_unlock(&vcpu->vm->mmu_lock);
}

/* Registers: shadow tables are PAE's or those of 64-bit mode, without global pages and PCIDs. */

u64 shadow_cr4(struct vcpu *vcpu, u64 cr4)
{
	cr4 &= ~(u64)(X86_CR4_PSE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_LA57 | X86_CR4_PKE);
	if (!(vcpu->regs.cr0 & X86_CR0_PG))
		cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP);
	return cr4 | X86_CR4_PAE;
}

/* An entry with paging wants LME and LMA the same; with NX a fault tells fetches from reads: SMAP. */
u64 shadow_efer(u64 efer)
{
	if (!(efer & EFER_LMA))
		efer &= ~(u64)EFER_LME;
	return boot_cpu_has(X86_FEATURE_NX) ? efer | EFER_NX : efer;
}

/* Roots */

static unsigned int nr_roots(union shadow_role role)
{
	return role.level == 4 ? 1 : 4;
}

struct shadow_page *shadow_root_of(struct vcpu *vcpu, gva_t gva)
{
	struct vcpu_mmu *mmu = &vcpu->mmu;
	unsigned int i = mmu->roots[0] && mmu->roots[0]->role.level == 4 ? 0 : gva >> 30 & 3;
	struct shadow_page *sp = mmu->roots[i];

	return sp && !sp->dead ? sp : NULL;
}

void shadow_put_roots(struct vcpu *vcpu, struct shadow_batch *b)
{
	struct shadow_page *sp;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vcpu->mmu.roots); i++) {
		sp = vcpu->mmu.roots[i];
		vcpu->mmu.roots[i] = NULL;
		if (sp && !--sp->roots && sp->dead)
			list_add(&sp->active, &b->dead);
	}
	vcpu->mmu.root = INVALID_HPA;
}

static gfn_t cr3_gfn(u64 cr3)
{
	return (cr3 & GPTE_ADDR) >> PAGE_SHIFT;
}

/* Where the guest's part @i of the address space begins. False: nowhere, it has a hole there. */
static bool root_gfn(struct vcpu *vcpu, union shadow_role *role, unsigned int i, gfn_t *gfn)
{
	if (role->direct) {
		*gfn = i * level_pages(3);
		return true;
	}
	*gfn = cr3_gfn(cr3_get(vcpu));
	if (role->lma)
		return true;
	if (!role->wide) {
		role->quadrant = i;
		*gfn = (u32)cr3_get(vcpu) >> PAGE_SHIFT;
		return true;
	}
	reg_need(vcpu, REG_PDPTR);
	*gfn = (vcpu->regs.pdptr[i] & GPTE_ADDR) >> PAGE_SHIFT;
	return vcpu->regs.pdptr[i] & GPTE_P;
}

static void get_roots(struct vcpu *vcpu, struct shadow_batch *b)
{
	union shadow_role role = shadow_root_role(vcpu);
	struct vcpu_mmu *mmu = &vcpu->mmu;
	unsigned int i, n = nr_roots(role);
	gfn_t gfn;

	for (i = 0; i < n; i++) {
		struct shadow_page *sp = root_gfn(vcpu, &role, i, &gfn) ?
					 shadow_page_get(vcpu, b, gfn, role) : NULL;

		if (sp)
			sp->roots++;
		mmu->roots[i] = sp;
		if (n > 1)
			mmu->pae_root[i] = sp ? __sme_set(__pa(sp->table)) | SHADOW_P : 0;
	}
	mmu->root = n > 1 ? __pa(mmu->pae_root) : __pa(mmu->roots[0]->table);
}

int shadow_load_root(struct vcpu *vcpu)
{
	struct shadow_batch b;
	int ret = shadow_topup(vcpu);

	if (ret)
		return ret;
	shadow_batch_start(&b, vcpu->vm);
	write_lock(&vcpu->vm->mmu_lock);
	shadow_put_roots(vcpu, &b);
	shadow_reclaim(&b);
	get_roots(vcpu, &b);
	shadow_batch_finish(&b);
	write_unlock(&vcpu->vm->mmu_lock);
	vcpu_request(vcpu, REQ_TLB_FLUSH);	/* of the last root's translations */
	return RESUME;
}

bool shadow_switch_root(struct vcpu *vcpu, u64 cr3, bool flush)
{
	struct vm_shadow *s = vcpu->vm->mmu.shadow;
	struct vcpu_mmu *mmu = &vcpu->mmu;
	struct shadow_page *sp = NULL, *old;

	if ((flush && !all_synced(s)) || !write_trylock(&vcpu->vm->mmu_lock))
		return false;
	old = mmu->roots[0];
	/* In the same mode: another would have asked for a reload, which comes before the guest. */
	if (old && !old->dead && old->role.level == 4)
		sp = shadow_page_find(s, cr3_gfn(cr3), old->role);
	if (sp) {
		old->roots--;
		sp->roots++;
		mmu->roots[0] = sp;
		mmu->root = __pa(sp->table);
	}
	write_unlock(&vcpu->vm->mmu_lock);
	return sp;
}
