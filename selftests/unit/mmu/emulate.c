// SPDX-License-Identifier: GPL-2.0-only
/*
 * What surrounds the emulator: where reads and writes go, how they are cut into exits, and how an instruction goes on
 * after userspace has answered. A 64-bit guest with page tables, two slots and code in its first page.
 */
#include <stdlib.h>
#include <linux/mm.h>
#include "vm.h"
#include "ktap.h"
#include "cpu/debug.h"
#include "cpu/regs.h"
#include "io/io.h"
#include "mem/pfn.h"
#include "mmu/tdp.h"

#define CODE	0x1000
#define TABLES	0x4000
#define DATA	0x8000
#define RO	0x10000		/* a read-only slot's page */
#define DEV	0x20000		/* no slot; the kernel has a device at DEV + 0x800 */
#define PAGES	16

struct backend_caps caps;
struct backend_ops backend;
long stats_live_count[NR_LIVE_OBJECTS];

static u8 memory[(PAGES + 1) * 4096] __attribute__((aligned(4096)));
static struct vm vm;
static struct vcpu vcpu;
static struct mm_struct mm;
static union {
	struct kvm_run run;
	u8 page[4096];
} shared;
static u8 pio_page[4096];
static int last_vector;
static u64 last_cr2;
static u32 last_error;
static unsigned int bus_accesses;

bool shim_user_fault(const void *p, unsigned long len) { return !p && len; }
void shim_poison_signal(const void *addr) { (void)addr; }
void vm_request_all(struct vm *which, enum vcpu_req req, bool wait) { (void)req; }
void vm_kill(struct vm *which) { which->dead = true; }
void xstate_vec_begin(void) { }
void xstate_vec_end(void) { }
int pfn_host_level(struct mm_struct *m, hva_t hva) { return hva ? 1 : 0; }
unsigned int pfn_resolve_more(hva_t hva, unsigned int n, hfn_t *hfns) { return 0; }
void pfn_set_accessed(hfn_t hfn) { (void)hfn; }
void pfn_set_dirty(hfn_t hfn) { (void)hfn; }

bool pfn_resolve_fast(hva_t hva, bool write, bool want_write, struct pfn *pfn) { return false; }
bool lapic_answers(struct vcpu *v, gpa_t gpa) { return false; }

int pfn_resolve(hva_t hva, bool write, bool want_write, struct pfn *pfn)
{
	*pfn = (struct pfn){ .hfn = hva >> 12 & 0xffffff, .writable = write || want_write };
	return 0;
}

static int raised(int vector, u64 cr2, u32 error)
{
	last_vector = vector;
	last_cr2 = cr2;
	last_error = error;
	return RESUME;
}

int inject_exception(struct vcpu *v, u8 vector) { return raised(vector, 0, 0); }
int inject_exception_error(struct vcpu *v, u8 vector, u32 e) { return raised(vector, 0, e); }
int inject_page_fault(struct vcpu *v, gva_t cr2, u32 error) { return raised(14, cr2, error); }
int debug_step_done(struct vcpu *v) { return raised(1, 0, 0); }

static struct vcpu_exit handed_on;
static u64 last_cr0;

int exit_handle(struct vcpu *v, struct vcpu_exit *exit)
{
	handed_on = *exit;
	return RESUME;
}

bool cr0_write(struct vcpu *v, u64 val)
{
	last_cr0 = val;
	if (val & X86_CR0_TS)
		return false;
	v->regs.cr0 = val;
	return true;
}

int bus_read(struct vcpu *v, enum bus_space space, u64 addr, int len, void *val)
{
	if (space == BUS_MMIO ? addr != DEV + 0x800 : addr != 0x40)
		return -EOPNOTSUPP;
	bus_accesses++;
	memset(val, 0x77, len);
	return 0;
}

int bus_write(struct vcpu *v, enum bus_space space, u64 addr, int len, const void *val)
{
	if (space == BUS_MMIO ? addr != DEV + 0x800 : addr != 0x40)
		return -EOPNOTSUPP;
	bus_accesses++;
	return 0;
}

int pio_user_exit(struct vcpu *v, bool in, u16 port, unsigned int size, unsigned int count,
		  const void *data)
{
	v->run->exit_reason = KVM_EXIT_IO;
	v->run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	v->run->io.size = size;
	v->run->io.port = port;
	v->run->io.count = count;
	if (!in)
		memcpy(v->pio_data, data, size * count);
	return TO_USER;
}

