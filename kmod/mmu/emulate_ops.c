// SPDX-License-Identifier: GPL-2.0-only
/* The emulator's accesses: guest memory, memory-mapped I/O, ports, vector registers. */
#include <linux/mm.h>
#include <asm/fpu/api.h>
#include <asm/processor-flags.h>
#include "vm.h"
#include "trace.h"
#include "cpu/cr.h"
#include "cpu/regs.h"
#include "cpu/xstate.h"
#include "io/io.h"
#include "mmu/emulate.h"

static struct emulation *to_em(struct emul *e)
{
	return e->ctx;
}

static int host_error(struct emulation *em, int error)
{
	em->error = error;
	return EMUL_UNHANDLEABLE;
}

/* What a walk of the guest's tables came to: @ret as gwalk_translate() returns it. */
static int walk_result(struct emul *e, int ret, const struct guest_fault *fault)
{
	if (ret == -EAGAIN)
		return EMUL_RETRY;
	if (ret < 0)
		return host_error(to_em(e), ret);
	if (!ret)
		return EMUL_CONTINUE;
	e->exception = (struct emul_exception){
		.vector = fault->vector,
		.has_error = true,
		.error_code = fault->error,
		.cr2 = fault->addr,
	};
	return EMUL_FAULT;
}

static int general_protection(struct emul *e)
{
	e->exception = (struct emul_exception){ .vector = EMUL_GP, .has_error = true };
	return EMUL_FAULT;
}

static u32 walk_access(struct emul *e, unsigned int access)
{
	u32 walk = access & EMUL_ACC_WRITE ? FAULT_WRITE : FAULT_READ;

	if (access & EMUL_ACC_SYSTEM)
		return walk | GWALK_SYSTEM;
	return e->state.cpl == 3 ? walk | GWALK_USER : walk;
}

/*
 * Is this the access that exited? An EPT misconfiguration tells neither the linear address nor
 * whether it was a write: then the only operand of a kernel's instruction is taken for it if its
 * offset is the same. A user program could change the instruction after the exit, and write where
 * it may only read.
 */
bool emulate_is_hinted(const struct emulate_hint *hint, unsigned int cpl, gva_t linear, u32 access)
{
	if (!hint->valid)
		return false;
	if (hint->gva_known)
		return hint->access & access && !((linear ^ hint->gva) & PAGE_MASK);
	return hint->one_operand && cpl < 3 && !offset_in_page(linear ^ hint->gpa);
}

static bool is_hinted(const struct emul *e, u64 linear, unsigned int access)
{
	const struct emulation *em = e->ctx;

	return !(access & EMUL_ACC_SYSTEM) &&
	       emulate_is_hinted(&em->hint, e->state.cpl, linear, access & EMUL_ACC_WRITE ? FAULT_WRITE : FAULT_READ);
}

static int translate(struct emul *e, u64 linear, unsigned int access, gpa_t *gpa)
{
	struct emulation *em = to_em(e);
	struct guest_fault fault;
	int ret;

	if (is_hinted(e, linear, access)) {
		*gpa = (em->hint.gpa & PAGE_MASK) | offset_in_page(linear);
		return EMUL_CONTINUE;
	}
	ret = gwalk_translate(em->vcpu, linear, walk_access(e, access), gpa, &fault);
	return walk_result(e, ret, &fault);
}

/* Where the two halves of an access go that may cross one page boundary. */
struct span {
	gpa_t gpa[2];
	unsigned int len[2];
};

static int translate_span(struct emul *e, u64 linear, unsigned int len, unsigned int access,
			  struct span *span)
{
	u64 next;
	int r;

	span->len[0] = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(linear));
	span->len[1] = len - span->len[0];
	r = translate(e, linear, access, &span->gpa[0]);
	if (r || !span->len[1])
		return r;
	next = linear + span->len[0];
	if (e->state.mode != EMUL_MODE_64)
		next = (u32)next;
	return translate(e, next, access, &span->gpa[1]);
}

