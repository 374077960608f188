// SPDX-License-Identifier: GPL-2.0-only
/* The same machine under the emulator, with a copy of the data pages and their permissions. */
#include "machine.h"

static struct emul emul;
static enum environment environment;
static struct machine *machine;
static const u8 *code;
static u8 data[DATA_SIZE];

u8 *soft_data(void)
{
	return data;
}

void soft_load_data(const u8 *image)
{
	memcpy(data, image, DATA_SIZE);
}

static int page_fault(struct emul *e, u64 linear, u32 error)
{
	e->exception = (struct emul_exception) {
		.vector = EMUL_PF_FAULT, .has_error = true, .error_code = error | 4, .cr2 = linear,
	};
	return EMUL_FAULT;
}

static u64 wrap(const struct emul *e, u64 linear)
{
	return e->state.mode == EMUL_MODE_64 ? linear : (u32)linear;
}

static int soft_fetch(struct emul *e, u64 linear, void *buf, unsigned int len)
{
	if (linear < CODE_BASE || linear >= CODE_BASE + CODE_SIZE)
		return page_fault(e, linear, 0x10);
	memcpy(buf, code + (linear - CODE_BASE), len);
	return EMUL_CONTINUE;
}

/* Fails at the first byte that the access may not touch. */
static int check(struct emul *e, u64 linear, unsigned int len, bool write)
{
	u64 at;
	unsigned int i;

	for (i = 0; i < len; i++) {
		at = wrap(e, linear + i);
		if (at < DATA_BASE || at >= DATA_BASE + DATA_SIZE)
			return page_fault(e, at, write ? 2 : 0);
		if (write && at >= DATA_BASE + DATA_RW)
			return page_fault(e, at, 3);
	}
	return EMUL_CONTINUE;
}

static int soft_read(struct emul *e, u64 linear, void *buf, unsigned int len, unsigned int access)
{
	u64 entry = native_ldt_entry((linear - LDT_LINEAR) / 8 % LDT_COPY_ENTRIES);
	int r;

	if (access & EMUL_ACC_SYSTEM) {
		memcpy(buf, &entry, 8);
		return EMUL_CONTINUE;
	}
	r = check(e, linear, len, access & EMUL_ACC_WRITE);

	if (!r && !(access & EMUL_ACC_PROBE))
		memcpy(buf, data + (linear - DATA_BASE), len);
	return r;
}

static int soft_write(struct emul *e, u64 linear, const void *buf, unsigned int len,
		      unsigned int access)
{
	int r = check(e, linear, len, true);

	(void)access;
	if (!r)
		memcpy(data + (linear - DATA_BASE), buf, len);
	return r;
}

static int soft_cmpxchg(struct emul *e, u64 linear, const void *old, const void *new,
			unsigned int len)
{
	int r = check(e, linear, len, true);

	if (r)
		return r;
	if (memcmp(data + (linear - DATA_BASE), old, len))
		return EMUL_RETRY;
	memcpy(data + (linear - DATA_BASE), new, len);
	return EMUL_CONTINUE;
}

static int soft_vector(struct emul *e, unsigned int reg, void *buf, unsigned int len, bool set)
{
	(void)e;
	if (set)
		memcpy(machine->ymm[reg], buf, len);
	else
		memcpy(buf, machine->ymm[reg], len);
	return EMUL_CONTINUE;
}

/* Nothing has used it but these: what it is after FNINIT. */
static int soft_x87(struct emul *e, u16 *word)
{
	*word = e->d.opcode == 0xd9 ? 0x37f : 0;
	return EMUL_CONTINUE;
}

static const struct emul_ops soft_ops = {
	.fetch = soft_fetch,
	.read = soft_read,
	.write = soft_write,
	.exchange = soft_cmpxchg,
	.vector = soft_vector,
	.x87 = soft_x87,
};

void soft_init(enum environment env)
{
	memset(&emul, 0, sizeof(emul));
	environment = env;
	emul.ops = &soft_ops;
	emul.state.mode = env == ENV_64 ? EMUL_MODE_64 : EMUL_MODE_PROT;
	emul.state.cpl = 3;
	emul.state.cr0 = 0x80050033;
	emul.state.cr4 = 0x40620;
	emul.state.efer = 0xd01;
	emul.state.xcr0 = 7;
	emul.rep_limit = 100;
	native_segments(env, &emul.state);
}

/* Far transfers change them; the hidden parts included. */
static void reset_segments(void)
{
	emul.state.mode = environment == ENV_64 ? EMUL_MODE_64 : EMUL_MODE_PROT;
	native_segments(environment, &emul.state);
}

int soft_decode(const struct machine *m, const u8 *code_page, struct emul_decoded *d)
{
	int r;

	code = code_page;
	emul.state.regs = m->regs;
	r = emul_decode(&emul);
	*d = emul.d;
	return r;
}

void soft_run(struct machine *m, const u8 *code_page)
{
	int r, i;

	machine = m;
	code = code_page;
	reset_segments();
	emul.state.regs = m->regs;
	r = emul_decode(&emul);
	do {
		if (!r)
			r = emul_exec(&emul);
	} while (!r && emul.rep_again);
	m->regs = emul.state.regs;
	for (i = 0; i < EMUL_NR_SREGS; i++)
		m->selectors[i] = emul.state.seg[i].selector;
	m->vector = VECTOR_NONE;
	m->error_code = 0;
	m->cr2 = 0;
	if (r == EMUL_FAULT) {
		m->vector = emul.exception.vector;
		m->error_code = emul.exception.error_code;
		m->cr2 = emul.exception.cr2;
	} else if (r) {
		m->vector = VECTOR_UNKNOWN;
	}
}
