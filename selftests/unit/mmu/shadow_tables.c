// SPDX-License-Identifier: GPL-2.0-only
#include <linux/corbel.h>
#include <linux/uaccess.h>
#include "ktap.h"
#include "mmu/pvmmu.h"
#include "shadow_tables.h"

const struct access reads = { .type = ACCESS_READ }, writes = { .type = ACCESS_WRITE },
	fetches = { .type = ACCESS_EXEC },
	user_reads = { .type = ACCESS_READ, .user = true },
	user_writes = { .type = ACCESS_WRITE, .user = true };

struct region regions[4];

static const struct region regions_at_start[4] = {
	{ 0, 1024, 0, 0, true },
	{ 2048, 1024, 1024, 0, true },
	{ 4096, 64, 2048, KVM_MEM_READONLY, true },
	{ (1 << 27) + 1, 64, 2112, 0, true },
};

int region_set(unsigned int id)
{
	struct region *r = &regions[id];

	return model_slot(id, r->gfn << PAGE_SHIFT, r->live ? r->npages : 0, model_hva(r->index),
			  r->flags);
}

void start(bool lazy)
{
	unsigned int i;

	shadow_start(lazy);
	memcpy(regions, regions_at_start, sizeof(regions));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(region_set(i), 0);
}

void put(gpa_t gpa, u64 val, unsigned int size)
{
	unsigned long index;

	MODEL(guest_find(gpa, &index, NULL), "nothing at %llx", gpa);
	memcpy((char *)guest_page(index) + offset_in_page(gpa), &val, size);
	guest_note(index, offset_in_page(gpa), size);
}

void set(gfn_t table, unsigned int i, u64 entry)
{
	put((table << PAGE_SHIFT) + i * 8, entry, 8);
}

void set4(gfn_t table, unsigned int i, u32 entry)
{
	put((table << PAGE_SHIFT) + i * 4, entry, 4);
}

u64 get(gfn_t table, unsigned int i)
{
	return guest_read_word((table << PAGE_SHIFT) + i * 8, 8);
}

#define KERNEL_FLAGS	(P | W | A | D)

void kernel_tables(void)
{
	unsigned int i;

	set(K3, 0, K2 << 12 | TABLE);
	set(K2, 0, KERNEL_FLAGS | PS);
	set(K2, 1, 512 << 12 | KERNEL_FLAGS | PS);
	set(K2, 2, K1 << 12 | TABLE);
	set(K2, 3, K1_HIGH << 12 | TABLE);
	for (i = 0; i < 512; i++) {
		set(K1, i, i << 12 | KERNEL_FLAGS);
		set(K1_HIGH, i, (512 + i) << 12 | KERNEL_FLAGS);
	}
	for (i = 0; i < 1024; i++)
		set4(K1_32, i, i << 12 | KERNEL_FLAGS);
}

u64 kernel_word(unsigned int i)
{
	static const u64 words[] = {
		K1 << 12 | TABLE, K1_HIGH << 12 | TABLE, K3 << 12 | TABLE,
		(u64)(K1_32 << 12 | TABLE) << 32 | PS | KERNEL_FLAGS,
	};

	return words[i - PAE_KERNEL];
}

void kernel_part(gfn_t root)
{
	unsigned int i;

	for (i = PAE_KERNEL; i < 512; i++)
		set(root, i, kernel_word(i));
}

gva_t kernel_gva(int cpu, gfn_t gfn, bool large)
{
	if (!paging(cpu))
		return gfn << 12;
	if (long_mode(cpu))
		return -1ul << 48 | (u64)LONG_KERNEL << 39 | (large ? 0 : 2ul << 21) | gfn << 12;
	if (wide(cpu))
		return 3ul << 30 | PAE_KERNEL << 21 | gfn << 12;
	return (large && vcpus[cpu].regs.cr4 & X86_CR4_PSE ? 1022ul : 1023ul) << 22 | gfn << 12;
}

void guest_store(int cpu, gpa_t gpa, const void *data, unsigned int len, bool large)
{
	gva_t gva = kernel_gva(cpu, gpa >> PAGE_SHIFT, large) | offset_in_page(gpa);

	model_access(cpu, gva, writes, data, len);
}

void store8(int cpu, gfn_t table, unsigned int i, u64 entry)
{
	guest_store(cpu, (table << PAGE_SHIFT) + i * 8, &entry, 8, false);
}

void store4(int cpu, gfn_t table, unsigned int i, u32 entry)
{
	guest_store(cpu, (table << PAGE_SHIFT) + i * 4, &entry, 4, false);
}

void (*in_update)(gpa_t gpa, u64 value);
static const struct corbel_mmu_update *updating, *before;

/* What happens meanwhile happens when the entry before this one has been dealt with. */
static void written(const void *p, unsigned long len)
{
	unsigned long offset = (unsigned long)p - MODEL_HVA;

	guest_note(offset >> PAGE_SHIFT, offset_in_page(offset), len);
	model_truth[offset >> PAGE_SHIFT] = 1;
	if (in_update && before)
		in_update(before->gpa, before->value);
	before = before ? before + 1 : updating;
}

void guest_update(int cpu, const struct corbel_mmu_update *updates, unsigned int n, u64 flags,
		  gva_t gva)
{
	int idx = srcu_read_lock(&vm.srcu);
	unsigned int i;
	long done;

	MODEL(!model_is_table(UPDATES), "the list of updates is a table");
	for (i = 0; i < n; i++) {
		set(UPDATES, 2 * i, updates[i].gpa);
		set(UPDATES, 2 * i + 1, updates[i].value);
	}
	model_others(cpu);
	updating = updates;
	before = NULL;
	shim_user_written = written;
	if (rnd(2) && pvmmu_update_fast(&vcpus[cpu], (gpa_t)UPDATES << PAGE_SHIFT, n, flags, gva))
		done = 1;
	else
		done = pvmmu_update(&vcpus[cpu], (gpa_t)UPDATES << PAGE_SHIFT, n, flags, gva);
	shim_user_written = NULL;
	srcu_read_unlock(&vm.srcu, idx);
	model_others_done();
	MODEL(done == n, "%ld of %u updates are done", done, n);
	model_stats.updates += n;
	if (flags & CORBEL_MMU_FLUSH)
		guest_flushed(cpu);
	else if (flags & CORBEL_MMU_FLUSH_ADDR)
		guest_flushed_addr(cpu, gva);
}