static void slot(u32 id, u32 flags, gpa_t gpa, u64 size, void *hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = id, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (unsigned long)hva,
	};

	EXPECT_EQ(slots_set_region(&vm, &r), 0);
}

static void put(gpa_t gpa, u64 val)
{
	memcpy(memory + gpa, &val, 8);
}

/* Linear addresses are physical ones, but 0x9000 behind DATA's page and 0x30000, which are not there. */
static void make_tables(void)
{
	gpa_t page;

	put(TABLES, (TABLES + 0x1000) | 7);
	put(TABLES + 0x1000, (TABLES + 0x2000) | 7);
	put(TABLES + 0x2000, (TABLES + 0x3000) | 7);
	for (page = 0; page < 0x30; page++)
		put(TABLES + 0x3000 + page * 8, page << 12 | (page == 9 ? 0 : 7));
}

static void start(const void *code, unsigned int len)
{
	struct vcpu_regs *r = &vcpu.regs;
	int i;

	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(memory, 0, sizeof(memory));
	memset(&shared, 0, sizeof(shared));
	caps = (struct backend_caps){ .tdp = true, .tdp_ad = true, .tdp_max_level = 1,
				      .tdp_levels = 4, .tdp_format = &fmt_ept };
	vm.mm = &mm;
	EXPECT(!tdp_module_init() && !tdp_vm_init(&vm) && !mem_vm_init(&vm));
	vm.mmu.apic_page = INVALID_HPA;
	slot(0, 0, 0, PAGES * 4096, memory);
	slot(1, KVM_MEM_READONLY, RO, 4096, memory + PAGES * 4096);
	vcpu.vm = &vm;
	vcpu.run = &shared.run;
	vcpu.pio_data = pio_page;
	EXPECT(!mmu_vcpu_init(&vcpu));
	make_tables();
	memcpy(memory + CODE, code, len);
	r->avail = ~0ull;
	r->rip = CODE;
	r->rflags = 2;
	r->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
	r->cr4 = X86_CR4_PAE;
	r->efer = EFER_LME | EFER_LMA;
	r->cr3 = TABLES;
	for (i = 0; i < NR_SEGS; i++)
		r->segs[i] = (struct kvm_segment){ .limit = ~0u, .type = 3, .present = 1, .s = 1,
						   .g = 1, .db = 1 };
	r->segs[SEG_CS].type = 11;
	r->segs[SEG_CS].l = 1;
	r->segs[SEG_CS].db = 0;
	vcpu.arch.maxphyaddr = 40;
	last_vector = -1;
	bus_accesses = 0;
}

#define START(...)								\
do {										\
	static const u8 start_code[] = { __VA_ARGS__ };				\
	start(start_code, sizeof(start_code));					\
} while (0)

static void end(void)
{
	mmu_vcpu_destroy(&vcpu);
	mem_vm_destroy(&vm);
	tdp_vm_destroy(&vm);
	shim_grace_period();
	EXPECT_EQ(shim_pages_used(), 0);
}

static int emulate(void)
{
	int idx = srcu_read_lock(&vm.srcu), ret = emulate_insn(&vcpu);

	srcu_read_unlock(&vm.srcu, idx);
	return ret;
}

/* KVM_RUN after an exit. */
static int again(void)
{
	int (*complete)(struct vcpu *v) = vcpu.complete;

	vcpu.complete = NULL;
	return complete ? complete(&vcpu) : RESUME;
}

static void expect_mmio(gpa_t gpa, unsigned int len, bool write)
{
	EXPECT_EQ(shared.run.exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(shared.run.mmio.phys_addr, gpa);
	EXPECT_EQ(shared.run.mmio.len, len);
	EXPECT_EQ(shared.run.mmio.is_write, write);
}

static void kernel_device(void)
{
	START(0x8b, 0x07);				/* mov (%rdi), %eax */
	vcpu.regs.gpr[GPR_RDI] = DEV + 0x800;
	vcpu.regs.gpr[GPR_RAX] = ~0ul;
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RAX], 0x77777777);
	EXPECT_EQ(vcpu.regs.rip, CODE + 2);
	EXPECT_EQ(bus_accesses, 1);
	end();
}

