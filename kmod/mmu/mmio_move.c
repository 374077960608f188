// SPDX-License-Identifier: GPL-2.0-only
/*
 * MOV between a register and a device in 64-bit code, without the emulator around it: what drivers
 * spend their exits on. The instruction at RIP must be the one that the emulator decoded last, and its
 * operand where the exit says. Whatever is not so simple is the emulator's.
 */
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "vm.h"
#include "trace.h"
#include "cpu/debug.h"
#include "cpu/regs.h"
#include "io/io.h"
#include "irq/lapic.h"
#include "mem/slots.h"
#include "mmu/emulate.h"
#include "mmu/tdp.h"

#define CODE64	(EMUL_MODE_64 << 1)	/* as emul_decoded.decoded_for has it */

/* AH, CH, DH and BH are not worth it. */
static bool high_byte(const struct emul_decoded *d)
{
	return d->op_bytes == 1 && !d->rex && d->reg >= 4;
}

void mmio_move_decoded(struct emulation *em)
{
	const struct emul_decoded *d = &em->e.d;

	em->move.bytes = 0;
	if (!d->insn || d->decoded_for != CODE64 || d->mod == 3 || d->ad_bytes != 8 || d->seg == EMUL_FS || d->seg == EMUL_GS)
		return;
	em->move.load = d->opcode & 2;
	switch (d->map << 8 | d->opcode) {
	case 0x88 ... 0x8b:
		em->move.bytes = high_byte(d) ? 0 : d->op_bytes;
		break;
	case 0xc6: case 0xc7:
		em->move.load = false;
		em->move.bytes = d->op_bytes;
		break;
	case 0x1b6: case 0x1b7:		/* MOVZX */
		em->move.load = true;
		em->move.bytes = d->opcode & 1 ? 2 : 1;
		break;
	}
}

/*
 * In its own frame: few walks are not the last one again. What is found may be another instruction than the
 * last; the walk is noted all the same, since a driver's moves stand close together.
 */
static noinline bool code_walk(struct emulation *em, gva_t rip, u8 bytes[GWALK_CODE_BYTES])
{
	struct guest_fault fault;
	struct gwalk w;

	if (gwalk(em->vcpu, rip, FAULT_FETCH, &w, &fault) ||
	    guest_read_near(em->vcpu, w.gpa, bytes, GWALK_CODE_BYTES))
		return false;
	gwalk_code_note(&em->move.code, &w);
	return true;
}

/* Memory may have changed, or RIP: compare. All that the longest instruction could have is in one page. */
static bool decoded_before(struct emulation *em)
{
	gva_t rip = rip_get(em->vcpu);
	u8 bytes[GWALK_CODE_BYTES];

	return offset_in_page(rip) <= PAGE_SIZE - sizeof(bytes) &&
	       (gwalk_code_again(&em->move.code, em->vcpu, rip, bytes) || code_walk(em, rip, bytes)) &&
	       emul_decoded_before(&em->e, bytes);
}

/* No canonical check: it is compared with an address that the hardware has passed. */
static gva_t operand(struct vcpu *vcpu, const struct emul_decoded *d)
{
	gva_t at = d->disp;

	if (d->base == EMUL_NR_GPRS)
		at += rip_get(vcpu) + d->len;
	else if (d->base >= 0)
		at += gpr_get(vcpu, d->base);
	if (d->index >= 0)
		at += gpr_get(vcpu, d->index) << d->scale;
	return at;
}

static void move_past(struct vcpu *vcpu, unsigned int len)
{
	u64 flags = rflags_get(vcpu);

	rip_set(vcpu, rip_get(vcpu) + len);
	if (unlikely(flags & X86_EFLAGS_RF))
		rflags_set(vcpu, flags & ~(u64)X86_EFLAGS_RF);
	shadow_lift(vcpu);
	vcpu->stats.insn_emulated++;
}

static void loaded(struct emulation *em, u64 val)
{
	const struct emul_decoded *d = &em->e.d;
	u64 keep = d->op_bytes < 4 ? gpr_get(em->vcpu, d->reg) & ~0ull << d->op_bytes * 8 : 0;

	gpr_set(em->vcpu, d->reg, keep | val);
	move_past(em->vcpu, d->len);
}

static bool load(struct emulation *em, gpa_t gpa)
{
	unsigned int len = em->move.bytes;
	u64 val = 0;

	if (bus_read(em->vcpu, BUS_MMIO, gpa, len, &val))
		return false;
	trace_corbel_mmio(em->vcpu->id, false, gpa, len, val);
	loaded(em, val);
	return true;
}

