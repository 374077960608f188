// SPDX-License-Identifier: GPL-2.0-only
/* Segment registers and descriptor tables. */
#include "insn.h"

#define EFER_LMA	0x400ull
#define CR4_UMIP	0x800ull

#define TYPE_CODE	8
#define TYPE_CONFORMING	4
#define TYPE_RW		2
#define TYPE_ACCESSED	1
#define TYPE_LDT	2
#define TYPE_TSS	9
#define TYPE_BUSY	2

/* The linear address of a descriptor, or #GP of the selector. */
static int seg_descriptor_address(struct emul *e, u16 selector, unsigned int bytes, u64 *linear)
{
	const struct emul_segment *ldt = &e->state.seg[EMUL_LDTR];
	bool local = selector & 4;
	u64 base = local ? ldt->base : e->state.gdt.base;
	u32 limit = local ? ldt->limit : e->state.gdt.limit;

	if ((local && ldt->unusable) || (selector & ~7u) + bytes - 1 > limit)
		return mem_gp(e, selector & ~3u);
	*linear = base + (selector & ~7u);
	if (!emul_is_64(e))
		*linear = (u32)*linear;
	return EMUL_CONTINUE;
}

static struct emul_segment seg_unpack(u16 selector, u64 desc)
{
	struct emul_segment s = {
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

static int seg_read_descriptor(struct emul *e, u16 selector, struct emul_segment *s, u64 *linear)
{
	u64 desc;
	int r = seg_descriptor_address(e, selector, 8, linear);

	if (!r)
		r = e->ops->read(e, *linear, &desc, 8, EMUL_ACC_SYSTEM);
	if (!r)
		*s = seg_unpack(selector, desc);
	return r;
}

static int seg_write_type(struct emul *e, struct emul_segment *s, u64 linear, u8 bits)
{
	u8 access;

	if ((s->type & bits) == bits)
		return EMUL_CONTINUE;
	s->type |= bits;
	access = s->type | s->s << 4 | s->dpl << 5 | s->present << 7;
	return e->ops->write(e, linear + 5, &access, 1, EMUL_ACC_SYSTEM);
}

/* Real and virtual-8086 mode: the limit and rights of the hidden part stay (unreal mode). */
static void seg_load_86(struct emul *e, struct emul_segment *s, u16 selector)
{
	s->selector = selector;
	s->base = (u64)selector << 4;
	s->unusable = false;
	if (e->state.mode == EMUL_MODE_VM86)
		*s = (struct emul_segment) { .base = s->base, .limit = 0xffff, .dpl = 3, .s = true,
			.selector = selector, .type = 3, .present = true };
}

static int seg_load_null(struct emul *e, unsigned int sreg, u16 selector)
{
	struct emul_segment *s = &e->state.seg[sreg];

	if (sreg == EMUL_SS && (!emul_is_64(e) || e->state.cpl == 3 ||
				(selector & 3) != e->state.cpl))
		return mem_gp(e, 0);
	*s = (struct emul_segment) { .selector = selector, .unusable = true };
	if (sreg == EMUL_SS)
		s->dpl = e->state.cpl;
	return EMUL_CONTINUE;
}

static bool seg_data_allowed(const struct emul *e, unsigned int sreg,
			     const struct emul_segment *s)
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
static int seg_load(struct emul *e, unsigned int sreg, u16 selector)
{
	struct emul_segment s;
	u64 linear;
	int r;

	if (emul_is_86(e)) {
		seg_load_86(e, &e->state.seg[sreg], selector);
		return EMUL_CONTINUE;
	}
	if (!(selector & ~3u))
		return seg_load_null(e, sreg, selector);
	r = seg_read_descriptor(e, selector, &s, &linear);
	if (r)
		return r;
	if (!seg_data_allowed(e, sreg, &s))
		return mem_gp(e, selector & ~3u);
	if (!s.present)
		return mem_fault(e, sreg == EMUL_SS ? EMUL_SS_FAULT : EMUL_NP, selector & ~3u);
	r = seg_write_type(e, &s, linear, TYPE_ACCESSED);
	if (!r)
		e->state.seg[sreg] = s;
	return r;
}

static int seg_check_code(struct emul *e, struct emul_segment *s, bool ret)
{
	u8 rpl = s->selector & 3, cpl = e->state.cpl;
	bool conforming = s->type & TYPE_CONFORMING;

	/* Gates, task switches and returns to an outer level. */
	if ((!s->s && !ret) || (ret && rpl > cpl))
		return EMUL_UNHANDLEABLE;
	if (!s->s || !(s->type & TYPE_CODE) || (ret && rpl < cpl))
		return mem_gp(e, s->selector & ~3u);
	if (conforming ? s->dpl > cpl : s->dpl != cpl || rpl > cpl)
		return mem_gp(e, s->selector & ~3u);
	if ((e->state.efer & EFER_LMA) && s->l && s->db)
		return mem_gp(e, s->selector & ~3u);
	if (!s->present)
		return mem_fault(e, EMUL_NP, s->selector & ~3u);
	s->selector = (s->selector & ~3u) | cpl;
	return EMUL_CONTINUE;
}

static bool seg_contains_ip(const struct emul *e, const struct emul_segment *cs, u64 ip)
{
	if ((e->state.efer & EFER_LMA) && cs->l)
		return mem_canonical(e, ip);
	return ip <= cs->limit;
}

/*
 * Check the target of a far transfer without changing anything but the accessed bit. @ret: the
 * transfer is a RETF or IRET, whose selector's RPL names the privilege level to return to.
 */
int seg_check_cs(struct emul *e, u16 selector, u64 ip, bool ret, struct emul_segment *cs)
{
	u64 linear;
	int r;

	if (emul_is_86(e)) {
		*cs = e->state.seg[EMUL_CS];
		seg_load_86(e, cs, selector);
		return seg_contains_ip(e, cs, ip) ? EMUL_CONTINUE : mem_gp(e, 0);
	}
	if (!(selector & ~3u))
		return mem_gp(e, 0);
	r = seg_read_descriptor(e, selector, cs, &linear);
	if (!r)
		r = seg_check_code(e, cs, ret);
	if (!r && !seg_contains_ip(e, cs, ip))
		r = mem_gp(e, 0);
	return r ? r : seg_write_type(e, cs, linear, TYPE_ACCESSED);
}

void seg_set_cs(struct emul *e, const struct emul_segment *cs, u64 ip)
{
	e->state.seg[EMUL_CS] = *cs;
	e->state.regs.rip = ip;
	if (e->state.efer & EFER_LMA)
		e->state.mode = cs->l ? EMUL_MODE_64 : EMUL_MODE_PROT;
}

/* MOV to and POP of a segment register. */
int seg_mov(struct emul *e)
{
	unsigned int sreg = e->d.opcode == 0x8e ? e->d.reg & 7 : e->d.opcode >> 3 & 7;

	if (sreg == EMUL_SS)
		e->shadow = EMUL_SHADOW_MOV_SS;
	return seg_load(e, sreg, (u16)e->src.val);
}

/* LES, LDS, LSS, LFS, LGS. */
int seg_far_pointer(struct emul *e)
{
	unsigned int sreg = e->d.opcode & 7;
	u16 selector;
	u64 offset;
	int r = mem_read_far(e, &e->dst, &offset, &selector);

	if (e->d.opcode >= 0xc4)
		sreg = e->d.opcode == 0xc4 ? EMUL_ES : EMUL_DS;
	if (!r)
		r = seg_load(e, sreg, selector);
	if (!r)
		exec_reg_write(e, e->d.reg, e->d.op_bytes, offset);
	return r;
}

static bool seg_umip_denies(const struct emul *e)
{
	return (e->state.cr4 & CR4_UMIP) && e->state.cpl;
}

/* SGDT, SIDT. */
int seg_table_store(struct emul *e)
{
	const struct emul_table *table = e->d.reg & 1 ? &e->state.idt : &e->state.gdt;
	u8 buf[10];

	if (seg_umip_denies(e))
		return mem_gp(e, 0);
	memcpy(buf, &table->limit, 2);
	memcpy(buf + 2, &table->base, 8);
	return mem_write(e, e->dst.seg, e->dst.offset, buf, emul_is_64(e) ? 10 : 6);
}

/* LGDT, LIDT; a 16-bit operand size loads 24 bits of the base. */
int seg_table_load(struct emul *e)
{
	struct emul_table *table = e->d.reg & 1 ? &e->state.idt : &e->state.gdt;
	u8 buf[10] = { 0 };
	int r = mem_read(e, e->dst.seg, e->dst.offset, buf, emul_is_64(e) ? 10 : 6);

	if (r)
		return r;
	memcpy(&table->limit, buf, 2);
	memcpy(&table->base, buf + 2, 8);
	if (!emul_is_64(e) && e->d.op_bytes == 2)
		table->base &= 0xffffff;
	return EMUL_CONTINUE;
}

/* SLDT, STR. */
int seg_sldt(struct emul *e)
{
	if (seg_umip_denies(e))
		return mem_gp(e, 0);
	e->dst.val = e->state.seg[e->d.reg & 1 ? EMUL_TR : EMUL_LDTR].selector;
	return EMUL_CONTINUE;
}

/* LLDT, LTR: the base of a 64-bit system descriptor continues in the next 8 bytes. */
int seg_lldt(struct emul *e)
{
	bool tr = e->d.reg & 1;
	u16 selector = (u16)e->src.val;
	struct emul_segment s;
	u64 linear, high = 0;
	int r;

	if (!(selector & ~3u) && !tr)
		return seg_load_null(e, EMUL_LDTR, selector);
	if (!(selector & ~3u) || (selector & 4))
		return mem_gp(e, selector & ~3u);
	r = seg_read_descriptor(e, selector, &s, &linear);
	if (!r && emul_is_64(e))
		r = seg_descriptor_address(e, selector, 16, &linear);
	if (!r && emul_is_64(e))
		r = e->ops->read(e, linear + 8, &high, 8, EMUL_ACC_SYSTEM);
	if (r)
		return r;
	/* A 16-bit TSS is an available one too, outside long mode. */
	if (s.s || (tr ? (s.type | 8) != TYPE_TSS || (emul_is_64(e) && s.type != TYPE_TSS) :
			 s.type != TYPE_LDT))
		return mem_gp(e, selector & ~3u);
	if (!s.present)
		return mem_fault(e, EMUL_NP, selector & ~3u);
	s.base |= high << 32;
	if (tr)
		r = seg_write_type(e, &s, linear, TYPE_BUSY);
	if (!r)
		e->state.seg[tr ? EMUL_TR : EMUL_LDTR] = s;
	return r;
}