static void read_waits_for_userspace(void)
{
	u64 answer = 0x1122334455667788;

	START(0x48, 0x8b, 0x07);			/* mov (%rdi), %rax */
	vcpu.regs.gpr[GPR_RDI] = DEV + 0x10;
	EXPECT_EQ(emulate(), TO_USER);
	expect_mmio(DEV + 0x10, 8, false);
	EXPECT_EQ(vcpu.regs.rip, CODE);
	memcpy(shared.run.mmio.data, &answer, 8);
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RAX], answer);
	EXPECT_EQ(vcpu.regs.rip, CODE + 3);
	end();
}

static void write_has_happened(void)
{
	START(0x48, 0x89, 0x07);			/* mov %rax, (%rdi) */
	vcpu.regs.gpr[GPR_RDI] = DEV + 0xffc;
	vcpu.regs.gpr[GPR_RAX] = 0x1122334455667788;
	EXPECT_EQ(emulate(), TO_USER);
	expect_mmio(DEV + 0xffc, 4, true);
	EXPECT_EQ(*(u32 *)shared.run.mmio.data, 0x55667788);
	EXPECT_EQ(vcpu.regs.rip, CODE + 3);
	EXPECT_EQ(again(), TO_USER);
	expect_mmio(DEV + 0x1000, 4, true);
	EXPECT_EQ(*(u32 *)shared.run.mmio.data, 0x11223344);
	EXPECT_EQ(again(), RESUME);
	end();
}

static void read_modify_write(void)
{
	START(0x01, 0x07);				/* add %eax, (%rdi) */
	vcpu.regs.gpr[GPR_RDI] = DEV;
	vcpu.regs.gpr[GPR_RAX] = 5;
	EXPECT_EQ(emulate(), TO_USER);
	expect_mmio(DEV, 4, false);
	*(u32 *)shared.run.mmio.data = 10;
	EXPECT_EQ(again(), TO_USER);
	expect_mmio(DEV, 4, true);
	EXPECT_EQ(*(u32 *)shared.run.mmio.data, 15);
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(vcpu.regs.rip, CODE + 2);
	end();
}

static void half_memory_half_device(void)
{
	START(0x48, 0x8b, 0x07);
	vcpu.regs.gpr[GPR_RDI] = RO + 0xffc;
	memset(memory + PAGES * 4096 + 0xffc, 0x55, 4);
	EXPECT_EQ(emulate(), TO_USER);
	expect_mmio(RO + 0x1000, 4, false);
	memset(shared.run.mmio.data, 0x66, 4);
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RAX], 0x6666666655555555);
	end();
}

static void read_only_memory(void)
{
	START(0x89, 0x07, 0x8b, 0x07);
	vcpu.regs.gpr[GPR_RDI] = RO + 8;
	vcpu.regs.gpr[GPR_RAX] = 1;
	EXPECT_EQ(emulate(), TO_USER);
	expect_mmio(RO + 8, 4, true);
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RAX], 0);
	end();
}

/* Nothing of a store that ends in a page fault has happened, and CR2 is the second page. */
static void fault_on_the_second_page(void)
{
	START(0x48, 0x89, 0x07);
	vcpu.regs.gpr[GPR_RDI] = DATA + 0xffc;
	vcpu.regs.gpr[GPR_RAX] = ~0ul;
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(last_vector, 14);
	EXPECT_EQ(last_cr2, DATA + 0x1000);
	EXPECT_EQ(last_error, 2);
	EXPECT_EQ(memory[DATA + 0xffc], 0);
	EXPECT_EQ(vcpu.regs.rip, CODE);
	end();
}

static void string_to_device(void)
{
	int i;

	START(0xf3, 0xa5);				/* rep movsl */
	vcpu.regs.gpr[GPR_RSI] = DATA;
	vcpu.regs.gpr[GPR_RDI] = DEV;
	vcpu.regs.gpr[GPR_RCX] = 3;
	put(DATA, 0x0000000200000001);
	put(DATA + 8, 3);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(emulate(), TO_USER);
		expect_mmio(DEV + i * 4, 4, true);
		EXPECT_EQ(*(u32 *)shared.run.mmio.data, i + 1);
		EXPECT_EQ(vcpu.regs.gpr[GPR_RCX], 2 - i);
		EXPECT_EQ(again(), RESUME);
		EXPECT_EQ(vcpu.regs.rip, CODE + (i == 2 ? 2 : 0));
	}
	end();
}

