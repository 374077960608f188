/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMs as the tests need them. Memory of a vm_create() guest, all of it mapped virtual = physical:
 *   0 .. 640K           VM_LOW: for raw 16-bit code and SIPI targets
 *   the program's image the running test itself, shared
 *   VM_ARENA            page tables, descriptor tables, stacks, and what vm_alloc() hands out
 */
#ifndef SELFTESTS_VM_H
#define SELFTESTS_VM_H

#include "dev.h"

#define VM_ARENA	0x20000000UL
#define VM_ARENA_SIZE	(4UL << 20)
#define VM_LOW_SIZE	0xa0000UL
#define VM_LOW_CODE	0x1000		/* where vm_create_code() puts it */
/* Free for the tests, inside the 4 GiB that the guest's tables map. */
#define VM_TEST_GPA	0x40000000UL
#define VM_HOLE_GPA	0xa0000000UL
#define VM_TEST_TABLES	0x30000000UL
#define VM_TEST_VA	0x20000000000UL	/* linear, outside of what the tables map: to be mapped by vm_pte() */

#define VM_SLOT_LOW	0
#define VM_SLOT_IMAGE	1
#define VM_SLOT_ARENA	2
#define VM_SLOT_TEST	8

#define VM_MAX_VCPUS	64

enum vm_flags {
	VM_IRQCHIP = 1,		/* PIC, IOAPIC and LAPICs in the kernel */
	VM_SPLIT = 2,		/* only the LAPICs */
	VM_PIT = 4,
	VM_BARE = 8,		/* no memory at all */
	VM_LOW = 16,		/* only the low memory */
};

struct vcpu;

struct vm {
	int fd;
	unsigned int flags;
	u8 *low;	/* host addresses of the slots */
	u8 *arena;
	u64 arena_used;
	u64 cr3;
	u64 idt;
	int nr_vcpus;
	struct vcpu *vcpus[VM_MAX_VCPUS];
};

/* CORBEL_SET_MMU of <linux/corbel.h>, on Corbel only. */
enum vm_mmu_mode { VM_MMU_AUTO, VM_MMU_TDP, VM_MMU_SHADOW_WP, VM_MMU_SHADOW_LAZY, VM_NR_MMUS };

extern u32 vm_mmu;	/* for VMs to be created; VM_MMU_AUTO: as the module's parameter says */
int vm_set_mmu(struct vm *vm, const u32 *mode);
bool vm_has_tdp(void);

struct vm *vm_create(unsigned int flags);
/* With only the low memory, and raw code in it. */
struct vm *vm_create_code(unsigned int flags, const void *code, size_t size);
void vm_destroy(struct vm *vm);

/*
 * KVM_SET_USER_MEMORY_REGION: the result of the call, and the same with failure being the test's
 * failure.
 */
int vm_try_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, const void *hva);
void vm_set_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, const void *hva);
void *vm_add_anon(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size);

/* Zeroed guest pages from the arena; the guest physical (= virtual) address. */
u64 vm_alloc(struct vm *vm, u64 pages);
/* Host address of a gpa in the low slot or the arena. */
void *vm_host(struct vm *vm, u64 gpa);

/*
 * Guest page tables: the 8-byte entry that maps @va at @level (1 = 4K, 2 = 2M), splitting on the
 * way.
 */
u64 *vm_pte(struct vm *vm, u64 va, int level);

#define PTE_P	BIT(0)
#define PTE_W	BIT(1)
#define PTE_U	BIT(2)
#define PTE_A	BIT(5)
#define PTE_D	BIT(6)
#define PTE_PS	BIT(7)
#define PTE_NX	BIT(63)

/* Interrupt inputs. */
void vm_irq_line(struct vm *vm, u32 gsi, u32 level);
int vm_signal_msi(struct vm *vm, u64 address, u32 data);
void vm_enable_cap(struct vm *vm, u32 cap, u64 arg);
#endif
