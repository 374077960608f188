// SPDX-License-Identifier: GPL-2.0-only
/* Segment registers and descriptor tables. */
#include <asm/msr-index.h>
#include "insn.h"

#define TYPE_CODE	8
#define TYPE_CONFORMING	4
#define TYPE_RW		2
#define TYPE_ACCESSED	1
#define TYPE_LDT	2
#define TYPE_TSS	9
#define TYPE_BUSY	2

static bool seg_null(u16 selector)
{
	return !(selector & ~3u);
}

/* The linear address of a descriptor, or #GP of the selector. */
static u64 seg_descriptor_address(struct emul *e, u16 selector, unsigned int bytes)
{
	const struct kvm_segment *ldt = &e->state.seg[EMUL_LDTR];
	bool local = selector & 4;
	u64 linear = (local ? ldt->base : e->state.gdt.base) + (selector & ~7u);
	u32 limit = local ? ldt->limit : e->state.gdt.limit;

	if ((local && ldt->unusable) || (selector & ~7u) + bytes - 1 > limit)
		mem_gp(e, selector & ~3u);
	return emul_is_64(e) ? linear : (u32)linear;
}

static struct kvm_segment seg_unpack(u16 selector, u64 desc)
{
	struct kvm_segment s = {
		.base = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000),
		.limit = (desc & 0xffff) | (desc >> 32 & 0xf0000),
		.selector = selector,
		.type = desc >> 40 & 0xf,
		.s = desc >> 44 & 1,
		.dpl = desc >> 45 & 3,
		.present = desc >> 47 & 1,
		.avl = desc >> 52 & 1,
		.l = desc >> 53 & 1,
		.db = desc >> 54 & 1,
		.g = desc >> 55 & 1,
	};

	if (s.g)
		s.limit = s.limit << 12 | 0xfff;
	return s;
}

static struct kvm_segment seg_read_descriptor(struct emul *e, u16 selector)
{
	u64 desc;

	if (seg_null(selector))
		mem_gp(e, 0);
	mem_load(e, seg_descriptor_address(e, selector, 8), &desc, 8, EMUL_ACC_SYSTEM);
	return seg_unpack(selector, desc);
}

static void seg_write_type(struct emul *e, struct kvm_segment *s, u8 bits)
{
	u8 access;

	if ((s->type & bits) == bits)
		return;
	s->type |= bits;
	access = s->type | s->s << 4 | s->dpl << 5 | s->present << 7;
	mem_store(e, seg_descriptor_address(e, s->selector, 8) + 5, &access, 1, EMUL_ACC_SYSTEM);
}

/* Real and virtual-8086 mode: the limit and rights of the hidden part stay (unreal mode). */
static void seg_load_86(struct emul *e, struct kvm_segment *s, u16 selector)
{
	s->selector = selector;
	s->base = (u64)selector << 4;
	s->unusable = false;
	if (e->state.mode == EMUL_MODE_VM86)
		*s = (struct kvm_segment) { .base = s->base, .limit = 0xffff, .dpl = 3, .s = true,
			.selector = selector, .type = 3, .present = true };
}

static void seg_load_null(struct emul *e, unsigned int sreg, u16 selector)
{
	u8 cpl = e->state.cpl;

	if (sreg == EMUL_SS && (!emul_is_64(e) || cpl == 3 || (selector & 3) != cpl))
		mem_gp(e, 0);
	if (e->result)
		return;
	e->state.seg[sreg] = (struct kvm_segment) {
		.selector = selector, .unusable = true, .dpl = sreg == EMUL_SS ? cpl : 0,
	};
}

static bool seg_data_allowed(const struct emul *e, unsigned int sreg, const struct kvm_segment *s)
{
	u8 rpl = s->selector & 3, cpl = e->state.cpl;
	bool code = s->type & TYPE_CODE;

	if (!s->s)
		return false;
	if (sreg == EMUL_SS)
		return rpl == cpl && s->dpl == cpl && !code && (s->type & TYPE_RW);
	if (code && !(s->type & TYPE_RW))
		return false;
	if (code && (s->type & TYPE_CONFORMING))
		return true;
	return rpl <= s->dpl && cpl <= s->dpl;
}

/* Load a data segment register, or SS. */
static void seg_load(struct emul *e, unsigned int sreg, u16 selector)
{
	struct kvm_segment s;

	if (e->result)
		return;
	if (emul_is_86(e)) {
		seg_load_86(e, &e->state.seg[sreg], selector);
		return;
	}
	if (seg_null(selector)) {
		seg_load_null(e, sreg, selector);
		return;
	}
	s = seg_read_descriptor(e, selector);
	if (!seg_data_allowed(e, sreg, &s))
		mem_gp(e, selector & ~3u);
	if (!s.present)
		mem_fault(e, sreg == EMUL_SS ? EMUL_SS_FAULT : EMUL_NP, selector & ~3u);
	seg_write_type(e, &s, TYPE_ACCESSED);
	if (!e->result)
		e->state.seg[sreg] = s;
}

static void seg_check_code(struct emul *e, const struct kvm_segment *s, bool ret)
{
	u8 rpl = s->selector & 3, cpl = e->state.cpl;
	bool conforming = s->type & TYPE_CONFORMING;
	u32 error = s->selector & ~3u;

	/* Gates, task switches and returns to an outer level. */
	if ((!s->s && !ret) || (ret && rpl > cpl))
		mem_result(e, EMUL_UNHANDLEABLE);
	if (!s->s || !(s->type & TYPE_CODE) || (ret && rpl < cpl))
		mem_gp(e, error);
	if (conforming ? s->dpl > cpl : s->dpl != cpl || rpl > cpl)
		mem_gp(e, error);
	if ((e->state.efer & EFER_LMA) && s->l && s->db)
		mem_gp(e, error);
	if (!s->present)
		mem_fault(e, EMUL_NP, error);
}

