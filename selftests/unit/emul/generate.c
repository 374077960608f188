// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes random instances of a form: prefixes, operands, registers. Registers are then bent so
 * that most memory operands point into the data pages, often at a page's edge.
 */
#include "generate.h"

static u64 rng;

u64 generate_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u64 rnd(void)
{
	return generate_random(&rng);
}

static u64 below(u64 n)
{
	return rnd() % n;
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

static u64 random_value(void)
{
	static const u64 corners[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, ~0ull, ~1ull,
	};

	switch (below(4)) {
	case 0:
		return corners[below(sizeof(corners) / sizeof(corners[0]))];
	case 1:
		return below(256);
	default:
		return rnd();
	}
}

/* An offset into the data pages; now and then one that runs over an edge. */
static u64 random_target(const struct form *f)
{
	static const u32 edges[] = { 0, 0x1000, DATA_RW, DATA_SIZE, 0x2800 };
	u64 t;

	if (one_in(8))
		return edges[below(5)] + below(40) - 36;
	t = one_in(16) ? DATA_RW + below(0x800) : 0x100 + below(DATA_RW - 0x200);
	if ((f->flags & FM_SIMD) && !one_in(4))
		t &= ~31ull;
	if (one_in(2))
		t &= ~15ull;
	return t;
}

struct build {
	struct instance *in;
	unsigned int disp_at, disp_bytes;
	unsigned int imm_at, imm_bytes;
	bool op16, ad_toggle, is64, code32;
	u8 rex;
};

static void put(struct build *b, u64 val, unsigned int bytes)
{
	memcpy(b->in->bytes + b->in->len, &val, bytes);
	b->in->len += bytes;
}

static void put_prefixes(struct build *b)
{
	static const u8 segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x65, 0x65, 0x64 };
	const struct form *f = b->in->form;
	bool no66 = (f->flags & FM_NO66) && b->is64;

	if (one_in(6))
		put(b, segments[below(b->is64 ? 6 : 7)], 1);
	b->ad_toggle = one_in(8);
	if (b->ad_toggle)
		put(b, 0x67, 1);
	if (!(f->flags & (FM_SIMD | FM_NO16)) && !no66 && one_in(4)) {
		put(b, 0x66, 1);
		b->op16 = true;
	}
	if ((f->flags & FM_NO16) && !b->code32) {
		put(b, 0x66, 1);
		b->op16 = true;
	}
	if (one_in(f->flags & FM_LOCK ? 3 : 64))
		put(b, 0xf0, 1);
	if ((f->flags & FM_STRING) && !one_in(3))
		put(b, 0xf2 + below(2), 1);
	if (f->prefix)
		put(b, f->prefix, 1);
	if (b->is64 && one_in(2)) {
		b->rex = 0x40 | below(f->flags & FM_NO_REXW ? 8 : 16);
		put(b, b->rex, 1);
	}
}

static void put_vex(struct build *b)
{
	const struct form *f = b->in->form;
	u8 pp = f->prefix == 0x66 ? 1 : f->prefix == 0xf3 ? 2 : f->prefix == 0xf2 ? 3 : 0;
	u8 l = f->flags & FM_L256 ? below(2) << 2 : 0;
	u32 rex = b->is64 ? below(16) : 0, vvvv = one_in(64) ? below(16) : 15;

	if (!b->is64)
		vvvv |= 8;
	if (f->map == 1 && !(rex & 0xb) && one_in(2)) {
		put(b, 0xc5, 1);
		put(b, (~rex << 5 & 0x80) | vvvv << 3 | l | pp, 1);
		return;
	}
	put(b, 0xc4, 1);
	put(b, (~rex << 5 & 0xe0) | f->map, 1);
	put(b, (rex << 4 & 0x80) | vvvv << 3 | l | pp, 1);
}

static void put_disp(struct build *b, unsigned int bytes)
{
	b->disp_at = b->in->len;
	b->disp_bytes = bytes;
	put(b, random_value(), bytes);
}