/* For userspace: what is written is kept, what is read will go to @buf. */
static bool add_piece(struct emulation *em, gpa_t gpa, u8 *buf, unsigned int len)
{
	struct emulate_piece *piece = &em->pieces[em->nr_pieces];

	if (em->nr_pieces == EMULATE_PIECES)
		return false;
	em->nr_pieces++;
	*piece = (struct emulate_piece){ .gpa = gpa, .len = len, .data = buf };
	memcpy(piece->bytes, buf, len);
	return true;
}

static u64 as_number(const u8 *buf, unsigned int len)
{
	u64 val = 0;

	memcpy(&val, buf, len);
	return val;
}

static int mmio(struct emulation *em, gpa_t gpa, u8 *buf, unsigned int len, bool write)
{
	struct vcpu *vcpu = em->vcpu;

	while (len) {
		unsigned int n = min(len, 8u);
		bool taken = !(write ? bus_write(vcpu, BUS_MMIO, gpa, n, buf) :
				       bus_read(vcpu, BUS_MMIO, gpa, n, buf));

		if (taken || write)
			trace_corbel_mmio(vcpu->id, write, gpa, n, as_number(buf, n));
		if (!taken && !add_piece(em, gpa, buf, n))
			return EMUL_UNHANDLEABLE;
		gpa += n;
		buf += n;
		len -= n;
	}
	/* REP: userspace sees the registers as of each of its writes */
	em->e.stop |= write;
	return EMUL_CONTINUE;
}

/* Does the exit itself say that no memory is there? */
static bool exited_on_device(const struct emulate_hint *hint, gpa_t gpa)
{
	return hint->valid && hint->no_slot && !((gpa ^ hint->gpa) & PAGE_MASK);
}

static int phys(struct emulation *em, gpa_t gpa, u8 *buf, unsigned int len, bool write)
{
	struct vm *vm = em->vcpu->vm;
	int ret;

	if (!len)
		return EMUL_CONTINUE;
	if (exited_on_device(&em->hint, gpa) || !slots_hva(vm, gpa, write))
		return mmio(em, gpa, buf, len, write);
	ret = write ? mmu_write(em->vcpu, gpa, buf, len) : guest_read(vm, gpa, buf, len);
	return ret ? host_error(em, -EFAULT) : EMUL_CONTINUE;
}

static int phys_span(struct emulation *em, const struct span *span, u8 *buf, bool write)
{
	int r = phys(em, span->gpa[0], buf, span->len[0], write);

	return r ?: phys(em, span->gpa[1], buf + span->len[0], span->len[1], write);
}

static int op_fetch(struct emul *e, u64 linear, void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_em(e)->vcpu;
	u32 access = FAULT_FETCH | (e->state.cpl == 3 ? GWALK_USER : 0);
	struct guest_fault fault;
	gpa_t gpa;
	int ret = gwalk_translate(vcpu, linear, access, &gpa, &fault);

	if (ret)
		return walk_result(e, ret, &fault);
	return guest_read_near(vcpu, gpa, buf, len) ? EMUL_UNHANDLEABLE : EMUL_CONTINUE;
}

/* Is the next thing to be read in the log? Return: EMUL_CONTINUE taken, EMUL_IO_NEEDED not there */
static int replay(struct emulation *em, void *buf, unsigned int len)
{
	if (em->log_pos == em->log_len)
		return EMUL_IO_NEEDED;
	if (em->log_len - em->log_pos < len) {
		em->log_len = em->log_pos;	/* userspace changed the registers under it */
		return EMUL_IO_NEEDED;
	}
	memcpy(buf, em->log + em->log_pos, len);
	em->log_pos += len;
	return EMUL_CONTINUE;
}

