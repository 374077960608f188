// SPDX-License-Identifier: GPL-2.0-only
/* Fetch limits, faults that user mode can not provoke, and what must be refused. */
#include "bed.h"

static bool faulted(struct bed *b, int r, u8 vector, u32 error)
{
	return r == EMUL_FAULT && b->e.exception.vector == vector &&
	       b->e.exception.error_code == error;
}

/* An instruction that ends with its page must not need the next one. */
static void fetch_stays_in_page(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	b->rights[2] = ABSENT;
	b->e.state.regs.rip = 0x1ffd;
	CHECK(bed_run(b, "\x48\xff\xc0", 3) == EMUL_CONTINUE);
	CHECK(b->fetches == 1 && b->fetch_len[0] == 3);
}

static void fetch_crosses_page(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	b->e.state.regs.rip = 0x1ffe;
	CHECK(bed_run(b, "\x48\xff\xc0", 3) == EMUL_CONTINUE);
	CHECK(b->fetches == 2 && b->fetch_len[0] == 2 && b->fetch_len[1] == 13);
	CHECK(*bed_gpr(b, EMUL_RAX) == 1);
	b->rights[2] = ABSENT;
	b->e.state.regs.rip = 0x1ffe;
	CHECK(faulted(b, emul_decode(&b->e), EMUL_PF_FAULT, 0));
	CHECK(b->e.exception.cr2 == 0x2000);
}

static void again(struct bed *b, enum emul_mode mode, u64 rip)
{
	b->e.state.mode = mode;
	b->e.state.regs.rip = rip;
}

/* The last instruction is not decoded anew if it comes again; what only begins or looks like it is. */
static void decoded_again(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	CHECK(bed_run(b, "\xb8\x01\x00\x00\x00", 5) == EMUL_CONTINUE && *bed_gpr(b, EMUL_RAX) == 1);
	again(b, EMUL_MODE_64, 0x1100);
	CHECK(bed_run(b, "\xb8\x01\x00\x00\x00", 5) == EMUL_CONTINUE && *bed_gpr(b, EMUL_RAX) == 1);
	again(b, EMUL_MODE_64, 0x1100);
	CHECK(bed_run(b, "\xb8\x01\x00\x00\x02", 5) == EMUL_CONTINUE && *bed_gpr(b, EMUL_RAX) == 0x2000001);
	b->rights[2] = ABSENT;
	again(b, EMUL_MODE_64, 0x1ffd);
	CHECK(faulted(b, bed_run(b, "\xb8\x01\x00\x00\x02", 5), EMUL_PF_FAULT, 0));
	again(b, EMUL_MODE_64, 0x1ffb);
	CHECK(bed_run(b, "\xb8\x01\x00\x00\x02", 5) == EMUL_CONTINUE && b->e.d.fetched == 5);
	again(b, EMUL_MODE_64, 0x1000);
	CHECK(bed_run(b, "\x48\x90", 2) == EMUL_CONTINUE && b->e.state.regs.rip == 0x1002);
	again(b, EMUL_MODE_PROT, 0x1000);
	CHECK(bed_run(b, "\x48\x90", 2) == EMUL_CONTINUE && b->e.state.regs.rip == 0x1001);
	b->e.state.seg[EMUL_CS].db = 1;
	again(b, EMUL_MODE_PROT, 0x1000);
	CHECK(bed_run(b, "\xb8\x01\x00\x00\x00", 5) == EMUL_CONTINUE && b->e.state.regs.rip == 0x1005);
	b->e.state.seg[EMUL_CS].db = 0;
	again(b, EMUL_MODE_PROT, 0x1000);
	CHECK(bed_run(b, "\xb8\x01\x00\x00\x00", 5) == EMUL_CONTINUE && b->e.state.regs.rip == 0x1003);
}