static void put_modrm(struct build *b)
{
	const struct form *f = b->in->form;
	u8 mod = one_in(4) ? 3 : below(3), rm = below(8);
	u8 reg = f->digit == ANY_REG ? below(8) : (u8)f->digit;
	bool ad16 = !b->is64 && b->code32 == b->ad_toggle;
	u8 sib;

	if (f->flags & FM_REG)
		mod = 3;
	if ((f->flags & FM_MEM) && mod == 3)
		mod = below(3);
	if ((f->flags & FM_SREG) && one_in(2))
		reg = below(6);
	put(b, mod << 6 | reg << 3 | rm, 1);
	if (mod == 3)
		return;
	if (ad16) {
		if (mod == 1)
			put_disp(b, 1);
		else if (mod == 2 || rm == 6)
			put_disp(b, 2);
		return;
	}
	sib = rnd();
	if (rm == 4)
		put(b, sib, 1);
	if (mod == 1)
		put_disp(b, 1);
	else if (mod == 2 || rm == 5 || (rm == 4 && (sib & 7) == 5))
		put_disp(b, 4);
}

static void put_imm(struct build *b)
{
	bool op2 = b->code32 == b->op16 && !(b->rex & 8);
	unsigned int bytes = 0;

	switch (b->in->form->imm) {
	case IMM_8: case IMM_REL8:
		bytes = 1;
		break;
	case IMM_16:
		bytes = 2;
		break;
	case IMM_Z: case IMM_RELZ:
		bytes = op2 ? 2 : 4;
		break;
	case IMM_V:
		bytes = b->rex & 8 ? 8 : op2 ? 2 : 4;
		break;
	case IMM_MOFFS:
		bytes = b->is64 ? 8 >> b->ad_toggle : b->code32 == b->ad_toggle ? 2 : 4;
		break;
	case IMM_FAR:
		b->imm_at = b->in->len;
		b->imm_bytes = op2 ? 4 : 6;
		put(b, 0, b->imm_bytes);
		return;
	case IMM_ENTER:
		put(b, below(64), 2);
		put(b, one_in(2) ? 0 : below(40), 1);
		return;
	}
	b->imm_at = b->in->len;
	b->imm_bytes = bytes;
	put(b, random_value(), bytes);
}

static void build_bytes(struct build *b)
{
	const struct form *f = b->in->form;
	bool vex = (f->flags & FM_VEX) && one_in(3) && __builtin_cpu_supports("avx");

	if (vex) {
		b->ad_toggle = one_in(8);
		if (b->ad_toggle)
			put(b, 0x67, 1);
		put_vex(b);
	} else {
		put_prefixes(b);
		if (f->map)
			put(b, 0x0f, 1);
		if (f->map == 2)
			put(b, 0x38, 1);
	}
	put(b, f->opcode + below(f->span), 1);
	if (f->digit != NO_MODRM)
		put_modrm(b);
	put_imm(b);
}

static void random_registers(struct instance *in)
{
	struct machine *m = &in->start;
	unsigned int i, j;
	u64 val;

	for (i = 0; i < EMUL_NR_GPRS; i++)
		m->regs.gpr[i] = random_value();
	m->regs.rflags = 0x202 | (rnd() & 0x8d5);
	if (one_in(4))
		m->regs.rflags |= X86_EFLAGS_DF;
	for (i = 0; i < NR_VECTORS; i++)
		for (j = 0; j < 32; j += 8) {
			val = rnd();
			memcpy(m->ymm[i] + j, &val, 8);
		}
}

/* Low bits of a register, the rest staying as random as it is. */
static void bend(u64 *reg, u64 val, unsigned int bytes)
{
	u64 mask = bytes >= 8 ? ~0ull : (1ull << bytes * 8) - 1;

	*reg = (*reg & ~mask) | (val & mask);
}

static u64 offset_in(const struct emul_state *s, unsigned int seg, u64 linear)
{
	if (s->mode == EMUL_MODE_64 && seg != EMUL_FS && seg != EMUL_GS)
		return linear;
	return linear - s->seg[seg].base;
}

/* Branch to a breakpoint, not into the instruction's own bytes. */
static void bend_branch(struct build *b)
{
	struct instance *in = b->in;
	u64 rel;

	if (b->imm_bytes > 1 && one_in(16))
		rel = (s32)rnd();
	else if (one_in(2))
		rel = below(100) + 1;
	else
		rel = -(u64)(in->len + 1 + below(50));
	memcpy(in->bytes + b->imm_at, &rel, b->imm_bytes);
}

