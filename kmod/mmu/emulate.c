// SPDX-License-Identifier: GPL-2.0-only
/* One emulated instruction from its exit to the next entry, through userspace if need be. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "vm.h"
#include "trace.h"
#include "cpu/debug.h"
#include "cpu/regs.h"
#include "io/io.h"
#include "irq/inject.h"
#include "mmu/emulate.h"

bool emulate_log_add(struct emulation *em, const void *buf, unsigned int len)
{
	if (len > sizeof(em->log) - em->log_len)
		return false;
	memcpy(em->log + em->log_len, buf, len);
	em->log_len += len;
	em->log_pos = em->log_len;
	return true;
}

static u8 current_mode(struct vcpu *vcpu)
{
	if (!(cr0_modes(vcpu) & X86_CR0_PE))
		return EMUL_MODE_REAL;
	if (rflags_get(vcpu) & X86_EFLAGS_VM)
		return EMUL_MODE_VM86;
	return regs_64bit(vcpu) ? EMUL_MODE_64 : EMUL_MODE_PROT;
}

static void load_regs(struct emulation *em)
{
	struct vcpu *vcpu = em->vcpu;
	struct emul_regs *regs = &em->e.state.regs;

	BUILD_BUG_ON(sizeof(regs->gpr) != sizeof(vcpu->regs.gpr));
	BUILD_BUG_ON((int)EMUL_SHADOW_STI != SHADOW_STI);
	BUILD_BUG_ON((int)EMUL_SHADOW_MOV_SS != SHADOW_MOV_SS);
	BUILD_BUG_ON((int)EMUL_NR_SEGS != NR_SEGS || (int)EMUL_LDTR != SEG_LDTR);
	if (em->rsp)
		reg_need(vcpu, GPR_RSP);
	memcpy(regs->gpr, vcpu->regs.gpr, sizeof(regs->gpr));
	regs->rip = rip_get(vcpu);
	regs->rflags = rflags_get(vcpu);
}

/* The emulator numbers the segments as we do. */
static void load_seg(struct emulation *em, enum seg seg)
{
	em->e.state.seg[seg] = *seg_get(em->vcpu, seg);
}

/*
 * What decoding needs, and what a plain move in 64-bit mode does with: there the code segment's base
 * and limit do not count.
 */
static void load_basics(struct emulation *em)
{
	struct vcpu *vcpu = em->vcpu;
	struct emul_state *s = &em->e.state;

	em->rsp = false;
	load_regs(em);
	s->cr0 = cr0_modes(vcpu);
	s->cr4 = cr4_modes(vcpu);
	s->efer = efer_get(vcpu);
	s->xcr0 = vcpu->arch.xcr0;
	s->mode = current_mode(vcpu);
	if (s->mode != EMUL_MODE_64)
		load_seg(em, SEG_CS);
	s->cpl = regs_cpl(vcpu);
	s->la57 = s->cr4 & X86_CR4_LA57;
}

static void load_rsp(struct emulation *em)
{
	em->rsp = true;
	em->e.state.regs.gpr[EMUL_RSP] = gpr_get(em->vcpu, GPR_RSP);
}

/* All there is. */
static void load_full(struct emulation *em)
{
	struct vcpu *vcpu = em->vcpu;
	struct emul_state *s = &em->e.state;
	unsigned int i;

	for (i = 0; i < NR_SEGS; i++)
		load_seg(em, i);
	reg_need(vcpu, REG_GDTR);
	reg_need(vcpu, REG_IDTR);
	s->gdt = vcpu->regs.gdtr;
	s->idt = vcpu->regs.idtr;
	s->cr0 = cr0_get(vcpu);
	s->cr4 = cr4_get(vcpu);
	em->segs = true;
	load_rsp(em);
}

/*
 * MOV, MOVZX, MOVSX, STOS, MOVS: nearly all that drivers use on their devices. In 64-bit mode these
 * look at no segment but FS and GS, which spares some thirty VMREADs. Return: how many memory
 * operands, 0: it is something else
 */