/* For userspace the value is kept, because the registers are already those behind the instruction. */
static bool store(struct emulation *em, gpa_t gpa)
{
	struct vcpu *vcpu = em->vcpu;
	const struct emul_decoded *d = &em->e.d;
	unsigned int len = em->move.bytes;
	u64 val = d->opcode >= 0xc6 ? d->imm : gpr_get(vcpu, d->reg);
	bool served = !bus_write(vcpu, BUS_MMIO, gpa, len, &val);

	trace_corbel_mmio(vcpu->id, true, gpa, len, len < 8 ? val & (BIT_ULL(len * 8) - 1) : val);
	if (!served)
		memcpy(em->pieces[0].bytes, &val, sizeof(val));
	move_past(vcpu, d->len);
	return served;
}

/* Return: where the access goes; INVALID_GPA: not so simple */
static gpa_t find_device(struct emulation *em)
{
	struct vcpu *vcpu = em->vcpu;
	gva_t at;

	if (!em->move.bytes || !regs_64bit(vcpu) || rflags_get(vcpu) & X86_EFLAGS_TF ||
	    !decoded_before(em))
		return INVALID_GPA;
	at = operand(vcpu, &em->e.d);
	em->hint.one_operand = true;
	if (offset_in_page(at) + em->move.bytes > PAGE_SIZE ||
	    !emulate_is_hinted(&em->hint, regs_cpl(vcpu), at, em->move.load ? FAULT_READ : FAULT_WRITE))
		return INVALID_GPA;
	return (em->hint.gpa & PAGE_MASK) | offset_in_page(at);
}

enum mmio_move mmio_move(struct emulation *em)
{
	gpa_t gpa = find_device(em);

	if (gpa == INVALID_GPA)
		return MOVE_ELSE;
	em->move.users = INVALID_GPA;
	if (em->move.load ? load(em, gpa) : store(em, gpa))
		return MOVE_DONE;
	em->move.users = gpa;
	em->pieces[0].gpa = gpa;
	em->pieces[0].len = em->move.bytes;
	return MOVE_USER;
}

/* Userspace has answered; no more than RIP tells whether the instruction is still wanted. */
static int complete_load(struct vcpu *vcpu)
{
	struct emulation *em = vcpu->mmu.emulation;
	u64 val = 0;

	if (rip_get(vcpu) != em->rip)
		return RESUME;
	memcpy(&val, vcpu->run->mmio.data, em->move.bytes);
	trace_corbel_mmio(vcpu->id, false, em->pieces[0].gpa, em->move.bytes, val);
	loaded(em, val);
	return rflags_get(vcpu) & X86_EFLAGS_TF ? debug_step_done(vcpu) : RESUME;
}

int mmio_move_to_user(struct vcpu *vcpu)
{
	struct emulation *em = vcpu->mmu.emulation;

	if (em->move.load) {
		em->rip = rip_get(vcpu);
		vcpu->complete = complete_load;
	}
	return emulate_mmio_exit(vcpu, &em->pieces[0], !em->move.load);
}

bool mmio_move_worth(struct vcpu *vcpu, gpa_t gpa)
{
	const struct emulation *em = vcpu->mmu.emulation;

	return em->move.bytes && gpa != em->move.users && vcpu->events.entry.type == EVENT_NONE &&
	       !lapic_answers(vcpu, gpa);
}

/* What is in no slot stays so until there are others. */
static bool is_mmio(struct emulation *em, gfn_t gfn)
{
	struct vm *vm = em->vcpu->vm;
	u64 generation = slots_current(vm)->generation;

	if (likely(em->move.gfn == gfn && em->move.generation == generation))
		return true;
	if (!tdp_is_mmio(vm, gfn))
		return false;
	em->move.gfn = gfn;
	em->move.generation = generation;
	return true;
}

/*
 * The next entry needs no L1D flush for this: the memory that is read is the guest's own, and none of it is
 * taken for an address of the host's.
 */
bool mmio_move_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct emulation *em = vcpu->mmu.emulation;
	enum mmio_move how;

	if (!is_mmio(em, exit->fault.gpa >> PAGE_SHIFT))
		return false;
	emulate_set_hint(em, exit, false);
	pagefault_disable();
	how = mmio_move(em);
	pagefault_enable();
	vcpu->stats.pf_mmio += how != MOVE_ELSE;
	exit->fault.asked = how == MOVE_USER;
	return how == MOVE_DONE;
}