/* An address to branch to through a register or memory. */
static u64 random_code_address(const struct build *b)
{
	u64 base = b->in->start.regs.rip - b->in->code_offset;

	if (one_in(8))
		return random_value();
	return base + (one_in(2) ? below(0x300) : 0x900 + below(0x600));
}

/* Mostly into the LDT with the right RPL; now and then null, another RPL or beyond its end. */
static u16 random_selector(void)
{
	if (one_in(16))
		return below(4);
	return below(LDT_COPY_ENTRIES + one_in(8)) << 3 | 4 | (one_in(8) ? below(4) : 3);
}

/* Offset and selector, as wide as the operand size makes them in memory or on the stack. */
static u64 random_far_pointer(const struct build *b, unsigned int offset_bytes)
{
	u64 offset = one_in(4) ? below(0x2100) : random_code_address(b) & 0xffff;

	if (b->in->form->opcode == 0xc4 || b->in->form->opcode == 0xc5 || b->in->form->map)
		offset = rnd();
	offset &= (1ull << offset_bytes * 8) - 1;
	return offset | (u64)random_selector() << offset_bytes * 8;
}

static void plant(struct build *b, u64 at, u64 val, unsigned int bytes)
{
	at &= ~7ull;
	if (at >= DATA_RW)
		return;
	b->in->patched = true;
	b->in->patch_at = at;
	b->in->patch = val;
	b->in->patch_bytes = bytes;
}

static void plant_far_imm(struct build *b)
{
	u64 val = random_far_pointer(b, b->imm_bytes - 2);

	memcpy(b->in->bytes + b->imm_at, &val, b->imm_bytes);
}

/* Returns and POPF find on the stack something worth popping. */
static void plant_stack(struct build *b, const struct emul_decoded *d,
			const struct emul_state *s)
{
	const struct form *f = b->in->form;
	u64 *rsp = &b->in->start.regs.gpr[EMUL_RSP];
	unsigned int bytes = s->mode == EMUL_MODE_64 ? 8 : s->seg[EMUL_SS].db ? 4 : 2;
	u64 at = 0x100 + (below(0x1e00) & ~7ull);
	u64 val = random_code_address(b);

	if (f->flags & FM_POPF)
		val = rnd() & ~(X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_AC | X86_EFLAGS_ID);
	else if (f->flags & FM_SELECTOR)
		val = random_selector();
	else if (f->flags & FM_FAR)
		val = random_far_pointer(b, d->op_bytes > 4 ? 4 : d->op_bytes);
	bend(rsp, offset_in(s, EMUL_SS, DATA_BASE + at), bytes);
	plant(b, at, val, 8);
}

/* Comparands of CMPXCHG and its wide forms equal the operand. */
static void match_comparand(struct build *b, const struct emul_decoded *d, u64 target)
{
	u64 *gpr = b->in->start.regs.gpr, lo, hi;
	unsigned int half = d->op_bytes == 8 ? 8 : 4;

	if (d->mod == 3) {
		gpr[EMUL_RAX] = gpr[d->rm];
		return;
	}
	if (target > DATA_SIZE - 16)
		return;
	memcpy(&lo, soft_data() + target, 8);
	memcpy(&hi, soft_data() + target + half, 8);
	gpr[EMUL_RAX] = lo;
	if (b->in->form->opcode == 0xc7)
		gpr[EMUL_RDX] = hi;
}

/*
 * OF after a shift by other than 1, CF after one by more than the operand has: undefined.
 * A count of 0 changes no flag at all.
 */
static void undefine_shift(struct build *b, const struct emul_decoded *d)
{
	const struct form *f = b->in->form;
	bool by_cl = f->map ? f->imm == IMM_NONE : f->opcode == 0xd2;
	unsigned int count = by_cl ? b->in->start.regs.gpr[EMUL_RCX] : 1;

	if (b->imm_bytes == 1)
		count = b->in->bytes[b->imm_at];
	count &= d->op_bytes == 8 ? 63 : 31;
	if (count > 1)
		b->in->undefined |= X86_EFLAGS_OF;
	if (!count)
		b->in->undefined &= ~X86_EFLAGS_AF;
	if (count >= d->op_bytes * 8u && (f->map || (d->reg & 4)))
		b->in->undefined |= X86_EFLAGS_CF;
}

