/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The x86 instruction emulator: pure code, for the module and for userspace tests alike.
 *
 * It turns an instruction and a register state into accesses to linear addresses and a new
 * register state. Paging, MMIO routing and devices belong to the caller's struct emul_ops.
 *
 * Use: fill struct emul's state and ops, emul_decode(), emul_exec(), and take the state back
 * when the result is EMUL_CONTINUE, or when @committed says that REP iterations were done
 * before another result stopped the instruction.
 */
#ifndef CORBEL_EMUL_H
#define CORBEL_EMUL_H

#include <linux/kvm.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/processor-flags.h>

enum emul_result {
	EMUL_CONTINUE,		/* done; the state has been committed */
	EMUL_FAULT,		/* deliver e->exception; RIP still at the instruction */
	EMUL_IO_NEEDED,		/* userspace owes data: call emul_exec() again when it is there */
	EMUL_RETRY,		/* a locked access lost its race: run the instruction again */
	EMUL_UNHANDLEABLE,	/* not an instruction that the emulator knows */
};

enum emul_gpr {
	EMUL_RAX, EMUL_RCX, EMUL_RDX, EMUL_RBX, EMUL_RSP, EMUL_RBP, EMUL_RSI, EMUL_RDI,
	EMUL_NR_GPRS = 16,
};

/* The order of the SDM's sreg field. */
enum emul_sreg {
	EMUL_ES, EMUL_CS, EMUL_SS, EMUL_DS, EMUL_FS, EMUL_GS, EMUL_NR_SREGS,
	EMUL_TR = EMUL_NR_SREGS, EMUL_LDTR, EMUL_NR_SEGS,
};

enum emul_mode {
	EMUL_MODE_REAL,		/* CR0.PE = 0 */
	EMUL_MODE_VM86,		/* RFLAGS.VM = 1 */
	EMUL_MODE_PROT,		/* protected or compatibility mode; CS.D says 16 or 32 */
	EMUL_MODE_64,		/* EFER.LMA = 1 and CS.L = 1 */
};

enum emul_vector {
	EMUL_DE = 0, EMUL_BP = 3, EMUL_OF_TRAP = 4, EMUL_UD = 6, EMUL_NM = 7, EMUL_TS = 10,
	EMUL_NP = 11, EMUL_SS_FAULT = 12, EMUL_GP = 13, EMUL_PF_FAULT = 14, EMUL_AC_FAULT = 17,
};

struct emul_regs {
	u64 gpr[EMUL_NR_GPRS];
	u64 rip;
	u64 rflags;
};

struct emul_state {
	struct emul_regs regs;
	struct kvm_segment seg[EMUL_NR_SEGS];
	struct kvm_dtable gdt;
	struct kvm_dtable idt;
	u64 cr0;
	u64 cr4;
	u64 efer;
	u64 xcr0;
	u8 mode;		/* enum emul_mode */
	u8 cpl;
	bool la57;
};

struct emul_exception {
	u8 vector;
	bool has_error;
	bool soft;		/* INT n, INT3, INTO: deliver as one, RIP points behind it */
	u32 error_code;
	u64 cr2;
};

/* How an access is meant, for the callback's page checks. Segmentation has been checked. */
#define EMUL_ACC_WRITE	0x1	/* read(): a write to the same bytes follows: fault as a write */
#define EMUL_ACC_PROBE	0x2	/* read(): check only, touch nothing, leave the buffer alone */
#define EMUL_ACC_SYSTEM	0x4	/* implicit supervisor access (descriptor tables) */

struct emul;

/*
 * Every callback returns an enum emul_result. @linear is what segmentation gave; a range may
 * cross a page, and outside 64-bit mode it wraps at 4 GiB: the callback resolves all its pages
 * before it touches one. A callback that returns EMUL_FAULT has filled e->exception.
 * One that returns EMUL_IO_NEEDED must, when the instruction is run again, serve all reads
 * already made since the last commit() with the same data, in the same order.
 */
struct emul_ops {
	int (*fetch)(struct emul *e, u64 linear, void *buf, unsigned int len);	/* in one page */
	int (*read)(struct emul *e, u64 linear, void *buf, unsigned int len, unsigned int access);
	/* May queue an MMIO write, also for userspace, and return EMUL_CONTINUE. */
	int (*write)(struct emul *e, u64 linear, const void *buf, unsigned int len,
		     unsigned int access);
	/* Atomic on RAM; EMUL_RETRY when memory no longer holds @old. @len up to 16. */
	int (*exchange)(struct emul *e, u64 linear, const void *old, const void *new,
			unsigned int len);
	/* Asked where IOPL does not decide: look into the TSS bitmap. NULL: #GP. */
	int (*pio_allowed)(struct emul *e, u16 port, unsigned int size);
	/* @count units of @size bytes, permission checked; INS has probed its target. */
	int (*pio_in)(struct emul *e, u16 port, unsigned int size, void *buf, unsigned int count);
	int (*pio_out)(struct emul *e, u16 port, unsigned int size, const void *buf,
		       unsigned int count);
	/* @len 16: XMM, when @set the rest of the register kept; 32: YMM, all above it zeroed. */
	int (*vector)(struct emul *e, unsigned int reg, void *buf, unsigned int len, bool set);
	/*
	 * Optional from here on: without one, the instruction is unhandleable.
	 * After set_cr() and wrmsr() the callback has refreshed cr0, cr4, efer and mode itself.
	 */
	int (*get_cr)(struct emul *e, unsigned int nr, u64 *value);
	int (*set_cr)(struct emul *e, unsigned int nr, u64 value);
	int (*get_dr)(struct emul *e, unsigned int nr, u64 *value);
	int (*set_dr)(struct emul *e, unsigned int nr, u64 value);
	int (*rdmsr)(struct emul *e, u32 index, u64 *value);
	int (*wrmsr)(struct emul *e, u32 index, u64 value);
	int (*cpuid)(struct emul *e, u32 regs[4]);	/* EAX, ECX in; EAX, EBX, ECX, EDX out */
	int (*invlpg)(struct emul *e, u64 linear);
	int (*hlt)(struct emul *e);
	int (*wbinvd)(struct emul *e);
	int (*rdtsc)(struct emul *e, u64 *tsc);
	int (*x87)(struct emul *e, u16 *word);	/* d.opcode: D9 FNSTCW, DB FNINIT, DD FNSTSW */
	/*
	 * Told after each instruction and each REP iteration, when registers have moved on:
	 * reads recorded for a restart are stale now. Not told when an instruction faults.
	 */
	void (*commit)(struct emul *e);
};