static void string_in(void)
{
	START(0xf3, 0x6c);				/* rep insb */
	vcpu.regs.gpr[GPR_RDX] = 0x80;
	vcpu.regs.gpr[GPR_RDI] = DATA;
	vcpu.regs.gpr[GPR_RCX] = 3;
	EXPECT_EQ(emulate(), TO_USER);
	EXPECT_EQ(shared.run.exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(shared.run.io.count, 3);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RCX], 3);
	memset(pio_page, 0xaa, 16);
	vcpu.regs.gpr[GPR_RCX] = 2;			/* as a debugger might */
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(memory[DATA + 1], 0xaa);
	EXPECT_EQ(memory[DATA + 2], 0);
	EXPECT_EQ(vcpu.regs.rip, CODE + 2);
	/* More than was asked for: userspace is asked once more. */
	vcpu.regs.rip = CODE;
	vcpu.regs.gpr[GPR_RDI] = DATA;
	vcpu.regs.gpr[GPR_RCX] = 3;
	EXPECT_EQ(emulate(), TO_USER);
	vcpu.regs.gpr[GPR_RCX] = 8;
	EXPECT_EQ(again(), TO_USER);
	EXPECT_EQ(shared.run.io.count, 8);
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(memory[DATA + 7], 0xaa);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RCX], 0);
	end();
}

static void moved_away_meanwhile(void)
{
	START(0x48, 0x8b, 0x07);
	vcpu.regs.gpr[GPR_RDI] = DEV;
	EXPECT_EQ(emulate(), TO_USER);
	vcpu.regs.rip = CODE + 0x100;
	memset(shared.run.mmio.data, 0xff, 8);
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RAX], 0);
	EXPECT_EQ(vcpu.regs.rip, CODE + 0x100);
	end();
}

static void string_out(void)
{
	int i;

	START(0xf3, 0x6e);				/* rep outsb */
	vcpu.regs.gpr[GPR_RDX] = 0x80;
	vcpu.regs.gpr[GPR_RSI] = DATA;
	vcpu.regs.gpr[GPR_RCX] = 2;
	put(DATA, 0x0201);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(i && !vcpu.complete ? emulate() : i ? again() : emulate(), TO_USER);
		EXPECT_EQ(shared.run.io.count, 1);
		EXPECT_EQ(pio_page[0], i + 1);
	}
	EXPECT_EQ(again(), RESUME);
	end();
}

static void port_permissions(void)
{
	START(0x6c);					/* insb at CPL 3, IOPL 0 */
	vcpu.regs.segs[SEG_SS].dpl = vcpu.regs.segs[SEG_CS].dpl = 3;
	vcpu.regs.segs[SEG_TR] = (struct kvm_segment){ .base = DATA, .limit = 0x67 + 0x20,
						       .type = 11, .present = 1 };
	vcpu.regs.gpr[GPR_RDX] = 0x40;
	vcpu.regs.gpr[GPR_RDI] = DATA + 0x800;
	*(u16 *)(memory + DATA + 102) = 0x68;
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(memory[DATA + 0x800], 0x77);
	vcpu.regs.rip = CODE;
	memory[DATA + 0x68 + 8] = 1;			/* port 0x40 */
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(last_vector, 13);
	vcpu.regs.rip = CODE;
	vcpu.regs.segs[SEG_TR].limit = 0x68 + 8;	/* its second byte is beyond */
	memory[DATA + 0x68 + 8] = 0;
	last_vector = -1;
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(last_vector, 13);
	end();
}

static void locked(void)
{
	START(0xf0, 0x48, 0x0f, 0xb1, 0x0f);		/* lock cmpxchg %rcx, (%rdi) */
	vcpu.regs.gpr[GPR_RDI] = DATA;
	vcpu.regs.gpr[GPR_RAX] = 0x1122334455667788;
	vcpu.regs.gpr[GPR_RCX] = 42;
	put(DATA, 0x1122334455667788);
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(memory[DATA], 42);
	EXPECT(vcpu.regs.rflags & X86_EFLAGS_ZF);
	end();
}

