// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <sys/mman.h>
#include "guest.h"
#include "cpu/regs.h"
#include "mem/slots.h"

#define P	1ull
#define W	2ull
#define U	4ull
#define A	0x20ull
#define D	0x40ull
#define PS	0x80ull
#define NX	(1ull << 63)
#define ADDR	0xffffffffff000ull

#define NEVER	(~0ull)

/* --- Memory and its past --- */

struct word {
	unsigned int nr, room;
	struct { u64 val, since; } *v;	/* the last one is there now */
};

static struct word *words[GUEST_PAGES];		/* 512 each; NULL: zeros since ever */
static u64 now;

struct flush {
	gva_t gva;
	unsigned int shift;	/* of the page that had it then */
	u64 when;
};

#define FLUSHES	48

static struct {
	u64 all;			/* the last time of everything */
	struct flush addr[FLUSHES];	/* and those of an address since */
	unsigned int nr;
	u64 structures[FLUSHES];	/* paging-structure caches: all that INVLPG has dropped */
	unsigned int nr_structures;
} flushes[MODEL_CPUS];

static void *memory(void)
{
	static void *at;

	if (at)
		return at;
	at = mmap((void *)MODEL_HVA, MODEL_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	MODEL(at == (void *)MODEL_HVA, "no memory for the guest");
	return at;
}

void guest_reset(void)
{
	unsigned long i;
	unsigned int k;

	for (i = 0; i < GUEST_PAGES; i++) {
		for (k = 0; words[i] && k < 512; k++)
			free(words[i][k].v);
		free(words[i]);
		words[i] = NULL;
	}
	madvise(memory(), MODEL_PAGES * PAGE_SIZE, MADV_DONTNEED);
	memset(flushes, 0, sizeof(flushes));
	now = 0;
	host_backed = true;
}

void *guest_page(unsigned long index)
{
	return (char *)memory() + index * PAGE_SIZE;
}

bool guest_find(gpa_t gpa, unsigned long *index, bool *read_only)
{
	struct slot *slot = slots_find(vm.mem.slots, gpa >> PAGE_SHIFT);

	if (!slot)
		return false;
	*index = (slot_hva(slot, gpa >> PAGE_SHIFT) - MODEL_HVA) >> PAGE_SHIFT;
	if (read_only)
		*read_only = slot->flags & KVM_MEM_READONLY;
	return true;
}

u64 guest_read_word(gpa_t gpa, unsigned int size)
{
	unsigned long index;
	u64 val = 0;

	if (guest_find(gpa, &index, NULL))
		memcpy(&val, (char *)guest_page(index) + offset_in_page(gpa), size);
	return val;
}

/* Values that no CPU can remember go. */
static void trim(struct word *w)
{
	u64 oldest = NEVER;
	unsigned int i, n = 0;

	for (i = 0; i < MODEL_CPUS; i++)
		oldest = min(oldest, flushes[i].all);
	while (n + 1 < w->nr && w->v[n + 1].since <= oldest)
		n++;
	memmove(w->v, w->v + n, (w->nr - n) * sizeof(w->v[0]));
	w->nr -= n;
}

static void push(struct word *w, u64 val)
{
	if (!w->nr)
		w->nr = w->room = 1, w->v = calloc(1, sizeof(w->v[0]));	/* zero since ever */
	if (w->v[w->nr - 1].val == val)
		return;
	if (w->nr == w->room)
		trim(w);
	if (w->nr == w->room) {
		w->room *= 2;
		w->v = realloc(w->v, w->room * sizeof(w->v[0]));
	}
	w->v[w->nr].val = val;
	w->v[w->nr++].since = ++now;
}

void guest_note(unsigned long index, unsigned int offset, unsigned int len)
{
	const u64 *page = guest_page(index);
	unsigned int i;

	MODEL(index < GUEST_PAGES && len && offset + len <= PAGE_SIZE, "page %lu", index);
	if (!words[index])
		words[index] = calloc(512, sizeof(struct word));
	for (i = offset / 8; i <= (offset + len - 1) / 8; i++)
		push(&words[index][i], page[i]);
}

static u64 last_value(unsigned long index, unsigned int i)
{
	const struct word *w = words[index] ? &words[index][i] : NULL;

	return w && w->nr ? w->v[w->nr - 1].val : 0;
}

void guest_check(void)
{
	unsigned long index;
	unsigned int i;

	for (index = 0; index < GUEST_PAGES; index++) {
		const u64 *page = guest_page(index);

		if (!words[index])
			continue;
		for (i = 0; i < 512; i++)
			MODEL(page[i] == last_value(index, i), "page %lu, word %u was %llx, is %llx",
			      index, i, last_value(index, i), page[i]);
	}
}

/* --- Flushes --- */

void guest_flushed(int cpu)
{
	flushes[cpu].all = now;
	flushes[cpu].nr = flushes[cpu].nr_structures = 0;
}

static void flushed(int cpu, gva_t gva, unsigned int shift)
{
	struct flush *f = flushes[cpu].addr;

	/* Forgetting a flush only allows more. */
	if (flushes[cpu].nr == FLUSHES)
		memmove(f, f + 1, (--flushes[cpu].nr) * sizeof(*f));
	f[flushes[cpu].nr++] = (struct flush){ gva, shift, now };
}

/*
 * Of a page larger than 4 KiB everything goes, however many pieces the TLB has it in: if the tables
 * map it so at that moment. The paging-structure caches go for all addresses.
 */
void guest_flushed_addr(int cpu, gva_t gva)
{
	struct guest_walk w;

	guest_walk(cpu, gva, (struct access){ ACCESS_READ }, &w);
	flushed(cpu, gva, w.leaf ? w.shift : PAGE_SHIFT);
	if (flushes[cpu].nr_structures == FLUSHES)
		memmove(flushes[cpu].structures, flushes[cpu].structures + 1,
			--flushes[cpu].nr_structures * sizeof(u64));
	flushes[cpu].structures[flushes[cpu].nr_structures++] = now;
}

/* "A page fault invalidates entries in the TLBs and paging-structure caches that would be used." */
void guest_faulted(int cpu, gva_t gva)
{
	flushed(cpu, gva, PAGE_SHIFT);
}

/* From when on a leaf for @gva may have been read that maps 1 << @shift bytes. */
static u64 leaf_since(int cpu, gva_t gva, unsigned int shift)
{
	u64 since = flushes[cpu].all;
	unsigned int i;

	for (i = 0; i < flushes[cpu].nr; i++) {
		const struct flush *f = &flushes[cpu].addr[i];

		if ((f->gva ^ gva) >> PAGE_SHIFT == 0 ||
		    ((f->gva ^ gva) >> shift == 0 && f->shift >= shift))
			since = max(since, f->when);
	}
	return since;
}

/* --- Walks --- */

struct mode {
	bool paging, lma, pae;
	unsigned int levels, bits, size;
	gpa_t table;
	bool none;		/* the PDPTE says so */
	u64 reserved;
};

static struct mode mode_of(int cpu, gva_t gva)
{
	const struct vcpu_regs *r = &vcpus[cpu].regs;
	struct mode m = { .paging = r->cr0 & X86_CR0_PG, .lma = r->efer & EFER_LMA,
			  .pae = r->cr4 & X86_CR4_PAE, .levels = 2, .bits = 9, .size = 8 };

	m.reserved = ADDR & ~((1ull << MAXPHYADDR) - 1);
	if (!(r->efer & EFER_NX))
		m.reserved |= NX;
	if (m.lma) {
		m.levels = 4;
		m.table = r->cr3 & ADDR;
	} else if (m.pae) {
		u64 pdpte = r->pdptr[gva >> 30 & 3];

		m.reserved |= 0x7ffull << 52;
		m.none = !(pdpte & P);
		m.table = pdpte & ADDR;
	} else {
		m.bits = 10;
		m.size = 4;
		m.reserved = 0;
		m.table = r->cr3 & 0xfffff000;
	}
	return m;
}

static unsigned int shift_of(const struct mode *m, int level)
{
	return PAGE_SHIFT + (level - 1) * m->bits;
}

static bool large(int cpu, const struct mode *m, int level, u64 entry)
{
	if (!(entry & PS) || level == 1)
		return false;
	if (m->size == 4)
		return vcpus[cpu].regs.cr4 & X86_CR4_PSE;
	return level == 2 || (level == 3 && m->lma);
}

static bool reserved(int cpu, const struct mode *m, int level, u64 entry)
{
	u64 bits = m->reserved;

	if (m->size == 4)
		return large(cpu, m, level, entry) && entry & 1 << 21;
	if (level == 4)
		bits |= PS;
	if (large(cpu, m, level, entry))
		bits |= (1ull << shift_of(m, level)) - (1 << 13);
	return entry & bits;
}

static gpa_t leaf_address(const struct mode *m, int level, u64 entry, gva_t gva)
{
	u64 offset = (1ull << shift_of(m, level)) - 1;
	gpa_t base = entry & ADDR;

	if (m->size == 4 && level == 2)		/* PSE-36 */
		base = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	return (base & ~offset) | (gva & offset);
}

/* @rights: W and U of all entries, and NX if one had it */
static bool allowed(int cpu, struct access a, u64 rights)
{
	const struct vcpu_regs *r = &vcpus[cpu].regs;

	if (a.type == ACCESS_EXEC && rights & NX)
		return false;
	if (a.user)
		return rights & U && (a.type != ACCESS_WRITE || rights & W);
	if (a.type == ACCESS_EXEC)
		return !(rights & U && r->cr4 & X86_CR4_SMEP);
	if (rights & U && r->cr4 & X86_CR4_SMAP && (a.implicit || !(r->rflags & X86_EFLAGS_AC)))
		return false;
	return a.type != ACCESS_WRITE || rights & W || !(r->cr0 & X86_CR0_WP);
}

static u64 collect(u64 rights, u64 entry, const struct mode *m)
{
	if (m->size == 8)
		rights |= entry & NX;
	return rights & (entry | ~(W | U));
}

static u32 error_code(int cpu, struct access a, u32 error)
{
	const struct vcpu_regs *r = &vcpus[cpu].regs;

	if (a.type == ACCESS_WRITE)
		error |= 2;
	if (a.user)
		error |= 4;
	if (a.type == ACCESS_EXEC && ((r->efer & EFER_NX && r->cr4 & X86_CR4_PAE) ||
				      r->cr4 & X86_CR4_SMEP))
		error |= 16;
	return error;
}

/* An entry may be on the way more than once. */
static void set_bits(struct guest_walk *w, struct access a)
{
	unsigned int i, k;

	for (i = 0; i < w->nr; i++) {
		struct guest_step *s = &w->step[i];
		unsigned long index;
		bool read_only;

		if (!guest_find(s->gpa, &index, &read_only) || read_only)
			continue;
		s->new |= A;
		if (a.type == ACCESS_WRITE && i + 1 == w->nr)
			s->new |= D;
	}
	for (i = 0; i < w->nr; i++)
		for (k = 0; k < w->nr; k++)
			if (w->step[k].gpa == w->step[i].gpa)
				w->step[i].new |= w->step[k].new;
}

void guest_walk(int cpu, gva_t gva, struct access a, struct guest_walk *w)
{
	struct mode m = mode_of(cpu, gva);
	gpa_t table = m.table;
	u64 rights = W | U;
	int level;

	*w = (struct guest_walk){ .gpa = m.lma ? gva : (u32)gva, .w = true };
	if (!m.paging)
		return;
	w->fault = true;
	w->error = error_code(cpu, a, 0);
	for (level = m.none ? 0 : m.levels; level; level--) {
		struct guest_step *s = &w->step[w->nr];
		unsigned long index;

		s->gpa = table + ((gva >> shift_of(&m, level)) & ((1 << m.bits) - 1)) * m.size;
		s->size = m.size;
		s->old = s->new = guest_read_word(s->gpa, m.size);
		if (!guest_find(s->gpa, &index, NULL) || !(s->old & P))
			return;
		w->nr++;
		if (reserved(cpu, &m, level, s->old)) {
			w->error = error_code(cpu, a, 9);
			return;
		}
		rights = collect(rights, s->old, &m);
		table = s->old & ADDR;
		if (level == 1 || large(cpu, &m, level, s->old))
			break;
	}
	if (!level)
		return;
	w->leaf = true;
	w->shift = shift_of(&m, level);
	w->w = rights & W;
	w->error = error_code(cpu, a, 1);
	w->fault = !allowed(cpu, a, rights);
	if (w->fault)
		return;
	w->gpa = leaf_address(&m, level, w->step[w->nr - 1].old, gva);
	set_bits(w, a);
}

struct search {
	int cpu;
	struct mode m;
	gva_t gva;
	struct access a;
	gfn_t gfn;
	u64 until;		/* no entry is read later */
};

static bool search(const struct search *s, int level, gpa_t table, u64 when, u64 rights);

/* One value that the entry had, from @when on and before @end. */
static bool try_entry(const struct search *s, int level, u64 entry, u64 when, u64 end, u64 rights,
		      bool read_only)
{
	u64 need = P | (read_only ? 0 : A);

	if ((entry & need) != need || reserved(s->cpu, &s->m, level, entry))
		return false;
	rights = collect(rights, entry, &s->m);
	if (level > 1 && !large(s->cpu, &s->m, level, entry))
		return search(s, level - 1, entry & ADDR, when, rights);
	when = max(when, leaf_since(s->cpu, s->gva, shift_of(&s->m, level)));
	if (when >= end || when > s->until)
		return false;
	if (s->a.type == ACCESS_WRITE && !read_only && !(entry & D))
		return false;
	return leaf_address(&s->m, level, entry, s->gva) >> PAGE_SHIFT == s->gfn &&
	       allowed(s->cpu, s->a, rights);
}

static bool search(const struct search *s, int level, gpa_t table, u64 when, u64 rights)
{
	u64 at = (s->gva >> shift_of(&s->m, level)) & ((1 << s->m.bits) - 1);
	gpa_t gpa = table + at * s->m.size;
	const struct word *w = NULL;
	unsigned long index;
	bool read_only;
	unsigned int i;

	if (!guest_find(gpa, &index, &read_only) || !words[index])
		return false;
	w = &words[index][offset_in_page(gpa) / 8];
	for (i = 0; i < w->nr; i++) {
		u64 end = i + 1 < w->nr ? w->v[i + 1].since : NEVER, entry = w->v[i].val;

		if (s->m.size == 4)
			entry = gpa & 4 ? entry >> 32 : (u32)entry;
		if (end > when && w->v[i].since <= s->until &&
		    try_entry(s, level, entry, max(when, w->v[i].since), end, rights, read_only))
			return true;
	}
	return false;
}

bool guest_may(int cpu, gva_t gva, struct access a, gfn_t gfn)
{
	struct search s = { .cpu = cpu, .m = mode_of(cpu, gva), .gva = gva, .a = a, .gfn = gfn,
			    .until = NEVER };
	int i;

	if (!s.m.paging)
		return gfn == (u32)gva >> PAGE_SHIFT;
	if (s.m.none)
		return false;
	for (i = flushes[cpu].nr_structures; i >= 0; i--) {
		u64 since = i ? flushes[cpu].structures[i - 1] : flushes[cpu].all;

		if (search(&s, s.m.levels, s.m.table, since, W | U))
			return true;
		s.until = since;
	}
	return false;
}

void guest_explain(int cpu, gva_t gva, struct access a)
{
	const struct vcpu_regs *r = &vcpus[cpu].regs;
	struct guest_walk w;
	unsigned int i, k;

	guest_walk(cpu, gva, a, &w);
	printf("# now %llu, cr0 %llx, cr3 %llx, cr4 %llx, efer %llx, all flushed at %llu\n", now,
	       r->cr0, r->cr3, r->cr4, r->efer, flushes[cpu].all);
	for (i = 0; i < flushes[cpu].nr; i++)
		printf("# %llu: %lx, page of 1 << %u\n", flushes[cpu].addr[i].when,
		       flushes[cpu].addr[i].gva, flushes[cpu].addr[i].shift);
	for (i = 0; i < flushes[cpu].nr_structures; i++)
		printf("# %llu: structures\n", flushes[cpu].structures[i]);
	for (i = 0; i < w.nr; i++) {
		struct word *word;
		unsigned long index;

		guest_find(w.step[i].gpa, &index, NULL);
		printf("# entry at %llx: %llx;", w.step[i].gpa, w.step[i].old);
		word = words[index] ? &words[index][offset_in_page(w.step[i].gpa) / 8] : NULL;
		for (k = 0; word && k < word->nr; k++)
			printf(" %llu: %llx", word->v[k].since, word->v[k].val);
		printf("\n");
	}
	printf("# %s, error %x, gpa %llx\n", w.fault ? "fault" : "no fault", w.error, w.gpa);
}
