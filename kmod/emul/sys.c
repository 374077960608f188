// SPDX-License-Identifier: GPL-2.0-only
/* Ports, interrupt flag, control registers, MSRs: checked here, done by the caller's ops. */
#include "insn.h"

#define CR0_TS		0x8ull
#define CR4_VME		0x1ull
#define CR4_PVI		0x2ull
#define CR4_TSD		0x4ull
#define CR4_UMIP	0x800ull

static bool sys_iopl_allows(const struct emul *e)
{
	return e->state.cpl <= (e->state.regs.rflags & EMUL_IOPL) >> 12;
}

/* Virtual-8086 mode asks the TSS bitmap whatever IOPL is. */
int sys_pio_check(struct emul *e, u16 port, unsigned int size)
{
	if (e->state.mode == EMUL_MODE_REAL)
		return EMUL_CONTINUE;
	if (e->state.mode != EMUL_MODE_VM86 && sys_iopl_allows(e))
		return EMUL_CONTINUE;
	return e->ops->pio_allowed ? e->ops->pio_allowed(e, port, size) : mem_gp(e, 0);
}

/* E4-E7 have the port in the opcode, EC-EF in DX. */
static u16 sys_port(const struct emul *e)
{
	return (u16)(e->d.opcode & 8 ? e->state.regs.gpr[EMUL_RDX] : e->d.imm);
}

int sys_in(struct emul *e)
{
	int r = sys_pio_check(e, sys_port(e), e->d.op_bytes);

	e->dst.val = 0;
	return r ? r : e->ops->pio_in(e, sys_port(e), e->d.op_bytes, &e->dst.val, 1);
}

int sys_out(struct emul *e)
{
	int r = sys_pio_check(e, sys_port(e), e->d.op_bytes);

	return r ? r : e->ops->pio_out(e, sys_port(e), e->d.op_bytes, &e->src.val, 1);
}

/* CLI and STI; the virtual interrupt flag is not emulated. */
static int sys_if_check(struct emul *e)
{
	u64 virtual = e->state.mode == EMUL_MODE_VM86 ? CR4_VME : CR4_PVI;

	if (e->state.mode == EMUL_MODE_REAL || sys_iopl_allows(e))
		return EMUL_CONTINUE;
	return e->state.cr4 & virtual ? EMUL_UNHANDLEABLE : mem_gp(e, 0);
}

int sys_cli(struct emul *e)
{
	int r = sys_if_check(e);

	if (!r)
		e->state.regs.rflags &= ~EMUL_IF;
	return r;
}

int sys_sti(struct emul *e)
{
	int r = sys_if_check(e);

	if (!r && !(e->state.regs.rflags & EMUL_IF))
		e->shadow = EMUL_SHADOW_STI;
	if (!r)
		e->state.regs.rflags |= EMUL_IF;
	return r;
}

/* An op that the caller may leave out. */
#define SYS_OP(_e, _op, ...) \
	((_e)->ops->_op ? (_e)->ops->_op(_e, ##__VA_ARGS__) : EMUL_UNHANDLEABLE)

int sys_elsewhere(struct emul *e)
{
	return EMUL_UNHANDLEABLE;
}

int sys_hlt(struct emul *e)
{
	return SYS_OP(e, hlt);
}

int sys_wbinvd(struct emul *e)
{
	return SYS_OP(e, wbinvd);
}

int sys_invlpg(struct emul *e)
{
	u64 linear = mem_base(e, e->dst.seg) + e->dst.offset;

	return SYS_OP(e, invlpg, emul_is_64(e) ? linear : (u32)linear);
}

int sys_cpuid(struct emul *e)
{
	static const u8 order[4] = { EMUL_RAX, EMUL_RBX, EMUL_RCX, EMUL_RDX };
	u64 *gpr = e->state.regs.gpr;
	u32 regs[4] = { (u32)gpr[EMUL_RAX], 0, (u32)gpr[EMUL_RCX], 0 };
	int i, r = SYS_OP(e, cpuid, regs);

	for (i = 0; i < 4; i++)
		gpr[order[i]] = regs[i];
	return r;
}

static void sys_set_edx_eax(struct emul *e, u64 val)
{
	e->state.regs.gpr[EMUL_RAX] = (u32)val;
	e->state.regs.gpr[EMUL_RDX] = val >> 32;
}

int sys_rdmsr(struct emul *e)
{
	u64 val = 0;
	int r = SYS_OP(e, rdmsr, (u32)e->state.regs.gpr[EMUL_RCX], &val);

	sys_set_edx_eax(e, val);
	return r;
}

int sys_wrmsr(struct emul *e)
{
	const u64 *gpr = e->state.regs.gpr;

	return SYS_OP(e, wrmsr, (u32)gpr[EMUL_RCX], gpr[EMUL_RDX] << 32 | (u32)gpr[EMUL_RAX]);
}

int sys_rdtsc(struct emul *e)
{
	u64 val = 0;
	int r;

	if ((e->state.cr4 & CR4_TSD) && e->state.cpl && e->state.mode != EMUL_MODE_REAL)
		return mem_gp(e, 0);
	r = SYS_OP(e, rdtsc, &val);
	sys_set_edx_eax(e, val);
	return r;
}

static unsigned int sys_cr_bytes(const struct emul *e)
{
	return emul_is_64(e) ? 8 : 4;
}

/* 0F 20 and 22 are control registers, 21 and 23 debug registers. */
int sys_mov_from_cr(struct emul *e)
{
	unsigned int nr = e->d.reg;
	u64 val = 0;
	int r = e->d.opcode & 1 ? SYS_OP(e, get_dr, nr, &val) : SYS_OP(e, get_cr, nr, &val);

	exec_reg_write(e, e->d.rm, sys_cr_bytes(e), val);
	return r;
}

int sys_mov_to_cr(struct emul *e)
{
	unsigned int nr = e->d.reg;
	u64 val = exec_reg_read(e, e->d.rm, sys_cr_bytes(e));

	return e->d.opcode & 1 ? SYS_OP(e, set_dr, nr, val) : SYS_OP(e, set_cr, nr, val);
}

int sys_clts(struct emul *e)
{
	return SYS_OP(e, set_cr, 0, e->state.cr0 & ~CR0_TS);
}

int sys_smsw(struct emul *e)
{
	if ((e->state.cr4 & CR4_UMIP) && e->state.cpl)
		return mem_gp(e, 0);
	e->dst.val = e->state.cr0;
	return EMUL_CONTINUE;
}

/* LMSW sets PE, MP, EM and TS, and can not clear PE. */
int sys_lmsw(struct emul *e)
{
	return SYS_OP(e, set_cr, 0, (e->state.cr0 & ~0xeull) | (e->src.val & 0xf));
}