static void not_an_instruction(void)
{
	START(0x0f, 0x0e, 0x90);			/* FEMMS */
	EXPECT_EQ(emulate(), TO_USER);
	EXPECT_EQ(shared.run.exit_reason, KVM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(shared.run.internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	EXPECT_EQ(shared.run.emulation_failure.insn_bytes[1], 0x0e);
	EXPECT_EQ(vcpu.regs.rip, CODE);
	vcpu.regs.segs[SEG_SS].dpl = vcpu.regs.segs[SEG_CS].dpl = 3;
	EXPECT_EQ(emulate(), RESUME);
	EXPECT_EQ(last_vector, 6);
	/* Code where there is no memory. */
	vcpu.regs.segs[SEG_SS].dpl = vcpu.regs.segs[SEG_CS].dpl = 0;
	vcpu.regs.rip = DEV;
	EXPECT_EQ(emulate(), TO_USER);
	EXPECT_EQ(shared.run.internal.ndata, 6);
	end();
}

static void length_only(void)
{
	int idx;

	START(0x48, 0xc7, 0x87, 0, 0, 0, 0, 1, 0, 0, 0);
	idx = srcu_read_lock(&vm.srcu);
	EXPECT_EQ(emulate_insn_len(&vcpu), 11);
	vcpu.regs.rip = 0x9000;
	EXPECT_EQ(emulate_insn_len(&vcpu), 0);
	memcpy(memory + CODE, "\x0f\x01\xd9\x0f\x01\xd1\x0f\x01\xc9", 9);
	for (vcpu.regs.rip = CODE; vcpu.regs.rip < CODE + 9; vcpu.regs.rip += 3)
		EXPECT_EQ(emulate_insn_len(&vcpu), 3);	/* VMMCALL, XSETBV, MWAIT */
	srcu_read_unlock(&vm.srcu, idx);
	end();
}

static int insn(void)
{
	struct vcpu_exit exit = { .kind = EXIT_INSN };
	int idx = srcu_read_lock(&vm.srcu), ret;

	memset(&handed_on, 0, sizeof(handed_on));
	last_vector = -1;
	ret = insn_exit(&vcpu, &exit);
	srcu_read_unlock(&vm.srcu, idx);
	return ret;
}

static void expect_cr(u8 op, u8 cr, u8 gpr, u8 len)
{
	EXPECT_EQ(insn(), RESUME);
	EXPECT_EQ(handed_on.kind, EXIT_CR);
	EXPECT_EQ(handed_on.cr.op, op);
	EXPECT_EQ(handed_on.cr.cr, cr);
	EXPECT_EQ(handed_on.cr.gpr, gpr);
	EXPECT_EQ(handed_on.insn_len, len);
	EXPECT_EQ(vcpu.regs.rip, CODE);		/* its handler moves on */
	end();
}

static void expect_dr(bool read, u8 dr, u8 gpr)
{
	EXPECT_EQ(insn(), RESUME);
	EXPECT_EQ(handed_on.kind, EXIT_DR);
	EXPECT_EQ(handed_on.dr.read, read);
	EXPECT_EQ(handed_on.dr.dr, dr);
	EXPECT_EQ(handed_on.dr.gpr, gpr);
	end();
}

static void control_registers(void)
{
	START(0x0f, 0x20, 0xd8);			/* mov %cr3, %rax */
	expect_cr(CR_READ, 3, GPR_RAX, 3);
	START(0x41, 0x0f, 0x22, 0xe1);			/* mov %r9, %cr4 */
	expect_cr(CR_WRITE, 4, GPR_R9, 4);
	START(0x44, 0x0f, 0x22, 0xc3);			/* mov %rbx, %cr8 */
	expect_cr(CR_WRITE, 8, GPR_RBX, 4);
	START(0x66, 0x0f, 0x22, 0x02);			/* ModRM's mode does not matter: mov %rdx, %cr0 */
	expect_cr(CR_WRITE, 0, GPR_RDX, 4);
	START(0x0f, 0x06);
	expect_cr(CR_CLTS, 0, GPR_RAX, 2);
	START(0x0f, 0x21, 0xf7);			/* mov %dr6, %rdi */
	expect_dr(true, 6, GPR_RDI);
	START(0x0f, 0x23, 0xc8);			/* mov %rax, %dr1 */
	expect_dr(false, 1, GPR_RAX);
}

static void machine_status_word(void)
{
	START(0x0f, 0x01, 0xf0);			/* lmsw %ax: sets, but never clears PE */
	vcpu.regs.cr0 = X86_CR0_PE | X86_CR0_PG;
	vcpu.regs.gpr[GPR_RAX] = X86_CR0_MP;
	EXPECT_EQ(insn(), RESUME);
	EXPECT_EQ(last_cr0, X86_CR0_PE | X86_CR0_PG | X86_CR0_MP);
	EXPECT_EQ(vcpu.regs.rip, CODE + 3);
	vcpu.regs.rip = CODE;
	vcpu.regs.gpr[GPR_RAX] = X86_CR0_TS;		/* refused by the stub above */
	EXPECT_EQ(insn(), RESUME);
	EXPECT_EQ(last_vector, 13);
	EXPECT_EQ(vcpu.regs.rip, CODE);
	end();
	START(0x0f, 0x01, 0xe3);			/* smsw %ebx */
	vcpu.regs.cr0 = X86_CR0_PE | X86_CR0_PG;
	EXPECT_EQ(insn(), RESUME);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RBX], X86_CR0_PE | X86_CR0_PG);
	EXPECT_EQ(handed_on.kind, 0);
	end();
}