static int op_read(struct emul *e, u64 linear, void *buf, unsigned int len, unsigned int access)
{
	struct emulation *em = to_em(e);
	u8 *to = em->read_buf;
	struct span span;
	int r;

	if (!(access & EMUL_ACC_PROBE) && !replay(em, buf, len))
		return EMUL_CONTINUE;
	if (len > sizeof(em->read_buf))
		return EMUL_UNHANDLEABLE;
	r = translate_span(e, linear, len, access, &span);
	if (r || access & EMUL_ACC_PROBE)
		return r;
	em->nr_pieces = em->next_piece = 0;
	r = phys_span(em, &span, to, false);
	if (r)
		return r;
	em->read_len = len;
	if (em->nr_pieces)
		return EMUL_IO_NEEDED;
	memcpy(buf, to, len);
	return emulate_log_add(em, to, len) ? EMUL_CONTINUE : EMUL_UNHANDLEABLE;
}

static int op_write(struct emul *e, u64 linear, const void *buf, unsigned int len,
		    unsigned int access)
{
	struct span span;
	int r = translate_span(e, linear, len, access | EMUL_ACC_WRITE, &span);

	return r ?: phys_span(to_em(e), &span, (u8 *)buf, true);
}

/*
 * Across pages, on devices and for 16 bytes there is no atomic way: then it is a plain write, as on
 * a split lock.
 */
static int op_exchange(struct emul *e, u64 linear, const void *old, const void *new,
		      unsigned int len)
{
	struct vcpu *vcpu = to_em(e)->vcpu;
	u64 expect = 0, value = 0;
	struct span span;
	int r = translate_span(e, linear, len, EMUL_ACC_WRITE, &span);

	if (r)
		return r;
	if (len > 8 || span.len[1] || !slots_hva(vcpu->vm, span.gpa[0], true))
		return op_write(e, linear, new, len, 0);
	memcpy(&expect, old, len);
	memcpy(&value, new, len);
	r = mmu_cmpxchg(vcpu, span.gpa[0], &expect, value, len);
	if (r < 0)
		return host_error(to_em(e), r);
	return r ? EMUL_RETRY : EMUL_CONTINUE;
}

static int system_read(struct emul *e, u64 linear, void *buf, unsigned int len)
{
	struct guest_fault fault;
	int ret = gva_read(to_em(e)->vcpu, linear, buf, len, GWALK_SYSTEM, &fault);

	return walk_result(e, ret, &fault);
}

/* SDM, "I/O Permission Bit Map": two bytes are read always, so the map ends with a byte of ones. */
static int op_pio_allowed(struct emul *e, u16 port, unsigned int size)
{
	const struct kvm_segment *tr = &e->state.seg[EMUL_TR];
	u16 map, bits;
	int r;

	if (tr->unusable || !tr->present || tr->s || (tr->type & ~2) != 9 || tr->limit < 103)
		return general_protection(e);
	r = system_read(e, tr->base + 102, &map, sizeof(map));
	if (r)
		return r;
	if (map + port / 8 + 1 > tr->limit)
		return general_protection(e);
	r = system_read(e, tr->base + map + port / 8, &bits, sizeof(bits));
	if (r)
		return r;
	return bits >> (port & 7) & (BIT(size) - 1) ? general_protection(e) : EMUL_CONTINUE;
}

static int op_pio_in(struct emul *e, u16 port, unsigned int size, void *buf, unsigned int count)
{
	struct emulation *em = to_em(e);
	unsigned int i;

	if (!replay(em, buf, size * count))
		return EMUL_CONTINUE;
	for (i = 0; i < count; i++) {
		if (!bus_read(em->vcpu, BUS_PIO, port, size, buf + i * size))
			continue;
		em->pio.in = true;
		em->pio.port = port;
		em->pio.size = size;
		em->pio.count = count - i;
		return emulate_log_add(em, buf, i * size) ? EMUL_IO_NEEDED : EMUL_UNHANDLEABLE;
	}
	return emulate_log_add(em, buf, size * count) ? EMUL_CONTINUE : EMUL_UNHANDLEABLE;
}

