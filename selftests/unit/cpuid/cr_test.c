// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control registers: which writes are #GP, what follows from those that are not, and that a
 * refusal changes nothing.
 */
#include <linux/slab.h>
#include "world.h"

#define LONG_CR0	(X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE)
#define PROT_CR0	(X86_CR0_PE | X86_CR0_ET)

static struct vcpu *start(u64 cr0, u64 cr4, u64 efer)
{
	struct vcpu *vcpu = world_start();

	world_supported_cpuid();
	vcpu->regs.cr0 = cr0;
	vcpu->regs.cr4 = cr4;
	vcpu->regs.efer = efer;
	vcpu->requests = 0;
	return vcpu;
}

static struct vcpu *long_mode(void)
{
	struct vcpu *vcpu = start(LONG_CR0, X86_CR4_PAE, EFER_LME | EFER_LMA);

	vcpu->regs.segs[SEG_CS].l = 1;
	return vcpu;
}

static void cr0_rules(void)
{
	static const struct { u64 cr0, cr4, efer, val; bool ok; } rows[] = {
		{ X86_CR0_ET, 0, 0, X86_CR0_PE | X86_CR0_ET, true },
		/* paging needs protection */
		{ X86_CR0_ET, 0, 0, X86_CR0_PG | X86_CR0_ET, false },
		{ X86_CR0_ET, 0, 0, X86_CR0_NW | X86_CR0_ET, false },	/* NW needs CD */
		{ X86_CR0_ET, 0, 0, X86_CR0_CD | X86_CR0_NW | X86_CR0_ET, true },
		{ X86_CR0_ET, 0, 0, 1ull << 32 | X86_CR0_ET, false },
		{ PROT_CR0, 0, 0, LONG_CR0, true },
		{ PROT_CR0, 0, EFER_LME, LONG_CR0, false },		/* long mode needs PAE */
		{ PROT_CR0, X86_CR4_PAE, EFER_LME, LONG_CR0, true },
		{ PROT_CR0, X86_CR4_PAE, 0, LONG_CR0, true },		/* PDPTEs are all 0: fine */
		{ LONG_CR0, X86_CR4_PAE | X86_CR4_PCIDE, EFER_LME | EFER_LMA, PROT_CR0, false },
		{ LONG_CR0, X86_CR4_PAE, EFER_LME | EFER_LMA, PROT_CR0, true },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vcpu *vcpu = start(rows[i].cr0, rows[i].cr4, rows[i].efer);
		bool ok = cr0_write(vcpu, rows[i].val);

		if (ok != rows[i].ok)
			printf("# row %d\n", i);
		EXPECT_EQ(ok, rows[i].ok);
		EXPECT_EQ(vcpu->regs.cr0, ok ? rows[i].val : rows[i].cr0);
		world_end();
	}
}

static void lma_follows_paging(void)
{
	struct vcpu *vcpu = start(PROT_CR0, X86_CR4_PAE, EFER_LME);

	EXPECT(cr0_write(vcpu, LONG_CR0));
	EXPECT_EQ(vcpu->regs.efer, EFER_LME | EFER_LMA);
	EXPECT(world.paging_changed > 0);
	EXPECT(test_bit(REQ_TLB_FLUSH_GUEST, &vcpu->requests));
	EXPECT(cr0_write(vcpu, PROT_CR0));
	EXPECT_EQ(vcpu->regs.efer, EFER_LME);
	world_end();
	vcpu = long_mode();
	EXPECT(!cr0_write(vcpu, PROT_CR0));		/* from 64-bit code: #GP */
	world_end();
	vcpu = start(PROT_CR0, X86_CR4_PAE, EFER_LME);
	vcpu->regs.segs[SEG_CS].l = 1;
	EXPECT(!cr0_write(vcpu, LONG_CR0));
	EXPECT_EQ(vcpu->regs.efer, EFER_LME);
	world_end();
}

