// SPDX-License-Identifier: GPL-2.0-only
/* Mode switches, segment loads, interrupts and privileged instructions. */
#include "bed.h"

static bool faulted(struct bed *b, int r, u8 vector, u32 error)
{
	return r == EMUL_FAULT && b->e.exception.vector == vector &&
	       b->e.exception.error_code == error;
}

static void put_descriptor(struct bed *b, unsigned int index, u64 desc)
{
	memcpy(b->ram + 0x4000 + index * 8, &desc, 8);
}

/* GDT at 0x4000: 1 code, 2 data, 3 code DPL 3, 4 absent data, 5 LDT, 6 TSS, 7 read-only data. */
static void make_gdt(struct bed *b)
{
	b->e.state.gdt = (struct kvm_dtable) { .base = 0x4000, .limit = 0x4f };
	put_descriptor(b, 1, bed_descriptor(0, 0xffffffff, 0xa, 0, true, true, true, false));
	put_descriptor(b, 2, bed_descriptor(0x100, 0xffffffff, 2, 0, true, true, true, false));
	put_descriptor(b, 3, bed_descriptor(0, 0xffff, 0xa, 3, true, true, true, false));
	put_descriptor(b, 4, bed_descriptor(0, 0xffff, 2, 0, true, false, true, false));
	put_descriptor(b, 5, bed_descriptor(0x5000, 0xff, 2, 0, false, true, false, false));
	put_descriptor(b, 6, bed_descriptor(0x6000, 0x67, 9, 0, false, true, false, false));
	put_descriptor(b, 7, bed_descriptor(0, 0xffff, 0, 0, true, true, true, false));
}

static int mov_to_sreg(struct bed *b, unsigned int sreg, u16 selector)
{
	u8 code[2] = { 0x8e, 0xc0 | sreg << 3 };

	b->e.state.regs.rip = 0x1000;
	*bed_gpr(b, EMUL_RAX) = selector;
	return bed_run(b, code, 2);
}

/* The way of every boot loader: LGDT, CR0.PE, far jump, data segments. */
static void real_to_protected(struct bed *b)
{
	static const u8 pointer[6] = { 0x4f, 0x00, 0x00, 0x40, 0x00, 0xff };

	bed_init(b, EMUL_MODE_REAL);
	make_gdt(b);
	memcpy(b->ram + 0x2000, pointer, 6);
	b->e.state.gdt.base = 0;
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	CHECK(bed_run(b, "\x0f\x01\x17", 3) == EMUL_CONTINUE);		/* lgdt (%bx) */
	CHECK(b->e.state.gdt.base == 0x4000 && b->e.state.gdt.limit == 0x4f);
	*bed_gpr(b, EMUL_RAX) = 0x11;
	CHECK(bed_run(b, "\x0f\x22\xc0", 3) == EMUL_CONTINUE);		/* mov %eax, %cr0 */
	CHECK(b->e.state.mode == EMUL_MODE_PROT);
	b->e.state.seg[EMUL_CS].type = 0xb;
	CHECK(bed_run(b, "\x66\xea\x00\x30\x00\x00\x08\x00", 8) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rip == 0x3000 && b->e.state.seg[EMUL_CS].selector == 8);
	CHECK(b->e.state.seg[EMUL_CS].db && b->e.state.seg[EMUL_CS].limit == 0xffffffff);
	CHECK(b->ram[0x4000 + 8 + 5] & 1);				/* accessed */
	CHECK(mov_to_sreg(b, EMUL_DS, 0x10) == EMUL_CONTINUE);
	CHECK(b->e.state.seg[EMUL_DS].base == 0x100);
	CHECK(mov_to_sreg(b, EMUL_SS, 0x10) == EMUL_CONTINUE);
	CHECK(b->e.shadow == EMUL_SHADOW_MOV_SS);
}

