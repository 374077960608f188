// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trap.h"
#include "vcpu.h"
#include "vm.h"

extern char __executable_start[], __data_start[], _end[];

static u64 page_up(u64 value)
{
	return (value + PAGE - 1) & ~(PAGE - 1);
}

int vm_try_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, const void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

void vm_set_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, const void *hva)
{
	if (vm_try_slot(vm, slot, flags, gpa, size, hva))
		FAIL("slot %u, gpa %#llx, size %#llx: %s", slot, (unsigned long long)gpa,
		     (unsigned long long)size, strerror(errno));
}

static void *map_anon(void *where, u64 size)
{
	void *p = mmap(where, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	if (p == MAP_FAILED && where)
		return map_anon(NULL, size);
	if (p == MAP_FAILED)
		FAIL("mmap of %llu bytes: %s", (unsigned long long)size, strerror(errno));
	return p;
}

void *vm_add_anon(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size)
{
	void *hva = map_anon(NULL, size);

	vm_set_slot(vm, slot, flags, gpa, size, hva);
	return hva;
}

/*
 * Break copy-on-write of the writable part now; what happens to it later is the notifier tests'
 * business.
 */
static void image_share(struct vm *vm)
{
	volatile char *p;
	u64 start = (uintptr_t)__executable_start & ~(PAGE - 1);
	u64 end = page_up((uintptr_t)_end);

	for (p = __data_start; p < (volatile char *)_end; p += PAGE)
		*p = *p;
	_end[-1] = _end[-1];
	vm_set_slot(vm, VM_SLOT_IMAGE, 0, start, end - start, (void *)start);
}

u64 vm_alloc(struct vm *vm, u64 pages)
{
	u64 gpa = VM_ARENA + vm->arena_used;

	vm->arena_used += pages * PAGE;
	CHECK_LE(vm->arena_used, VM_ARENA_SIZE);
	return gpa;
}

void *vm_host(struct vm *vm, u64 gpa)
{
	if (gpa < VM_LOW_SIZE)
		return vm->low + gpa;
	CHECK_GE(gpa, VM_ARENA);
	CHECK_LT(gpa, VM_ARENA + VM_ARENA_SIZE);
	return vm->arena + (gpa - VM_ARENA);
}

/* The first 4 GiB in 2M pages: one PML4, one PDPT, four page directories. */
static void tables_build(struct vm *vm)
{
	u64 pml4 = vm_alloc(vm, 1), pdpt = vm_alloc(vm, 1), pd = vm_alloc(vm, 4);
	u64 *entry = vm_host(vm, pd);
	u64 i;

	*(u64 *)vm_host(vm, pml4) = pdpt | PTE_P | PTE_W | PTE_U;
	for (i = 0; i < 4; i++)
		((u64 *)vm_host(vm, pdpt))[i] = (pd + i * PAGE) | PTE_P | PTE_W | PTE_U;
	for (i = 0; i < 4 * 512; i++)
		entry[i] = i * PAGE_2M | PTE_P | PTE_W | PTE_U | PTE_PS;
	vm->cr3 = pml4;
}

static void table_split(struct vm *vm, u64 *entry)
{
	u64 table = vm_alloc(vm, 1), *sub = vm_host(vm, table);
	u64 i, base = *entry & 0x000fffffffe00000ULL;

	for (i = 0; i < 512; i++)
		sub[i] = base + i * PAGE + (*entry & 0xf7f & ~PTE_PS);
	*entry = table | PTE_P | PTE_W | PTE_U;
}

u64 *vm_pte(struct vm *vm, u64 va, int level)
{
	u64 table = vm->cr3, *entry;
	int l;

	for (l = 4;; l--) {
		entry = (u64 *)vm_host(vm, table) + (va >> (12 + 9 * (l - 1)) & 511);
		if (l == level)
			return entry;
		if (!(*entry & PTE_P))
			*entry = vm_alloc(vm, 1) | PTE_P | PTE_W | PTE_U;
		else if (l == 2 && *entry & PTE_PS)
			table_split(vm, entry);
		table = *entry & 0x000ffffffffff000ULL;
	}
}

static void low_build(struct vm *vm)
{
	vm->low = vm_add_anon(vm, VM_SLOT_LOW, 0, 0, VM_LOW_SIZE);
}

static void memory_build(struct vm *vm)
{
	low_build(vm);
	vm->arena = map_anon((void *)VM_ARENA, VM_ARENA_SIZE);
	vm_set_slot(vm, VM_SLOT_ARENA, 0, VM_ARENA, VM_ARENA_SIZE, vm->arena);
	image_share(vm);
	tables_build(vm);
	vm->idt = vm_alloc(vm, 1);
	trap_idt_build(vm_host(vm, vm->idt));
}

void vm_enable_cap(struct vm *vm, u32 cap, u64 arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	SYS(ioctl(vm->fd, KVM_ENABLE_CAP, &enable));
}

u32 vm_mmu;

int vm_set_mmu(struct vm *vm, const u32 *mode)
{
	return ioctl(vm->fd, _IOW(0xbd, 1, u32), mode);
}

bool vm_has_tdp(void)
{
	struct vm *vm = vm_create(VM_BARE);
	u32 mode = VM_MMU_TDP;
	int ret = vm_set_mmu(vm, &mode);

	CHECK(!ret || errno == EOPNOTSUPP);
	vm_destroy(vm);
	return !ret;
}

struct vm *vm_create(unsigned int flags)
{
	u64 identity = 0xfeffc000;
	struct vm *vm = calloc(1, sizeof(*vm));
	int dev = dev_open();

	vm->flags = flags;
	/* A signal may end it with EINTR; clients try again, so do we. */
	do {
		vm->fd = ioctl(dev, KVM_CREATE_VM, 0UL);
	} while (vm->fd < 0 && errno == EINTR);
	SYS(vm->fd);
	close(dev);
	if (vm_mmu)
		SYS(vm_set_mmu(vm, &vm_mmu));
	SYS(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity));
	SYS(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfeffd000UL));
	if (flags & VM_IRQCHIP)
		SYS(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0UL));
	if (flags & VM_SPLIT)
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	if (flags & VM_PIT) {
		struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

		SYS(ioctl(vm->fd, KVM_CREATE_PIT2, &pit));
	}
	if (flags & VM_LOW)
		low_build(vm);
	else if (!(flags & VM_BARE))
		memory_build(vm);
	return vm;
}

struct vm *vm_create_code(unsigned int flags, const void *code, size_t size)
{
	struct vm *vm = vm_create(flags | VM_LOW);

	memcpy(vm->low + VM_LOW_CODE, code, size);
	return vm;
}

void vm_destroy(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_free(vm->vcpus[i]);
	SYS(close(vm->fd));
	if (vm->low)
		munmap(vm->low, VM_LOW_SIZE);
	if (vm->arena)
		munmap(vm->arena, VM_ARENA_SIZE);
	free(vm);
}

void vm_irq_line(struct vm *vm, u32 gsi, u32 level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	SYS(ioctl(vm->fd, KVM_IRQ_LINE, &irq));
}

int vm_signal_msi(struct vm *vm, u64 address, u32 data)
{
	struct kvm_msi msi = {
		.address_lo = address, .address_hi = address >> 32, .data = data,
	};

	return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}