static void cr4_rules(void)
{
	struct vcpu *vcpu = long_mode();
	u64 all = cpuid_host.cr4 & ~(u64)X86_CR4_LA57;

	EXPECT(!cr4_write(vcpu, 0));				/* PAE stays in long mode */
	EXPECT(!cr4_write(vcpu, X86_CR4_PAE | X86_CR4_LA57));
	EXPECT(!cr4_write(vcpu, X86_CR4_PAE | X86_CR4_VMXE));
	EXPECT(!cr4_write(vcpu, X86_CR4_PAE | 1ull << 40));
	vcpu->regs.cr3 = 5;
	EXPECT(!cr4_write(vcpu, X86_CR4_PAE | X86_CR4_PCIDE));	/* CR3[11:0] is not 0 */
	EXPECT_EQ(vcpu->regs.cr4, X86_CR4_PAE);
	vcpu->regs.cr3 = 0x1000;
	EXPECT(cr4_write(vcpu, all));
	EXPECT_EQ(vcpu->regs.cr4, all);
	world_end();
	vcpu = start(PROT_CR0, 0, 0);
	EXPECT(!cr4_write(vcpu, X86_CR4_PCIDE));		/* only in long mode */
	EXPECT(cr4_write(vcpu, X86_CR4_PAE | X86_CR4_LA57));
	world_end();
	vcpu = long_mode();
	world_cpuid_clear(7, 0, EBX, BIT(7));
	EXPECT(!cr4_write(vcpu, X86_CR4_PAE | X86_CR4_SMEP));
	world_end();
}

static void cr3_rules(void)
{
	struct vcpu *vcpu = long_mode();

	EXPECT(!cr3_write(vcpu, 1ull << 46));
	EXPECT(!cr3_write(vcpu, 1ull << 63 | 0x1000));		/* no PCID: reserved */
	EXPECT_EQ(vcpu->regs.cr3, 0);
	EXPECT(cr3_write(vcpu, 0x3ffffffff000ull));
	EXPECT(test_bit(REQ_TLB_FLUSH_GUEST, &vcpu->requests));
	vcpu->requests = 0;
	vcpu->regs.cr4 |= X86_CR4_PCIDE;
	EXPECT(cr3_write(vcpu, 1ull << 63 | 0x1007));
	EXPECT_EQ(vcpu->regs.cr3, 0x1007);
	EXPECT(!test_bit(REQ_TLB_FLUSH_GUEST, &vcpu->requests));
	world_end();
}

static void pdptes(void)
{
	struct vcpu *vcpu = start(PROT_CR0 | X86_CR0_PG, X86_CR4_PAE, 0);

	world.memory[4] = 0x2001;
	world.memory[5] = 0xdead0;			/* not present: anything */
	EXPECT(cr3_write(vcpu, 0x20));
	EXPECT_EQ(vcpu->regs.pdptr[0], 0x2001);
	EXPECT(vcpu->regs.dirty & BIT_ULL(REG_PDPTR));
	world.memory[6] = 0x2003;			/* bit 1 is reserved */
	EXPECT(!cr3_write(vcpu, 0x20));
	world.memory[6] = 1ull << 46 | 1;
	EXPECT(!cr3_write(vcpu, 0x20));
	EXPECT(!cr3_write(vcpu, 0x2000));		/* not memory */
	EXPECT_EQ(vcpu->regs.cr3, 0x20);
	world_end();
}

static void efer_rules(void)
{
	struct vcpu *vcpu = long_mode();

	EXPECT(!efer_write(vcpu, 0, false));			/* LME with paging on */
	EXPECT(efer_write(vcpu, 0, true));
	EXPECT(efer_write(vcpu, EFER_LME | EFER_SCE | EFER_NX, true));
	EXPECT_EQ(vcpu->regs.efer, EFER_LME | EFER_LMA | EFER_SCE | EFER_NX);	/* LMA is kept */
	EXPECT(!efer_write(vcpu, EFER_LME | 1 << 12, true));
	world_cpuid_clear(0x80000001, 0, EDX, BIT(20));
	EXPECT(!efer_write(vcpu, EFER_LME | EFER_NX, false));
	EXPECT(efer_write(vcpu, EFER_LME | EFER_NX, true));
	world_end();
}