static void segment_load_faults(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	make_gdt(b);
	CHECK(mov_to_sreg(b, EMUL_ES, 0) == EMUL_CONTINUE);
	CHECK(b->e.state.seg[EMUL_ES].unusable);
	CHECK(faulted(b, mov_to_sreg(b, EMUL_SS, 0), EMUL_GP, 0));
	CHECK(faulted(b, mov_to_sreg(b, EMUL_DS, 0x50), EMUL_GP, 0x50));	/* limit */
	CHECK(faulted(b, mov_to_sreg(b, EMUL_DS, 0x24), EMUL_GP, 0x24));	/* no LDT */
	CHECK(faulted(b, mov_to_sreg(b, EMUL_DS, 0x20), EMUL_NP, 0x20));
	CHECK(faulted(b, mov_to_sreg(b, EMUL_SS, 0x20), EMUL_SS_FAULT, 0x20));
	CHECK(faulted(b, mov_to_sreg(b, EMUL_DS, 0x28), EMUL_GP, 0x28));	/* system */
	CHECK(faulted(b, mov_to_sreg(b, EMUL_SS, 0x38), EMUL_GP, 0x38));	/* not writable */
	CHECK(faulted(b, mov_to_sreg(b, EMUL_SS, 0x13), EMUL_GP, 0x10));	/* RPL */
	b->e.state.cpl = 3;
	CHECK(faulted(b, mov_to_sreg(b, EMUL_DS, 0x13), EMUL_GP, 0x10));	/* DPL */
	CHECK(mov_to_sreg(b, EMUL_DS, 0x1b) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rip == 0x1002);
}

/* Long mode: null SS below CPL 3, code segments with L and D both, 64-bit far targets. */
static void long_mode_segments(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	make_gdt(b);
	put_descriptor(b, 8, bed_descriptor(0, 0, 0xa, 0, true, true, true, true));
	put_descriptor(b, 9, bed_descriptor(0, 0, 0xa, 0, true, true, false, true));
	CHECK(mov_to_sreg(b, EMUL_SS, 0) == EMUL_CONTINUE);
	CHECK(b->e.state.seg[EMUL_SS].unusable);
	CHECK(faulted(b, mov_to_sreg(b, EMUL_SS, 3), EMUL_GP, 0));
	CHECK(mov_to_sreg(b, EMUL_DS, 3) == EMUL_CONTINUE);
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	memcpy(b->ram + 0x2000, "\x00\x30\x00\x00\x40\x00", 6);
	CHECK(faulted(b, bed_run(b, "\xff\x2b", 2), EMUL_GP, 0x40));	/* ljmp *(%rbx) */
	b->ram[0x2004] = 0x48;
	CHECK(bed_run(b, "\xff\x2b", 2) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rip == 0x3000 && b->e.state.mode == EMUL_MODE_64);
	memcpy(b->ram + 0x2000, "\x00\x00\x00\x00\x00\x00\x00\x80\x48\x00", 10);
	CHECK(faulted(b, bed_run(b, "\x48\xff\x2b", 3), EMUL_GP, 0));	/* not canonical */
	memcpy(b->ram + 0x2000, "\x00\x30\x00\x00\x08\x00", 6);
	CHECK(bed_run(b, "\xff\x2b", 2) == EMUL_CONTINUE);
	CHECK(b->e.state.mode == EMUL_MODE_PROT);
}

static void ldt_and_tss(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	make_gdt(b);
	*bed_gpr(b, EMUL_RAX) = 0x28;
	CHECK(bed_run(b, "\x0f\x00\xd0", 3) == EMUL_CONTINUE);		/* lldt %ax */
	CHECK(b->e.state.seg[EMUL_LDTR].base == 0x5000);
	*bed_gpr(b, EMUL_RAX) = 0x30;
	CHECK(bed_run(b, "\x0f\x00\xd8", 3) == EMUL_CONTINUE);		/* ltr %ax */
	CHECK(b->e.state.seg[EMUL_TR].base == 0x6000);
	CHECK((b->ram[0x4000 + 0x30 + 5] & 0xf) == 0xb);		/* busy */
	CHECK(faulted(b, bed_run(b, "\x0f\x00\xd8", 3), EMUL_GP, 0x30));	/* busy already */
	CHECK(bed_run(b, "\x0f\x00\xc9", 3) == EMUL_CONTINUE);		/* str %ecx */
	CHECK(*bed_gpr(b, EMUL_RCX) == 0x30);
	bed_init(b, EMUL_MODE_REAL);
	CHECK(faulted(b, bed_run(b, "\x0f\x00\xd8", 3), EMUL_UD, 0));
}

