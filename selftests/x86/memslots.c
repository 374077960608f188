// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a wrong verdict on a slot change, and a guest that goes on seeing memory of a slot
 * which was deleted, moved or made read-only.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "vcpu.h"

#define SLOT	VM_SLOT_TEST
#define GPA	VM_TEST_GPA
#define SIZE	(4 * PAGE)

static void *backing(u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void rejects(void)
{
	struct vm *vm = vm_create(VM_BARE);
	u8 *mem = backing(8 * PAGE);

	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA + 1, SIZE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA, SIZE + 1, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA, SIZE, mem + 1), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0x80, GPA, SIZE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA, SIZE, (void *)0xffff888000000000), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, -PAGE, 2 * PAGE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, 0x7fff, 0, GPA, SIZE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, dev_cap(KVM_CAP_NR_MEMSLOTS), 0, GPA, SIZE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT | 7 << 16, 0, GPA, SIZE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA, 0, mem), EINVAL);
	vm_set_slot(vm, SLOT, 0, GPA, SIZE, mem);
	vm_set_slot(vm, SLOT, 0, GPA, SIZE, mem);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA, 2 * SIZE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA, SIZE, mem + PAGE), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, KVM_MEM_READONLY, GPA, SIZE, mem), EINVAL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT + 1, 0, GPA, SIZE, mem), EEXIST);
	CHECK_ERRNO(vm_try_slot(vm, SLOT + 1, 0, GPA + 3 * PAGE, SIZE, mem), EEXIST);
	CHECK_ERRNO(vm_try_slot(vm, SLOT + 1, 0, GPA - PAGE, 2 * PAGE, mem), EEXIST);
	vm_set_slot(vm, SLOT + 1, 0, GPA + SIZE, PAGE, mem);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, GPA + PAGE, SIZE, mem), EEXIST);
	vm_set_slot(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, SIZE, mem);
	vm_set_slot(vm, SLOT, 0, GPA - SIZE, SIZE, mem);
	vm_set_slot(vm, SLOT, 0, 0, 0, NULL);
	CHECK_ERRNO(vm_try_slot(vm, SLOT, 0, 0, 0, NULL), EINVAL);
	vm_set_slot(vm, SLOT, 0, GPA, SIZE, mem);
}

/*
 * All slot numbers, then all of them again after deletion; the guest finds the right ones in
 * between.
 */
static void probe_guest(u64 base, u64 stride, u64 nr)
{
	u64 i;

	for (i = 0; i < nr; i++)
		GUEST_CHECK_EQ(*(volatile u64 *)(base + i * stride), i + 1);
}

static void many(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u32 i, nr = 400;
	u8 *mem = backing(nr * PAGE);

	for (i = 0; i < nr; i++) {
		*(u64 *)(mem + i * PAGE) = i + 1;
		/* Every second page and in an order that is neither up nor down. */
		u32 k = i * 7 % nr;

		vm_set_slot(vcpu->vm, SLOT + k, 0, GPA + 2 * k * PAGE, PAGE, mem + k * PAGE);
	}
	vcpu_enter(vcpu, probe_guest, GPA, 2 * PAGE, nr);
	vcpu_run_done(vcpu);
	for (i = 0; i < nr; i++)
		vm_set_slot(vcpu->vm, SLOT + i, 0, 0, 0, NULL);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, nr * PAGE, mem);
	vcpu_enter(vcpu, probe_guest, GPA, PAGE, nr);
	vcpu_run_done(vcpu);
}

static void peek_guest(void)
{
	u64 i;

	for (i = 1;; i++)
		guest_sync(i, *(volatile u64 *)GPA, 0, 0);
}

static u64 peek(struct vcpu *vcpu)
{
	return vcpu_run_ucall(vcpu)->args[1];
}

static void expect_hole(struct vcpu *vcpu, u64 gpa, u64 value)
{
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.phys_addr, gpa);
	CHECK_EQ(vcpu->run->mmio.len, 8);
	CHECK_EQ(vcpu->run->mmio.is_write, 0);
	memcpy(vcpu->run->mmio.data, &value, 8);
}

static void delete(void)
{
	struct vcpu *vcpu = vcpu_start(0, peek_guest, 0, 0);
	u64 *a = backing(PAGE), *b = backing(PAGE);

	*a = 0xa;
	*b = 0xb;
	expect_hole(vcpu, GPA, 0x77);
	CHECK_EQ(peek(vcpu), 0x77);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, PAGE, a);
	CHECK_EQ(peek(vcpu), 0xa);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, 0, NULL);
	expect_hole(vcpu, GPA, 0x78);
	CHECK_EQ(peek(vcpu), 0x78);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, PAGE, b);
	CHECK_EQ(peek(vcpu), 0xb);
}

static void move(void)
{
	struct vcpu *vcpu = vcpu_start(0, peek_guest, 0, 0);
	u64 *mem = backing(2 * PAGE);

	mem[0] = 0x10;
	mem[512] = 0x20;
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, 2 * PAGE, mem);
	CHECK_EQ(peek(vcpu), 0x10);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA - PAGE, 2 * PAGE, mem);
	CHECK_EQ(peek(vcpu), 0x20);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA + 16 * PAGE, 2 * PAGE, mem);
	expect_hole(vcpu, GPA, 0x79);
	CHECK_EQ(peek(vcpu), 0x79);
}

