// SPDX-License-Identifier: GPL-2.0-only
#include "bed.h"

bool ktap_failed;

static struct bed *bed_of(struct emul *e)
{
	return e->ctx;
}

static int bed_page_fault(struct emul *e, u64 linear, u32 error)
{
	e->exception = (struct emul_exception) {
		.vector = EMUL_PF_FAULT, .has_error = true, .error_code = error, .cr2 = linear,
	};
	return EMUL_FAULT;
}

static int bed_check(struct emul *e, u64 linear, unsigned int len, bool write)
{
	struct bed *b = bed_of(e);
	unsigned int i;

	for (i = 0; i < len; i++) {
		if (linear + i >= RAM_SIZE || b->rights[(linear + i) / PAGE] & ABSENT)
			return bed_page_fault(e, linear + i, write ? 2 : 0);
		if (write && (b->rights[(linear + i) / PAGE] & READONLY))
			return bed_page_fault(e, linear + i, 3);
	}
	return EMUL_CONTINUE;
}

static bool bed_is_mmio(u64 linear)
{
	return linear >= MMIO_BASE && linear < MMIO_BASE + PAGE;
}

static int bed_fetch(struct emul *e, u64 linear, void *buf, unsigned int len)
{
	struct bed *b = bed_of(e);
	int r = bed_check(e, linear, len, false);

	if (b->fetches < 4)
		b->fetch_len[b->fetches] = len;
	b->fetches++;
	if (!r)
		memcpy(buf, b->ram + linear, len);
	return r;
}

static int bed_mmio_read(struct bed *b, void *buf, unsigned int len)
{
	u64 val;

	if (b->tape_at == b->tape_len) {
		b->tape[b->tape_len++] = b->mmio_value++;
		b->mmio_reads++;
		if (b->mmio_async) {
			b->tape_at = 0;
			return EMUL_IO_NEEDED;
		}
	}
	val = b->tape[b->tape_at++];
	memset(buf, 0, len);
	memcpy(buf, &val, len < 8 ? len : 8);
	return EMUL_CONTINUE;
}

static int bed_read(struct emul *e, u64 linear, void *buf, unsigned int len, unsigned int access)
{
	struct bed *b = bed_of(e);
	int r;

	if (bed_is_mmio(linear))
		return access & EMUL_ACC_PROBE ? EMUL_CONTINUE : bed_mmio_read(b, buf, len);
	r = bed_check(e, linear, len, access & EMUL_ACC_WRITE);
	if (!r && !(access & EMUL_ACC_PROBE))
		memcpy(buf, b->ram + linear, len);
	return r;
}

static int bed_write(struct emul *e, u64 linear, const void *buf, unsigned int len,
		     unsigned int access)
{
	struct bed *b = bed_of(e);
	int r;

	(void)access;
	e->stop = b->stop_on_write;
	if (bed_is_mmio(linear)) {
		b->mmio_writes++;
		b->mmio_written = 0;
		memcpy(&b->mmio_written, buf, len < 8 ? len : 8);
		return EMUL_CONTINUE;
	}
	r = bed_check(e, linear, len, true);
	if (!r)
		memcpy(b->ram + linear, buf, len);
	return r;
}

static int bed_cmpxchg(struct emul *e, u64 linear, const void *old, const void *new,
		       unsigned int len)
{
	struct bed *b = bed_of(e);
	int r;

	b->locked++;
	if (b->locks_to_lose) {
		b->locks_to_lose--;
		return EMUL_RETRY;
	}
	if (bed_is_mmio(linear))
		return bed_write(e, linear, new, len, 0);
	r = bed_check(e, linear, len, true);
	if (r)
		return r;
	if (memcmp(b->ram + linear, old, len))
		return EMUL_RETRY;
	memcpy(b->ram + linear, new, len);
	return EMUL_CONTINUE;
}

static int bed_pio_allowed(struct emul *e, u16 port, unsigned int size)
{
	(void)port;
	(void)size;
	if (!bed_of(e)->pio_denied)
		return EMUL_CONTINUE;
	e->exception = (struct emul_exception) { .vector = EMUL_GP, .has_error = true };
	return EMUL_FAULT;
}

static void bed_pio(struct bed *b, u16 port, unsigned int size, unsigned int count)
{
	b->pio_calls++;
	b->pio_port = port;
	b->pio_size = size;
	b->pio_count = count;
}

static int bed_pio_in(struct emul *e, u16 port, unsigned int size, void *buf, unsigned int count)
{
	bed_pio(bed_of(e), port, size, count);
	memcpy(buf, bed_of(e)->pio_data, size * count);
	return EMUL_CONTINUE;
}

static int bed_pio_out(struct emul *e, u16 port, unsigned int size, const void *buf,
		       unsigned int count)
{
	bed_pio(bed_of(e), port, size, count);
	memcpy(bed_of(e)->pio_data, buf, size * count);
	return EMUL_CONTINUE;
}

static int bed_vector(struct emul *e, unsigned int reg, void *buf, unsigned int len, bool set)
{
	if (set)
		memcpy(bed_of(e)->ymm[reg], buf, len);
	else
		memcpy(buf, bed_of(e)->ymm[reg], len);
	return EMUL_CONTINUE;
}

static int bed_get_cr(struct emul *e, unsigned int nr, u64 *value)
{
	*value = bed_of(e)->cr[nr];
	return EMUL_CONTINUE;
}