static void far_call_and_return(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	make_gdt(b);
	CHECK(bed_run(b, "\x9a\x00\x30\x00\x00\x08\x00", 7) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rip == 0x3000 && *bed_gpr(b, EMUL_RSP) == 0x7ff8);
	CHECK(b->ram[0x7ff8] == 7 && b->ram[0x7ff9] == 0x10 && b->ram[0x7ffc] == 8);
	CHECK(bed_run(b, "\xcb", 1) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rip == 0x1007 && *bed_gpr(b, EMUL_RSP) == 0x8000);
	/* To DPL 3 code and to a data segment: refused; a call gate: not emulated. */
	CHECK(faulted(b, bed_run(b, "\xea\x00\x30\x00\x00\x18\x00", 7), EMUL_GP, 0x18));
	CHECK(faulted(b, bed_run(b, "\xea\x00\x30\x00\x00\x10\x00", 7), EMUL_GP, 0x10));
	CHECK(bed_run(b, "\xea\x00\x30\x00\x00\x30\x00", 7) == EMUL_UNHANDLEABLE);
	CHECK(b->e.state.regs.rip == 0x1007 && b->e.state.seg[EMUL_CS].selector == 8);
}

static void real_mode_interrupt(struct bed *b)
{
	static const u8 entry[4] = { 0x34, 0x12, 0x00, 0x02 };

	bed_init(b, EMUL_MODE_REAL);
	memcpy(b->ram + 0x10 * 4, entry, 4);
	b->e.state.regs.rflags = 0x302;
	CHECK(bed_run(b, "\xcd\x10", 2) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rip == 0x1234 && b->e.state.seg[EMUL_CS].base == 0x2000);
	CHECK(b->e.state.regs.rflags == 2 && *bed_gpr(b, EMUL_RSP) == 0x7ffa);
	CHECK(!memcmp(b->ram + 0x7ffa, "\x02\x10\x00\x00\x02\x03", 6));
	CHECK(bed_run(b, "\xcf", 1) == EMUL_CONTINUE && b->e.iret);
	CHECK(b->e.state.regs.rip == 0x1002 && b->e.state.seg[EMUL_CS].base == 0);
	CHECK(b->e.state.regs.rflags == 0x302 && *bed_gpr(b, EMUL_RSP) == 0x8000);
	CHECK(emul_interrupt_real(&b->e, 0x10, 0x4321) == EMUL_CONTINUE);
	CHECK(b->ram[0x7ffa] == 0x21 && b->e.state.regs.rip == 0x1234);
	b->e.state.idt.limit = 0x3f;
	CHECK(emul_interrupt_real(&b->e, 0x10, 0) == EMUL_FAULT);
	CHECK(*bed_gpr(b, EMUL_RSP) == 0x7ffa);
}

/* Outside real mode the caller delivers, from behind the instruction. */
static void software_interrupt(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	CHECK(faulted(b, bed_run(b, "\xcd\x80", 2), 0x80, 0));
	CHECK(b->e.exception.soft && b->e.state.regs.rip == 0x1002);
	CHECK(faulted(b, bed_run(b, "\xcc", 1), EMUL_BP, 0));
	CHECK(b->e.exception.soft && b->e.state.regs.rip == 0x1003);
	CHECK(bed_run(b, "\xce", 1) == EMUL_CONTINUE);			/* into, OF clear */
	b->e.state.regs.rflags |= X86_EFLAGS_OF;
	CHECK(faulted(b, bed_run(b, "\xce", 1), EMUL_OF_TRAP, 0));
}

static void virtual_8086(struct bed *b)
{
	bed_init(b, EMUL_MODE_VM86);
	CHECK(faulted(b, bed_run(b, "\xfa", 1), EMUL_GP, 0) && b->e.exception.has_error);
	CHECK(faulted(b, bed_run(b, "\x9c", 1), EMUL_GP, 0));
	CHECK(faulted(b, bed_run(b, "\xcd\x21", 2), EMUL_GP, 0));
	CHECK(faulted(b, bed_run(b, "\xf4", 1), EMUL_GP, 0));
	b->e.state.regs.rflags |= X86_EFLAGS_IOPL;
	CHECK(bed_run(b, "\xfb", 1) == EMUL_CONTINUE && b->e.state.regs.rflags & X86_EFLAGS_IF);
	CHECK(b->e.shadow == EMUL_SHADOW_STI);
	CHECK(bed_run(b, "\xe4\x60", 2) == EMUL_CONTINUE && b->pio_calls == 1);
	b->pio_denied = true;						/* whatever IOPL is */
	CHECK(faulted(b, bed_run(b, "\xe4\x60", 2), EMUL_GP, 0) && b->pio_calls == 1);
	CHECK(mov_to_sreg(b, EMUL_ES, 0x1234) == EMUL_CONTINUE);
	CHECK(b->e.state.seg[EMUL_ES].base == 0x12340 && b->e.state.seg[EMUL_ES].limit == 0xffff);
}