static u64 memory_operand(const struct build *b, const struct emul_decoded *d)
{
	if (b->in->form->flags & FM_SELECTOR)
		return random_selector();
	if (b->in->form->flags & FM_FAR)
		return random_far_pointer(b, d->op_bytes > 4 ? 4 : d->op_bytes);
	return random_code_address(b);
}

static void bend_modrm(struct build *b, const struct emul_decoded *d, const struct emul_state *s)
{
	u64 *gpr = b->in->start.regs.gpr;
	u64 target = random_target(b->in->form), disp;
	u64 offset = offset_in(s, d->seg, DATA_BASE + target);

	if ((b->in->form->flags & FM_MATCH) && one_in(2))
		match_comparand(b, d, target);
	if (b->in->form->flags & (FM_BRANCH | FM_FAR | FM_SELECTOR) && !one_in(8)) {
		plant(b, target, memory_operand(b, d), 8);
		offset -= target & 7;
	}
	if (d->index >= 0 && one_in(2))
		gpr[d->index] = below(512) - 256;
	if (d->base >= 0 && d->base < EMUL_NR_GPRS) {
		if (d->index >= 0)
			offset -= gpr[d->index] << d->scale;
		bend(&gpr[d->base], offset - d->disp, d->ad_bytes);
	} else if (d->index >= 0) {
		bend(&gpr[d->index], (offset - d->disp) >> d->scale, d->ad_bytes);
	} else if (b->disp_bytes) {
		disp = d->base < 0 ? offset : offset - (b->in->start.regs.rip + b->in->len);
		memcpy(b->in->bytes + b->disp_at, &disp, b->disp_bytes);
	}
}

static void bend_string(struct build *b, const struct emul_decoded *d, const struct emul_state *s)
{
	const struct form *f = b->in->form;
	u64 *gpr = b->in->start.regs.gpr;

	bend(&gpr[EMUL_RSI], offset_in(s, d->seg, DATA_BASE + random_target(f)), d->ad_bytes);
	bend(&gpr[EMUL_RDI], offset_in(s, EMUL_ES, DATA_BASE + random_target(f)), d->ad_bytes);
	bend(&gpr[EMUL_RCX], one_in(8) ? below(0x1000) : below(24), d->ad_bytes);
}

static void bend_stack(struct build *b, const struct emul_state *s)
{
	const struct form *f = b->in->form;
	u64 *gpr = b->in->start.regs.gpr;
	unsigned int bytes = s->mode == EMUL_MODE_64 ? 8 : s->seg[EMUL_SS].db ? 4 : 2;

	bend(&gpr[EMUL_RSP], offset_in(s, EMUL_SS, DATA_BASE + random_target(f)), bytes);
	bend(&gpr[EMUL_RBP], offset_in(s, EMUL_SS, DATA_BASE + random_target(f)), bytes);
}

/* Of a DIV: a small dividend, so that most quotients fit. */
static void bend_dividend(struct build *b)
{
	u64 *gpr = b->in->start.regs.gpr;

	if (one_in(4))
		return;
	gpr[EMUL_RDX] = below(2) ? 0 : below(64);
	if (one_in(3)) {
		gpr[EMUL_RAX] = -below(0x4000);
		gpr[EMUL_RDX] = ~0ull;
	}
}

static void bend_moffs(struct build *b, const struct emul_decoded *d, const struct emul_state *s)
{
	u64 offset = offset_in(s, d->seg, DATA_BASE + random_target(b->in->form));

	memcpy(b->in->bytes + b->imm_at, &offset, b->imm_bytes);
}