static unsigned int plain_move(const struct emul *e)
{
	if (e->state.mode != EMUL_MODE_64)
		return 0;
	switch (e->d.map << 8 | e->d.opcode) {
	case 0x88 ... 0x8b: case 0xa0 ... 0xa3: case 0xaa: case 0xab: case 0xc6: case 0xc7:
	case 0x1b6: case 0x1b7: case 0x1be: case 0x1bf:
		return 1;
	case 0xa4: case 0xa5:
		return 2;
	default:
		return 0;
	}
}

static void load_rest(struct emulation *em)
{
	const struct emul_decoded *d = &em->e.d;
	unsigned int operands = plain_move(&em->e);

	em->hint.one_operand = operands == 1;
	em->segs = false;
	if (!operands) {
		load_full(em);
		return;
	}
	if (d->seg == EMUL_FS || d->seg == EMUL_GS)
		load_seg(em, d->seg);
	if (d->base == EMUL_RSP || d->reg == EMUL_RSP || d->rm == EMUL_RSP)
		load_rsp(em);
}

static void store_table(struct vcpu *vcpu, enum reg reg, struct kvm_dtable *to,
			const struct kvm_dtable *from)
{
	if (!memcmp(to, from, sizeof(*to)))
		return;
	*to = *from;
	reg_touch(vcpu, reg);
}

static void store_shadow(struct vcpu *vcpu, const struct emul *e)
{
	u64 was = shadow_get(vcpu), shadow = was & ~(u64)(SHADOW_STI | SHADOW_MOV_SS);

	shadow |= e->shadow;
	if (e->iret)
		shadow &= ~(u64)SHADOW_NMI;
	if (shadow != was)
		shadow_set(vcpu, shadow);
}

static void store_segs(struct vcpu *vcpu, const struct emul_state *s)
{
	unsigned int i;

	for (i = 0; i < NR_SEGS; i++)
		if (memcmp(&s->seg[i], seg_get(vcpu, i), sizeof(s->seg[i])))
			seg_set(vcpu, i, &s->seg[i]);
	store_table(vcpu, REG_GDTR, &vcpu->regs.gdtr, &s->gdt);
	store_table(vcpu, REG_IDTR, &vcpu->regs.idtr, &s->idt);
}

/* What the instruction did to the registers, its interrupt shadow and NMI blocking. */
static void store_state(struct emulation *em)
{
	struct vcpu *vcpu = em->vcpu;
	struct emul_state *s = &em->e.state;

	if (!em->rsp)
		s->regs.gpr[EMUL_RSP] = vcpu->regs.gpr[GPR_RSP];
	else if (s->regs.gpr[EMUL_RSP] != vcpu->regs.gpr[GPR_RSP])
		reg_touch(vcpu, GPR_RSP);
	memcpy(vcpu->regs.gpr, s->regs.gpr, sizeof(vcpu->regs.gpr));
	rip_set(vcpu, s->regs.rip);
	if (rflags_get(vcpu) != s->regs.rflags)
		rflags_set(vcpu, s->regs.rflags);
	if (em->segs)
		store_segs(vcpu, s);
	store_shadow(vcpu, &em->e);
}

static void fill_failure(struct vcpu *vcpu)
{
	const struct emul_decoded *d = &vcpu->mmu.emulation->e.d;
	struct kvm_run *run = vcpu->run;
	unsigned int next = 1;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.flags = 0;
	if (d->fetched) {
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = d->fetched;
		memset(run->emulation_failure.insn_bytes, 0x90, 15);
		memcpy(run->emulation_failure.insn_bytes, d->bytes, min_t(int, d->fetched, 15));
		next += 2;
	}
	/* As KVM has it: five more that describe the exit, their meaning the vendor's. */
	memset(&run->internal.data[next], 0, 5 * sizeof(u64));
	run->internal.data[next] = vcpu->exit.hw_reason;
	run->emulation_failure.ndata = next + 5;
}

