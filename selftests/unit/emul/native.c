// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs one instruction on the CPU. A breakpoint signal's frame is the way in (the kernel loads
 * every register from it, code and stack segment included) and the next signal, from the
 * breakpoint behind the instruction or from its fault, is the way out.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "machine.h"

#define USER_CS		0x33
#define USER32_CS	0x23
#define USER_DS		0x2b
#define LDT(n)		((n) << 3 | 7)

#define XSTATE_BV	512
#define XSTATE_SSE_AVX	6ull

enum {
	LDT_CODE32, LDT_CODE16, LDT_DATA, LDT_DOWN, LDT_READ, LDT_STACK16, LDT_STACK32, LDT_GS,
	LDT_ABSENT_DATA, LDT_ABSENT_CODE, LDT_EXEC_ONLY, LDT_CONFORMING,
};

static const struct user_desc ldt[] = {
	{ .entry_number = LDT_CODE32, .base_addr = CODE_BASE, .limit = 0x1fff, .seg_32bit = 1,
	  .contents = MODIFY_LDT_CONTENTS_CODE },
	{ .entry_number = LDT_CODE16, .base_addr = CODE_BASE, .limit = 0xffff,
	  .contents = MODIFY_LDT_CONTENTS_CODE },
	{ .entry_number = LDT_DATA, .base_addr = DATA_BASE, .limit = 0x27ff, .seg_32bit = 1 },
	/* Of an expand-down segment the offsets above the limit are the valid ones. */
	{ .entry_number = LDT_DOWN, .base_addr = DATA_BASE, .limit = 0x0fff, .seg_32bit = 1,
	  .contents = MODIFY_LDT_CONTENTS_STACK },
	{ .entry_number = LDT_READ, .base_addr = DATA_BASE, .limit = 0x2fff, .seg_32bit = 1,
	  .read_exec_only = 1 },
	{ .entry_number = LDT_STACK16, .base_addr = DATA_BASE, .limit = 0x27ff },
	{ .entry_number = LDT_STACK32, .base_addr = DATA_BASE, .limit = 0x2fff, .seg_32bit = 1 },
	{ .entry_number = LDT_GS, .base_addr = DATA_BASE + 0x123, .limit = 0x1fff,
	  .seg_32bit = 1 },
	{ .entry_number = LDT_ABSENT_DATA, .base_addr = DATA_BASE, .limit = 0x1fff,
	  .seg_not_present = 1 },
	{ .entry_number = LDT_ABSENT_CODE, .base_addr = CODE_BASE, .limit = 0x1fff,
	  .contents = MODIFY_LDT_CONTENTS_CODE, .seg_not_present = 1 },
	{ .entry_number = LDT_EXEC_ONLY, .base_addr = CODE_BASE, .limit = 0x9ff, .seg_32bit = 1,
	  .contents = MODIFY_LDT_CONTENTS_CODE, .read_exec_only = 1 },
	/* Conforming; the kernel takes no present one. */
	{ .entry_number = LDT_CONFORMING, .base_addr = CODE_BASE, .limit = 0x1fff,
	  .contents = 3, .seg_not_present = 1 },
};

/* ES, CS, SS, DS, FS, GS of each environment; FS belongs to the C library. */
static const u16 selectors[NR_ENVS][EMUL_NR_SREGS] = {
	[ENV_64] = { 0, USER_CS, USER_DS, 0, 0, 0 },
	[ENV_32_FLAT] = { USER_DS, USER32_CS, USER_DS, USER_DS, 0, LDT(LDT_GS) },
	[ENV_32_LDT] = { LDT(LDT_DOWN), LDT(LDT_CODE32), LDT(LDT_STACK32), LDT(LDT_DATA), 0,
			 LDT(LDT_READ) },
	[ENV_16] = { LDT(LDT_DATA), LDT(LDT_CODE16), LDT(LDT_STACK16), LDT(LDT_DATA), 0,
		     LDT(LDT_GS) },
	[ENV_16_STACK32] = { LDT(LDT_DATA), LDT(LDT_CODE16), LDT(LDT_STACK32), LDT(LDT_DATA), 0,
			     LDT(LDT_READ) },
};

static const int greg_of[EMUL_NR_GPRS] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct machine *machine;		/* between the two signals */
static bool inside;
static gregset_t host_gregs;
static enum environment current;
static unsigned int ymm_offset;
static bool whole_ldt;
static bool noncanonical_stack;		/* user code can be entered with any RSP */

