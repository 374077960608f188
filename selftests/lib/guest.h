/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What runs inside the guest. Guest code is C beside main(): the program's own image is the
 * guest's memory slot, at the same addresses, so guest functions and globals are shared with the
 * host side as they are.
 */
#ifndef SELFTESTS_GUEST_H
#define SELFTESTS_GUEST_H

#include "test.h"

#define GUEST_CODE64	0x08
#define GUEST_DATA	0x10
#define GUEST_CODE32	0x18
#define GUEST_USER32	0x23
#define GUEST_USERDATA	0x2b
#define GUEST_USER64	0x33
#define GUEST_TSS	0x40

#define GUEST_UCALL_PORT	0x1c0

enum guest_ucall_kind {
	GUEST_UCALL_SYNC = 1,
	GUEST_UCALL_DONE,
	GUEST_UCALL_FAIL,
	GUEST_UCALL_NOTE,
};

struct guest_ucall {
	u32 kind;
	u32 line;
	const char *file;
	const char *text;
	u64 args[6];
};

#define X86_CR0_PE	BIT(0)
#define X86_CR0_MP	BIT(1)
#define X86_CR0_EM	BIT(2)
#define X86_CR0_TS	BIT(3)
#define X86_CR0_ET	BIT(4)
#define X86_CR0_NE	BIT(5)
#define X86_CR0_WP	BIT(16)
#define X86_CR0_AM	BIT(18)
#define X86_CR0_NW	BIT(29)
#define X86_CR0_CD	BIT(30)
#define X86_CR0_PG	BIT(31)
#define X86_CR4_TSD	BIT(2)
#define X86_CR4_DE	BIT(3)
#define X86_CR4_PSE	BIT(4)
#define X86_CR4_PAE	BIT(5)
#define X86_CR4_PGE	BIT(7)
#define X86_CR4_OSFXSR	BIT(9)
#define X86_CR4_OSXMM	BIT(10)
#define X86_CR4_UMIP	BIT(11)
#define X86_CR4_LA57	BIT(12)
#define X86_CR4_VMXE	BIT(13)
#define X86_CR4_FSGSBASE BIT(16)
#define X86_CR4_PCIDE	BIT(17)
#define X86_CR4_OSXSAVE	BIT(18)
#define X86_CR4_SMEP	BIT(20)
#define X86_CR4_SMAP	BIT(21)
#define X86_CR4_PKE	BIT(22)
#define X86_EFLAGS_TF	BIT(8)
#define X86_EFLAGS_IF	BIT(9)
#define X86_EFLAGS_AC	BIT(18)
#define EFER_SCE	BIT(0)
#define EFER_LME	BIT(8)
#define EFER_LMA	BIT(10)
#define EFER_NX		BIT(11)

#define MSR_TSC			0x10
#define MSR_APIC_BASE		0x1b
#define MSR_TSC_ADJUST		0x3b
#define MSR_MTRRCAP		0xfe
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MCG_CAP		0x179
#define MSR_MCG_STATUS		0x17a
#define MSR_MISC_ENABLE		0x1a0
#define MSR_DEBUGCTL		0x1d9
#define MSR_PAT			0x277
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_XSS			0xda0
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SFMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103
#define MSR_VIRT_SPEC_CTRL	0xc001011f
#define MSR_KVM_WALL_CLOCK_NEW	0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW	0x4b564d01
#define MSR_KVM_ASYNC_PF_EN	0x4b564d02
#define MSR_KVM_STEAL_TIME	0x4b564d03
#define MSR_KVM_PV_EOI_EN	0x4b564d04
#define MSR_KVM_POLL_CONTROL	0x4b564d05
#define MSR_KVM_ASYNC_PF_INT	0x4b564d06
#define MSR_KVM_ASYNC_PF_ACK	0x4b564d07

#define DE_VECTOR	0
#define DB_VECTOR	1
#define NMI_VECTOR	2
#define BP_VECTOR	3
#define OF_VECTOR	4
#define BR_VECTOR	5
#define UD_VECTOR	6
#define NM_VECTOR	7
#define DF_VECTOR	8
#define TS_VECTOR	10
#define NP_VECTOR	11
#define SS_VECTOR	12
#define GP_VECTOR	13
#define PF_VECTOR	14
#define MF_VECTOR	16
#define AC_VECTOR	17
#define XM_VECTOR	19

#define barrier()	asm volatile("" : : : "memory")
#define cpu_relax()	asm volatile("pause" : : : "memory")
#define READ_ONCE(x)	(*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

static inline void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(u16 port, u16 value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u16 inw(u16 port)
{
	u16 value;

	asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u32 inl(u16 port)
{
	u32 value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (u64)hi << 32;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

struct cpuid_regs {
	u32 a, b, c, d;
};

static inline struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	struct cpuid_regs r;

	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub)
		     : "memory");
	return r;
}

