// SPDX-License-Identifier: GPL-2.0-only
/* The boot processor's registers as the boot protocols want them. The others wait for a SIPI. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "boot.h"
#include "error.h"
#include "machine.h"
#include "vcpu.h"

#define CR0_PE		(1ULL << 0)
#define CR0_ET		(1ULL << 4)
#define CR0_PG		(1ULL << 31)
#define CR4_PAE		(1ULL << 5)
#define EFER_LME	(1ULL << 8)
#define EFER_LMA	(1ULL << 10)
#define PTE_PRESENT	(1ULL << 0)
#define PTE_WRITE	(1ULL << 1)
#define PTE_LARGE	(1ULL << 7)
#define MSR_MTRR_DEF	0x2ff
#define MTRR_ENABLE_WB	0x806
#define MSR_MISC_ENABLE	0x1a0
#define FAST_STRINGS	1

/* GDT as the Linux boot protocol asks: code at 10H, data at 18H; a TSS, because VMX wants TR. */
static void write_gdt(struct machine *m, bool long_mode)
{
	uint64_t *gdt = ram_ptr(&m->ram, BOOT_GDT, 5 * 8);

	gdt[0] = gdt[1] = 0;
	gdt[2] = long_mode ? 0x00af9b000000ffffULL : 0x00cf9b000000ffffULL;
	gdt[3] = 0x00cf93000000ffffULL;
	gdt[4] = 0x00008b0000000067ULL;
}

/* Identity map of the first 4 GiB by 2 MiB pages. */
static void write_page_tables(struct machine *m)
{
	uint64_t *pml4 = ram_ptr(&m->ram, BOOT_PAGE_TABLES, 6 * 4096);
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (BOOT_PAGE_TABLES + 0x1000) | PTE_PRESENT | PTE_WRITE;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PAGE_TABLES + 0x2000 + i * 0x1000) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
}

static void set_segments(struct kvm_sregs *s, bool long_mode)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x10, .type = 11, .present = 1, .s = 1, .g = 1,
		.l = long_mode, .db = !long_mode,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .s = 1, .g = 1,
		.db = 1,
	};
	struct kvm_segment tr = { .limit = 0x67, .selector = 0x20, .type = 11, .present = 1 };

	s->cs = code;
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = tr;
	s->gdt.base = BOOT_GDT;
	s->gdt.limit = 5 * 8 - 1;
	s->idt.base = 0;
	s->idt.limit = 0;
}

static void set_sregs(struct vcpu *v, bool long_mode)
{
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s))
		error_die(EXIT_ERROR, "cannot read the vCPU's registers: %s", strerror(errno));
	set_segments(&s, long_mode);
	s.cr0 = CR0_PE | CR0_ET;
	s.cr4 = 0;
	s.efer = 0;
	if (long_mode) {
		s.cr0 |= CR0_PG;
		s.cr3 = BOOT_PAGE_TABLES;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(v->fd, KVM_SET_SREGS, &s))
		error_die(EXIT_ERROR, "the hypervisor refused the boot registers: %s",
			  strerror(errno));
}

static void set_regs(struct vcpu *v, const struct boot_image *image)
{
	struct kvm_regs r = {
		.rip = image->entry,
		.rflags = 2,
		.rsi = image->mode == BOOT_PVH ? 0 : BOOT_PARAMS,
		.rbx = image->mode == BOOT_PVH ? BOOT_PARAMS : 0,
		.rsp = BOOT_PARAMS - 16,
	};

	if (ioctl(v->fd, KVM_SET_REGS, &r))
		error_die(EXIT_ERROR, "the hypervisor refused the boot registers: %s",
			  strerror(errno));
}

/* Memory is write-back by default, else a Linux guest maps all of it uncached. */
static void set_msrs(struct vcpu *v)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + 2 * sizeof(struct kvm_msr_entry)];
	} msrs = { .head.nmsrs = 2 };

	msrs.head.entries[0].index = MSR_MTRR_DEF;
	msrs.head.entries[0].data = MTRR_ENABLE_WB;
	msrs.head.entries[1].index = MSR_MISC_ENABLE;
	msrs.head.entries[1].data = FAST_STRINGS;

	/* One that the hypervisor does not have is no reason to stop: CPUID told the guest. */
	if (ioctl(v->fd, KVM_SET_MSRS, &msrs) < 0)
		error_die(EXIT_ERROR, "the hypervisor refused the boot MSRs: %s", strerror(errno));
}

void bootregs_set(struct vcpu *v, const struct boot_image *image)
{
	bool long_mode = image->mode == BOOT_LINUX64;

	write_gdt(v->m, long_mode);
	if (long_mode)
		write_page_tables(v->m);
	set_sregs(v, long_mode);
	set_regs(v, image);
	for (unsigned int i = 0; i < v->m->nr_vcpus; i++)
		set_msrs(&v->m->vcpus[i]);
}
