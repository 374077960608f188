// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that stop half-way and are run again: lost or doubled device accesses, register
 * changes of an unfinished instruction, REP batches that lose count.
 */
#include "bed.h"

static void read_is_restarted(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->mmio_async = true;
	b->mmio_value = 0x11223344;
	*bed_gpr(b, EMUL_RBX) = MMIO_BASE;
	*bed_gpr(b, EMUL_RAX) = 0x55;
	CHECK(bed_run(b, "\x8b\x03", 2) == EMUL_IO_NEEDED);	/* mov (%ebx), %eax */
	CHECK(*bed_gpr(b, EMUL_RAX) == 0x55);
	CHECK(b->e.state.regs.rip == 0x1000);
	CHECK(!b->e.committed && !b->commits);
	CHECK(emul_exec(&b->e) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RAX) == 0x11223344);
	CHECK(b->e.state.regs.rip == 0x1002);
	CHECK(b->mmio_reads == 1 && b->commits == 1);
}

/* push from MMIO: the stack pointer must not move twice. */
static void push_is_restarted(struct bed *b)
{
	bed_init(b, EMUL_MODE_64);
	b->mmio_async = true;
	b->mmio_value = 0xabcd;
	*bed_gpr(b, EMUL_RBX) = MMIO_BASE;
	CHECK(bed_run(b, "\xff\x33", 2) == EMUL_IO_NEEDED);	/* push (%rbx) */
	CHECK(*bed_gpr(b, EMUL_RSP) == 0x8000);
	CHECK(emul_exec(&b->e) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RSP) == 0x7ff8);
	CHECK(b->ram[0x7ff8] == 0xcd && b->ram[0x7ff9] == 0xab);
}

/* cmps with both operands in MMIO: two reads, both replayed. */
static void two_reads_are_replayed(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->mmio_async = true;
	b->mmio_value = 7;
	*bed_gpr(b, EMUL_RSI) = MMIO_BASE;
	*bed_gpr(b, EMUL_RDI) = MMIO_BASE + 8;
	CHECK(bed_run(b, "\xa7", 1) == EMUL_IO_NEEDED);
	CHECK(emul_exec(&b->e) == EMUL_IO_NEEDED);
	CHECK(*bed_gpr(b, EMUL_RSI) == MMIO_BASE && *bed_gpr(b, EMUL_RDI) == MMIO_BASE + 8);
	CHECK(emul_exec(&b->e) == EMUL_CONTINUE);
	CHECK(b->mmio_reads == 2);
	CHECK(!(b->e.state.regs.rflags & X86_EFLAGS_ZF));
	CHECK(*bed_gpr(b, EMUL_RSI) == MMIO_BASE + 4);
}

static void rmw_reads_and_writes_once(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->mmio_async = true;
	b->mmio_value = 0xf0;
	*bed_gpr(b, EMUL_RBX) = MMIO_BASE;
	CHECK(bed_run(b, "\x83\x0b\x0f", 3) == EMUL_IO_NEEDED);	/* orl $15, (%ebx) */
	CHECK(b->mmio_writes == 0);
	CHECK(emul_exec(&b->e) == EMUL_CONTINUE);
	CHECK(b->mmio_reads == 1 && b->mmio_writes == 1 && b->mmio_written == 0xff);
	CHECK(b->locked == 0);
}

static void rep_movs_from_mmio(struct bed *b)
{
	int i;

	bed_init(b, EMUL_MODE_PROT);
	b->mmio_async = true;
	b->mmio_value = 0x41;
	*bed_gpr(b, EMUL_RSI) = MMIO_BASE;
	*bed_gpr(b, EMUL_RDI) = 0x2000;
	*bed_gpr(b, EMUL_RCX) = 3;
	CHECK(bed_run(b, "\xf3\xa4", 2) == EMUL_IO_NEEDED);
	CHECK(!b->e.committed);
	for (i = 1; i < 3; i++) {
		CHECK(emul_exec(&b->e) == EMUL_IO_NEEDED);
		CHECK(b->e.committed);
		CHECK(*bed_gpr(b, EMUL_RCX) == 3u - i);
		CHECK(*bed_gpr(b, EMUL_RSI) == MMIO_BASE + i);
		CHECK(b->e.state.regs.rip == 0x1000);
	}
	CHECK(emul_exec(&b->e) == EMUL_CONTINUE && !b->e.rep_again);
	CHECK(!memcmp(b->ram + 0x2000, "\x41\x42\x43\0", 4));
	CHECK(b->mmio_reads == 3 && b->commits == 3);
	CHECK(b->e.state.regs.rip == 0x1002);
}