static int cr_do(struct vcpu *vcpu, int op, u8 cr, u8 gpr, u16 lmsw)
{
	struct vcpu_exit exit = {
		.kind = EXIT_CR, .cr = { .cr = cr, .gpr = gpr, .op = op, .lmsw = lmsw },
	};

	return cr_exit(vcpu, &exit);
}

static void exits(void)
{
	struct vcpu *vcpu = start(PROT_CR0 | X86_CR0_TS, 0, 0);

	EXPECT_EQ(cr_do(vcpu, CR_CLTS, 0, 0, 0), RESUME);
	EXPECT_EQ(vcpu->regs.cr0, PROT_CR0);
	EXPECT_EQ(cr_do(vcpu, CR_LMSW, 0, 0, 0xfffe & ~1), RESUME);
	/* PE stays */
	EXPECT_EQ(vcpu->regs.cr0, PROT_CR0 | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS);
	vcpu->regs.gpr[GPR_RBX] = ~0ul << 32 | PROT_CR0;	/* 32-bit code writes 32 bits */
	EXPECT_EQ(cr_do(vcpu, CR_WRITE, 0, GPR_RBX, 0), RESUME);
	EXPECT_EQ(world.gp, 0);
	EXPECT_EQ(vcpu->regs.cr0, PROT_CR0);
	EXPECT_EQ(vcpu->regs.rip, 0xfff0 + 3 * 2);
	vcpu->regs.gpr[GPR_RBX] = X86_CR0_PG;
	EXPECT_EQ(cr_do(vcpu, CR_WRITE, 0, GPR_RBX, 0), RESUME);
	EXPECT_EQ(world.gp, 1);
	EXPECT_EQ(vcpu->regs.rip, 0xfff0 + 3 * 2);	/* #GP leaves RIP at the instruction */
	EXPECT_EQ(cr_do(vcpu, CR_READ, 0, GPR_RSI, 0), RESUME);
	EXPECT_EQ(vcpu->regs.gpr[GPR_RSI], PROT_CR0);
	world_end();
}

/* Without a LAPIC in the kernel userspace hears of each lowered CR8. */
static void cr8_to_user(void)
{
	struct vcpu *vcpu = long_mode();

	vcpu->regs.gpr[GPR_RAX] = 9;
	EXPECT_EQ(cr_do(vcpu, CR_WRITE, 8, GPR_RAX, 0), RESUME);
	vcpu->regs.gpr[GPR_RAX] = 3;
	EXPECT_EQ(cr_do(vcpu, CR_WRITE, 8, GPR_RAX, 0), TO_USER);
	EXPECT_EQ(vcpu->run->exit_reason, KVM_EXIT_SET_TPR);
	EXPECT_EQ(cr8_read(vcpu), 3);
	vcpu->regs.gpr[GPR_RAX] = 2;		/* the debugger comes first */
	vcpu->guest_debug = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	vcpu->regs.rflags |= X86_EFLAGS_TF;
	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	EXPECT_EQ(cr_do(vcpu, CR_WRITE, 8, GPR_RAX, 0), TO_USER);
	EXPECT_EQ(vcpu->run->exit_reason, KVM_EXIT_DEBUG);
	vcpu->guest_debug = 0;
	vcpu->regs.gpr[GPR_RAX] = 16;
	EXPECT_EQ(cr_do(vcpu, CR_WRITE, 8, GPR_RAX, 0), RESUME);
	EXPECT_EQ(world.gp, 1);
	world_end();
}

