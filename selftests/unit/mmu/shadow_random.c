// SPDX-License-Identifier: GPL-2.0-only
/* Random histories of guest tables that point anywhere, of what the host does, and of flushes. */
#include <linux/corbel.h>
#include <linux/mmu_notifier.h>
#include <linux/shrinker.h>
#include <linux/uaccess.h>
#include "ktap.h"
#include "vm.h"
#include "mem/slots.h"
#include "mmu/shadow.h"
#include "shadow_tables.h"

/* Pages that serve as tables; each is for entries of 8 bytes or of 4 at a time. */
#define POOL	20
static bool pool_wide[POOL];
static gfn_t last_pool_gfn;	/* sometimes where slots move and large pages are */

static gfn_t pool_gfn(unsigned int i)
{
	return i < 12 ? 16 + i : i < POOL - 1 ? 512 + i : last_pool_gfn;
}

/* Few indices, so that histories meet. */
static const u16 wide_index[] = { 0, 1, 2, 256 }, narrow_index[] = { 0, 1, 257, 512, 770 };

#define PICK(array)	((array)[rnd(ARRAY_SIZE(array))])

static gva_t any_gva(int cpu)
{
	if (!rnd(30))
		return kernel_gva(cpu, pool_gfn(rnd(POOL - 1)), rnd(2));
	if (!paging(cpu))
		return (rnd(2) ? pool_gfn(rnd(POOL)) : rnd(2) ? 2048 + rnd(4) : 100 + rnd(4)) << 12;
	if (!wide(cpu))
		return (u64)PICK(narrow_index) << 22 | (u64)PICK(narrow_index) << 12;
	if (!long_mode(cpu))
		return rnd(3) << 30 | (u64)PICK(wide_index) << 21 | (u64)PICK(wide_index) << 12;
	return rnd(2) << 39 | rnd(2) << 30 | (u64)PICK(wide_index) << 21 |
	       (u64)PICK(wide_index) << 12;
}

/* Often one of those used last: that is where the TLBs have something. */
static gva_t some_gva(int cpu)
{
	static gva_t recent[MODEL_CPUS][8];
	unsigned int i = rnd(8);

	if (!rnd(3))
		recent[cpu][i] = any_gva(cpu);
	return long_mode(cpu) ? recent[cpu][i] : (u32)recent[cpu][i];
}

static struct access some_access(void)
{
	struct access a = { .type = rnd(5) ? rnd(2) : ACCESS_EXEC, .user = rnd(2) };

	if (!a.user && a.type != ACCESS_EXEC && !rnd(10))
		a.implicit = true;
	return a;
}

static gfn_t data_gfn(void)
{
	switch (rnd(10)) {
	case 0:
		return 4096 + rnd(4);
	case 1:
		return (1 << 27) + rnd(4);
	case 2:
		return rnd(2) ? 0xfee00 : 3072 + rnd(4);
	case 3:
		return 5120 + rnd(4);
	case 4:
	case 5:
		return 2048 + rnd(4);
	default:
		return 100 + rnd(8);
	}
}

static gfn_t table_gfn(bool is_wide)
{
	unsigned int i;

	do {
		i = rnd(POOL);
	} while (pool_wide[i] != is_wide);
	return pool_gfn(i);
}

static u64 large_base(bool is_wide)
{
	static const gfn_t bases[] = { 0, 512, 2048, 2560, 4096, 5120, 5632 };
	gfn_t gfn = !rnd(3) ? PICK(bases) : rnd(2) ? 0 : 2048 + rnd(2) * M2;

	return (is_wide ? gfn : gfn & ~1023ull) << 12;
}

static u64 some_flags(bool is_wide)
{
	u64 flags = (rnd(40) ? P : 0) | (rnd(10) ? W : 0) | (rnd(10) ? U : 0) | (rnd(2) ? A : 0) |
		    (rnd(2) ? D : 0) | rnd(8) << 9 | (rnd(6) ? 0 : 1 << 8) | (rnd(9) ? 0 : rnd(4) << 3);

	if (!is_wide)
		return flags;
	if (!rnd(12))
		flags |= NX;
	if (!rnd(60))
		flags |= 1ull << (MAXPHYADDR + rnd(23));
	return flags;
}

