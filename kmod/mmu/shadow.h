/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow page tables: what the processor walks where it cannot, or shall not, walk EPT or NPT.
 * Documentation/mmu.rst. All of it is guarded by mmu_lock, held for writing.
 */
#ifndef CORBEL_SHADOW_H
#define CORBEL_SHADOW_H

#include <linux/bitmap.h>
#include <linux/build_bug.h>
#include <linux/hash.h>
#include <linux/list.h>
#include "mmu/fmt.h"
#include "mmu/gwalk.h"

struct pfn;
struct slot;
struct corbel_mmu_update;
struct vcpu_exit;

/*
 * x86-64 and PAE entries. Of PAE's only bits 11:9 are software's; in entries that map something
 * bit 11 is ENTRY_PRESENT, as in second-level tables.
 */
#define SHADOW_P	BIT_ULL(0)
#define SHADOW_W	BIT_ULL(1)
#define SHADOW_U	BIT_ULL(2)
#define SHADOW_UC	(BIT_ULL(3) | BIT_ULL(4))	/* PWT and PCD: uncached with the host's PAT */
#define SHADOW_A	BIT_ULL(5)
#define SHADOW_D	BIT_ULL(6)
#define SHADOW_PAGE	BIT_ULL(9)		/* a page to tell about dirty and accessed */
#define SHADOW_HOST_W	BIT_ULL(10)		/* the host lets it be written, and logs nothing */
#define SHADOW_NX	BIT_ULL(63)
#define SHADOW_TABLE	(ENTRY_PRESENT | SHADOW_P | SHADOW_W | SHADOW_U | SHADOW_A)

/* What a shadow page is made for. It never changes in the page's lifetime. */
union shadow_role {
	struct {
		u32 level : 3;
		u32 direct : 1;		/* a range of guest-physical addresses: no guest table behind it */
		u32 w : 1, u : 1, x : 1; /* what the levels above allow */
		u32 quadrant : 2;	/* which part of a table of 4-byte entries */
		u32 wide : 1;		/* the guest's entries have 8 bytes */
		u32 lma : 1, nx : 1, pse : 1;	/* modes that change the meaning of entries */
		u32 dirty : 1;		/* of a direct page: so is the guest's large page that it is part of */
	};
	u32 word;
};

#define SHADOW_PAGE_SIZE	(4 * PAGE_SIZE)

/*
 * Aligned to its size, so that the address of an entry, or of its link, leads here. An entry that
 * maps a page is on the list of its frame, one that points to a table on that table's list of
 * parents.
 */
struct shadow_page {
	u64 table[ENTRIES];
	struct hlist_node links[ENTRIES];
	u32 gfns[ENTRIES];		/* first one that an entry maps */
	DECLARE_BITMAP(used, ENTRIES);
	gfn_t gfn;			/* of the guest's table, or first one of the range */
	union shadow_role role;
	struct vm *vm;
	struct hlist_node hash;
	struct list_head active;	/* least recently asked for at the end */
	struct list_head unsync;	/* lazy: the guest may write its table */
	struct hlist_head parents;
	unsigned int roots;		/* vCPUs that run on it */
	unsigned int writes;		/* of the guest to its table since it was last used */
	bool dead;			/* lives only until the last of them has left */
};
static_assert(sizeof(struct shadow_page) <= SHADOW_PAGE_SIZE);

#define SHADOW_HASH_BITS	10
#define SHADOW_RMAP_BITS	15
#define SHADOW_REGIONS		4096

struct vm_shadow {
	struct hlist_head pages[1 << SHADOW_HASH_BITS];		/* by gfn */
	struct hlist_head rmap[1 << SHADOW_RMAP_BITS];		/* entries by gfn that they map */
	u16 regions[SHADOW_REGIONS];	/* guest tables in 2 MiB of memory; several share a counter */
	struct list_head active, unsync;
	unsigned int nr;
	struct vm *vm;
	struct list_head shrink;
	atomic_t writers;		/* vCPUs with vcpu_mmu.writes: tables may differ from what is followed */
	bool lazy;
	bool tlb_stale;			/* entries were dropped that a TLB may still have */
};

