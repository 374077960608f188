/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What surrounds emul/: guest memory, buses, and the exits to userspace that an instruction may
 * need.
 *
 * An instruction that needs data from userspace is executed again when they are there; all that it
 * has read before is then answered from a log, so that it takes the same way. What it writes to
 * userspace's devices is queued and handed over one piece after the other, with the registers
 * already those behind the instruction.
 */
#ifndef CORBEL_EMULATE_H
#define CORBEL_EMULATE_H

#include "types.h"
#include "emul/emul.h"
#include "mmu/gwalk.h"

#define EMULATE_LOG	2048	/* two string batches */
#define EMULATE_PIECES	136	/* a batch of 1,024 bytes in eights, and unaligned ends */

struct emulate_piece {	/* of an access to memory-mapped I/O: within a page, at most 8 bytes */
	gpa_t gpa;
	u8 *data;		/* where a read's answer goes */
	u8 bytes[8];
	u8 len;
};

/* What the exit has told about the access, which spares a walk of the guest's tables. */
struct emulate_hint {
	bool valid, gva_known;
	bool one_operand;		/* the instruction has but one in memory */
	bool no_slot;			/* no memory was there at the time of the exit */
	u32 access;			/* FAULT_READ, FAULT_WRITE; 0: unknown */
	gva_t gva;
	gpa_t gpa;
};

struct emulation {
	struct emul e;
	struct vcpu *vcpu;
	u64 rip;			/* of the instruction */
	int error;			/* a failure of the host's that ends KVM_RUN; else 0 */
	bool step;			/* single-step trap due once all is written */
	bool segs;			/* segments and tables are loaded and to be stored */
	bool rsp;			/* and the stack pointer */

	struct emulate_hint hint;

	struct {			/* what was decoded last is a MOV that mmio_move() knows */
		u8 bytes;		/* on the device's side; 0: no */
		bool load;
		gpa_t users;		/* where userspace was asked last: not worth a try with interrupts off */
		struct gwalk_code code;	/* where the last one was found */
		gfn_t gfn;		/* was a device's when the slots had this generation */
		u64 generation;
	} move;

	u8 log[EMULATE_LOG];		/* what has been read since the last commit */
	unsigned int log_len, log_pos;

	struct emulate_piece pieces[EMULATE_PIECES];
	unsigned int nr_pieces, next_piece;
	u8 read_buf[EMULATE_LOG / 2];	/* the read that waits for its pieces */
	unsigned int read_len;

	struct {			/* ports; the data of OUT is in out_buf */
		bool in, out;
		u16 port;
		u8 size;
		unsigned int count, next;
	} pio;
	u8 out_buf[1024];
};

int emulate_vcpu_init(struct vcpu *vcpu);
void emulate_vcpu_destroy(struct vcpu *vcpu);

/**
 * emulate_forget() - translations changed: what the last exit told about an address is no longer
 * sure
 */
void emulate_forget(struct vcpu *vcpu);

/** emulate_interrupt_real() - take events.entry through the interrupt table of real mode */
int emulate_interrupt_real(struct vcpu *vcpu);

/** emulate_log_add() - remember what an access has read. False: no room */
bool emulate_log_add(struct emulation *em, const void *buf, unsigned int len);

/** emulate_set_hint() - take over what an exit tells; @slot: there is memory, which may only be read */
void emulate_set_hint(struct emulation *em, const struct vcpu_exit *exit, bool slot);

/**
 * emulate_is_hinted() - is this the access that has exited?
 * @access: FAULT_READ or FAULT_WRITE
 */
bool emulate_is_hinted(const struct emulate_hint *hint, unsigned int cpl, gva_t linear, u32 access);

/** emulate_mmio_exit() - fill kvm_run for userspace. The caller sets vcpu->complete. Return: TO_USER */
int emulate_mmio_exit(struct vcpu *vcpu, const struct emulate_piece *piece, bool write);

extern const struct emul_ops emulate_ops;	/* emulate_ops.c */

/* mmio_move.c */

/** mmio_move_decoded() - an instruction was decoded, or none could be: is it one for mmio_move()? */
void mmio_move_decoded(struct emulation *em);

enum mmio_move {
	MOVE_ELSE,		/* not so simple: nothing has happened */
	MOVE_DONE,
	MOVE_USER,		/* it is for userspace: mmio_move_to_user() */
};

/**
 * mmio_move() - do the instruction at RIP, if it is the one that was decoded last, on the device that em->hint
 * tells of
 * Context: vm->srcu held for reading; interrupts may be off, with page faults disabled
 */
enum mmio_move mmio_move(struct emulation *em);

#endif