static u64 some_entry(bool is_wide)
{
	u64 flags = some_flags(is_wide);

	if (!rnd(30))
		return 0;
	if (!rnd(12))
		return flags | PS | large_base(is_wide) | (rnd(30) ? 0 : 1 << (13 + rnd(9)));
	if (rnd(8))
		return flags | table_gfn(is_wide) << 12;
	return flags | (data_gfn() & (is_wide ? ~0ull : 0xfffff)) << 12;
}

/* A small change to what is there, as kernels do. */
static u64 changed_entry(u64 entry, bool is_wide)
{
	static const u64 bits[] = { P, W, U, A, D, D, D, W, U, A, A | D, PS, A, D, W, U };

	if (is_wide && !rnd(10))
		return entry ^ NX;
	return entry ^ PICK(bits);
}

static void fuzz_store(int cpu)
{
	unsigned int i = rnd(POOL - 1), size = pool_wide[i] ? 8 : 4;
	gpa_t gpa = (pool_gfn(i) << 12) + (pool_wide[i] ? PICK(wide_index) : PICK(narrow_index)) * size;
	u64 old = guest_read_word(gpa, size), data[2] = { some_entry(pool_wide[i]), 0 };
	unsigned int len = size;

	if (rnd(2) && (old & P || !rnd(4)))
		data[0] = changed_entry(old, pool_wide[i]);
	switch (rnd(20)) {
	case 0:				/* half an entry, or a byte of it */
		len = size / 2;
		break;
	case 1:
		len = 1;
		break;
	case 2:				/* two at once */
		len = 2 * size;
		data[1] = some_entry(true);
		if (size == 4)
			data[0] = (u32)data[0] | some_entry(false) << 32;
		if (offset_in_page(gpa) + len > PAGE_SIZE || (gpa & 0xfff) >= PAE_KERNEL * 8 - 8)
			len = size;
		break;
	}
	guest_store(cpu, gpa, data, len, rnd(2));
}

static void written_is_told(unsigned long index)
{
	MODEL(!host[index].hfn || !host[index].written || host[index].dirty,
	      "page %lu was written, and nobody told", index);
	host[index].written = false;
}

static void unmap(unsigned long index)
{
	written_is_told(index);
	host_unmap(index);
}

/* A page that the entry maps goes, or another CPU changes the entry. */
static void between_updates(gpa_t gpa, u64 value)
{
	unsigned long index;

	if (rnd(8))
		return;
	if (rnd(2) && guest_find(value & 0xffffffffff000, &index, NULL))
		host_invalidate(index, 1, unmap);
	else if (gpa >> PAGE_SHIFT < regions[0].npages)
		guest_store(rnd(MODEL_CPUS), gpa, &(u64){ value ^ (1 << 12) }, 4, rnd(2));
}

/* Entries by hypercall, of the size that the CPU's mode has. */
static void fuzz_update(int cpu)
{
	bool is_wide = !paging(cpu) || wide(cpu);
	struct corbel_mmu_update updates[20];
	unsigned int size = is_wide ? 8 : 4, n = rnd(2) ? 1 : 1 + rnd(ARRAY_SIZE(updates)), k;

	for (k = 0; k < n; k++) {
		unsigned int i = rnd(POOL - 1);
		gpa_t gpa = (pool_gfn(i) << 12) +
			    (pool_wide[i] ? PICK(wide_index) * 8 : PICK(narrow_index) * 4);

		gpa &= -(gpa_t)size;
		updates[k].gpa = gpa;
		updates[k].value = rnd(2) ? some_entry(is_wide) :
					    changed_entry(guest_read_word(gpa, size), is_wide);
	}
	in_update = model_meanwhile ? NULL : between_updates;
	guest_update(cpu, updates, n, rnd(3), some_gva(cpu));
	in_update = NULL;
}

