// SPDX-License-Identifier: GPL-2.0-only
/* Ports, interrupt flag, control registers, MSRs: checked here, done by the caller's ops. */
#include "insn.h"

/* Virtual-8086 mode asks the TSS bitmap whatever IOPL is. */
void sys_check_pio(struct emul *e, u16 port, unsigned int size)
{
	bool iopl_decides = e->state.mode != EMUL_MODE_VM86;

	if (e->result || e->state.mode == EMUL_MODE_REAL ||
	    (iopl_decides && e->state.cpl <= emul_iopl(e)))
		return;
	if (e->ops->pio_allowed)
		e->result = e->ops->pio_allowed(e, port, size);
	else
		mem_gp(e, 0);
}

/* E4-E7 have the port in the opcode, EC-EF in DX. */
static u16 sys_port(struct emul *e)
{
	u16 port = (u16)(e->d.opcode & 8 ? e->state.regs.gpr[EMUL_RDX] : e->d.imm);

	sys_check_pio(e, port, e->d.op_bytes);
	return port;
}

void sys_in(struct emul *e)
{
	u16 port = sys_port(e);

	e->dst.val = 0;
	if (!e->result)
		e->result = e->ops->pio_in(e, port, e->d.op_bytes, &e->dst.val, 1);
}

void sys_out(struct emul *e)
{
	u16 port = sys_port(e);

	if (!e->result)
		e->result = e->ops->pio_out(e, port, e->d.op_bytes, &e->src.val, 1);
}

/* CLI and STI; the virtual interrupt flag is not emulated. */
static void sys_check_if(struct emul *e)
{
	u64 virtual = e->state.mode == EMUL_MODE_VM86 ? X86_CR4_VME : X86_CR4_PVI;

	if (e->state.mode == EMUL_MODE_REAL || e->state.cpl <= emul_iopl(e))
		return;
	if (e->state.cr4 & virtual)
		mem_result(e, EMUL_UNHANDLEABLE);
	mem_gp(e, 0);
}

void sys_cli(struct emul *e)
{
	sys_check_if(e);
	emul_set_flag(e, X86_EFLAGS_IF, false);
}

void sys_sti(struct emul *e)
{
	sys_check_if(e);
	if (!(e->state.regs.rflags & X86_EFLAGS_IF))
		e->shadow = EMUL_SHADOW_STI;
	emul_set_flag(e, X86_EFLAGS_IF, true);
}

/* An op that the caller may leave out. */
#define SYS_OP(_e, _op, ...) \
	mem_result(_e, (_e)->ops->_op ? ((_e)->ops->_op)(_e, ##__VA_ARGS__) : EMUL_UNHANDLEABLE)

void sys_elsewhere(struct emul *e)
{
	mem_result(e, EMUL_UNHANDLEABLE);
}

void sys_hlt(struct emul *e)
{
	SYS_OP(e, hlt);
}

void sys_wbinvd(struct emul *e)
{
	SYS_OP(e, wbinvd);
}

void sys_invlpg(struct emul *e)
{
	u64 linear = mem_base(e, e->dst.seg) + e->dst.offset;

	SYS_OP(e, invlpg, emul_is_64(e) ? linear : (u32)linear);
}

void sys_cpuid(struct emul *e)
{
	u64 *gpr = e->state.regs.gpr;
	u32 regs[4] = { (u32)gpr[EMUL_RAX], 0, (u32)gpr[EMUL_RCX], 0 };

	SYS_OP(e, cpuid, regs);
	gpr[EMUL_RAX] = regs[0];
	gpr[EMUL_RBX] = regs[1];
	gpr[EMUL_RCX] = regs[2];
	gpr[EMUL_RDX] = regs[3];
}

static void sys_set_edx_eax(struct emul *e, u64 val)
{
	e->state.regs.gpr[EMUL_RAX] = (u32)val;
	e->state.regs.gpr[EMUL_RDX] = val >> 32;
}

void sys_rdmsr(struct emul *e)
{
	u64 val = 0;

	SYS_OP(e, rdmsr, (u32)e->state.regs.gpr[EMUL_RCX], &val);
	sys_set_edx_eax(e, val);
}

void sys_wrmsr(struct emul *e)
{
	const u64 *gpr = e->state.regs.gpr;

	SYS_OP(e, wrmsr, (u32)gpr[EMUL_RCX], gpr[EMUL_RDX] << 32 | (u32)gpr[EMUL_RAX]);
}

void sys_rdtsc(struct emul *e)
{
	u64 val = 0;

	if ((e->state.cr4 & X86_CR4_TSD) && e->state.cpl && e->state.mode != EMUL_MODE_REAL) {
		mem_gp(e, 0);
		return;
	}
	SYS_OP(e, rdtsc, &val);
	sys_set_edx_eax(e, val);
}

/* 0F 20 and 22 are control registers, 21 and 23 debug registers. */
void sys_mov_from_cr(struct emul *e)
{
	u64 val = 0;

	if (e->d.opcode & 1)
		SYS_OP(e, get_dr, e->d.reg, &val);
	else
		SYS_OP(e, get_cr, e->d.reg, &val);
	exec_reg_write(e, e->d.rm, emul_is_64(e) ? 8 : 4, val);
}

void sys_mov_to_cr(struct emul *e)
{
	u64 val = exec_reg_read(e, e->d.rm, emul_is_64(e) ? 8 : 4);

	if (e->d.opcode & 1)
		SYS_OP(e, set_dr, e->d.reg, val);
	else
		SYS_OP(e, set_cr, e->d.reg, val);
}

void sys_clts(struct emul *e)
{
	SYS_OP(e, set_cr, 0, e->state.cr0 & ~X86_CR0_TS);
}

/* SGDT, SIDT, SLDT, STR, SMSW. */
void sys_check_umip(struct emul *e)
{
	if ((e->state.cr4 & X86_CR4_UMIP) && e->state.cpl)
		mem_gp(e, 0);
}

void sys_smsw(struct emul *e)
{
	sys_check_umip(e);
	e->dst.val = e->state.cr0;
}

/* LMSW sets PE, MP, EM and TS, and can not clear PE. */
void sys_lmsw(struct emul *e)
{
	SYS_OP(e, set_cr, 0, (e->state.cr0 & ~0xeull) | (e->src.val & 0xf));
}