static void bend_registers(struct build *b, const struct emul_decoded *d)
{
	const struct form *f = b->in->form;
	u64 *gpr = b->in->start.regs.gpr;
	struct emul_state s = { .mode = b->is64 ? EMUL_MODE_64 : EMUL_MODE_PROT };

	native_segments(b->in->env, &s);
	if (f->flags & FM_STRING)
		bend_string(b, d, &s);
	if (f->flags & FM_STACK)
		bend_stack(b, &s);
	if ((f->flags & FM_POPF) || ((f->flags & (FM_RET | FM_SELECTOR)) && !one_in(4)))
		plant_stack(b, d, &s);
	if ((f->flags & FM_SELECTOR) && f->digit != NO_MODRM && d->mod == 3)
		bend(&gpr[d->rm], random_selector(), 2);
	if (f->imm == IMM_FAR)
		plant_far_imm(b);
	if ((f->flags & FM_BRANCH) && d->mod == 3)
		gpr[d->rm] = random_code_address(b);
	if ((f->flags & FM_MATCH) && d->mod == 3 && one_in(2))
		match_comparand(b, d, 0);
	if (f->flags & FM_DIV)
		bend_dividend(b);
	if (f->flags & FM_BITS && !one_in(4))
		gpr[d->reg] = below(0x2000) - 0x1000;
	if (f->opcode == 0xd7 && !f->map)
		bend(&gpr[EMUL_RBX], offset_in(&s, d->seg, DATA_BASE + below(0x2000)),
		     d->ad_bytes);
	if (f->imm == IMM_REL8 || f->imm == IMM_RELZ)
		bend_branch(b);
	if (f->imm == IMM_MOFFS && !one_in(16))
		bend_moffs(b, d, &s);
	if (f->digit != NO_MODRM && d->mod != 3 && !one_in(16))
		bend_modrm(b, d, &s);
	if (f->flags & (FM_SHIFT))
		undefine_shift(b, d);
}

void generate_place(const struct instance *in, u8 *page, bool place)
{
	unsigned int i;

	for (i = 0; i < in->len && in->code_offset + i < CODE_SIZE; i++)
		page[in->code_offset + i] = place ? in->bytes[i] : 0xcc;
}

/* Forms that are other instructions, or none, on a CPU without their feature. */
static bool supported(const struct form *f)
{
	if (f->map == 1 && f->prefix == 0xf3 && f->opcode == 0xbc)
		return __builtin_cpu_supports("bmi");
	if (f->map == 1 && f->prefix == 0xf3 && f->opcode == 0xbd)
		return __builtin_cpu_supports("lzcnt");
	/* MOVBE has no name of its own here; every CPU with AVX2 has it. */
	if (f->map == 2 && f->opcode == 0xf0)
		return __builtin_cpu_supports("avx2");
	return true;
}

bool generate_possible(const struct form *f, enum environment env)
{
	return !(f->flags & (env == ENV_64 ? FM_NO64 : FM_ONLY64)) && supported(f);
}

static const struct form *random_form(enum environment env, u64 number)
{
	const struct form *f = &forms[number % nr_forms];

	/* Every form has its turn; those of the other mode are #UD there, or something else. */
	while (!generate_possible(f, env))
		f = &forms[below(nr_forms)];
	return f;
}

void generate(struct instance *in, u64 seed, enum environment env, u64 number)
{
	bool based = env >= ENV_32_LDT;
	struct build b = {
		.in = in, .is64 = env == ENV_64, .code32 = env <= ENV_32_LDT,
	};
	static u8 page[CODE_SIZE];
	struct emul_decoded d;

	rng = seed ^ (u64)env << 56 ^ number << 8;
	rnd();
	memset(in, 0, sizeof(*in));
	in->env = env;
	in->form = random_form(env, number);
	in->undefined = in->form->undefined | X86_EFLAGS_RF;
	random_registers(in);
	build_bytes(&b);
	in->code_offset = one_in(32) ? CODE_SIZE - 1 - below(in->len) : 0x400 + below(0x400);
	in->start.regs.rip = in->code_offset + (based ? 0 : CODE_BASE);
	generate_place(in, page, true);
	if (in->code_offset + in->len <= CODE_SIZE) {
		soft_decode(&in->start, page, &d);
		bend_registers(&b, &d);
	}
	generate_place(in, page, false);
}
