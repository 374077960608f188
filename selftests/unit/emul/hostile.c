// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random bytes in every mode, with callbacks that fault, stall and lose races at random. What
 * comes out is not judged; it must come out soon, without undefined behaviour (the sanitizers
 * see to that), and an instruction that failed must have changed nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../../kmod/emul/emul.h"

static u64 rng;
static u8 code[64];
static unsigned int calls, bad_accesses;
static bool calm;		/* callbacks never fail */

static u64 rnd(void)
{
	u64 z = rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void fill(void *buf, unsigned int len)
{
	u8 *p = buf;

	while (len--)
		*p++ = rnd();
}

static int outcome(struct emul *e)
{
	calls++;
	e->stop = !(rnd() & 63);
	if (calm || rnd() & 15)
		return EMUL_CONTINUE;
	e->exception = (struct emul_exception) { .vector = EMUL_PF_FAULT, .has_error = true };
	return EMUL_FAULT + rnd() % 3;
}

static void judge(const struct emul *e, u64 linear, unsigned int len)
{
	bool wide = e->state.mode == EMUL_MODE_64;

	if (!len || len > sizeof(e->io_buf) || (!wide && linear >> 32))
		bad_accesses++;
}

static int hostile_fetch(struct emul *e, u64 linear, void *buf, unsigned int len)
{
	judge(e, linear, len);
	memcpy(buf, code + e->d.fetched, len);
	return calm || rnd() & 63 ? EMUL_CONTINUE : outcome(e);
}

static int hostile_read(struct emul *e, u64 linear, void *buf, unsigned int len,
			unsigned int access)
{
	judge(e, linear, len);
	if (!(access & EMUL_ACC_PROBE))
		fill(buf, len);
	return outcome(e);
}

static int hostile_write(struct emul *e, u64 linear, const void *buf, unsigned int len,
			 unsigned int access)
{
	u8 copy[sizeof(e->io_buf)];

	(void)access;
	judge(e, linear, len);
	memcpy(copy, buf, len);
	return outcome(e);
}

static int hostile_cmpxchg(struct emul *e, u64 linear, const void *old, const void *new,
			   unsigned int len)
{
	u8 copy[16];

	judge(e, linear, len);
	memcpy(copy, old, len);
	memcpy(copy, new, len);
	return outcome(e);
}

static int hostile_pio_allowed(struct emul *e, u16 port, unsigned int size)
{
	(void)port;
	(void)size;
	return outcome(e);
}

static int hostile_pio_in(struct emul *e, u16 port, unsigned int size, void *buf,
			  unsigned int count)
{
	(void)port;
	judge(e, 0, size * count);
	fill(buf, size * count);
	return outcome(e);
}

static int hostile_pio_out(struct emul *e, u16 port, unsigned int size, const void *buf,
			   unsigned int count)
{
	u8 copy[sizeof(e->io_buf)];

	(void)port;
	judge(e, 0, size * count);
	memcpy(copy, buf, size * count);
	return outcome(e);
}

static int hostile_vector(struct emul *e, unsigned int reg, void *buf, unsigned int len, bool set)
{
	u8 copy[32];

	(void)e;
	bad_accesses += reg >= 16;
	if (set)
		memcpy(copy, buf, len);
	else
		fill(buf, len);
	return EMUL_CONTINUE;
}

static int hostile_get(struct emul *e, unsigned int nr, u64 *value)
{
	bad_accesses += nr >= 16;
	*value = rnd();
	return outcome(e);
}

static int hostile_set(struct emul *e, unsigned int nr, u64 value)
{
	(void)value;
	bad_accesses += nr >= 16;
	return outcome(e);
}

static int hostile_rdmsr(struct emul *e, u32 index, u64 *value)
{
	return hostile_get(e, index & 15, value);
}

static int hostile_wrmsr(struct emul *e, u32 index, u64 value)
{
	return hostile_set(e, index & 15, value);
}

static int hostile_invlpg(struct emul *e, u64 linear)
{
	judge(e, linear, 1);
	return outcome(e);
}

static const struct emul_ops hostile_ops = {
	.fetch = hostile_fetch, .read = hostile_read, .write = hostile_write,
	.exchange = hostile_cmpxchg, .pio_allowed = hostile_pio_allowed,
	.pio_in = hostile_pio_in, .pio_out = hostile_pio_out, .vector = hostile_vector, .get_cr = hostile_get, .set_cr = hostile_set,
	.get_dr = hostile_get, .set_dr = hostile_set, .rdmsr = hostile_rdmsr,
	.wrmsr = hostile_wrmsr, .invlpg = hostile_invlpg, .hlt = outcome, .wbinvd = outcome,
};

static u64 random_base(void)
{
	return rnd() & 1 ? 0 : (u32)rnd();
}

static void random_state(struct emul *e, enum emul_mode mode)
{
	struct emul_state *s = &e->state;
	struct kvm_segment *seg;

	memset(e, 0, sizeof(*e));
	e->ops = &hostile_ops;
	e->rep_limit = rnd() % 20;
	fill(&s->regs, sizeof(s->regs));
	if (rnd() & 1)
		s->regs.gpr[EMUL_RCX] &= 0xff;
	s->mode = mode;
	s->cpl = mode == EMUL_MODE_REAL ? 0 : mode == EMUL_MODE_VM86 ? 3 : rnd() & 3;
	s->cr0 = mode == EMUL_MODE_REAL ? 0 : 1;
	s->cr4 = rnd() & 0x40eff;
	s->xcr0 = 7;
	s->efer = mode == EMUL_MODE_64 ? 0x500 : 0;
	s->la57 = rnd() & 1;
	fill(&s->gdt, sizeof(s->gdt));
	fill(&s->idt, sizeof(s->idt));
	for (seg = s->seg; seg < s->seg + EMUL_NR_SEGS; seg++)
		*seg = (struct kvm_segment) {
			.base = random_base(), .limit = rnd() & 1 ? ~0u : (u32)rnd(),
			.selector = rnd(), .type = rnd() & 15, .dpl = s->cpl, .s = true,
			.present = true, .db = rnd() & 1, .unusable = !(rnd() & 15),
		};
	s->seg[EMUL_CS].type = 0xb;
	s->seg[EMUL_CS].limit = ~0u;
	if (mode != EMUL_MODE_64)
		s->regs.rip = (u32)s->regs.rip;
	else
		s->regs.rip = (u64)((s64)(s->regs.rip << 16) >> 16);
}

/* Mostly one- and two-byte opcodes with few prefixes: pure noise is mostly prefixes and #UD. */
static void random_code(void)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x65, 0x48, 0xc4, 0xc5 };
	unsigned int n = rnd() % 3, i;

	fill(code, sizeof(code));
	for (i = 0; i < n; i++)
		code[i] = prefixes[rnd() % sizeof(prefixes)];
	if (rnd() & 1)
		code[n] = 0x0f;
	if (!(rnd() & 7))
		code[n + 1] = 0x38;
}