#define GUEST_REG_RW(name)						\
static inline u64 read_##name(void)					\
{									\
	u64 value;							\
									\
	asm volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");	\
	return value;							\
}									\
static inline void write_##name(u64 value)				\
{									\
	asm volatile("mov %0, %%" #name : : "r"(value) : "memory");	\
}

GUEST_REG_RW(cr0)
GUEST_REG_RW(cr2)
GUEST_REG_RW(cr3)
GUEST_REG_RW(cr4)
GUEST_REG_RW(cr8)
GUEST_REG_RW(dr0)
GUEST_REG_RW(dr1)
GUEST_REG_RW(dr2)
GUEST_REG_RW(dr3)
GUEST_REG_RW(dr6)
GUEST_REG_RW(dr7)

static inline u64 read_rflags(void)
{
	u64 value;

	asm volatile("pushfq; pop %0" : "=r"(value) : : "memory");
	return value;
}

static inline void invlpg(u64 va)
{
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline void cli(void)
{
	asm volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	asm volatile("sti" : : : "memory");
}

/* Take what is pending, then no more. */
static inline void sti_nop_cli(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

static inline void hlt(void)
{
	asm volatile("hlt" : : : "memory");
}

/* Wait for an interrupt without a window in which it could be lost. */
static inline void sti_hlt_cli(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static inline u64 xgetbv(u32 index)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return lo | (u64)hi << 32;
}

/*
 * Instructions that may fault: the trap code finds the faulting address in a table, records the
 * vector in R9 (with bit 8 set, so that #DE differs from no fault) and the error code in R10, and
 * goes on behind.
 */
#define GUEST_TRY(insn)							\
	"xor %%r9d, %%r9d\n\t"						\
	"xor %%r10d, %%r10d\n\t"					\
	"771: " insn "\n"						\
	"772:\n\t"							\
	".pushsection guest_fixups, \"a\"\n\t"				\
	".quad 771b, 772b\n\t"						\
	".popsection\n\t"

struct guest_fault {
	u32 vector;	/* GUEST_NO_FAULT, or the vector */
	u32 error;
};

#define GUEST_NO_FAULT		0xffffffffu
#define GUEST_FAULT(r9, r10)	\
	((struct guest_fault){ (r9) ? (u32)(r9) & 0xff : GUEST_NO_FAULT, (u32)(r10) })

static inline struct guest_fault rdmsr_safe(u32 msr, u64 *value)
{
	register u64 r9 asm("r9");
	register u64 r10 asm("r10");
	u32 lo = 0, hi = 0;

	asm volatile(GUEST_TRY("rdmsr") : "+a"(lo), "+d"(hi), "=r"(r9), "=r"(r10) : "c"(msr)
		     : "memory");
	*value = lo | (u64)hi << 32;
	return GUEST_FAULT(r9, r10);
}

static inline struct guest_fault wrmsr_safe(u32 msr, u64 value)
{
	register u64 r9 asm("r9");
	register u64 r10 asm("r10");

	asm volatile(GUEST_TRY("wrmsr") : "=r"(r9), "=r"(r10)
		     : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
	return GUEST_FAULT(r9, r10);
}

static inline struct guest_fault read_safe(const void *addr, u64 *value)
{
	register u64 r9 asm("r9");
	register u64 r10 asm("r10");
	u64 v = 0;

	asm volatile(GUEST_TRY("mov (%[p]), %[v]") : [v] "+a"(v), "=r"(r9), "=r"(r10)
		     : [p] "c"(addr) : "memory");
	*value = v;
	return GUEST_FAULT(r9, r10);
}

static inline struct guest_fault write_safe(void *addr, u64 value)
{
	register u64 r9 asm("r9");
	register u64 r10 asm("r10");

	asm volatile(GUEST_TRY("mov %[v], (%[p])") : "=r"(r9), "=r"(r10)
		     : [p] "c"(addr), [v] "a"(value) : "memory");
	return GUEST_FAULT(r9, r10);
}

/* One operand-less instruction (or several) whose only interesting effect is its fault. */
#define GUEST_INSN_SAFE(insn, ...)					\
({									\
	register u64 try_r9 asm("r9");					\
	register u64 try_r10 asm("r10");				\
									\
	asm volatile(GUEST_TRY(insn) : "=r"(try_r9), "=r"(try_r10)	\
		     : __VA_ARGS__ : "memory", "cc");			\
	GUEST_FAULT(try_r9, try_r10);					\
})

/* The calls to the host; the argument travels as a 32-bit address, everything lies below 4 GiB. */
static inline void guest_ucall(struct guest_ucall *call)
{
	outl(GUEST_UCALL_PORT, (u32)(uintptr_t)call);
}

void guest_fail(const char *file, int line, const char *text, u64 a, u64 b);
void guest_note(const char *text, u64 value);
void guest_sync(u64 stage, u64 a, u64 b, u64 c);
void guest_done(void);

/* KVM_HC_*: VMCALL or VMMCALL, as the CPU has it. */
u64 guest_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3);
bool guest_is_intel(void);

/* Spin for @cycles of the guest's TSC. */
static inline void guest_delay(u64 cycles)
{
	u64 end = rdtsc() + cycles;

	while (rdtsc() < end)
		cpu_relax();
}

#define GUEST_SYNC(stage)	guest_sync((stage), 0, 0, 0)

#define GUEST_CHECK(cond)						\
do {									\
	if (!(cond))							\
		guest_fail(__FILE__, __LINE__, #cond, 0, 1);		\
} while (0)

#define GUEST_CHECK_OP(x, op, y)					\
do {									\
	u64 check_x = (u64)(x), check_y = (u64)(y);			\
									\
	if (!(check_x op check_y))					\
		guest_fail(__FILE__, __LINE__, #x " " #op " " #y, check_x, check_y);	\
} while (0)

#define GUEST_CHECK_EQ(x, y)	GUEST_CHECK_OP(x, ==, y)

/* Wait for a condition that another agent makes true; the harness' time limit bounds a hang. */
#define GUEST_WAIT(cond)						\
do {									\
	while (!(cond))							\
		cpu_relax();						\
} while (0)

#endif
