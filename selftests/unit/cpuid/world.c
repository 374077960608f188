// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <linux/slab.h>
#include <asm/apicdef.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include "mmu/emulate.h"
#include "mmu/shadow.h"
#include "world.h"
#include "cpu/clock.h"
#include "cpu/debug.h"
#include "cpu/dr.h"
#include "cpu/pv.h"
#include "cpu/tsc.h"
#include "cpu/xstate.h"
#include "irq/lapic.h"
#include "irq/lapic_timer.h"
#include "mem/mem.h"
#include "mmu/mmu.h"

struct world world;
struct backend_ops backend;
struct backend_caps caps;
struct xstate_host xstate_host;
static u32 seed = 1;

u32 world_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 4;
}

/* The host */

static void set4(u32 *regs[4], u32 a, u32 b, u32 c, u32 d)
{
	*regs[0] = a;
	*regs[1] = b;
	*regs[2] = c;
	*regs[3] = d;
}

static void xsave_leaf(u32 index, u32 *regs[4])
{
	static const struct { u32 size, offset, flags; } area[] = {
		[2] = { 260, 576 }, [5] = { 64, 1088, 2 /* aligned when compacted */ },
		[6] = { 512, 1152 }, [7] = { 1024, 1664 },
		[9] = { 8, 2688 },
	};

	if (index < 2)
		set4(regs, ~0u, 2696, 2696, index ? ~0u : 0);
	else if (index < 10)
		set4(regs, area[index].size, area[index].offset, area[index].flags, 0);
	else
		set4(regs, 0, 0, 0, 0);
}

void cpuid_count(u32 function, u32 index, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 *regs[4] = { eax, ebx, ecx, edx };

	if (function == 0)
		set4(regs, world.max_basic, world.vendor_ebx, 0, 0);
	else if (function == 0x80000000)
		set4(regs, world.max_extended, 0, 0, 0);
	else if (function == 4 || function == 0x8000001d)
		set4(regs, index < 4 ? 0x121 : 0, 1, 2, 3);
	else if (function == 7 && !index)
		set4(regs, 2, ~0u, ~0u, ~0u);
	else if (function == 0xd)
		xsave_leaf(index, regs);
	else if (function == 0x80000008)
		set4(regs, 0x3030 - 2, ~0u, 0, 0);
	else
		set4(regs, ~0u, ~0u, ~0u, ~0u);
}

int rdmsrl_safe(u32 msr, u64 *val)
{
	*val = ~0ull;
	return 0;
}

void wrmsrl(u32 msr, u64 val)
{
}

bool shim_user_fault(const void *p, unsigned long len)
{
	return !p;
}

/* The other rooms */

int guest_read(struct vm *vm, gpa_t gpa, void *buf, unsigned int len)
{
	if (gpa + len > sizeof(world.memory))
		return -EFAULT;
	memcpy(buf, (char *)world.memory + gpa, len);
	return 0;
}

bool shadow_switch_root(struct vcpu *vcpu, u64 cr3, bool flush)
{
	return false;
}

void emulate_forget(struct vcpu *vcpu)
{
}

void mmu_paging_changed(struct vcpu *vcpu)
{
	world.paging_changed++;
}

int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, struct guest_fault *fault)
{
	*gpa = gva;
	return gva >> 32 ? 1 : 0;
}

unsigned int emulate_insn_len(struct vcpu *vcpu)
{
	return 0;
}

int inject_exception(struct vcpu *vcpu, u8 vector)
{
	world.ud += vector == 6;
	world.mc += vector == 18;
	return RESUME;
}

int inject_exception_error(struct vcpu *vcpu, u8 vector, u32 error)
{
	world.gp += vector == 13 && !error;
	return RESUME;
}

int inject_irq_vector(struct vcpu *vcpu)
{
	return -1;
}

void inject_irq_requeue(struct vcpu *vcpu, u8 vector)
{
}

void events_clear_exception(struct vcpu *vcpu)
{
}

u64 lapic_base_get(struct vcpu *vcpu)
{
	return world.apic_base;
}

int lapic_base_set(struct vcpu *vcpu, u64 val, bool host)
{
	if ((val & X2APIC_ENABLE) && !(val & MSR_IA32_APICBASE_ENABLE))
		return -EINVAL;
	world.apic_base = val;
	return 0;
}

int lapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *val)
{
	*val = 0;
	return -EINVAL;
}

int lapic_msr_write(struct vcpu *vcpu, u32 msr, u64 val)
{
	return -EINVAL;
}

u64 lapic_cr8_get(struct vcpu *vcpu)
{
	return 0;
}

void lapic_cr8_set(struct vcpu *vcpu, u64 cr8)
{
}

u64 lapic_deadline_get(struct vcpu *vcpu)
{
	return 0;
}

void lapic_deadline_set(struct vcpu *vcpu, u64 guest_tsc)
{
}

void lapic_cpuid_changed(struct vcpu *vcpu)
{
}

void lapic_local(struct lapic *lapic, unsigned int lvt)
{
	world.cmci += lvt == APIC_LVTCMCI;
}

bool lapic_icr_fast(struct vcpu *vcpu, u64 val)
{
	return false;
}

bool lapic_eoi_fast(struct vcpu *vcpu)
{
	return false;
}

void pio_hold(struct vcpu *vcpu)
{
}

bool lapic_self_ipi_fast(struct vcpu *vcpu, u64 val)
{
	return false;
}

u64 rdtsc(void)
{
	return 0;
}

u64 tsc_scale(u64 tsc, u64 ratio)
{
	return tsc;
}

void tsc_write(struct vcpu *vcpu, u64 val, bool host)
{
	vcpu->arch.tsc_offset = val;
}