static void too_long(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	CHECK(bed_run(b, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", 15) ==
	      EMUL_CONTINUE);
	CHECK(faulted(b, bed_run(b, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90",
				 16), EMUL_GP, 0));
}

static void code_limit(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->e.state.seg[EMUL_CS].limit = 0x1001;
	CHECK(bed_run(b, "\x89\xc3", 2) == EMUL_CONTINUE);
	b->e.state.regs.rip = 0x1000;
	CHECK(faulted(b, bed_run(b, "\x83\xc3\x01", 3), EMUL_GP, 0));
	b->e.state.regs.rip = 0x1000;
	CHECK(faulted(b, bed_run(b, "\xeb\x10", 2), EMUL_GP, 0));	/* jmp over the limit */
}

/* Real mode has no error codes, but limits: the last word of a segment ends at 0xffff. */
static void real_mode_limit(struct bed *b)
{
	bed_init(b, EMUL_MODE_REAL);
	*bed_gpr(b, EMUL_RBX) = 0xffff;
	CHECK(faulted(b, bed_run(b, "\x8b\x07", 2), EMUL_GP, 0));
	CHECK(!b->e.exception.has_error);
	CHECK(bed_run(b, "\x8a\x07", 2) == EMUL_CONTINUE);
	*bed_gpr(b, EMUL_RBP) = 0xffff;
	CHECK(faulted(b, bed_run(b, "\x8b\x46\x00", 3), EMUL_SS_FAULT, 0));
}

/* SeaBIOS reads MMIO from real mode with 4 GiB limits left over from protected mode. */
static void unreal_mode(struct bed *b)
{
	bed_init(b, EMUL_MODE_REAL);
	b->e.state.seg[EMUL_DS].limit = 0xffffffff;
	b->mmio_value = 0x12345678;
	*bed_gpr(b, EMUL_RBX) = MMIO_BASE;
	CHECK(bed_run(b, "\x67\x66\x8b\x03", 4) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RAX) == 0x12345678);
	*bed_gpr(b, EMUL_RAX) = 0x40;
	CHECK(bed_run(b, "\x8e\xd8", 2) == EMUL_CONTINUE);	/* mov %ax, %ds keeps the limit */
	CHECK(b->e.state.seg[EMUL_DS].base == 0x400);
	CHECK(b->e.state.seg[EMUL_DS].limit == 0xffffffff);
}

static void unusable_and_readonly_segments(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	b->e.state.seg[EMUL_DS].unusable = true;
	CHECK(faulted(b, bed_run(b, "\x8b\x03", 2), EMUL_GP, 0));
	CHECK(b->e.exception.has_error);
	b->e.state.seg[EMUL_DS] = bed_segment(0x10, 0, 0xffffffff, 1, 0, true);
	CHECK(faulted(b, bed_run(b, "\x89\x03", 2), EMUL_GP, 0));
	CHECK(faulted(b, bed_run(b, "\x2e\x89\x03", 3), EMUL_GP, 0));	/* write through CS */
	CHECK(bed_run(b, "\x2e\x8b\x03", 3) == EMUL_CONTINUE);
	b->e.state.seg[EMUL_CS].type = 9;				/* execute-only */
	CHECK(faulted(b, bed_run(b, "\x2e\x8b\x03", 3), EMUL_GP, 0));
}

static void canonical(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	*bed_gpr(b, EMUL_RBX) = 0x0080000000000000;
	CHECK(faulted(b, bed_run(b, "\x8b\x03", 2), EMUL_GP, 0));
	b->e.state.la57 = true;
	CHECK(faulted(b, bed_run(b, "\x8b\x03", 2), EMUL_PF_FAULT, 0));
	*bed_gpr(b, EMUL_RBP) = 0x8000000000000000;
	CHECK(faulted(b, bed_run(b, "\x8b\x45\x00", 3), EMUL_SS_FAULT, 0));
	/* The last bytes run over the edge. */
	b->e.state.la57 = false;
	*bed_gpr(b, EMUL_RBX) = 0x00007ffffffffffd;
	CHECK(faulted(b, bed_run(b, "\x8b\x03", 2), EMUL_GP, 0));
}

/* A read-modify-write of a read-only page is a write fault, before anything is read. */
static void rmw_faults_as_write(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	b->rights[2] = READONLY;
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	CHECK(faulted(b, bed_run(b, "\xff\x03", 2), EMUL_PF_FAULT, 3));
	CHECK(bed_run(b, "\x83\x3b\x00", 3) == EMUL_CONTINUE);		/* CMP only reads */
}

static void page_crossing_write(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	b->rights[3] = READONLY;
	*bed_gpr(b, EMUL_RBX) = 0x2ffe;
	*bed_gpr(b, EMUL_RAX) = ~0ull;
	CHECK(faulted(b, bed_run(b, "\x89\x03", 2), EMUL_PF_FAULT, 3));
	CHECK(b->e.exception.cr2 == 0x3000);
	CHECK(b->ram[0x2ffe] == 0);
	b->rights[3] = 0;
	CHECK(bed_run(b, "\x89\x03", 2) == EMUL_CONTINUE && b->ram[0x3001] == 0xff);
}