int emulate_failed(struct vcpu *vcpu)
{
	/* what the guest gets if it is run again, or at once outside ring 0 */
	inject_ud(vcpu);
	if (regs_cpl(vcpu))
		return RESUME;
	fill_failure(vcpu);
	return TO_USER;
}

static int deliver(struct vcpu *vcpu, const struct emul_exception *x)
{
	if (x->soft)
		return emulate_failed(vcpu);
	if (x->vector == EMUL_PF_FAULT)
		return inject_page_fault(vcpu, x->cr2, x->error_code);
	if (x->has_error)
		return inject_exception_error(vcpu, x->vector, x->error_code);
	return inject_exception(vcpu, x->vector);
}

static int finish(struct emulation *em, int result);

int emulate_mmio_exit(struct vcpu *vcpu, const struct emulate_piece *piece, bool write)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = piece->gpa;
	run->mmio.len = piece->len;
	run->mmio.is_write = write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (write)
		memcpy(run->mmio.data, piece->bytes, piece->len);
	vcpu->stats.mmio_exits++;
	return TO_USER;
}

/* Userspace has answered. Run the instruction again, unless it is not the one at RIP any more. */
static int run_again(struct emulation *em)
{
	struct vcpu *vcpu = em->vcpu;

	if (rip_get(vcpu) != em->rip)
		return RESUME;
	load_regs(em);
	em->hint.no_slot = false;	/* it may have put memory there */
	em->log_pos = 0;
	em->nr_pieces = em->next_piece = 0;
	return finish(em, emul_exec(&em->e));
}

static int complete_mmio_read(struct vcpu *vcpu)
{
	struct emulation *em = vcpu->mmu.emulation;
	struct emulate_piece *piece = &em->pieces[em->next_piece++];

	u64 val = 0;

	memcpy(&val, vcpu->run->mmio.data, piece->len);
	trace_corbel_mmio(vcpu->id, false, piece->gpa, piece->len, val);
	memcpy(piece->data, &val, piece->len);
	if (em->next_piece < em->nr_pieces) {
		vcpu->complete = complete_mmio_read;
		return emulate_mmio_exit(vcpu, &em->pieces[em->next_piece], false);
	}
	if (!emulate_log_add(em, em->read_buf, em->read_len))
		return emulate_failed(vcpu);
	return run_again(em);
}

static int complete_pio_in(struct vcpu *vcpu)
{
	struct emulation *em = vcpu->mmu.emulation;

	em->pio.in = false;
	if (!emulate_log_add(em, vcpu->pio_data, em->pio.size * em->pio.count))
		return emulate_failed(vcpu);
	return run_again(em);
}

static int ask_userspace(struct emulation *em)
{
	struct vcpu *vcpu = em->vcpu;

	em->rip = rip_get(vcpu);
	if (em->pio.in) {
		vcpu->complete = complete_pio_in;
		return pio_user_exit(vcpu, true, em->pio.port, em->pio.size, em->pio.count, NULL);
	}
	vcpu->complete = complete_mmio_read;
	return emulate_mmio_exit(vcpu, &em->pieces[0], false);
}

/* The registers are final; hand over what was written, piece by piece. */
static int tell_userspace(struct vcpu *vcpu)
{
	struct emulation *em = vcpu->mmu.emulation;

	if (em->next_piece < em->nr_pieces) {
		vcpu->complete = tell_userspace;
		return emulate_mmio_exit(vcpu, &em->pieces[em->next_piece++], true);
	}
	if (em->pio.out && em->pio.next < em->pio.count) {
		void *data = em->out_buf + em->pio.next++ * em->pio.size;

		vcpu->complete = tell_userspace;
		return pio_user_exit(vcpu, false, em->pio.port, em->pio.size, 1, data);
	}
	return em->step ? debug_step_done(vcpu) : RESUME;
}