static void ports(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	b->pio_denied = true;						/* not asked at CPL 0 */
	*bed_gpr(b, EMUL_RAX) = ~0ull;
	*bed_gpr(b, EMUL_RDX) = 0xffff0cf8;
	memcpy(b->pio_data, "\x11\x22\x33\x44", 4);
	CHECK(bed_run(b, "\x48\xed", 2) == EMUL_CONTINUE);		/* REX.W is ignored */
	CHECK(*bed_gpr(b, EMUL_RAX) == 0x44332211 && b->pio_port == 0xcf8 && b->pio_size == 4);
	CHECK(bed_run(b, "\xe6\x80", 2) == EMUL_CONTINUE);
	CHECK(b->pio_port == 0x80 && b->pio_size == 1 && b->pio_data[0] == 0x11);
	b->e.state.cpl = 3;
	CHECK(faulted(b, bed_run(b, "\xed", 1), EMUL_GP, 0));
	b->e.state.regs.rflags |= X86_EFLAGS_IOPL;
	CHECK(bed_run(b, "\xed", 1) == EMUL_CONTINUE);
}

static void control_registers(struct bed *b)
{
	bed_init(b, EMUL_MODE_REAL);
	CHECK(bed_run(b, "\x0f\x01\xe0", 3) == EMUL_CONTINUE);		/* smsw %ax */
	CHECK(*bed_gpr(b, EMUL_RAX) == 0x10);
	*bed_gpr(b, EMUL_RAX) = 0xfff9;
	CHECK(bed_run(b, "\x0f\x01\xf0", 3) == EMUL_CONTINUE);		/* lmsw: PE and TS only */
	CHECK(b->cr[0] == 0x19 && b->e.state.mode == EMUL_MODE_PROT);
	*bed_gpr(b, EMUL_RAX) = 0;
	CHECK(bed_run(b, "\x0f\x01\xf0", 3) == EMUL_CONTINUE && b->cr[0] == 0x11);
	b->e.state.cr0 = 0x19;
	CHECK(bed_run(b, "\x0f\x06", 2) == EMUL_CONTINUE && b->cr[0] == 0x11);
	b->cr[3] = 0x123000;
	CHECK(bed_run(b, "\x0f\x20\xd9", 3) == EMUL_CONTINUE);		/* mov %cr3, %ecx */
	CHECK(*bed_gpr(b, EMUL_RCX) == 0x123000);
	CHECK(faulted(b, bed_run(b, "\x0f\x20\xe9", 3), EMUL_UD, 0));	/* CR5 */
	CHECK(bed_run(b, "\x0f\x21\xc0", 3) == EMUL_UNHANDLEABLE);	/* no get_dr */
}

static void privileged(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	*bed_gpr(b, EMUL_RCX) = 0xc0000080;
	b->msr_value = 0x123456789;
	CHECK(bed_run(b, "\x0f\x32", 2) == EMUL_CONTINUE && b->msr_index == 0xc0000080);
	CHECK(*bed_gpr(b, EMUL_RAX) == 0x23456789 && *bed_gpr(b, EMUL_RDX) == 1);
	*bed_gpr(b, EMUL_RDX) = 2;
	CHECK(bed_run(b, "\x0f\x30", 2) == EMUL_CONTINUE && b->msr_value == 0x223456789);
	CHECK(bed_run(b, "\xf4", 1) == EMUL_CONTINUE && b->halts == 1);
	*bed_gpr(b, EMUL_RBX) = 0x7000;
	CHECK(bed_run(b, "\x0f\x01\x3b", 3) == EMUL_CONTINUE && b->invlpg == 0x7000);
	CHECK(bed_run(b, "\x0f\x31", 2) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RDX) == 0x11223344 && *bed_gpr(b, EMUL_RAX) == 0x55667788);
	*bed_gpr(b, EMUL_RAX) = 1;
	*bed_gpr(b, EMUL_RCX) = 0;
	CHECK(bed_run(b, "\x0f\xa2", 2) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RBX) == 2 && *bed_gpr(b, EMUL_RDX) == 2);
	CHECK(bed_run(b, "\x0f\x09", 2) == EMUL_UNHANDLEABLE);		/* no wbinvd */
	b->e.state.cpl = 3;
	CHECK(faulted(b, bed_run(b, "\x0f\x32", 2), EMUL_GP, 0));
	CHECK(faulted(b, bed_run(b, "\xf4", 1), EMUL_GP, 0) && b->halts == 1);
	b->e.state.cr4 |= 4;
	CHECK(faulted(b, bed_run(b, "\x0f\x31", 2), EMUL_GP, 0));
}