/* A page gets another use: a table of another kind, or data for a while. */
static void fuzz_recycle(int cpu)
{
	static const u16 words[] = { 0, 1, 2, 3, 128, 256, 257, 385, 508, 509, 510, 511 };
	unsigned int i = 2 + rnd(POOL - 3), k;
	bool data = rnd(2), large = rnd(2);

	for (k = 0; k < ARRAY_SIZE(words); k++) {
		u64 val = words[k] >= PAE_KERNEL ? kernel_word(words[k]) : data ? rnd(1ul << 40) << 1 : 0;

		guest_store(cpu, (pool_gfn(i) << 12) + words[k] * 8, &val, 8, large);
	}
	pool_wide[i] = rnd(3);
}

static void fuzz_mode(int cpu)
{
	u64 cr0 = rnd(4) ? X86_CR0_WP : 0, cr4 = 0, efer = rnd(4) ? EFER_NX : 0;

	if (!rnd(4))
		cr4 |= X86_CR4_SMEP;
	if (!rnd(4))
		cr4 |= X86_CR4_SMAP;
	if (rnd(8))
		cr0 |= X86_CR0_PG;
	switch (rnd(5)) {
	case 0:
		model_mode(cpu, cr0, cr4 | (rnd(4) ? X86_CR4_PSE : 0), efer, table_gfn(false) << 12);
		break;
	case 1:
		model_mode(cpu, cr0, cr4 | CR4_PAE, efer, (PDPTS << 12) + rnd(128) * 32);
		break;
	default:
		if (cr0 & X86_CR0_PG)
			efer |= EFER_LME | EFER_LMA;
		model_mode(cpu, cr0, cr4 | CR4_PAE, efer, table_gfn(true) << 12);
	}
}

static void fuzz_cr3(int cpu)
{
	const struct vcpu_regs *r = &vcpus[cpu].regs;

	if (!rnd(4))
		model_mode(cpu, r->cr0 ^ (rnd(2) ? X86_CR0_WP : 0),
			   r->cr4 ^ (rnd(2) ? X86_CR4_PGE : X86_CR4_SMEP), r->efer, r->cr3);
	else if (rnd(2))
		model_cr3(cpu, vcpus[cpu].regs.cr3);
	else if (paging(cpu) && wide(cpu) && !long_mode(cpu))
		model_cr3(cpu, (PDPTS << 12) + rnd(128) * 32);
	else
		model_cr3(cpu, table_gfn(wide(cpu)) << 12);
}

static void fuzz_access(int cpu)
{
	gva_t gva = some_gva(cpu) | rnd(2) << 11 | rnd(4) * 8;
	u64 data = rnd(20) ? some_entry(true) : rnd(4);

	vcpus[cpu].regs.rflags = 2 | (rnd(2) ? X86_EFLAGS_AC : 0);
	model_event[cpu] = !rnd(40);
	model_access(cpu, gva, some_access(), &data, rnd(8) ? 8 : 1 << rnd(4));
}

static void share(unsigned long index)
{
	written_is_told(index);
	host_cow(index);
}

static unsigned long fuzz_index(void)
{
	if (rnd(2))
		return model_last[rnd(ARRAY_SIZE(model_last))];
	switch (rnd(5)) {
	case 0:
		return 1024 + rnd(8);
	case 1:
		return 2048 + rnd(8);
	case 2:
		return 2112 + rnd(8);
	case 3:
		return rnd(GUEST_PAGES - M2);
	default:
		return rnd(2) ? pool_gfn(rnd(POOL - 1)) : 100 + rnd(8);
	}
}

static void fuzz_host(void)
{
	unsigned long n = rnd(16) ? 1 + rnd(8) : M2, first = min(fuzz_index(), MODEL_PAGES - n);

	switch (rnd(6)) {
	case 0:
		host_invalidate(first, n, unmap);
		break;
	case 1:
		host_invalidate(first, n, share);
		break;
	case 2:
	case 3:
		host_collapse(rnd(4) ? 1024 + rnd(2) * M2 : 0);
		break;
	default:
		shim_notifier->ops->clear_flush_young(shim_notifier, NULL, model_hva(first),
						      model_hva(first + n));
	}
}

static void fuzz_shrink(void)
{
	struct shrink_control control = { .nr_to_scan = 1 + rnd(4) };

	shim_shrinker.scan_objects(&shim_shrinker, &control);
}