static struct vcpu_exit on_device(gpa_t gpa)
{
	return (struct vcpu_exit){ .kind = EXIT_MISCONFIG, .fault = { .gpa = gpa, .access = FAULT_RSVD } };
}

static int slowly(struct vcpu_exit *exit)
{
	int idx = srcu_read_lock(&vm.srcu), ret = fault_exit(&vcpu, exit);

	srcu_read_unlock(&vm.srcu, idx);
	return ret;
}

/* Decoded, and a device marked in the tables. */
static void decoded_once(gpa_t gpa)
{
	struct vcpu_exit exit = on_device(gpa);

	vcpu.regs.gpr[GPR_RDI] = gpa;
	EXPECT_EQ(slowly(&exit), RESUME);
	vcpu.regs.rip = CODE;
}

static void with_interrupts_off(void)
{
	struct vcpu_exit exit = on_device(DEV + 0x800);

	START(0x8b, 0x07);				/* mov (%rdi), %eax */
	EXPECT(!fault_fast(&vcpu, &exit) && !exit.fault.asked);
	decoded_once(DEV + 0x800);
	vcpu.regs.gpr[GPR_RAX] = ~0ul;
	vcpu.regs.rflags |= X86_EFLAGS_RF;
	vcpu.regs.shadow = SHADOW_STI;
	EXPECT(fault_fast(&vcpu, &exit));
	EXPECT_EQ(vcpu.regs.gpr[GPR_RAX], 0x77777777);
	EXPECT_EQ(vcpu.regs.rip, CODE + 2);
	EXPECT_EQ(vcpu.regs.rflags, 2);
	EXPECT_EQ(vcpu.regs.shadow, 0);
	EXPECT_EQ(bus_accesses, 2);
	end();
}

/* Asked once only: no device in the kernel hears of the access twice. */
static void left_to_userspace(void)
{
	struct vcpu_exit exit = on_device(DEV + 0x10);

	START(0x66, 0x8b, 0x07);			/* mov (%rdi), %ax */
	decoded_once(DEV + 0x800);
	vcpu.regs.gpr[GPR_RDI] = DEV + 0x10;
	vcpu.regs.gpr[GPR_RAX] = ~0ul;
	EXPECT(!fault_fast(&vcpu, &exit));
	EXPECT(exit.fault.asked);
	EXPECT_EQ(vcpu.regs.rip, CODE);
	EXPECT_EQ(slowly(&exit), TO_USER);
	expect_mmio(DEV + 0x10, 2, false);
	*(u16 *)shared.run.mmio.data = 0x1234;
	EXPECT_EQ(again(), RESUME);
	EXPECT_EQ(vcpu.regs.gpr[GPR_RAX], 0xffffffffffff1234);
	EXPECT_EQ(vcpu.regs.rip, CODE + 3);
	/* Known now: not tried. */
	vcpu.regs.rip = CODE;
	exit.fault.asked = false;
	EXPECT(!fault_fast(&vcpu, &exit) && !exit.fault.asked);
	EXPECT_EQ(slowly(&exit), TO_USER);
	expect_mmio(DEV + 0x10, 2, false);
	end();
}