static void x87(struct bed *b)
{
	bed_init(b, EMUL_MODE_REAL);
	memset(b->ram + 0x2000, 0xaa, 4);
	CHECK(bed_run(b, "\xdb\xe3", 2) == EMUL_CONTINUE && b->x87 == 0xdb);
	CHECK(bed_run(b, "\xd9\x3e\x00\x20", 4) == EMUL_CONTINUE && b->x87 == 0xd9);
	CHECK(!memcmp(b->ram + 0x2000, "\x7f\x03\xaa\xaa", 4));		/* fnstcw 0x2000 */
	CHECK(bed_run(b, "\xdd\x3e\x02\x20", 4) == EMUL_CONTINUE && b->x87 == 0xdd);
	CHECK(!memcmp(b->ram + 0x2002, "\x7f\x03", 2));
	CHECK(bed_run(b, "\xdb\xe2", 2) == EMUL_UNHANDLEABLE);		/* fnclex */
	CHECK(bed_run(b, "\xd9\xf8", 2) == EMUL_UNHANDLEABLE);		/* fprem */
	b->e.state.cr0 |= X86_CR0_TS;
	CHECK(faulted(b, bed_run(b, "\xdb\xe3", 2), EMUL_NM, 0));
	b->e.state.cr0 ^= X86_CR0_TS | X86_CR0_EM;
	CHECK(faulted(b, bed_run(b, "\xdd\x3e\x02\x20", 4), EMUL_NM, 0));
}

static void popf_by_privilege(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	memcpy(b->ram + 0x7ffc, "\xff\xff\xff\xff", 4);
	*bed_gpr(b, EMUL_RSP) = 0x7ffc;
	CHECK(bed_run(b, "\x9d", 1) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rflags == 0x247fd7);	/* IOPL and IF; not VM, RF, VIF, VIP */
	bed_init(b, EMUL_MODE_PROT);
	b->e.state.cpl = 3;
	memcpy(b->ram + 0x7ffc, "\xff\xff\xff\xff", 4);
	*bed_gpr(b, EMUL_RSP) = 0x7ffc;
	CHECK(bed_run(b, "\x9d", 1) == EMUL_CONTINUE);
	CHECK(b->e.state.regs.rflags == 0x244dd7);
}

static void stack_wraps_at_64k(struct bed *b)
{
	bed_init(b, EMUL_MODE_REAL);
	*bed_gpr(b, EMUL_RSP) = 0xabcd0000;
	CHECK(bed_run(b, "\x50", 1) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RSP) == 0xabcdfffe);
	CHECK(bed_run(b, "\x58", 1) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RSP) == 0xabcd0000);
}

static void far_pointer_loads(struct bed *b)
{
	bed_init(b, EMUL_MODE_REAL);
	memcpy(b->ram + 0x2000, "\x34\x12\x78\x56", 4);
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	CHECK(bed_run(b, "\xc4\x07", 2) == EMUL_CONTINUE);		/* les (%bx), %ax */
	CHECK(*bed_gpr(b, EMUL_RAX) == 0x1234 && b->e.state.seg[EMUL_ES].selector == 0x5678);
	CHECK(bed_run(b, "\x0f\xb4\x0f", 3) == EMUL_CONTINUE);		/* lfs (%bx), %cx */
	CHECK(b->e.state.seg[EMUL_FS].base == 0x56780);
}

const struct test system_tests[] = {
	{ "real to protected mode", real_to_protected },
	{ "segment load faults", segment_load_faults },
	{ "long-mode segments", long_mode_segments },
	{ "LDT and TSS", ldt_and_tss },
	{ "far call and return", far_call_and_return },
	{ "real-mode interrupt and IRET", real_mode_interrupt },
	{ "software interrupts outside real mode", software_interrupt },
	{ "virtual-8086 mode", virtual_8086 },
	{ "ports and IOPL", ports },
	{ "control registers", control_registers },
	{ "MSRs, HLT, INVLPG, RDTSC, CPUID", privileged },
	{ "FNINIT, FNSTCW, FNSTSW", x87 },
	{ "POPF by privilege", popf_by_privilege },
	{ "the stack wraps at 64 KiB", stack_wraps_at_64k },
	{ "far pointer loads", far_pointer_loads },
	{ 0 },
};