static void undefined_and_unknown(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	CHECK(faulted(b, bed_run(b, "\x0f\x0b", 2), EMUL_UD, 0));
	CHECK(faulted(b, bed_run(b, "\xf0\x90", 2), EMUL_UD, 0));
	CHECK(faulted(b, bed_run(b, "\xf0\x01\xd8", 3), EMUL_UD, 0));
	CHECK(faulted(b, bed_run(b, "\x8d\xc0", 2), EMUL_UD, 0));
	CHECK(faulted(b, bed_run(b, "\x8e\xc8", 2), EMUL_UD, 0));	/* mov %eax, %cs */
	CHECK(bed_run(b, "\xd9\xc0", 2) == EMUL_UNHANDLEABLE);		/* fld: not known */
	CHECK(bed_run(b, "\xc5\xf9\xfe\xc1", 4) == EMUL_UNHANDLEABLE);	/* vpaddd */
	CHECK(bed_run(b, "\xc4\xe2\x60\xf2\x03", 5) == EMUL_UNHANDLEABLE);	/* andn */
	CHECK(b->e.state.regs.rip == 0x1000);
}

static void vector_state(struct bed *b)
{
	static const u8 movups[] = { 0x0f, 0x10, 0x03 }, vmovups[] = { 0xc5, 0xf8, 0x10, 0x03 };

	bed_init(b, EMUL_MODE_64);
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	b->ram[0x2000] = 9;
	memset(b->ymm[0], 0xee, 32);
	CHECK(bed_run(b, movups, 3) == EMUL_CONTINUE && b->ymm[0][0] == 9);
	CHECK(b->ymm[0][15] == 0 && b->ymm[0][16] == 0xee);
	CHECK(bed_run(b, vmovups, 4) == EMUL_CONTINUE && b->ymm[0][16] == 0);
	b->e.state.cr0 |= 8;
	CHECK(faulted(b, bed_run(b, movups, 3), EMUL_NM, 0));
	b->e.state.cr0 = 0x80000015;
	CHECK(faulted(b, bed_run(b, movups, 3), EMUL_UD, 0));
	b->e.state.cr0 = 0x80000011;
	b->e.state.cr4 = 0x400;
	CHECK(faulted(b, bed_run(b, movups, 3), EMUL_UD, 0));
	CHECK(faulted(b, bed_run(b, vmovups, 4), EMUL_UD, 0));
	b->e.state.cr4 = 0x40000;
	b->e.state.xcr0 = 3;
	CHECK(faulted(b, bed_run(b, vmovups, 4), EMUL_UD, 0));
}

/* 16-byte and 32-byte accesses reach the MMIO callback whole. */
static void wide_mmio(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	*bed_gpr(b, EMUL_RBX) = MMIO_BASE;
	b->mmio_value = 0x1234;
	CHECK(bed_run(b, "\x66\x0f\x6f\x03", 4) == EMUL_CONTINUE && b->mmio_reads == 1);
	CHECK(b->ymm[0][0] == 0x34 && b->ymm[0][1] == 0x12);
	CHECK(bed_run(b, "\x66\x0f\xe7\x03", 4) == EMUL_CONTINUE && b->mmio_writes == 1);
	CHECK(b->mmio_written == 0x1234);
}

const struct test fault_tests[] = {
	{ "fetch stays in its page", fetch_stays_in_page },
	{ "fetch crosses a page", fetch_crosses_page },
	{ "an instruction that comes again", decoded_again },
	{ "more than 15 bytes", too_long },
	{ "code segment limit", code_limit },
	{ "real-mode limits, no error codes", real_mode_limit },
	{ "unreal mode", unreal_mode },
	{ "unusable, read-only and execute-only segments", unusable_and_readonly_segments },
	{ "canonical addresses, 48 and 57 bits", canonical },
	{ "read-modify-write faults as a write", rmw_faults_as_write },
	{ "page-crossing write", page_crossing_write },
	{ "undefined and unknown opcodes", undefined_and_unknown },
	{ "vector state: #NM, #UD, upper halves", vector_state },
	{ "wide MMIO", wide_mmio },
	{ 0 },
};