/* Pages on their way out, and whether TLBs must be flushed before the lock is dropped. */
struct shadow_batch {
	struct vm *vm;
	bool flush;
	struct list_head dead;
};

void shadow_batch_start(struct shadow_batch *b, struct vm *vm);
void shadow_batch_finish(struct shadow_batch *b);

extern u64 shadow_marker;		/* MMIO marker without its generation, 0: none possible */

/* shadow.c: pages and entries */
int shadow_module_init(void);
int shadow_vm_init(struct vm *vm, bool lazy);
void shadow_vm_destroy(struct vm *vm);
int shadow_topup(struct vcpu *vcpu);
void shadow_free(struct shadow_page *sp);
struct shadow_page *shadow_of(const void *entry);
/** shadow_page_get() - the page for @gfn and @role, a new one if need be from the vCPU's spares */
struct shadow_page *shadow_page_get(struct vcpu *vcpu, struct shadow_batch *b, gfn_t gfn,
			       union shadow_role role);
void shadow_zap_page(struct shadow_batch *b, struct shadow_page *sp);
void shadow_reclaim(struct shadow_batch *b);
/** shadow_give_up() - zap @n pages, those least recently asked for. Return: how many could be */
unsigned long shadow_give_up(struct shadow_batch *b, unsigned long n);
void shadow_drop(struct shadow_page *sp, unsigned int i);
void shadow_link(struct shadow_page *sp, unsigned int i, struct shadow_page *child);
/** shadow_map_page() - the entry @new for the page @gfn, in place of whatever is there */
void shadow_map_page(struct shadow_page *sp, unsigned int i, gfn_t gfn, u64 new);
void shadow_write_protect(struct shadow_batch *b, gfn_t gfn);
static inline bool shadow_region_used(const struct vm_shadow *s, gfn_t gfn)
{
	return s->regions[(gfn >> 9) % SHADOW_REGIONS];
}

#define shadow_for_each(sp, s, _gfn)						\
	hlist_for_each_entry(sp, &(s)->pages[hash_64(_gfn, SHADOW_HASH_BITS)], hash)	\
		if ((sp)->gfn == (_gfn))

/* The page for @gfn and @role if there is one */
struct shadow_page *shadow_page_find(const struct vm_shadow *s, gfn_t gfn, union shadow_role role);

static inline unsigned int shadow_index(gva_t gva, int level)
{
	return gva >> (PAGE_SHIFT + (level - 1) * 9) & (ENTRIES - 1);
}

/* shrink.c */
int shrink_module_init(void);
void shrink_module_exit(void);
void shrink_add(struct vm_shadow *s);
void shrink_del(struct vm_shadow *s);

/* shadow_sync.c: following the guest */
bool shadow_entry_read(struct vcpu *vcpu, gpa_t gpa, unsigned int size, u64 *entry);
union shadow_role shadow_root_role(struct vcpu *vcpu);
void shadow_unsync(struct vm *vm, gfn_t gfn);
/** shadow_followed() - is the page a guest's table whose writes must be noticed? */
bool shadow_followed(const struct vm_shadow *s, gfn_t gfn);
/** shadow_sync_below() - @sp and all that it leads to are as the guest's tables are now */
void shadow_sync_below(struct vcpu *vcpu, struct shadow_batch *b, struct shadow_page *sp);
/** shadow_forget_table() - the page is no table any more: the guest may write it */
void shadow_forget_table(struct vcpu *vcpu, gfn_t gfn);
/** shadow_root_of() - where the vCPU's tables for @gva begin; NULL: they must be loaded first */
struct shadow_page *shadow_root_of(struct vcpu *vcpu, gva_t gva);
void shadow_put_roots(struct vcpu *vcpu, struct shadow_batch *b);

