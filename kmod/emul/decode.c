// SPDX-License-Identifier: GPL-2.0-only
/* Instruction bytes to struct emul_decoded: prefixes, opcode, ModRM, displacement, immediate. */
#include "insn.h"

#define MAX_INSN_LEN	15
#define PAGE_BYTES	4096u

/*
 * Fetch to the end of the page, or of the segment, but never behind what the longest
 * instruction could use: the next page may be absent and is asked for only when needed.
 * @code holds @have bytes already. Return: how many came
 */
static u32 decode_fetch(struct emul *e, u8 *code, u32 have)
{
	u64 offset = e->state.regs.rip + have, linear;
	u32 len = MAX_INSN_LEN - have, limit = e->state.seg[EMUL_CS].limit, room;

	if (!emul_is_64(e))
		offset = (u32)offset;
	linear = mem_linear(e, EMUL_CS, offset, 1, false);
	if (e->result)
		return 0;
	room = PAGE_BYTES - (u32)(linear & (PAGE_BYTES - 1));
	if (len > room)
		len = room;
	if (!emul_is_64(e) && len > limit - offset)
		len = limit - offset + 1;
	e->result = e->ops->fetch(e, linear, code + have, len);
	return e->result ? 0 : len;
}

/* Takes the next @bytes of code: where they are, or NULL after a failure. */
static const u8 *decode_take(struct emul *e, unsigned int bytes)
{
	struct emul_decoded *d = &e->d;

	if (d->len + bytes > MAX_INSN_LEN)
		mem_gp(e, 0);
	while (!e->result && d->fetched < d->len + bytes)
		d->fetched += decode_fetch(e, d->bytes, d->fetched);
	if (e->result)
		return NULL;
	d->len += bytes;
	return d->bytes + d->len - bytes;
}

static u8 decode_byte(struct emul *e)
{
	const u8 *from = decode_take(e, 1);

	return from ? *from : 0;
}

/* The next @bytes of code, little-endian; 0 after a failure. */
static u64 decode_next(struct emul *e, unsigned int bytes)
{
	const u8 *from = decode_take(e, bytes);
	u64 val = 0;

	if (from)
		memcpy(&val, from, bytes);
	return val;
}

static u64 decode_next_signed(struct emul *e, unsigned int bytes)
{
	return emul_sext(decode_next(e, bytes), bytes);
}

static void decode_segment_prefix(struct emul *e, unsigned int seg)
{
	/* 64-bit mode ignores the other four. */
	if (emul_is_64(e) && seg != EMUL_FS && seg != EMUL_GS)
		return;
	e->d.seg = seg;
	e->d.seg_override = true;
}

static bool decode_legacy_prefix(struct emul *e, u8 byte)
{
	struct emul_decoded *d = &e->d;

	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		decode_segment_prefix(e, (byte >> 3) & 3);
		return true;
	case 0x64: case 0x65:
		decode_segment_prefix(e, byte - 0x60);
		return true;
	case 0x66:
		d->opsize_prefix = true;
		return true;
	case 0x67:
		d->adsize_prefix = true;
		return true;
	case 0xf0:
		d->lock = true;
		return true;
	case 0xf2: case 0xf3:
		d->rep = byte;
		return true;
	}
	return false;
}

/* Returns the first byte that is no prefix. A REX counts only right before the opcode. */
static u8 decode_prefixes(struct emul *e)
{
	u8 byte;

	for (;;) {
		byte = decode_byte(e);
		if (decode_legacy_prefix(e, byte))
			e->d.rex = 0;
		else if (emul_is_64(e) && (byte & 0xf0) == 0x40)
			e->d.rex = byte;
		else
			return byte;
	}
}

static void decode_sizes(struct emul *e)
{
	struct emul_decoded *d = &e->d;
	bool big = emul_is_64(e) || (!emul_is_86(e) && e->state.seg[EMUL_CS].db);

	d->op_bytes = big != d->opsize_prefix ? 4 : 2;
	if (d->rex & 8)
		d->op_bytes = 8;
	d->ad_bytes = big != d->adsize_prefix ? 4 : 2;
	if (emul_is_64(e))
		d->ad_bytes = d->adsize_prefix ? 4 : 8;
}

static void decode_insn_sizes(struct emul *e, u32 flags)
{
	struct emul_decoded *d = &e->d;

	if ((flags & F_BYTE) || ((flags & F_W) && !(d->opcode & 1)))
		d->op_bytes = 1;
	if (((flags & F_PIO) && d->op_bytes == 8) || ((flags & F_32) && d->op_bytes == 2))
		d->op_bytes = 4;
	if (emul_is_64(e) && ((flags & F_F64) || ((flags & F_D64) && d->op_bytes == 4)))
		d->op_bytes = 8;
}