static void seg_check_ip(struct emul *e, const struct kvm_segment *cs, u64 ip)
{
	bool long_mode = (e->state.efer & EFER_LMA) && cs->l;

	if (long_mode ? !mem_canonical(e, ip) : ip > cs->limit)
		mem_gp(e, 0);
}

/*
 * Check the target of a far transfer without changing anything but the accessed bit. @ret: the
 * transfer is a RETF or IRET, whose selector's RPL names the privilege level to return to.
 */
void seg_check_cs(struct emul *e, u16 selector, u64 ip, bool ret, struct kvm_segment *cs)
{
	if (emul_is_86(e)) {
		*cs = e->state.seg[EMUL_CS];
		seg_load_86(e, cs, selector);
		seg_check_ip(e, cs, ip);
		return;
	}
	*cs = seg_read_descriptor(e, selector);
	seg_check_code(e, cs, ret);
	seg_check_ip(e, cs, ip);
	cs->selector = (selector & ~3u) | e->state.cpl;
	seg_write_type(e, cs, TYPE_ACCESSED);
}

void seg_set_cs(struct emul *e, const struct kvm_segment *cs, u64 ip)
{
	if (e->result)
		return;
	e->state.seg[EMUL_CS] = *cs;
	e->state.regs.rip = ip;
	if (e->state.efer & EFER_LMA)
		e->state.mode = cs->l ? EMUL_MODE_64 : EMUL_MODE_PROT;
}

/* MOV to and POP of a segment register. */
void seg_mov(struct emul *e)
{
	unsigned int sreg = e->d.opcode == 0x8e ? e->d.reg & 7 : e->d.opcode >> 3 & 7;

	if (sreg == EMUL_SS)
		e->shadow = EMUL_SHADOW_MOV_SS;
	seg_load(e, sreg, (u16)e->src.val);
}

/* LES C4, LDS C5, LSS 0F B2, LFS 0F B4, LGS 0F B5. */
void seg_far_pointer(struct emul *e)
{
	unsigned int sreg = e->d.opcode & 7;
	u16 selector;
	u64 offset = mem_read_far(e, &e->dst, &selector);

	if (e->d.opcode >= 0xc4)
		sreg = e->d.opcode == 0xc4 ? EMUL_ES : EMUL_DS;
	seg_load(e, sreg, selector);
	exec_reg_write(e, e->d.reg, e->d.op_bytes, offset);
}

static struct kvm_dtable *seg_table(struct emul *e)
{
	return e->d.reg & 1 ? &e->state.idt : &e->state.gdt;
}

/* SGDT, SIDT. */
void seg_table_store(struct emul *e)
{
	unsigned int len = emul_is_64(e) ? 10 : 6;
	u8 buf[10];

	sys_check_umip(e);
	memcpy(buf, &seg_table(e)->limit, 2);
	memcpy(buf + 2, &seg_table(e)->base, 8);
	mem_store(e, mem_linear(e, e->dst.seg, e->dst.offset, len, true), buf, len, 0);
}

/* LGDT, LIDT; a 16-bit operand size loads 24 bits of the base. */
void seg_table_load(struct emul *e)
{
	unsigned int len = emul_is_64(e) ? 10 : 6;
	u8 buf[10] = { 0 };

	mem_load(e, mem_linear(e, e->dst.seg, e->dst.offset, len, false), buf, len, 0);
	if (e->result)
		return;
	memcpy(&seg_table(e)->limit, buf, 2);
	memcpy(&seg_table(e)->base, buf + 2, 8);
	if (!emul_is_64(e) && e->d.op_bytes == 2)
		seg_table(e)->base &= 0xffffff;
}

/* SLDT, STR. */
void seg_sldt(struct emul *e)
{
	sys_check_umip(e);
	e->dst.val = e->state.seg[e->d.reg & 1 ? EMUL_TR : EMUL_LDTR].selector;
}

/* A 16-bit TSS is an available one too, outside long mode. */
static bool seg_system_allowed(const struct emul *e, const struct kvm_segment *s, bool tr)
{
	if (s->s || !tr)
		return !s->s && s->type == TYPE_LDT;
	return s->type == TYPE_TSS || (!emul_is_64(e) && (s->type | 8) == TYPE_TSS);
}

/* LLDT, LTR: the base of a 64-bit system descriptor continues in the next 8 bytes. */
void seg_lldt(struct emul *e)
{
	bool tr = e->d.reg & 1;
	u16 selector = (u16)e->src.val;
	struct kvm_segment s;
	u64 high = 0;

	if (seg_null(selector) && !tr) {
		seg_load_null(e, EMUL_LDTR, selector);
		return;
	}
	if (selector & 4)
		mem_gp(e, selector & ~3u);
	s = seg_read_descriptor(e, selector);
	if (emul_is_64(e))
		mem_load(e, seg_descriptor_address(e, selector, 16) + 8, &high, 8, EMUL_ACC_SYSTEM);
	if (!seg_system_allowed(e, &s, tr))
		mem_gp(e, selector & ~3u);
	if (!s.present)
		mem_fault(e, EMUL_NP, selector & ~3u);
	s.base |= high << 32;
	if (tr)
		seg_write_type(e, &s, TYPE_BUSY);
	if (!e->result)
		e->state.seg[tr ? EMUL_TR : EMUL_LDTR] = s;
}