static const char *complaint(const struct emul *e, const struct emul_state *before, int r)
{
	u64 rip_bits = e->state.mode == EMUL_MODE_64 ? 0 : e->state.regs.rip >> 32;
	bool soft = r == EMUL_FAULT && e->exception.soft;
	struct emul_regs regs = e->state.regs;

	if (soft)
		regs.rip = before->regs.rip;
	if (r < EMUL_CONTINUE || r > EMUL_UNHANDLEABLE)
		return "unknown result";
	if (bad_accesses)
		return "access of a forbidden size or address";
	if (calls > 4000)
		return "too many callbacks";
	if (r && !e->committed && memcmp(&regs, &before->regs, sizeof(regs)))
		return "registers changed by a failed instruction";
	if (r && !e->committed && memcmp(e->state.seg, before->seg, sizeof(before->seg)))
		return "segments changed by a failed instruction";
	if (!r && !e->committed)
		return "finished but not committed";
	if (r == EMUL_FAULT && !soft && e->exception.vector >= 32)
		return "impossible vector";
	return rip_bits ? "RIP beyond 32 bits" : NULL;
}

static const char *one(enum emul_mode mode, u64 *finished)
{
	static struct emul e;
	struct emul_state before;
	int r;

	random_state(&e, mode);
	random_code();
	calm = rnd() & 1;
	calls = 0;
	bad_accesses = 0;
	before = e.state;
	r = emul_decode(&e);
	if (memcmp(&e.state, &before, sizeof(before)))
		return "decoding changed the state";
	if (!r)
		r = emul_exec(&e);
	*finished += !r;
	return complaint(&e, &before, r);
}

static bool run(enum emul_mode mode, u64 seed, u64 count, unsigned int test)
{
	static const char *const names[] = { "real", "virtual-8086", "protected", "64-bit" };
	u64 i, finished = 0;
	const char *what = NULL;
	unsigned int j;

	for (i = 0; i < count && !what; i++) {
		rng = seed ^ (u64)mode << 60 ^ i << 8;
		what = one(mode, &finished);
	}
	printf("# %s mode: %llu instructions, %llu finished\n", names[mode],
	       (unsigned long long)i, (unsigned long long)finished);
	if (what) {
		printf("# number %llu: %s: bytes", (unsigned long long)i - 1, what);
		for (j = 0; j < 15; j++)
			printf(" %02x", code[j]);
		printf("\n");
	}
	what = what ? what : finished < count / 20 ? "hardly anything finished" : NULL;
	printf("%s %u random bytes in %s mode\n", what ? "not ok" : "ok", test, names[mode]);
	return !what;
}

int main(int argc, char **argv)
{
	u64 seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	u64 count = argc > 2 ? strtoull(argv[2], NULL, 0) : 400000;
	bool ok = true;
	int mode;

	printf("TAP version 13\n1..4\n# seed %llu\n", (unsigned long long)seed);
	for (mode = EMUL_MODE_REAL; mode <= EMUL_MODE_64; mode++)
		ok &= run(mode, seed, count / 4, mode + 1);
	return !ok;
}