/* Bits of both VEX forms land where REX and the legacy prefixes would have put them. */
static void decode_vex(struct emul *e, u8 byte)
{
	static const u8 pp_rep[] = { 0, 0, 0xf3, 0xf2 };
	struct emul_decoded *d = &e->d;
	u8 p1 = decode_byte(e), p2 = p1;

	if (d->rex || d->rep || d->lock || d->opsize_prefix)
		mem_ud(e);
	d->map = 1;
	d->rex = 0x40 | (~p1 >> 5 & 4);
	if (byte == 0xc4) {
		d->rex |= ~p1 >> 5 & 3;
		d->map = p1 & 0x1f;
		p2 = decode_byte(e);
		d->rex |= p2 >> 4 & 8;
	}
	if (!emul_is_64(e))
		d->rex = 0;
	d->vex_len = p2 & 4 ? 32 : 16;
	d->vvvv = ~p2 >> 3 & 0xf;
	d->opsize_prefix = (p2 & 3) == 1;
	d->rep = pp_rep[p2 & 3];
	d->opcode = decode_byte(e);
}

/* C4 and C5 are VEX in 64-bit mode; elsewhere only when LES or LDS would have a register. */
static bool decode_is_vex(struct emul *e, u8 byte)
{
	u8 peek;

	if (byte != 0xc4 && byte != 0xc5)
		return false;
	if (emul_is_64(e))
		return true;
	if (emul_is_86(e))
		return false;
	peek = decode_byte(e);
	if (e->result)
		return false;
	e->d.len--;
	return peek >= 0xc0;
}

static const struct emul_insn *decode_opcode(struct emul *e, u8 byte)
{
	static const struct emul_insn *const maps[] = { table_1byte, table_0f, table_0f38 };
	static const u8 escapes[] = { 0x0f, 0x38 };
	struct emul_decoded *d = &e->d;

	if (decode_is_vex(e, byte)) {
		decode_vex(e, byte);
		/* It carries its own W. */
		decode_sizes(e);
	} else {
		d->opcode = byte;
		while (d->map < 2 && d->opcode == escapes[d->map]) {
			d->opcode = decode_byte(e);
			d->map++;
		}
	}
	if (d->map > 2 || (d->vex_len && !d->map))
		return NULL;
	return &maps[d->map][d->opcode];
}

static void decode_base16(struct emul_decoded *d)
{
	static const s8 bases[8] = { EMUL_RBX, EMUL_RBX, EMUL_RBP, EMUL_RBP,
				     EMUL_RSI, EMUL_RDI, EMUL_RBP, EMUL_RBX };

	d->base = bases[d->rm & 7];
	if ((d->rm & 7) < 4)
		d->index = d->rm & 1 ? EMUL_RDI : EMUL_RSI;
	if (d->mod == 0 && (d->rm & 7) == 6)
		d->base = -1;
}

static void decode_base32(struct emul *e)
{
	struct emul_decoded *d = &e->d;
	u8 sib;

	d->base = d->rm;
	if ((d->rm & 7) == EMUL_RSP) {
		sib = decode_byte(e);
		d->scale = sib >> 6;
		d->index = (sib >> 3 & 7) | (d->rex << 2 & 8);
		if (d->index == EMUL_RSP)
			d->index = -1;
		d->base = (sib & 7) | (d->rex << 3 & 8);
	}
	/* RBP without displacement is none, or RIP where there is no SIB byte. */
	if (d->mod == 0 && (d->base & 7) == EMUL_RBP)
		d->base = (d->rm & 7) == EMUL_RBP && emul_is_64(e) ? EMUL_NR_GPRS : -1;
}

static void decode_modrm(struct emul *e, u32 flags)
{
	struct emul_decoded *d = &e->d;

	d->modrm = decode_byte(e);
	d->mod = flags & F_CTL ? 3 : d->modrm >> 6;
	d->reg = (d->modrm >> 3 & 7) | (d->rex << 1 & 8);
	d->rm = (d->modrm & 7) | (d->rex << 3 & 8);
	if (d->mod == 3)
		return;
	if (d->ad_bytes == 2)
		decode_base16(d);
	else
		decode_base32(e);
	if (d->mod == 1)
		d->disp = decode_next_signed(e, 1);
	else if (d->mod == 2 || d->base < 0 || d->base == EMUL_NR_GPRS)
		d->disp = decode_next_signed(e, d->ad_bytes == 2 ? 2 : 4);
	if (!d->seg_override && (d->base == EMUL_RSP || d->base == EMUL_RBP))
		d->seg = EMUL_SS;
}

static unsigned int decode_imm_bytes(const struct emul_decoded *d, u8 kind)
{
	switch (kind) {
	case I_NONE:
		return 0;
	case I_S8: case I_U8:
		return 1;
	case I_U16: case I_ENTER:
		return 2;
	case I_V:
		return d->op_bytes;
	case I_MOFFS:
		return d->ad_bytes;
	default:
		return d->op_bytes > 4 ? 4 : d->op_bytes;
	}
}

static void decode_imm(struct emul *e, u8 kind)
{
	struct emul_decoded *d = &e->d;
	unsigned int bytes = decode_imm_bytes(d, kind);

	if (kind == I_S8 || kind == I_Z)
		d->imm = decode_next_signed(e, bytes);
	else if (bytes)
		d->imm = decode_next(e, bytes);
	if (kind == I_FAR || kind == I_ENTER)
		d->imm2 = decode_next(e, kind == I_FAR ? 2 : 1);
}