void tsc_adjust_write(struct vcpu *vcpu, u64 val, bool host)
{
	vcpu->arch.tsc_adjust = val;
}

void clock_wall_set(struct vcpu *vcpu, u64 msr)
{
	vcpu->vm->arch.wall_clock_msr = msr;
}

void clock_system_time_set(struct vcpu *vcpu, u64 msr)
{
	vcpu->arch.system_time_msr = msr;
}

int pv_steal_msr_set(struct vcpu *vcpu, u64 val)
{
	if (val & KVM_STEAL_RESERVED_MASK)
		return -EINVAL;
	vcpu->arch.steal.msr = val;
	return 0;
}

int pv_eoi_msr_set(struct vcpu *vcpu, u64 val)
{
	vcpu->arch.pv_eoi_msr = val;
	return 0;
}

void xstate_update(struct vcpu *vcpu)
{
}

bool xcr0_write(struct vcpu *vcpu, u64 val)
{
	vcpu->arch.xcr0 = val;
	cpuid_refresh(vcpu);
	return true;
}

void dr_reset(struct vcpu *vcpu)
{
}

int debug_step_done(struct vcpu *vcpu)
{
	return vcpu->guest_debug ? TO_USER : RESUME;
}

void vm_request_all(struct vm *vm, enum vcpu_req req, bool wait)
{
	vcpu_request(&world.vcpu, req);
}

/* The backend keeps the system-call MSRs, as a real one does. */

static u64 backend_msrs[16];

static int backend_slot(u32 msr)
{
	switch (msr) {
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
		return msr - MSR_STAR;
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_TSC_AUX:
		return 4 + msr - MSR_FS_BASE;
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return 8 + msr - MSR_IA32_SYSENTER_CS;
	case MSR_IA32_CR_PAT:
		return 11;
	case MSR_AMD64_VIRT_SPEC_CTRL:
		return 12;
	}
	return -1;
}

static int backend_get(struct vcpu *vcpu, u32 msr, u64 *val)
{
	int slot = backend_slot(msr);

	if (slot < 0)
		return -ENOENT;
	*val = backend_msrs[slot];
	return 0;
}

static int backend_set(struct vcpu *vcpu, u32 msr, u64 val)
{
	int slot = backend_slot(msr);

	if (slot < 0)
		return -ENOENT;
	backend_msrs[slot] = val;
	return 0;
}

static void backend_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write)
{
	static const u32 watched[] = { MSR_FS_BASE, MSR_IA32_TSC, MSR_IA32_SPEC_CTRL };
	int i;

	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		if (watched[i] != msr)
			continue;
		world.msr_read_open[i] = !read;
		world.msr_write_open[i] = !write;
	}
}

static void backend_controls(struct vcpu *vcpu)
{
	world.controls++;
}

static void backend_fetch(struct vcpu *vcpu, enum reg reg)
{
	abort();	/* the tests keep every register in the cache */
}

static void host_setup(void)
{
	caps = (struct backend_caps){
		.tdp = true, .xsaves = true, .invpcid = true, .rdtscp = true, .umip = true,
		.virt_ssbd = true,
		.mcg_cap = ~0ull, .cr4_allowed = ~0ull & ~(u64)X86_CR4_VMXE,
	};
	backend = (struct backend_ops){
		.msr_get = backend_get, .msr_set = backend_set, .msr_intercept = backend_intercept,
		.controls_changed = backend_controls,
		.reg_fetch = backend_fetch,
	};
	memset(boot_cpu_data.x86_capability, 0xff, sizeof(boot_cpu_data.x86_capability));
	xstate_host.xcr0 = 0x2e7;
	world.max_basic = 0x16;
	world.max_extended = 0x80000008;
	world.vendor_ebx = 0x756e6547;
}

struct vcpu *world_start(void)
{
	struct vcpu *vcpu = &world.vcpu;

	memset(&world, 0, sizeof(world));
	memset(backend_msrs, 0, sizeof(backend_msrs));
	host_setup();
	mutex_init(&world.vm.lock);
	init_srcu_struct(&world.vm.srcu);
	world.apic_base = 0xfee00900;
	vcpu->vm = &world.vm;
	vcpu->run = &world.run;
	cpuid_host_init();
	msr_module_init();
	cpuid_vcpu_init(vcpu);
	vcpu->arch.xcr0 = 1;
	vcpu->regs.avail = ~0ull;
	regs_reset(vcpu, false);
	vcpu->regs.avail = ~0ull;
	msr_reset(vcpu, false);
	vcpu->exit.insn_len = 2;
	return vcpu;
}

void world_end(void)
{
	cpuid_vcpu_destroy(&world.vcpu);
	msr_filter_destroy(&world.vm);
	cleanup_srcu_struct(&world.vm.srcu);
}

void world_cpuid_clear(u32 function, u32 index, int reg, u32 bits)
{
	struct kvm_cpuid_entry2 *entries = calloc(100, sizeof(*entries)), *entry;
	u32 nent = 100, i;

	EXPECT_EQ(cpuid_supported(entries, &nent), 0);
	for (i = 0; i < nent; i++) {
		entry = &entries[i];
		if (entry->function == function && entry->index == index)
			*(reg == EAX ? &entry->eax : reg == EBX ? &entry->ebx :
			  reg == ECX ? &entry->ecx : &entry->edx) &= ~bits;
	}
	EXPECT_EQ(cpuid_set(&world.vcpu, entries, nent, false), 0);
	free(entries);
}

void world_supported_cpuid(void)
{
	world_cpuid_clear(0, 0, EAX, 0);
}