enum emul_shadow { EMUL_SHADOW_NONE, EMUL_SHADOW_STI, EMUL_SHADOW_MOV_SS };

struct emul_insn;

/* Where an operand lives; filled at execution, since it depends on registers. */
struct emul_operand {
	u8 kind;		/* enum operand_kind of insn.h */
	u8 bytes;
	u8 reg;
	u8 seg;
	u64 offset;		/* within @seg */
	u64 linear;
	u64 val;
	u64 orig;		/* value read from memory, for the locked write-back */
};

/* One decoded instruction: depends on code bytes and @decoded_for alone. */
struct emul_decoded {
	const struct emul_insn *insn;
	u8 bytes[16];		/* 15 at most count */
	u8 fetched;
	u8 decoded_for;		/* enum emul_mode << 1 | CS.D */
	u8 len;
	u8 map;			/* 0: one byte, 1: 0F, 2: 0F 38 */
	u8 opcode;
	u8 op_bytes;		/* 2, 4 or 8 */
	u8 ad_bytes;
	u8 rep;			/* 0, 0xf2 or 0xf3 */
	u8 rex;
	u8 seg;			/* of the memory operand, override applied */
	u8 modrm;
	u8 mod;
	u8 reg;
	u8 rm;
	s8 base;		/* -1: none; EMUL_NR_GPRS: RIP */
	s8 index;		/* -1: none */
	u8 scale;
	u8 vex_len;		/* 0: no VEX prefix, else 16 or 32 */
	u8 vvvv;
	bool lock;
	bool opsize_prefix;
	bool adsize_prefix;
	bool seg_override;
	u64 disp;
	u64 imm;
	u64 imm2;
};

struct emul {
	const struct emul_ops *ops;
	void *ctx;			/* the caller's */
	struct emul_state state;
	u32 rep_limit;			/* iterations per emul_exec(), 0: a default */

	/* Results of emul_exec(). */
	struct emul_exception exception;
	bool rep_again;			/* REP not exhausted: RIP still at the instruction */
	bool committed;			/* registers have moved, whatever the result */
	bool single_step;		/* RFLAGS.TF was set: a #DB trap is due */
	bool iret;			/* an IRET was executed: NMIs are unblocked */
	u8 shadow;			/* enum emul_shadow after this instruction */

	/* A callback sets it to end the REP batch after the current iteration. */
	bool stop;

	/* The emulator's own. */
	int result;			/* enum emul_result: the first failure, or none so far */
	struct emul_decoded d;
	struct emul_operand dst;
	struct emul_operand src;
	u32 rep_count;			/* in: iterations allowed; out: iterations done */
	u8 io_buf[1024];
};

/**
 * emul_decode - fetch and decode the instruction at CS:RIP
 * @e: state and ops filled in; @e->d zero, or what was decoded last
 *
 * Reads no page behind the instruction's last byte.
 * Returns EMUL_CONTINUE, EMUL_FAULT, EMUL_UNHANDLEABLE or what ops->fetch returned.
 */
int emul_decode(struct emul *e);

/**
 * emul_decoded_before - is @code, 16 bytes, what the last emul_decode() has decoded, for the same mode?
 */
bool emul_decoded_before(const struct emul *e, const u8 *code);

/**
 * emul_exec - execute the decoded instruction, or a batch of its REP iterations
 * @e: decoded by emul_decode(); may be called again after EMUL_IO_NEEDED or @rep_again
 *
 * Unless EMUL_CONTINUE is returned or @committed is set, no register has changed.
 */
int emul_exec(struct emul *e);

/** emul_privileged - for CPL 0 only. Of a decoded instruction; emul_exec() looks by itself. */
bool emul_privileged(const struct emul *e);

/**
 * emul_interrupt_real - deliver an event through the real-mode interrupt vector table
 * @e: state filled in, in real mode
 * @vector: interrupt vector
 * @ip: the return address to push
 */
int emul_interrupt_real(struct emul *e, u8 vector, u16 ip);

#endif