static unsigned int decode_prefix_index(const struct emul_decoded *d)
{
	if (d->rep)
		return d->rep == 0xf3 ? 2 : 3;
	return d->opsize_prefix ? 1 : 0;
}

/* Follow the row to the leaf that ModRM and the mandatory prefix select. */
static const struct emul_insn *decode_leaf(struct emul *e, const struct emul_insn *insn)
{
	struct emul_decoded *d = &e->d;
	u32 inherited = 0;

	if (insn->flags & F_MODRM)
		decode_modrm(e, insn->flags);
	while (insn->flags & (F_GROUP | F_PFX | F_MOD3)) {
		inherited |= insn->flags & F_W;
		if (insn->flags & F_GROUP)
			insn = &insn->next[d->reg & 7];
		else if (insn->flags & F_PFX)
			insn = &insn->next[decode_prefix_index(d)];
		else
			insn = &insn->next[d->mod == 3];
	}
	decode_insn_sizes(e, insn->flags | inherited);
	return insn;
}

/* An unknown row, or a VEX form of an opcode that means something else without VEX. */
static bool decode_unknown(const struct emul *e, const struct emul_insn *insn)
{
	if (insn->flags & F_UD)
		return false;
	return !insn->exec || (e->d.vex_len && !(insn->flags & F_VEX));
}

/* CR1, CR5 to CR7, CR9 and up; DR8 and up; segment registers 6 and 7, CS as a target. */
static bool decode_undefined_register(const struct emul_decoded *d, u32 flags)
{
	if (flags & F_SREG)
		return (d->reg & 7) >= EMUL_NR_SREGS ||
		       (d->opcode == 0x8e && (d->reg & 7) == EMUL_CS);
	if (d->opcode & 1)
		return d->reg >= 8;
	return d->reg >= 16 || !(0x11d >> d->reg & 1);
}

/* What makes a known opcode undefined, whatever the operands hold. */
static bool decode_undefined(const struct emul *e, u32 flags)
{
	const struct emul_decoded *d = &e->d;
	bool mem = d->mod != 3;

	return (flags & F_UD) ||
	       (d->lock && !((flags & F_LOCK) && mem)) ||
	       ((flags & F_NO64) && emul_is_64(e)) ||
	       ((flags & F_PROT) && emul_is_86(e)) ||
	       ((flags & F_MEM) && !mem) ||
	       ((flags & (F_CTL | F_SREG)) && decode_undefined_register(d, flags)) ||
	       (d->vex_len && d->vvvv);
}

/* All but the code bytes that decoding looks at. */
static u8 decode_mode(const struct emul *e)
{
	bool db = !emul_is_64(e) && e->state.seg[EMUL_CS].db;

	return e->state.mode << 1 | db;
}

/* Are the first @len bytes alike? Of fixed sizes, which needs neither loop nor call. */
static bool decode_alike(const u8 *a, const u8 *b, unsigned int len)
{
	u64 x[2], y[2];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	if (len <= 8)
		return !((x[0] ^ y[0]) << (64 - 8 * len));
	return x[0] == y[0] && !((x[1] ^ y[1]) << (128 - 8 * len));
}

bool emul_decoded_before(const struct emul *e, const u8 *code)
{
	return e->d.insn && decode_alike(code, e->d.bytes, e->d.len);
}

/*
 * Begin with a new instruction's bytes. Return: it is the one that was decoded last. A driver reaches
 * its device by few instructions, often by one.
 */
static bool decode_begin(struct emul *e)
{
	const struct emul_insn *last = e->d.insn;
	u8 code[sizeof(e->d.bytes)] = { 0 }, mode = decode_mode(e);
	u32 fetched;
	bool same;

	e->result = EMUL_CONTINUE;
	e->d.insn = NULL;
	fetched = decode_fetch(e, code, 0);
	same = last && e->d.decoded_for == mode && fetched >= e->d.len && decode_alike(code, e->d.bytes, e->d.len);
	if (!same)
		memset(&e->d, 0, sizeof(e->d));
	else
		e->d.insn = last;
	memcpy(e->d.bytes, code, sizeof(code));
	e->d.fetched = fetched;
	e->d.decoded_for = mode;
	return same;
}

int emul_decode(struct emul *e)
{
	const struct emul_insn *insn;
	u8 byte;

	if (decode_begin(e))
		return e->result;
	e->d.seg = EMUL_DS;
	e->d.base = -1;
	e->d.index = -1;
	byte = decode_prefixes(e);
	decode_sizes(e);
	insn = decode_opcode(e, byte);
	if (!e->result && insn) {
		insn = decode_leaf(e, insn);
		decode_imm(e, insn->flags & F_SIMD ? I_NONE : insn->imm);
	}
	if (!insn || decode_unknown(e, insn))
		mem_result(e, EMUL_UNHANDLEABLE);
	else if (decode_undefined(e, insn->flags))
		mem_ud(e);
	if (!e->result)
		e->d.insn = insn;
	return e->result;
}