u8 *native_code(void)
{
	return (u8 *)(uintptr_t)CODE_BASE;
}

u8 *native_data(void)
{
	return (u8 *)(uintptr_t)DATA_BASE;
}

static int set_selectors(enum environment env)
{
	const u16 *s = selectors[env];

	asm volatile("mov %0, %%es\n\tmov %1, %%ds" : : "r" (s[EMUL_ES]), "r" (s[EMUL_DS]));
	asm volatile("mov %0, %%gs" : : "r" (s[EMUL_GS]));
	if (env == ENV_64)
		return syscall(SYS_arch_prctl, ARCH_SET_GS, DATA_BASE + 0x100ul) ? errno : 0;
	return 0;
}

static void enter(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	u8 *fp = (u8 *)uc->uc_mcontext.fpregs;
	u64 bv;
	int i;

	memcpy(host_gregs, g, sizeof(gregset_t));
	for (i = 0; i < EMUL_NR_GPRS; i++)
		g[greg_of[i]] = machine->regs.gpr[i];
	g[REG_RIP] = machine->regs.rip;
	g[REG_EFL] = machine->regs.rflags;
	g[REG_CSGSFS] = (u64)selectors[current][EMUL_SS] << 48 | selectors[current][EMUL_CS];
	for (i = 0; i < NR_VECTORS; i++) {
		memcpy(fp + 160 + 16 * i, machine->ymm[i], 16);
		memcpy(fp + ymm_offset + 16 * i, machine->ymm[i] + 16, 16);
	}
	memcpy(&bv, fp + XSTATE_BV, 8);
	bv |= XSTATE_SSE_AVX;
	memcpy(fp + XSTATE_BV, &bv, 8);
}

static void leave_selectors(const greg_t *g)
{
	u16 *s = machine->selectors;

	asm volatile("mov %%es, %0\n\tmov %%ds, %1\n\tmov %%gs, %2" :
		     "=r" (s[EMUL_ES]), "=r" (s[EMUL_DS]), "=r" (s[EMUL_GS]));
	s[EMUL_CS] = g[REG_CSGSFS];
	s[EMUL_SS] = (u64)g[REG_CSGSFS] >> 48;
	set_selectors(current);
}

static void leave(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	u8 *fp = (u8 *)uc->uc_mcontext.fpregs;
	u64 bv;
	int i;

	for (i = 0; i < EMUL_NR_GPRS; i++)
		machine->regs.gpr[i] = g[greg_of[i]];
	machine->regs.rip = g[REG_RIP];
	machine->regs.rflags = g[REG_EFL];
	machine->vector = g[REG_TRAPNO];
	machine->error_code = g[REG_ERR];
	machine->cr2 = g[REG_CR2];
	memcpy(&bv, fp + XSTATE_BV, 8);
	for (i = 0; i < NR_VECTORS; i++) {
		memcpy(machine->ymm[i], fp + 160 + 16 * i, 16);
		if (bv & 4)
			memcpy(machine->ymm[i] + 16, fp + ymm_offset + 16 * i, 16);
		else
			memset(machine->ymm[i] + 16, 0, 16);
	}
	leave_selectors(g);
	memcpy(g, host_gregs, sizeof(gregset_t));
}

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
	(void)info;
	if (!machine) {
		signal(sig, SIG_DFL);
		return;
	}
	if (inside)
		leave(ctx);
	else
		enter(ctx);
	inside = !inside;
}

void native_run(struct machine *m)
{
	machine = m;
	inside = false;
	asm volatile("int3" : : : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
		     "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
		     "xmm15");
	machine = NULL;
}

void native_load_data(const u8 *image)
{
	memcpy(native_data(), image, DATA_RW);
}

/* LAR knows present and absent segments alike. */
static bool segment_exists(u16 selector)
{
	u32 rights;
	bool exists;

	asm("lar %2, %0" : "=r" (rights), "=@ccz" (exists) : "r" ((u32)selector));
	return exists;
}

/*
 * Some kernels take no 16-bit segments, some paravirtual ones no LDT at all, whatever they answer.
 * Function 0x11 has the current meaning of not-present.
 */
static void load_ldt(void)
{
	size_t i;

	whole_ldt = true;
	for (i = 0; i < sizeof(ldt) / sizeof(ldt[0]); i++) {
		syscall(SYS_modify_ldt, 0x11, &ldt[i], sizeof(ldt[i]));
		whole_ldt &= segment_exists(LDT(i));
	}
}