static void rep_is_batched(struct bed *b)
{
	unsigned int batches = 1;

	bed_init(b, EMUL_MODE_PROT);
	b->e.rep_limit = 10;
	*bed_gpr(b, EMUL_RAX) = 0x5a;
	*bed_gpr(b, EMUL_RDI) = 0x2000;
	*bed_gpr(b, EMUL_RCX) = 25;
	CHECK(bed_run(b, "\xf3\xaa", 2) == EMUL_CONTINUE);
	CHECK(b->e.rep_again && *bed_gpr(b, EMUL_RCX) == 15);
	CHECK(b->e.state.regs.rip == 0x1000);
	CHECK(b->e.state.regs.rflags & X86_EFLAGS_RF);
	while (b->e.rep_again && batches < 10) {
		CHECK(emul_exec(&b->e) == EMUL_CONTINUE);
		batches++;
	}
	CHECK(batches == 3 && *bed_gpr(b, EMUL_RCX) == 0);
	CHECK(b->e.state.regs.rip == 0x1002);
	CHECK(!(b->e.state.regs.rflags & X86_EFLAGS_RF));
	CHECK(b->ram[0x2000 + 24] == 0x5a && b->ram[0x2000 + 25] == 0);
}

/* An MMIO write that goes to userspace ends the batch, with nothing lost. */
static void callback_stops_batch(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->stop_on_write = true;
	*bed_gpr(b, EMUL_RDI) = MMIO_BASE;
	*bed_gpr(b, EMUL_RCX) = 5;
	CHECK(bed_run(b, "\xf3\xab", 2) == EMUL_CONTINUE);
	CHECK(b->e.rep_again && *bed_gpr(b, EMUL_RCX) == 4 && b->mmio_writes == 1);
}

static void trap_flag_stops_batch(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->e.state.regs.rflags |= X86_EFLAGS_TF;
	*bed_gpr(b, EMUL_RDI) = 0x2000;
	*bed_gpr(b, EMUL_RCX) = 5;
	CHECK(bed_run(b, "\xf3\xab", 2) == EMUL_CONTINUE);
	CHECK(b->e.single_step && b->e.rep_again && *bed_gpr(b, EMUL_RCX) == 4);
}

static void rep_fault_keeps_progress(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->rights[3] = READONLY;
	*bed_gpr(b, EMUL_RDI) = 0x2ff8;
	*bed_gpr(b, EMUL_RCX) = 5;
	CHECK(bed_run(b, "\xf3\xab", 2) == EMUL_FAULT);
	CHECK(b->e.committed && *bed_gpr(b, EMUL_RCX) == 3 && *bed_gpr(b, EMUL_RDI) == 0x3000);
	CHECK(b->e.exception.vector == EMUL_PF_FAULT && b->e.exception.cr2 == 0x3000);
	CHECK(b->e.exception.error_code == 3);
	CHECK(b->e.state.regs.rip == 0x1000);
}

/* A count of 2^32 through a 16-bit address size: CX alone counts. */
static void rep_counts_by_address_size(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	*bed_gpr(b, EMUL_RDI) = 0x12342000;
	*bed_gpr(b, EMUL_RCX) = 0x70002;
	CHECK(bed_run(b, "\x67\xf3\xaa", 3) == EMUL_CONTINUE);
	CHECK(*bed_gpr(b, EMUL_RCX) == 0x70000 && *bed_gpr(b, EMUL_RDI) == 0x12342002);
}

static void lost_lock_changes_nothing(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->locks_to_lose = 1;
	b->ram[0x2000] = 5;
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	*bed_gpr(b, EMUL_RAX) = 3;
	CHECK(bed_run(b, "\xf0\x0f\xc1\x03", 4) == EMUL_RETRY);	/* lock xadd %eax, (%ebx) */
	CHECK(b->ram[0x2000] == 5 && *bed_gpr(b, EMUL_RAX) == 3);
	CHECK(b->e.state.regs.rip == 0x1000 && b->e.state.regs.rflags == 2);
	CHECK(emul_exec(&b->e) == EMUL_CONTINUE);
	CHECK(b->ram[0x2000] == 8 && *bed_gpr(b, EMUL_RAX) == 5 && b->locked == 2);
}

/* XCHG with memory locks without being asked; a plain ADD does not. */
static void implicit_lock(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	*bed_gpr(b, EMUL_RBX) = 0x2000;
	CHECK(bed_run(b, "\x87\x03", 2) == EMUL_CONTINUE && b->locked == 1);
	CHECK(bed_run(b, "\x01\x03", 2) == EMUL_CONTINUE && b->locked == 1);
	CHECK(bed_run(b, "\xf0\x01\x03", 3) == EMUL_CONTINUE && b->locked == 2);
	CHECK(bed_run(b, "\xf0\x0f\xc7\x0b", 4) == EMUL_CONTINUE && b->locked == 3);
}