static int bed_set_cr(struct emul *e, unsigned int nr, u64 value)
{
	bed_of(e)->cr[nr] = value;
	if (nr == 0) {
		e->state.cr0 = value;
		if (e->state.mode != EMUL_MODE_64)
			e->state.mode = value & 1 ? EMUL_MODE_PROT : EMUL_MODE_REAL;
	}
	return EMUL_CONTINUE;
}

static int bed_rdmsr(struct emul *e, u32 index, u64 *value)
{
	bed_of(e)->msr_index = index;
	*value = bed_of(e)->msr_value;
	return EMUL_CONTINUE;
}

static int bed_wrmsr(struct emul *e, u32 index, u64 value)
{
	bed_of(e)->msr_index = index;
	bed_of(e)->msr_value = value;
	return EMUL_CONTINUE;
}

static int bed_cpuid(struct emul *e, u32 regs[4])
{
	(void)e;
	regs[1] = regs[0] + 1;
	regs[3] = regs[2] + 2;
	return EMUL_CONTINUE;
}

static int bed_invlpg(struct emul *e, u64 linear)
{
	bed_of(e)->invlpg = linear;
	return EMUL_CONTINUE;
}

static int bed_hlt(struct emul *e)
{
	bed_of(e)->halts++;
	return EMUL_CONTINUE;
}

static int bed_rdtsc(struct emul *e, u64 *tsc)
{
	(void)e;
	*tsc = 0x1122334455667788;
	return EMUL_CONTINUE;
}

static int bed_x87(struct emul *e, u16 *word)
{
	bed_of(e)->x87 = e->d.opcode;
	*word = 0x37f;
	return EMUL_CONTINUE;
}

static void bed_commit(struct emul *e)
{
	struct bed *b = bed_of(e);

	b->commits++;
	b->tape_len = 0;
	b->tape_at = 0;
}

static const struct emul_ops bed_ops = {
	.fetch = bed_fetch, .read = bed_read, .write = bed_write, .exchange = bed_cmpxchg,
	.pio_allowed = bed_pio_allowed, .pio_in = bed_pio_in, .pio_out = bed_pio_out,
	.vector = bed_vector, .get_cr = bed_get_cr,
	.set_cr = bed_set_cr, .rdmsr = bed_rdmsr, .wrmsr = bed_wrmsr, .cpuid = bed_cpuid,
	.invlpg = bed_invlpg, .hlt = bed_hlt, .rdtsc = bed_rdtsc, .x87 = bed_x87,
	.commit = bed_commit,
};

struct kvm_segment bed_segment(u16 selector, u64 base, u32 limit, u8 type, u8 dpl, bool db)
{
	return (struct kvm_segment) {
		.selector = selector, .base = base, .limit = limit, .type = type, .dpl = dpl,
		.s = true, .present = true, .db = db,
	};
}

u64 bed_descriptor(u32 base, u32 limit, u8 type, u8 dpl, bool s, bool present, bool db, bool l)
{
	bool g = limit > 0xfffff;

	if (g)
		limit >>= 12;
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
	       (u64)s << 44 | (u64)dpl << 45 | (u64)present << 47 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)l << 53 | (u64)db << 54 | (u64)g << 55 |
	       (u64)(base >> 24) << 56;
}

/* Code at 0x1000; real mode with 64 KiB segments at 0, protected mode flat, CPL 0. */
void bed_init(struct bed *b, enum emul_mode mode)
{
	struct emul_state *s = &b->e.state;
	bool paragraphs = mode == EMUL_MODE_REAL || mode == EMUL_MODE_VM86;
	u32 limit = paragraphs ? 0xffff : 0xffffffff;
	unsigned int i;

	memset(b, 0, sizeof(*b));
	b->e.ops = &bed_ops;
	b->e.ctx = b;
	s->mode = mode;
	s->cpl = mode == EMUL_MODE_VM86 ? 3 : 0;
	s->cr0 = mode == EMUL_MODE_REAL ? 0x10 : 0x80000011;
	s->cr4 = 0x40600;
	s->xcr0 = 7;
	s->efer = mode == EMUL_MODE_64 ? 0x500 : 0;
	s->regs.rip = 0x1000;
	s->regs.rflags = 2;
	s->regs.gpr[EMUL_RSP] = 0x8000;
	s->idt.limit = 0x3ff;
	for (i = 0; i < EMUL_NR_SREGS; i++)
		s->seg[i] = bed_segment(paragraphs ? 0 : 0x10, 0, limit, i == EMUL_CS ? 0xb : 3,
					s->cpl, !paragraphs && mode != EMUL_MODE_64);
	if (!paragraphs)
		s->seg[EMUL_CS].selector = 8;
	s->seg[EMUL_CS].l = mode == EMUL_MODE_64;
	if (paragraphs)
		s->seg[EMUL_CS].type = 3;
	s->seg[EMUL_LDTR].unusable = true;
	b->cr[0] = s->cr0;
}

u64 *bed_gpr(struct bed *b, unsigned int reg)
{
	return &b->e.state.regs.gpr[reg];
}

int bed_run(struct bed *b, const void *code, unsigned int len)
{
	struct emul_state *s = &b->e.state;
	u64 base = s->mode == EMUL_MODE_64 ? 0 : s->seg[EMUL_CS].base;
	int r;

	memcpy(b->ram + base + s->regs.rip, code, len);
	r = emul_decode(&b->e);
	return r ? r : emul_exec(&b->e);
}
