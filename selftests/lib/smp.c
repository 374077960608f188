// SPDX-License-Identifier: GPL-2.0-only
#include "apic.h"
#include "smp.h"

/* What the trampoline reads, at a fixed place behind its code. */
struct smp_data {
	u16 gdt_limit;
	u32 gdt_base;
	u16 pad;
	u16 idt_limit;
	u64 idt_base;
	u16 pad2[3];
	u64 cr3;
	u64 entry;
	u64 next;
	u64 stacks[SMP_MAX];
} __attribute__((packed, aligned(8)));

#define SMP_DATA	"0x8f00"

_Static_assert(offsetof(struct smp_data, idt_limit) == 8, "the trampoline knows the layout");
_Static_assert(offsetof(struct smp_data, cr3) == 24, "the trampoline knows the layout");
_Static_assert(offsetof(struct smp_data, stacks) == 48, "the trampoline knows the layout");

extern const char smp_code[], smp_code_end[];

asm(".pushsection .rodata\n"
    "smp_code:\n"
    ".code16\n"
    "	cli\n"
    "	xor %ax, %ax\n"
    "	mov %ax, %ds\n"
    "	lgdtl (" SMP_DATA ")\n"
    "	mov $0x620, %eax\n"		/* PAE, OSFXSR, OSXMMEXCPT */
    "	mov %eax, %cr4\n"
    "	mov (" SMP_DATA " + 24), %eax\n"
    "	mov %eax, %cr3\n"
    "	mov $0xc0000080, %ecx\n"
    "	rdmsr\n"
    "	or $0x900, %eax\n"		/* LME, NXE */
    "	wrmsr\n"
    "	mov $0x80010033, %eax\n"	/* PG, WP, NE, ET, MP, PE */
    "	mov %eax, %cr0\n"
    "	ljmpl $0x08, $(0x8000 + smp_code64 - smp_code)\n"
    ".code64\n"
    "smp_code64:\n"
    "	mov $0x10, %eax\n"
    "	mov %eax, %ds\n"
    "	mov %eax, %es\n"
    "	mov %eax, %ss\n"
    "	lidt (" SMP_DATA " + 8)\n"
    "	mov $1, %edi\n"
    "	lock xadd %rdi, (" SMP_DATA " + 40)\n"
    "	mov " SMP_DATA " + 48(, %rdi, 8), %rsp\n"
    "	mov (" SMP_DATA " + 32), %rax\n"
    "	call *%rax\n"
    "smp_code_end:\n"
    ".popsection\n");

/*
 * The trampoline is copied, so nothing behind the entry may be relative: the entry is this
 * function.
 */
static void (*smp_entry)(u64 cpu);

static void ap_main(u64 cpu)
{
	smp_entry(cpu);
	guest_done();
}

void smp_prepare(struct vm *vm, unsigned int nr, void (*entry)(u64 cpu))
{
	struct smp_data *data = vm_host(vm, 0x8f00);
	unsigned int i;

	CHECK_LT(smp_code_end - smp_code, 0xf00);
	CHECK_LE(nr, SMP_MAX);
	smp_entry = entry;
	memcpy(vm_host(vm, SMP_PAGE * PAGE), smp_code, smp_code_end - smp_code);
	*data = (struct smp_data){
		.gdt_limit = 0x3f, .gdt_base = vm->vcpus[0]->gdt,
		.idt_limit = 4095, .idt_base = vm->idt,
		.cr3 = vm->cr3, .entry = (uintptr_t)ap_main, .next = 1,
	};
	for (i = 1; i < nr; i++)
		data->stacks[i] = vm_alloc(vm, 4) + 4 * PAGE;
}

void smp_run(unsigned int vm_flags, unsigned int nr, void *bsp, void (*entry)(u64 cpu))
{
	struct vm *vm = vm_create(vm_flags);
	unsigned int i;

	for (i = 0; i < nr; i++)
		vcpu_create(vm, i);
	vcpu_enter(vm->vcpus[0], bsp, nr);
	smp_prepare(vm, nr, entry);
	for (i = 0; i < nr; i++)
		vcpu_thread_start(vm->vcpus[i], NULL);
	for (i = 0; i < nr; i++)
		vcpu_thread_join(vm->vcpus[i]);
	vm_destroy(vm);
}