/* The device's data must not be taken when it can not be stored. */
static void ins_probes_first(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->rights[2] = READONLY;
	*bed_gpr(b, EMUL_RDI) = 0x2000;
	*bed_gpr(b, EMUL_RCX) = 4;
	CHECK(bed_run(b, "\xf3\x6c", 2) == EMUL_FAULT && b->pio_calls == 0);
	CHECK(b->e.exception.vector == EMUL_PF_FAULT && b->e.exception.error_code == 3);
}

static void string_io_segment_rights(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	b->e.state.seg[EMUL_DS].type = 1;				/* read-only */
	*bed_gpr(b, EMUL_RSI) = 0x2000;
	*bed_gpr(b, EMUL_RCX) = 4;
	CHECK(bed_run(b, "\xf3\x6e", 2) == EMUL_CONTINUE && b->pio_count == 4);
	b->e.state.seg[EMUL_ES].type = 1;
	*bed_gpr(b, EMUL_RDI) = 0x2000;
	*bed_gpr(b, EMUL_RCX) = 4;
	CHECK(bed_run(b, "\xf3\x6c", 2) == EMUL_FAULT && b->pio_calls == 1);
	CHECK(b->e.exception.vector == EMUL_GP);
}

static void ins_is_one_batch(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	memset(b->pio_data, 0x77, 512);
	*bed_gpr(b, EMUL_RDX) = 0x1f0;
	*bed_gpr(b, EMUL_RDI) = 0x2000;
	*bed_gpr(b, EMUL_RCX) = 256;
	CHECK(bed_run(b, "\xf3\x66\x6d", 3) == EMUL_CONTINUE && !b->e.rep_again);
	CHECK(b->pio_calls == 1 && b->pio_count == 256 && b->pio_size == 2);
	CHECK(b->pio_port == 0x1f0 && b->ram[0x21ff] == 0x77 && b->ram[0x2200] == 0);
	CHECK(*bed_gpr(b, EMUL_RDI) == 0x2200 && *bed_gpr(b, EMUL_RCX) == 0);
}

static void outs_stops_at_page_end(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	memcpy(b->ram + 0x2ffe, "ABCD", 4);
	*bed_gpr(b, EMUL_RSI) = 0x2ffe;
	*bed_gpr(b, EMUL_RCX) = 4;
	b->e.rep_limit = 2;
	CHECK(bed_run(b, "\xf3\x6e", 2) == EMUL_CONTINUE && b->e.rep_again);
	CHECK(b->pio_count == 2 && !memcmp(b->pio_data, "AB", 2));
	CHECK(emul_exec(&b->e) == EMUL_CONTINUE && !b->e.rep_again);
	CHECK(b->pio_calls == 2 && !memcmp(b->pio_data, "CD", 2));
}

static void backward_outs_goes_by_unit(struct bed *b)
{
	bed_init(b, EMUL_MODE_PROT);
	memcpy(b->ram + 0x2000, "ABCD", 4);
	b->e.state.regs.rflags |= X86_EFLAGS_DF;
	*bed_gpr(b, EMUL_RSI) = 0x2003;
	*bed_gpr(b, EMUL_RCX) = 4;
	CHECK(bed_run(b, "\xf3\x6e", 2) == EMUL_CONTINUE && !b->e.rep_again);
	CHECK(b->pio_calls == 4 && b->pio_data[0] == 'A');
	CHECK(*bed_gpr(b, EMUL_RSI) == 0x1fff);
}

const struct test restart_tests[] = {
	{ "MMIO read is restarted", read_is_restarted },
	{ "PUSH from MMIO is restarted", push_is_restarted },
	{ "two MMIO reads are replayed", two_reads_are_replayed },
	{ "read-modify-write touches MMIO once each way", rmw_reads_and_writes_once },
	{ "REP MOVS from MMIO commits each iteration", rep_movs_from_mmio },
	{ "REP is batched", rep_is_batched },
	{ "a callback stops the batch", callback_stops_batch },
	{ "TF stops the batch after one iteration", trap_flag_stops_batch },
	{ "a fault in REP keeps the iterations done", rep_fault_keeps_progress },
	{ "REP counts by address size", rep_counts_by_address_size },
	{ "a lost locked cycle changes nothing", lost_lock_changes_nothing },
	{ "implicit and explicit locks", implicit_lock },
	{ "INS probes its target before the port", ins_probes_first },
	{ "INS needs a writable segment, OUTS a readable one", string_io_segment_rights },
	{ "REP INS is one port access", ins_is_one_batch },
	{ "REP OUTS goes on behind a page", outs_stops_at_page_end },
	{ "REP OUTS downwards goes unit by unit", backward_outs_goes_by_unit },
	{ 0 },
};