static int op_pio_out(struct emul *e, u16 port, unsigned int size, const void *buf,
		      unsigned int count)
{
	struct emulation *em = to_em(e);
	unsigned int i;

	for (i = 0; i < count; i++)
		if (bus_write(em->vcpu, BUS_PIO, port, size, buf + i * size))
			break;
	if (i == count)
		return EMUL_CONTINUE;
	if (size * (count - i) > sizeof(em->out_buf))
		return EMUL_UNHANDLEABLE;
	memcpy(em->out_buf, buf + i * size, size * (count - i));
	em->pio.out = true;
	em->pio.port = port;
	em->pio.size = size;
	em->pio.count = count - i;
	em->pio.next = 0;
	e->stop = true;
	return EMUL_CONTINUE;
}

#define VECTOR_MOVE(_insn, _reg)							\
	do {									\
		if (set)							\
			asm volatile(_insn " (%0), %%" _reg : : "r" (buf) : "memory");	\
		else								\
			asm volatile(_insn " %%" _reg ", (%0)" : : "r" (buf) : "memory"); \
	} while (0)

#define VECTOR_CASE(_nr)							\
	case _nr:								\
		if (len == 32)							\
			VECTOR_MOVE("vmovdqu", "ymm" #_nr);			\
		else								\
			VECTOR_MOVE("movdqu", "xmm" #_nr);			\
		break;

static int op_vector(struct emul *e, unsigned int reg, void *buf, unsigned int len, bool set)
{
	if (len != 16 && (len != 32 || !boot_cpu_has(X86_FEATURE_AVX)))
		return EMUL_UNHANDLEABLE;
	xstate_vec_begin();
	switch (reg) {
	VECTOR_CASE(0) VECTOR_CASE(1) VECTOR_CASE(2) VECTOR_CASE(3)
	VECTOR_CASE(4) VECTOR_CASE(5) VECTOR_CASE(6) VECTOR_CASE(7)
	VECTOR_CASE(8) VECTOR_CASE(9) VECTOR_CASE(10) VECTOR_CASE(11)
	VECTOR_CASE(12) VECTOR_CASE(13) VECTOR_CASE(14) VECTOR_CASE(15)
	}
	xstate_vec_end();
	return EMUL_CONTINUE;
}

static int op_x87(struct emul *e, u16 *word)
{
	xstate_vec_begin();
	if (e->d.opcode == 0xd9)
		asm volatile("fnstcw %0" : "=m" (*word));
	else if (e->d.opcode == 0xdd)
		asm volatile("fnstsw %0" : "=m" (*word));
	else
		asm volatile("fninit");
	xstate_vec_end();
	return EMUL_CONTINUE;
}

/* LMSW alone comes here: MOV to control registers exits by itself. */
static int op_set_cr(struct emul *e, unsigned int nr, u64 value)
{
	struct vcpu *vcpu = to_em(e)->vcpu;

	if (nr)
		return EMUL_UNHANDLEABLE;
	if (!cr0_write(vcpu, value)) {
		e->exception = (struct emul_exception){ .vector = EMUL_GP, .has_error = true };
		return EMUL_FAULT;
	}
	e->state.cr0 = cr0_get(vcpu);
	e->state.efer = efer_get(vcpu);
	return EMUL_CONTINUE;
}

/* Exits that do not say what they invalidate. */
static int op_invlpg(struct emul *e, u64 linear)
{
	mmu_flush_addr(to_em(e)->vcpu, linear);
	return EMUL_CONTINUE;
}

static void op_commit(struct emul *e)
{
	to_em(e)->log_len = to_em(e)->log_pos = 0;
}

const struct emul_ops emulate_ops = {
	.fetch		= op_fetch,
	.read		= op_read,
	.write		= op_write,
	.exchange	= op_exchange,
	.pio_allowed	= op_pio_allowed,
	.pio_in		= op_pio_in,
	.pio_out	= op_pio_out,
	.set_cr		= op_set_cr,
	.vector		= op_vector,
	.invlpg		= op_invlpg,
	.x87		= op_x87,
	.commit		= op_commit,
};