static void everybody_flushes(void)
{
	int cpu;

	for (cpu = 0; cpu < MODEL_CPUS; cpu++)
		model_flush(cpu);
}

static void fuzz_slot(unsigned int id)
{
	struct region *r = &regions[id], was = *r;

	if (id == 1 && rnd(2)) {
		if (rnd(2))
			r->live ^= true;
		else
			r->gfn = rnd(3) ? 2048 : 5120 + rnd(2) * 3;
		if (!was.live && !r->live)
			return;
	} else {
		r->flags ^= LOG;
	}
	if (!r->live && !was.live)
		return;
	EXPECT_EQ(region_set(id), 0);
	if (r->live && (!was.live || !(was.flags & LOG) || r->gfn != was.gfn))
		memset(model_truth + r->index, 0, r->npages);
}

static void check_log(struct region *r, const unsigned long *dirty)
{
	unsigned long i;

	for (i = 0; i < r->npages; i++)
		MODEL(!model_truth[r->index + i] || dirty[i / 64] >> (i % 64) & 1,
		      "gfn %#llx was written and is not in the log", r->gfn + i);
}

static void fuzz_clear(unsigned int id, const unsigned long *dirty)
{
	struct region *r = &regions[id];
	unsigned long mask, first = rnd(r->npages / 64) * 64, i;
	struct kvm_clear_dirty_log log = { .slot = id, .first_page = first, .num_pages = 64,
					   .dirty_bitmap = &mask };

	mask = rnd(2) ? ~0ul : dirty[first / 64] & (rnd(~0ul >> 1) * 3);
	EXPECT_EQ(slots_clear_dirty_log(&vm, &log), 0);
	for (i = 0; i < 64; i++)
		if (mask >> i & 1)
			model_truth[r->index + first + i] = 0;
}

static void fuzz_log(unsigned int id)
{
	struct region *r = &regions[id];
	static unsigned long dirty[1024 / 64];

	if (!r->live || !(r->flags & LOG))
		return;
	EXPECT_EQ(model_get_dirty(id, dirty), 0);
	check_log(r, dirty);
	if (vm.mem.manual_dirty)
		fuzz_clear(id, dirty);
	else
		memset(model_truth + r->index, 0, r->npages);
}

static unsigned int swapped;

static bool swapped_out(const void *p)
{
	(void)p;
	if (!swapped || rnd(3))
		return false;
	swapped--;
	return true;
}

/* Tables may be in slot 1, and then its guest has to flush. */
static void fuzz_slots(void)
{
	fuzz_slot(rnd(4));
	everybody_flushes();
}

/* Just what the fault of another CPU has read. */
static void fuzz_store_on_way(int cpu, const struct guest_walk *w)
{
	const struct guest_step *step = &w->step[rnd(max(w->nr, 1u))];
	u64 val = rnd(3) ? changed_entry(step->new, step->size == 8) : some_entry(step->size == 8);

	if (w->nr && step->gpa >> PAGE_SHIFT < regions[0].npages)
		guest_store(cpu, step->gpa, &val, step->size, rnd(2));
}

/* In the middle of the fault of @vcpu. */
static void interfere(struct vcpu *vcpu)
{
	int cpu = (vcpu->index + 1 + rnd(MODEL_CPUS - 1)) % MODEL_CPUS;

	switch (rnd(10)) {
	case 0:
	case 1:
		fuzz_host();
		break;
	case 2:
		fuzz_slot(rnd(4));
		break;
	case 3:
		model_invlpg(cpu, some_gva(cpu));
		break;
	case 4:
		if (rnd(4)) {
			model_flush(cpu);
			fuzz_access(cpu);
		} else {
			fuzz_shrink();
		}
		break;
	case 5:
		fuzz_access(cpu);
		break;
	case 6:
	case 7:
	case 8:
		fuzz_store_on_way(cpu, model_walk(vcpu->index));
		break;
	default:
		fuzz_store(cpu);
	}
}