bool native_enter(enum environment env)
{
	int i;

	load_ldt();
	for (i = 0; i < EMUL_NR_SREGS; i++)
		if (env != ENV_64 && selectors[env][i] && !segment_exists(selectors[env][i]))
			return false;
	current = env;
	return !set_selectors(env);
}

bool native_whole_ldt(void)
{
	return whole_ldt;
}

bool native_possible(const struct machine *m)
{
	u64 rsp = m->regs.gpr[EMUL_RSP];

	return noncanonical_stack || current != ENV_64 || (u64)((s64)(rsp << 16) >> 16) == rsp;
}

/* As the kernel makes it of a struct user_desc: always accessed, always DPL 3. */
u64 native_ldt_entry(unsigned int n)
{
	const struct user_desc *d = &ldt[n];
	u64 type = d->contents << 2 | (!d->read_exec_only) << 1 | 1;

	return (d->limit & 0xffff) | (u64)(d->base_addr & 0xffffff) << 16 | type << 40 |
	       1ull << 44 | 3ull << 45 | (u64)!d->seg_not_present << 47 |
	       (u64)(d->limit >> 16) << 48 | (u64)d->seg_32bit << 54 |
	       (u64)(d->base_addr >> 24) << 56;
}

static struct kvm_segment segment(u16 selector)
{
	struct kvm_segment s = {
		.selector = selector, .limit = 0xffffffff, .type = 3, .dpl = 3, .s = true,
		.present = true, .db = true, .g = true,
	};
	const struct user_desc *d = &ldt[selector >> 3];

	if (selector == USER_CS || selector == USER32_CS) {
		s.type = 0xb;
		s.l = selector == USER_CS;
		s.db = !s.l;
	} else if (!(selector & ~3)) {
		s.unusable = true;
	} else if (selector & 4) {
		s.base = d->base_addr;
		s.limit = d->limit;
		s.db = d->seg_32bit;
		s.type = d->contents << 2 | (!d->read_exec_only) << 1 | 1;
	}
	return s;
}

void native_segments(enum environment env, struct emul_state *state)
{
	int i;

	for (i = 0; i < EMUL_NR_SREGS; i++)
		state->seg[i] = segment(selectors[env][i]);
	if (env == ENV_64)
		state->seg[EMUL_GS].base = DATA_BASE + 0x100;
	state->seg[EMUL_LDTR] = (struct kvm_segment) {
		.base = LDT_LINEAR, .limit = LDT_COPY_ENTRIES * 8 - 1, .type = 2, .present = true,
	};
}

static void *map(u32 base, u32 size, int prot)
{
	void *want = (void *)(uintptr_t)base;
	void *p = mmap(want, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == want)
		return p;
	perror("mmap");
	exit(1);
}

/* Does an INT3 with this stack pointer get to be executed? */
static bool stack_pointer_works(u64 rsp)
{
	struct machine m = { .regs = { .rip = CODE_BASE, .rflags = 0x202 } };

	m.regs.gpr[EMUL_RSP] = rsp;
	native_enter(ENV_64);
	native_run(&m);
	return m.vector == EMUL_BP;
}

int native_init(void)
{
	static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	static u8 stack[65536];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = {
		.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	unsigned int eax, ebx, ecx, edx;
	size_t i;

	/* Guard pages on both sides, so that nothing else is ever mapped there. */
	map(CODE_BASE - 0x10000, 0x30000, PROT_NONE);
	map(DATA_BASE - 0x10000, 0x30000, PROT_NONE);
	mprotect(native_code(), CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	mprotect(native_data(), DATA_SIZE, PROT_READ | PROT_WRITE);
	memset(native_code(), 0xcc, CODE_SIZE);
	memset(native_data(), 0x5a, DATA_SIZE);
	sigaltstack(&alt, NULL);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	if (!__get_cpuid_count(13, 2, &eax, &ebx, &ecx, &edx))
		return ENOSYS;
	ymm_offset = ebx;
	noncanonical_stack = stack_pointer_works(1ull << 62);
	return 0;
}

/* The last data page becomes read-only, with what is in it. */
void native_protect(void)
{
	mprotect(native_data() + DATA_RW, DATA_SIZE - DATA_RW, PROT_READ);
}