static int finish(struct emulation *em, int result)
{
	struct vcpu *vcpu = em->vcpu;
	int error = em->error;

	em->error = 0;
	if (result == EMUL_CONTINUE || em->e.committed)
		store_state(em);
	switch (result) {
	case EMUL_CONTINUE:
		vcpu->stats.insn_emulated++;
		em->step = em->e.single_step;
		return tell_userspace(vcpu);
	case EMUL_FAULT:
		return deliver(vcpu, &em->e.exception);
	case EMUL_IO_NEEDED:
		return ask_userspace(em);
	case EMUL_RETRY:
		return RESUME;
	default:
		return error ?: emulate_failed(vcpu);
	}
}

static void begin(struct emulation *em)
{
	em->log_len = em->log_pos = 0;
	em->nr_pieces = em->next_piece = 0;
	em->pio.in = em->pio.out = false;
	em->error = 0;
	em->e.committed = false;
	em->vcpu->cache_tainted = true;	/* guest memory has come into this CPU's caches */
	load_basics(em);
}

static int decode(struct emulation *em)
{
	int result;

	begin(em);
	result = emul_decode(&em->e);
	mmio_move_decoded(em);
	return result;
}

static int execute(struct emulation *em)
{
	load_rest(em);
	return finish(em, emul_exec(&em->e));
}

static int emulate(struct emulation *em)
{
	int result = decode(em);

	return result == EMUL_CONTINUE ? execute(em) : finish(em, result);
}

int emulate_insn(struct vcpu *vcpu)
{
	vcpu->mmu.emulation->hint.valid = false;
	return emulate(vcpu->mmu.emulation);
}

/*
 * A stack or descriptor table on a device: the instruction at RIP has nothing to do with the
 * access.
 */
static int delivery_failed(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run->internal.ndata = 3;
	run->internal.data[0] = vcpu->events.entry.vector;
	run->internal.data[1] = exit->hw_reason;
	run->internal.data[2] = exit->fault.gpa;
	return TO_USER;
}

void emulate_set_hint(struct emulation *em, const struct vcpu_exit *exit, bool slot)
{
	u32 access = exit->fault.access;

	em->hint = (struct emulate_hint){
		.valid = !(access & FAULT_WALK),
		.gva_known = access & FAULT_GVA_VALID,
		.no_slot = !slot,
		.gva = exit->fault.gva,
		.gpa = exit->fault.gpa,
		.access = access & (FAULT_READ | FAULT_WRITE),
	};
}

int emulate_mmio(struct vcpu *vcpu, const struct vcpu_exit *exit, bool slot)
{
	struct emulation *em = vcpu->mmu.emulation;

	if (vcpu->events.entry.type != EVENT_NONE)
		return delivery_failed(vcpu, exit);
	vcpu->stats.pf_mmio++;
	emulate_set_hint(em, exit, slot);
	if (!slot) {
		switch (mmio_move(em)) {
		case MOVE_DONE:
			return RESUME;
		case MOVE_USER:
			return mmio_move_to_user(vcpu);
		case MOVE_ELSE:
			break;
		}
	}
	return emulate(em);
}

unsigned int emulate_insn_len(struct vcpu *vcpu)
{
	struct emulation *em = vcpu->mmu.emulation;

	em->hint.valid = false;
	return decode(em) == EMUL_CONTINUE ? em->e.d.len : 0;
}