static void fuzz_once(void)
{
	unsigned long what = rnd(1000);
	int cpu = rnd(MODEL_CPUS);

	swapped = rnd(50) ? 0 : 1 + rnd(3);
	if (what < 500)
		fuzz_access(cpu);
	else if (what < 720)
		fuzz_store(cpu);
	else if (what < 820)
		model_invlpg(cpu, some_gva(cpu));
	else if (what < 850)
		fuzz_cr3(cpu);
	else if (what < 862)
		fuzz_mode(cpu);
	else if (what < 880)
		fuzz_update(cpu);
	else if (what < 920)
		model_speculate(cpu, some_gva(cpu));
	else if (what < 922)
		fuzz_shrink();
	else if (what < 960)
		fuzz_host();
	else if (what < 985)
		fuzz_log(rnd(4));
	else if (what < 990)
		fuzz_slots();
	else if (what < 993)
		fuzz_recycle(cpu);
	else if (what < 996)
		everybody_flushes();
	else
		model_check();
}

static void fuzz_step(void)
{
	if (!rnd(12)) {
		model_meanwhile = interfere;
		model_lets_pass = rnd(2) ? 0 : rnd(6);
	}
	fuzz_once();
	model_meanwhile = NULL;
}

static void fuzz_start(bool lazy)
{
	unsigned int i, k;

	boot_cpu_data.x86_phys_bits = rnd(8) ? 46 : 52;
	start(lazy);
	vm.mem.manual_dirty = rnd(3) ? 0 : rnd(2) ? 1 : 3;
	kernel_tables();
	last_pool_gfn = rnd(3) ? 540 : 2050;
	for (i = 0; i < POOL; i++) {
		pool_wide[i] = i == 0 || (i > 1 && rnd(3));
		kernel_part(pool_gfn(i));
	}
	for (i = 0; i < POOL; i++)
		for (k = 0; k < (pool_wide[i] ? 4 : 5); k++)
			put((pool_gfn(i) << 12) + (pool_wide[i] ? wide_index[k] * 8 : narrow_index[k] * 4),
			    some_entry(pool_wide[i]), pool_wide[i] ? 8 : 4);
	for (k = 0; k < 4; k++)
		set(4096, wide_index[k], some_entry(true));
	for (i = 0; i < 512; i++)
		set(PDPTS, i, (i % 4 == 3 || rnd(8)) ? table_gfn(true) << 12 | P : 0);
	for (i = 0; i < MODEL_CPUS; i++)
		fuzz_mode(i);
}

#define LIFE	10000		/* steps of a VM */

static void fuzz_life(bool lazy, unsigned long n, struct model_stats *sum)
{
	unsigned long i, *from = (void *)&model_stats, *to = (void *)sum;

	fuzz_start(lazy);
	shim_before_lock = host_before_lock;
	for (i = 0; i < n && !ktap_failed; i++)
		fuzz_step();
	everybody_flushes();
	model_check();
	shim_swapped_out = NULL;
	shim_before_lock = NULL;
	shadow_end();
	boot_cpu_data.x86_phys_bits = 46;
	sum->most_pages = max(sum->most_pages, model_stats.most_pages);
	for (i = 0; i < offsetof(struct model_stats, most_pages) / sizeof(long); i++)
		to[i] += from[i];
}

void random_histories(bool lazy, unsigned long seed, unsigned long steps)
{
	struct model_stats sum = {};
	unsigned long n, life;

	for (n = 0; n < steps && !ktap_failed; n += life) {
		life = min(steps - n, (unsigned long)LIFE);
		model_seed = (seed + n) * 2654435761u + lazy + 1;
		shim_swapped_out = swapped_out;
		model_forgets = true;
		fuzz_life(lazy, life, &sum);
		model_forgets = false;
	}
	printf("# %lu steps: %lu faults, %lu of them the guest's, %lu writes emulated, %lu devices\n",
	       n, sum.faults, sum.injected, sum.emulated, sum.mmio);
	printf("# %lu entries by hypercall\n", sum.updates);
	printf("# with interrupts off: %lu faults, %lu roots\n", sum.fast, sum.switches);
	printf("# %lu flushes, %lu of an address, %lu of the host, %lu accesses in large pages\n",
	       sum.flushes, sum.addr_flushes, sum.host_flushes, sum.large);
	printf("# %lu pages freed, at most %u at a time\n", sum.freed, sum.most_pages);
}