/* Work on ranges of gfns: mmu.h */
void shadow_zap(struct vm *vm, gfn_t start, gfn_t end, bool may_yield);
void shadow_zap_all(struct vm *vm);
bool shadow_age(struct vm *vm, gfn_t start, gfn_t end, bool clear, bool flush);
void shadow_log_start(struct vm *vm, const struct slot *slot);
bool shadow_log_rearm(struct vm *vm, gfn_t first, u64 mask);

/* What the processor's registers hold where the guest's are @cr4 and @efer. */
u64 shadow_cr4(struct vcpu *vcpu, u64 cr4);
u64 shadow_efer(u64 efer);

int shadow_load_root(struct vcpu *vcpu);
/** shadow_fault() - a page fault of the guest. Return: enum vcpu_next or -errno */
int shadow_fault(struct vcpu *vcpu, struct vcpu_exit *exit);
/**
 * shadow_fault_fast() - a page fault that needs neither new tables nor a frame that is not there yet
 * Context: interrupts off. Return: done, the guest can go on at once; false: nothing has happened
 */
bool shadow_fault_fast(struct vcpu *vcpu, struct vcpu_exit *exit);
/** shadow_switch_root() - to tables that exist; not if any must be looked at. Context: any. Return: done */
bool shadow_switch_root(struct vcpu *vcpu, u64 cr3, bool flush);
/** shadow_try_sync_addr() - shadow_sync_addr() if the lock is free. Context: any. Return: done */
bool shadow_try_sync_addr(struct vcpu *vcpu, gva_t gva, bool *several);
/** shadow_sync() - the guest has flushed its translations: those that it has changed go */
void shadow_sync(struct vcpu *vcpu);
/** shadow_sync_addr() - the same for one address. Return: several pages were one to the guest */
bool shadow_sync_addr(struct vcpu *vcpu, gva_t gva);
/** shadow_sync_fault() - the guest gets the page fault that @w met: what a processor has for the address goes */
bool shadow_try_sync_fault(struct vcpu *vcpu, const struct gwalk *w);	/* if the lock is free */
void shadow_sync_fault(struct vcpu *vcpu, const struct gwalk *w);

/**
 * shadow_find_frame() - the frame of @gfn, from an entry that maps it writable already
 * Context: mmu_lock held for writing: what the notifier takes away is gone from all entries.
 */
bool shadow_find_frame(struct vm *vm, gfn_t gfn, struct pfn *pfn);
/**
 * shadow_write_start() - memory will be written on behalf of the guest, which then may see it before the
 * tables there are followed: who flushes meanwhile looks at them, too. Context: vm->srcu held
 */
void shadow_write_start(struct vcpu *vcpu, gpa_t gpa);
/** shadow_write_end() - it was followed, or not written */
void shadow_write_end(struct vcpu *vcpu);
/** shadow_update_start() - the same for entries of tables, by the paravirtual MMU. @n: MMU_WRITES at most */
void shadow_update_start(struct vcpu *vcpu, const struct corbel_mmu_update *updates, unsigned int n);
/** shadow_updated() - @n of them were written: follow them. Ends what shadow_update_start() began */
void shadow_updated(struct vcpu *vcpu, const struct corbel_mmu_update *updates, unsigned int n);
/**
 * shadow_try_update() - write the entry @u and follow it, if that is no effort, then drop what INVLPG
 * of *@flush would, if any. Context: interrupts off, page faults too. @several: as sync_addr()
 * Return: done; false: nothing has happened
 */
bool shadow_try_update(struct vcpu *vcpu, const struct corbel_mmu_update *u, unsigned int size,
		       gva_t *flush, bool *several);
/** shadow_map_ahead() - the page of the guest's entry @gpte, if the host has it at hand. mmu_lock held */
void shadow_map_ahead(struct vcpu *vcpu, struct shadow_page *sp, unsigned int i, u64 gpte);
/** shadow_written() - memory was written on behalf of the guest. Context: vm->srcu held */
void shadow_written(struct vcpu *vcpu, gpa_t gpa, unsigned int len);

#endif