static void read_only_guest(void)
{
	volatile u64 *p = (u64 *)GPA;

	GUEST_CHECK_EQ(p[0], 0xabc);
	p[0] = 0xdef;
	GUEST_CHECK_EQ(p[0], 0xabc);
	asm volatile("lock; incl (%0)" : : "r"(p) : "memory", "cc");
	GUEST_CHECK_EQ(p[0], 0xabc);
}

static void read_only(void)
{
	struct vcpu *vcpu;
	struct kvm_run *run;
	u64 *mem = backing(PAGE);

	dev_require_cap(KVM_CAP_READONLY_MEM);
	vcpu = vcpu_start(0, read_only_guest, 0, 0);
	run = vcpu->run;
	mem[0] = 0xabc;
	vm_set_slot(vcpu->vm, SLOT, KVM_MEM_READONLY, GPA, PAGE, mem);
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.is_write, 1);
	CHECK_EQ(run->mmio.phys_addr, GPA);
	CHECK_EQ(run->mmio.len, 8);
	CHECK_EQ(*(u64 *)run->mmio.data, 0xdef);
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.is_write, 1);
	CHECK_EQ(run->mmio.len, 4);
	CHECK_EQ(*(u32 *)run->mmio.data, 0xabd);
	vcpu_run_done(vcpu);
	CHECK_EQ(mem[0], 0xabc);
}

/*
 * The host may map a slot read-only: reads work, a write is an error of KVM_RUN, not a silent
 * success.
 */
static void write_guest(u64 value)
{
	GUEST_CHECK_EQ(*(volatile u64 *)GPA, 5);
	*(volatile u64 *)GPA = value;
}

static void unbacked(void)
{
	struct vcpu *vcpu = vcpu_start(0, write_guest, 6, 0);
	u64 *mem = backing(PAGE);

	mem[0] = 5;
	SYS(mprotect(mem, PAGE, PROT_READ));
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, PAGE, mem);
	CHECK_ERRNO(vcpu_run_raw(vcpu), EFAULT);
	CHECK_EQ(mem[0], 5);
	SYS(mprotect(mem, PAGE, PROT_READ | PROT_WRITE));
	vcpu_run_done(vcpu);
	CHECK_EQ(mem[0], 6);
}

static void absent(void)
{
	struct vcpu *vcpu = vcpu_start(0, write_guest, 6, 0);
	u64 *mem = backing(PAGE);

	munmap(mem, PAGE);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, PAGE, mem);
	CHECK_ERRNO(vcpu_run_raw(vcpu), EFAULT);
	CHECK(mmap(mem, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem);
	mem[0] = 5;
	vcpu_run_done(vcpu);
	CHECK_EQ(mem[0], 6);
}

/* One piece of host memory at two guest addresses. */
static void alias_guest(void)
{
	volatile u64 *a = (u64 *)GPA, *b = (u64 *)(GPA + 8 * PAGE);

	*a = 1;
	GUEST_CHECK_EQ(*b, 1);
	*b = 2;
	GUEST_CHECK_EQ(*a, 2);
}

static void alias(void)
{
	struct vcpu *vcpu = vcpu_start(0, alias_guest, 0, 0);
	u64 *mem = backing(PAGE);

	vm_set_slot(vcpu->vm, SLOT, 0, GPA, PAGE, mem);
	vm_set_slot(vcpu->vm, SLOT + 1, 0, GPA + 8 * PAGE, PAGE, mem);
	vcpu_run_done(vcpu);
	CHECK_EQ(mem[0], 2);
}

/*
 * A slot comes and goes under a running vCPU: memory or hole, never anything else, never a lost
 * access.
 */
static volatile u64 churn_stop, churn_reads;

static void churn_guest(void)
{
	while (!churn_stop) {
		u64 value = *(volatile u64 *)GPA;

		GUEST_CHECK(value == 0x1111 || value == 0x2222);
		churn_reads++;
	}
}

static void churn_body(struct vcpu *vcpu)
{
	u64 value = 0x2222;

	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_IO)
			break;
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_MMIO);
		CHECK_EQ(vcpu->run->mmio.phys_addr, GPA);
		memcpy(vcpu->run->mmio.data, &value, 8);
	}
	CHECK_EQ(vcpu_ucall(vcpu)->kind, GUEST_UCALL_DONE);
}

static void churn(void)
{
	struct vcpu *vcpu = vcpu_start(0, churn_guest, 0, 0);
	u64 *mem = backing(PAGE);
	int i;

	mem[0] = 0x1111;
	vcpu_thread_start(vcpu, churn_body);
	for (i = 0; i < 300; i++) {
		vm_set_slot(vcpu->vm, SLOT, 0, GPA, PAGE, mem);
		vm_set_slot(vcpu->vm, SLOT, 0, 0, 0, NULL);
	}
	while (churn_reads < 100)
		cpu_relax();
	churn_stop = 1;
	vcpu_thread_join(vcpu);
}

static void no_slots(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_BARE), 0);

	/* Without a slot the number of table pages would be 0. */
	SYS(ioctl(vcpu->vm->fd, KVM_SET_NR_MMU_PAGES, 64UL));
	vcpu_run_exit(vcpu, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
}

static const struct test_case cases[] = {
	{ "rejects", rejects },
	{ "many", many },
	{ "delete", delete },
	{ "move", move },
	{ "read_only", read_only },
	{ "unbacked", unbacked },
	{ "absent", absent },
	{ "alias", alias },
	{ "churn", churn },
	{ "no_slots", no_slots },
};

TEST_MAIN(cases)