/* What is an exit of its own, as hardware would tell it. */
static bool own_exit(const struct emul *e, struct vcpu_exit *exit)
{
	const struct emul_decoded *d = &e->d;

	exit->insn_len = d->len;
	switch (d->map << 8 | d->opcode) {
	case 0x0e4 ... 0x0e7:
	case 0x0ec ... 0x0ef:
		exit->kind = EXIT_IO;
		exit->io.port = d->opcode & 8 ? e->state.regs.gpr[EMUL_RDX] : d->imm;
		exit->io.size = d->op_bytes;
		exit->io.in = !(d->opcode & 2);
		exit->io.string = false;
		exit->io.asked = false;
		return !e->state.cpl;		/* permission is for the emulator to check */
	case 0x0f4:
		exit->kind = EXIT_HLT;
		return true;
	case 0x106:
		exit->kind = EXIT_CR;
		exit->cr.op = CR_CLTS;
		return true;
	case 0x108:
	case 0x109:
		exit->kind = EXIT_INVD;
		return true;
	case 0x120:
	case 0x122:
		exit->kind = EXIT_CR;
		exit->cr.op = d->opcode == 0x20 ? CR_READ : CR_WRITE;
		exit->cr.cr = d->reg;
		exit->cr.gpr = d->rm;
		return true;
	case 0x121:
	case 0x123:
		exit->kind = EXIT_DR;
		exit->dr.read = d->opcode == 0x21;
		exit->dr.dr = d->reg;
		exit->dr.gpr = d->rm;
		return true;
	case 0x130:
		exit->kind = EXIT_MSR_WRITE;
		return true;
	case 0x131:
		exit->kind = EXIT_RDTSC;
		return true;
	case 0x132:
		exit->kind = EXIT_MSR_READ;
		return true;
	case 0x1a2:
		exit->kind = EXIT_CPUID;
		return true;
	}
	return false;
}

int insn_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct emulation *em = vcpu->mmu.emulation;
	int result;

	em->hint.valid = false;
	result = decode(em);
	if (result != EMUL_CONTINUE)
		return finish(em, result);
	if (emul_privileged(&em->e) && regs_cpl(vcpu))
		return inject_gp(vcpu);	/* not what has exited: it was changed meanwhile */
	if (own_exit(&em->e, exit))
		return exit_handle(vcpu, exit);
	return execute(em);
}

int emulate_interrupt_real(struct vcpu *vcpu)
{
	struct emulation *em = vcpu->mmu.emulation;
	struct event *event = &vcpu->events.entry;
	u16 ip = rip_get(vcpu) + (event->type >= EVENT_SOFT_INT ? event->insn_len : 0);
	int result;

	em->hint.valid = false;
	begin(em);
	load_full(em);
	result = emul_interrupt_real(&em->e, event->vector, ip);
	if (result == EMUL_CONTINUE) {
		if (event->type == EVENT_NMI)
			shadow_set(vcpu, shadow_get(vcpu) | SHADOW_NMI);
		event->type = EVENT_NONE;
	}
	/* A table on a device cannot be waited for: there is no instruction to run again. */
	return finish(em, result == EMUL_IO_NEEDED ? EMUL_UNHANDLEABLE : result);
}

/* Hardware task switches are not emulated: nothing has changed yet, so userspace may look. */
int task_switch_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	memset(&vcpu->mmu.emulation->e.d, 0, sizeof(vcpu->mmu.emulation->e.d));
	fill_failure(vcpu);
	return TO_USER;
}

void emulate_forget(struct vcpu *vcpu)
{
	vcpu->mmu.emulation->hint.valid = false;
}

int emulate_vcpu_init(struct vcpu *vcpu)
{
	struct emulation *em = kvzalloc(sizeof(*em), GFP_KERNEL_ACCOUNT);

	if (!em)
		return -ENOMEM;
	em->vcpu = vcpu;
	em->move.users = INVALID_GPA;
	em->move.code.page = GWALK_NO_PAGE;
	em->move.gfn = ~0ull;
	em->e.ops = &emulate_ops;
	em->e.ctx = em;
	vcpu->mmu.emulation = em;
	return 0;
}

void emulate_vcpu_destroy(struct vcpu *vcpu)
{
	kvfree(vcpu->mmu.emulation);
	vcpu->mmu.emulation = NULL;
}
