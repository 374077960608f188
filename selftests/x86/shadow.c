// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a VM that cannot choose how its memory is translated, chooses when it is too late, or gets
 * something else than it asked for; a method that does not do what it is named for; tables that stay when the
 * host needs the memory.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "stats.h"
#include "trap.h"
#include "vcpu.h"

#define VA		0x400000000000ull
#define CHANGES		64

static void need_corbel(void)
{
	if (!test_is_corbel())
		test_skip("not corbel");
}

static int set_mmu(struct vm *vm, u32 mode)
{
	return vm_set_mmu(vm, &mode);
}

static void errors(void)
{
	struct vm *vm;

	need_corbel();
	vm = vm_create(VM_BARE);
	CHECK_ERRNO(set_mmu(vm, VM_NR_MMUS), EINVAL);
	CHECK_ERRNO(vm_set_mmu(vm, NULL), EFAULT);
	SYS(set_mmu(vm, VM_MMU_SHADOW_LAZY));
	SYS(set_mmu(vm, VM_MMU_AUTO));
	SYS(set_mmu(vm, VM_MMU_SHADOW_WP));
	vm_add_anon(vm, 0, 0, 0, PAGE);
	CHECK_ERRNO(set_mmu(vm, VM_MMU_SHADOW_WP), EBUSY);
	vm_set_slot(vm, 0, 0, 0, 0, NULL);
	SYS(set_mmu(vm, VM_MMU_SHADOW_WP));
	SYS(ioctl(vm->fd, KVM_CREATE_VCPU, 0UL));
	CHECK_ERRNO(set_mmu(vm, VM_MMU_AUTO), EBUSY);
	vm_destroy(vm);
	vm = vm_create(VM_BARE | VM_IRQCHIP);
	CHECK_ERRNO(set_mmu(vm, VM_MMU_AUTO), EBUSY);
	vm_destroy(vm);
}

static u64 pages[2][512] __attribute__((aligned(4096)));

/* Changes an entry again and again, with a flush or where none is needed. */
static void guest(volatile u64 *pte)
{
	u64 i, value;

	for (i = 0; i < CHANGES; i++) {
		*pte = (u64)pages[i & 1] | PTE_P | PTE_W;
		if (i & 2)
			invlpg(VA);
		else
			write_cr3(read_cr3());
		GUEST_CHECK_EQ(*(volatile u64 *)VA, i & 1);
		*pte = 0;
		invlpg(VA);
		GUEST_CHECK_EQ(read_safe((void *)VA, &value).vector, PF_VECTOR);
	}
}

static void run_in(u32 mode, u64 *guests, u64 *emulated)
{
	struct stats stats;
	struct vm *vm;
	struct vcpu *vcpu;
	u64 *pte;

	vm_mmu = mode;
	vm = vm_create(0);
	vm_mmu = VM_MMU_AUTO;
	vcpu = vcpu_create(vm, 0);
	pages[1][0] = 1;
	pte = vm_pte(vm, VA, 1);
	vcpu_enter(vcpu, guest, VM_ARENA + ((u8 *)pte - vm->arena));
	vcpu_run_done(vcpu);
	stats_open(&stats, vcpu->fd);
	*guests = stats_value(&stats, "pf_guest");
	*emulated = stats_value(&stats, "pf_emulated");
	vm_destroy(vm);
}

static void tdp(void)
{
	u64 guests, emulated;

	need_corbel();
	if (!vm_has_tdp())
		test_skip("no nested paging");
	run_in(VM_MMU_TDP, &guests, &emulated);
	CHECK_EQ(guests, 0);
	CHECK_EQ(emulated, 0);
}

/* Most writes are emulated; now and then the table is taken for data, and found to be none later. */
static void write_protect(void)
{
	u64 guests, emulated;

	need_corbel();
	run_in(VM_MMU_SHADOW_WP, &guests, &emulated);
	CHECK_EQ(guests, CHANGES);
	CHECK_GE(emulated, CHANGES);
}

static void lazy(void)
{
	u64 guests, emulated;

	need_corbel();
	run_in(VM_MMU_SHADOW_LAZY, &guests, &emulated);
	CHECK_EQ(guests, CHANGES);
	CHECK_EQ(emulated, 0);
}

#define TABLES	64

/* One page, mapped by so many tables. */
static u64 counter[512] __attribute__((aligned(4096)));

static void toucher(void)
{
	u64 i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < TABLES; i++)
			GUEST_CHECK_EQ((*(volatile u64 *)(VA + i * PAGE_2M))++, round * TABLES + i);
		GUEST_SYNC(round);
	}
	guest_done();
}

/* The kernel asks all who can give memory back. */
static void drop_caches(void)
{
	int fd = SYS(open("/proc/sys/vm/drop_caches", O_WRONLY));

	CHECK_EQ(write(fd, "2", 1), 1);
	close(fd);
}

static void shrinks(void)
{
	struct stats stats;
	struct vcpu *vcpu;
	struct vm *vm;
	u64 i, pages;

	need_corbel();
	vm_mmu = VM_MMU_SHADOW_LAZY;
	vm = vm_create(0);
	vm_mmu = VM_MMU_AUTO;
	vcpu = vcpu_create(vm, 0);
	for (i = 0; i < TABLES; i++)
		*vm_pte(vm, VA + i * PAGE_2M, 1) = (u64)counter | PTE_P | PTE_W;
	vcpu_enter(vcpu, toucher, 0);
	stats_open(&stats, vm->fd);
	vcpu_run_sync(vcpu, 0);
	pages = stats_value(&stats, "pages_4k");
	CHECK_GE(pages, TABLES);
	drop_caches();
	CHECK_LT(stats_value(&stats, "pages_4k"), pages / 2);
	vcpu_run_sync(vcpu, 1);
	CHECK_GE(stats_value(&stats, "pages_4k"), TABLES);
	vcpu_run_sync(vcpu, 2);
	vcpu_run_done(vcpu);
	vm_destroy(vm);
}

static const struct test_case cases[] = {
	{ "errors", errors },
	{ "tdp", tdp },
	{ "write_protect", write_protect },
	{ "lazy", lazy },
	{ "shrinks", shrinks },
};

TEST_MAIN(cases)