static void expect_not_so_simple(struct vcpu_exit *exit)
{
	struct vcpu_regs was = vcpu.regs;

	EXPECT(!fault_fast(&vcpu, exit) && !exit->fault.asked);
	EXPECT(!memcmp(&was, &vcpu.regs, sizeof(was)));
	EXPECT_EQ(bus_accesses, 1);
}

static void not_so_simple(void)
{
	struct vcpu_exit exit = on_device(DEV + 0x800);

	START(0x8b, 0x07);				/* mov (%rdi), %eax */
	decoded_once(DEV + 0x800);
	memory[CODE + 1] = 0x0f;			/* mov (%rdi), %ecx */
	expect_not_so_simple(&exit);
	memory[CODE + 1] = 0x07;
	vcpu.regs.gpr[GPR_RDI] += 4;			/* it cannot be what has exited */
	expect_not_so_simple(&exit);
	vcpu.regs.gpr[GPR_RDI] += 0x7f9;		/* nor this */
	exit.fault.gpa = DEV + 0xffd;
	expect_not_so_simple(&exit);
	exit.fault.gpa = DEV + 0x800;
	vcpu.regs.gpr[GPR_RDI] = DEV + 0x800;
	vcpu.regs.rflags |= X86_EFLAGS_TF;
	expect_not_so_simple(&exit);
	vcpu.regs.rflags = 2;
	vcpu.regs.segs[SEG_SS].dpl = 3;
	expect_not_so_simple(&exit);
	vcpu.regs.segs[SEG_SS].dpl = 0;
	vcpu.regs.segs[SEG_CS].l = 0;
	expect_not_so_simple(&exit);
	vcpu.regs.segs[SEG_CS].l = 1;
	vcpu.events.entry.type = EVENT_IRQ;		/* a push of its delivery has exited */
	expect_not_so_simple(&exit);
	vcpu.events.entry.type = EVENT_NONE;
	exit.fault.access |= FAULT_WALK;
	expect_not_so_simple(&exit);
	exit.fault.access = FAULT_RSVD;
	put(TABLES + 0x3000 + (CODE >> 12) * 8, 0);	/* the code has gone */
	expect_not_so_simple(&exit);
	put(TABLES + 0x3000 + (CODE >> 12) * 8, CODE | 7);
	slot(2, 0, DEV, 4096, memory);			/* memory has come */
	expect_not_so_simple(&exit);
	end();
}

/* For counting instructions: callgrind's or perf's, not ours. */
static void repeat(unsigned long n)
{
	struct vcpu_exit exit = { .kind = EXIT_MISCONFIG, .fault.gpa = DEV + 0x800 };
	int idx;

	START(0x8b, 0x07);
	vcpu.regs.gpr[GPR_RDI] = DEV + 0x800;
	idx = srcu_read_lock(&vm.srcu);
	while (n--) {
		vcpu.regs.rip = CODE;
		fault_exit(&vcpu, &exit);
	}
	srcu_read_unlock(&vm.srcu, idx);
	end();
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		{ "a device in the kernel answers at once", kernel_device },
		{ "a read waits for userspace, RIP at the instruction", read_waits_for_userspace },
		{ "a write leaves with RIP behind it, cut at the page", write_has_happened },
		{ "read-modify-write is a read, then a write", read_modify_write },
		{ "half memory, half device", half_memory_half_device },
		{ "read-only memory: reads from it, writes to userspace", read_only_memory },
		{ "a fault on the second page leaves nothing behind", fault_on_the_second_page },
		{ "REP MOVS to a device, one exit each", string_to_device },
		{ "REP INS in one exit, RCX changed meanwhile", string_in },
		{ "RIP changed meanwhile: no completion", moved_away_meanwhile },
		{ "REP OUTS, one exit each", string_out },
		{ "port permissions from the TSS", port_permissions },
		{ "locked compare-and-exchange", locked },
		{ "what cannot be emulated", not_an_instruction },
		{ "length only", length_only },
		{ "control and debug registers, for their handlers", control_registers },
		{ "LMSW and SMSW", machine_status_word },
		{ "a move with interrupts off", with_interrupts_off },
		{ "a move that userspace is asked for", left_to_userspace },
		{ "moves that only look like that", not_so_simple },
	};

	if (argc > 1) {
		repeat(strtoul(argv[1], NULL, 0));
		return 0;
	}
	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