/* R2: a bad value anywhere and not one register changes. */
static void sregs_atomic(void)
{
	static const struct { u64 cr0, cr4, efer, base; bool ok; } rows[] = {
		{ LONG_CR0, X86_CR4_PAE, EFER_LME | EFER_LMA, 0xfee00900, true },
		{ LONG_CR0 | X86_CR0_CD | X86_CR0_NW, X86_CR4_PAE, EFER_LME | EFER_LMA,
		  0xfee00900, true },
		{ X86_CR0_PG, 0, 0, 0xfee00900, false },
		{ PROT_CR0, 0, EFER_LMA, 0xfee00900, false },
		{ LONG_CR0, 0, EFER_LME | EFER_LMA, 0xfee00900, false },
		{ LONG_CR0, X86_CR4_PAE, EFER_LME, 0xfee00900, false },
		{ PROT_CR0, X86_CR4_VMXE, 0, 0xfee00900, false },
		{ PROT_CR0, 0, 1 << 12, 0xfee00900, false },
		{ PROT_CR0, 0, 0, 1 << 10, false },
	};
	struct kvm_sregs sregs, before, after;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vcpu *vcpu = world_start();

		sregs_to_user(vcpu, &before);
		sregs = before;
		sregs.cr0 = rows[i].cr0;
		sregs.cr4 = rows[i].cr4;
		sregs.efer = rows[i].efer;
		sregs.apic_base = rows[i].base;
		sregs.cr8 = 16;				/* ignored, not refused */
		ret = sregs_from_user(vcpu, &sregs);
		if (ret != (rows[i].ok ? 0 : -EINVAL))
			printf("# row %d\n", i);
		EXPECT_EQ(ret, rows[i].ok ? 0 : -EINVAL);
		sregs_to_user(vcpu, &after);
		if (!rows[i].ok)
			EXPECT_EQ(memcmp(&before, &after, sizeof(before)), 0);
		else
			EXPECT_EQ(after.efer, rows[i].efer);
		world_end();
	}
}

/* No sequence of guest writes reaches a state that VM entry would refuse. */
static void fuzz(void)
{
	struct vcpu *vcpu = start(X86_CR0_ET, 0, 0);
	int i;

	for (i = 0; i < 200000; i++) {
		struct vcpu_regs *r = &vcpu->regs;
		u64 val = 1ull << world_random() % 64;
		bool pg, lma;

		r->segs[SEG_CS].l = r->efer & EFER_LMA ? world_random() % 2 :
							 world_random() % 8 == 0;
		switch (world_random() % 4) {
		case 0:
			cr0_write(vcpu, world_random() % 3 ? r->cr0 ^ val : world_random());
			break;
		case 1:
			cr3_write(vcpu, world_random() % 3 ? r->cr3 ^ val : world_random() & 0xfff);
			break;
		case 2:
			cr4_write(vcpu, world_random() % 3 ? r->cr4 ^ val : world_random());
			break;
		case 3:
			efer_write(vcpu, r->efer ^ val, false);
		}
		pg = r->cr0 & X86_CR0_PG;
		lma = r->efer & EFER_LMA;
		EXPECT(!pg || (r->cr0 & X86_CR0_PE));
		EXPECT_EQ(lma, pg && (r->efer & EFER_LME));
		EXPECT(!lma || (r->cr4 & X86_CR4_PAE));
		EXPECT(!(r->cr4 & X86_CR4_PCIDE) || lma);
		EXPECT(!(r->cr4 & ~cpuid_host.cr4) && !(r->cr0 >> 32) && (r->cr0 & X86_CR0_ET));
		if (ktap_failed)
			break;
	}
	world_end();
}

static const struct ktap_case cases[] = {
	{ "cr0_rules", cr0_rules },
	{ "lma_follows_paging", lma_follows_paging },
	{ "cr4_rules", cr4_rules },
	{ "cr3_rules", cr3_rules },
	{ "pdptes", pdptes },
	{ "efer_rules", efer_rules },
	{ "exits", exits },
	{ "cr8_to_user", cr8_to_user },
	{ "sregs_atomic", sregs_atomic },
	{ "fuzz", fuzz },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
