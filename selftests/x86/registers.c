// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a register that does not survive the way in or out, a reset value that is not the
 * CPU's, and bad state that is taken instead of refused with nothing changed.
 */
#include <stdlib.h>

#include "vcpu.h"

static struct vcpu *fresh(unsigned int flags)
{
	return vcpu_create(vm_create(flags), 0);
}

static void reset_values(void)
{
	struct vcpu *vcpu = fresh(VM_IRQCHIP);
	struct kvm_regs regs = vcpu_regs(vcpu);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);
	struct kvm_debugregs dr;
	struct kvm_xcrs xcrs;

	CHECK_EQ(regs.rip, 0xfff0);
	CHECK_EQ(regs.rflags, 2);
	CHECK_EQ(regs.rax | regs.rbx | regs.rcx | regs.rsi | regs.rdi | regs.rsp | regs.rbp, 0);
	CHECK_NE(regs.rdx, 0);
	CHECK_EQ(sregs.cs.selector, 0xf000);
	CHECK_EQ(sregs.cs.base, 0xffff0000);
	CHECK_EQ(sregs.cs.limit, 0xffff);
	CHECK_EQ(sregs.ds.base, 0);
	CHECK_EQ(sregs.ds.limit, 0xffff);
	CHECK_EQ(sregs.cr0, 0x60000010);
	CHECK_EQ(sregs.cr2 | sregs.cr3 | sregs.cr4 | sregs.cr8 | sregs.efer, 0);
	CHECK_EQ(sregs.gdt.limit, 0xffff);
	CHECK_EQ(sregs.idt.limit, 0xffff);
	CHECK_EQ(sregs.apic_base, 0xfee00900);
	SYS(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &dr));
	CHECK_EQ(dr.dr6, 0xffff0ff0);
	CHECK_EQ(dr.dr7, 0x400);
	if (dev_cap(KVM_CAP_XCRS)) {
		SYS(ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs));
		CHECK_EQ(xcrs.nr_xcrs, 1);
		CHECK_EQ(xcrs.xcrs[0].value, 1);
	}
	CHECK_EQ(vcpu_mp_state(vcpu), KVM_MP_STATE_RUNNABLE);
	CHECK_EQ(vcpu_mp_state(vcpu_create(vcpu->vm, 1)), KVM_MP_STATE_UNINITIALIZED);
	CHECK_EQ(vcpu_sregs(vcpu->vm->vcpus[1]).apic_base, 0xfee00800);
}

static void regs_round_trip(void)
{
	struct vcpu *vcpu = fresh(0);
	struct kvm_regs regs, back;
	u64 *word = (u64 *)&regs;
	size_t i;

	for (i = 0; i < sizeof(regs) / 8; i++)
		word[i] = 0x0101010101010101 * (i + 1);
	regs.rflags = 0x246;
	regs.rip = 0x123456789a;
	vcpu_set_regs(vcpu, &regs);
	back = vcpu_regs(vcpu);
	CHECK_EQ(memcmp(&regs, &back, sizeof(regs)), 0);
	regs.rflags = 0;
	vcpu_set_regs(vcpu, &regs);
	CHECK_EQ(vcpu_regs(vcpu).rflags, 2);
}

static u64 all_regs[16];
extern const char all_regs_code[], all_regs_end[];

/* Swap each register with its place in the array, but RSP, then tell. */
static void __attribute__((used)) all_regs_holder(void)
{
	asm volatile("all_regs_code:\n"
		     "xchg %rax, all_regs+0\n xchg %rbx, all_regs+8\n xchg %rcx, all_regs+16\n"
		     "xchg %rdx, all_regs+24\n xchg %rsi, all_regs+32\n xchg %rdi, all_regs+40\n"
		     "xchg %rsp, all_regs+48\n xchg %rbp, all_regs+56\n xchg %r8, all_regs+64\n"
		     "xchg %r9, all_regs+72\n xchg %r10, all_regs+80\n xchg %r11, all_regs+88\n"
		     "xchg %r12, all_regs+96\n xchg %r13, all_regs+104\n xchg %r14, all_regs+112\n"
		     "xchg %r15, all_regs+120\n hlt\n all_regs_end:\n");
}

static void regs_in_guest(void)
{
	struct vcpu *vcpu = fresh(0);
	struct kvm_regs regs, back;
	u64 *word = (u64 *)&regs;
	size_t i;

	vcpu_enter(vcpu, all_regs_code, 0);
	for (i = 0; i < 16; i++) {
		word[i] = 0xa5a5000000000000 | i << 16 | 0x5a;
		all_regs[i] = 0x7777000011110000 | i;
	}
	regs.rip = (uintptr_t)all_regs_code;
	regs.rflags = 2;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	back = vcpu_regs(vcpu);
	for (i = 0; i < 16; i++) {
		CHECK_EQ(all_regs[i], 0xa5a5000000000000 | i << 16 | 0x5a);
		CHECK_EQ(((u64 *)&back)[i], 0x7777000011110000 | i);
	}
	CHECK_EQ(back.rip, (uintptr_t)all_regs_end);
}

static void sregs_round_trip(void)
{
	struct vcpu *vcpu = fresh(0);
	struct kvm_sregs sregs, back;

	vcpu_enter(vcpu, guest_done, 0);
	sregs = vcpu_sregs(vcpu);
	sregs.fs.base = 0x7fff12345000;
	sregs.gs.base = 0xffff800000001000;
	sregs.cr2 = 0xdeadbeef000;
	sregs.cr8 = 7;
	sregs.ldt = (struct kvm_segment){
		.selector = 0x50, .base = 0x12340000, .limit = 0xff, .type = 2, .present = 1,
	};
	vcpu_set_sregs(vcpu, &sregs);
	back = vcpu_sregs(vcpu);
	CHECK_EQ(back.fs.base, sregs.fs.base);
	CHECK_EQ(back.gs.base, sregs.gs.base);
	CHECK_EQ(back.cr2, sregs.cr2);
	CHECK_EQ(back.cr8, 7);
	CHECK_EQ(back.cr3, sregs.cr3);
	CHECK_EQ(back.cr4, sregs.cr4);
	CHECK_EQ(back.efer, sregs.efer);
	CHECK_EQ(back.ldt.base, 0x12340000);
	CHECK_EQ(back.ldt.selector, 0x50);
	CHECK_EQ(back.cs.l, 1);
	CHECK_EQ(back.gdt.base, sregs.gdt.base);
	CHECK_EQ(back.idt.limit, 4095);
	CHECK_EQ(memcmp(&back.tr, &sregs.tr, sizeof(back.tr)), 0);
}

enum field { CR0, CR3, CR4, EFER, APIC_BASE };

static void sregs_reject(enum field field, u64 set, u64 clear)
{
	struct vcpu *vcpu = fresh(VM_IRQCHIP);
	struct kvm_sregs sregs, before, after;
	__u64 *p;

	vcpu_enter(vcpu, guest_done, 0);
	before = vcpu_sregs(vcpu);
	sregs = before;
	p = field == CR0 ? &sregs.cr0 : field == CR3 ? &sregs.cr3 : field == CR4 ? &sregs.cr4 :
	    field == EFER ? &sregs.efer : &sregs.apic_base;
	*p = (*p | set) & ~clear;
	sregs.cr2 = 0x4242;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	after = vcpu_sregs(vcpu);
	CHECK_EQ(memcmp(&before, &after, sizeof(after)), 0);
	vm_destroy(vcpu->vm);
}

static void sregs_rejects(void)
{
	sregs_reject(CR0, 0, X86_CR0_PE);
	sregs_reject(CR0, 0, X86_CR0_PG);
	sregs_reject(CR4, 0, X86_CR4_PAE);
	sregs_reject(CR4, BIT(15), 0);
	sregs_reject(CR4, BIT(31), 0);
	sregs_reject(EFER, 0, EFER_LMA);
	sregs_reject(EFER, 0, EFER_LME);
	sregs_reject(CR3, BIT(58), 0);
	sregs_reject(APIC_BASE, BIT(10), BIT(11));
	sregs_reject(APIC_BASE, BIT(9), 0);
}

static void cpuid_check(void)
{
	struct dev_cpuid *want = calloc(1, sizeof(*want)), *got = calloc(1, sizeof(*got));
	struct vcpu *vcpu = vcpu_create_raw(vm_create(0), 0);
	u32 i;

	memcpy(want, dev_supported_cpuid(), sizeof(*want));
	vcpu_set_cpuid(vcpu, want);
	got->head.nent = want->head.nent - 1;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_GET_CPUID2, got), E2BIG);
	got->head.nent = want->head.nent;
	SYS(ioctl(vcpu->fd, KVM_GET_CPUID2, got));
	CHECK_EQ(got->head.nent, want->head.nent);
	for (i = 0; i < want->head.nent; i++) {
		if (want->entries[i].function == 0xd)
			continue;
		if (memcmp(&want->entries[i], &got->entries[i], sizeof(want->entries[0])))
			FAIL("leaf %#x.%u differs", want->entries[i].function,
			     want->entries[i].index);
	}
	CHECK(dev_cpuid_find(want, 1, 0)->edx & BIT(9));
	CHECK(!(dev_cpuid_find(want, 1, 0)->ecx & BIT(27)));
	CHECK_LE(want->head.nent, 80);
	CHECK(dev_cpuid_find(want, 0x80000001, 0)->edx & BIT(29));
	/* Nested virtualization is not on offer. */
	if (test_is_corbel()) {
		CHECK(!(dev_cpuid_find(want, 1, 0)->ecx & BIT(5)));
		CHECK(!(dev_cpuid_find(want, 0x80000001, 0)->ecx & BIT(2)));
	}
	CHECK(dev_cpuid_find(want, 0x40000000, 0) != NULL);
	CHECK_EQ(dev_cpuid_find(want, 0x40000000, 0)->ebx, 0x4b4d564b);
}

/* What the guest executes is what was set, leaf for leaf. */
static struct dev_cpuid guest_set;

static void cpuid_guest(void)
{
	struct dev_cpuid *set = &guest_set;
	struct cpuid_regs r;
	u32 i;

	for (i = 0; i < set->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &set->entries[i];

		if (e->function == 0xd || e->function == 7)
			continue;
		r = cpuid(e->function, e->index);
		if (r.a != e->eax || r.b != e->ebx || r.c != e->ecx || r.d != e->edx)
			guest_fail(__FILE__, __LINE__, "leaf differs", e->function, e->index);
	}
	/* Without CR4.OSXSAVE; the bit follows the register. */
	GUEST_CHECK(!(cpuid(1, 0).c & BIT(27)));
	if (cpuid(1, 0).c & BIT(26)) {
		write_cr4(read_cr4() | X86_CR4_OSXSAVE);
		GUEST_CHECK(cpuid(1, 0).c & BIT(27));
		GUEST_CHECK_EQ(cpuid(0xd, 0).b, 576);
		write_cr4(read_cr4() & ~X86_CR4_OSXSAVE);
		GUEST_CHECK(!(cpuid(1, 0).c & BIT(27)));
	}
	/*
	 * An index beyond the last subleaf reads zero in EAX to EDX, or the EDX of the topology
	 * leaf.
	 */
	GUEST_CHECK_EQ(cpuid(7, 1000).b, 0);
}

static void cpuid_in_guest(void)
{
	struct vcpu *vcpu = vcpu_create_raw(vm_create(0), 3);

	vcpu_default_cpuid(3, &guest_set);
	vcpu_set_cpuid(vcpu, &guest_set);
	vcpu_enter(vcpu, cpuid_guest, 0);
	vcpu_run_done(vcpu);
	/* After the first run the same set is taken again, another is not. */
	vcpu_set_cpuid(vcpu, &guest_set);
	guest_set.entries[0].ebx ^= 1;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_CPUID2, &guest_set), EINVAL);
}

static void events(void)
{
	struct vcpu *vcpu = fresh(VM_IRQCHIP);
	struct kvm_vcpu_events ev, back;

	SYS(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev));
	CHECK_EQ(ev.exception.injected | ev.interrupt.injected | ev.nmi.pending, 0);
	ev.nmi.pending = 1;
	ev.nmi.masked = 1;
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	ev.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	SYS(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	SYS(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK_EQ(back.nmi.pending, 1);
	CHECK_EQ(back.nmi.masked, 1);
	CHECK_NE(back.interrupt.shadow, 0);
}

static void debugregs_guest(void)
{
	GUEST_CHECK_EQ(read_dr0(), 0x1111);
	GUEST_CHECK_EQ(read_dr3(), 0xffff800000004444);
	GUEST_CHECK_EQ(read_dr7(), 0x400);
	write_dr1(0x5555);
	write_dr6(0xffff0ff0 | BIT(13));
}

static void debugregs(void)
{
	struct vcpu *vcpu = vcpu_start(0, debugregs_guest, 0, 0);
	struct kvm_debugregs dr = {
		.db = { 0x1111, 0x2222, 0x3333, 0xffff800000004444 },
		.dr6 = 0xffff0ff1, .dr7 = 0x400,
	};

	SYS(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &dr));
	vcpu_run_done(vcpu);
	SYS(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &dr));
	CHECK_EQ(dr.db[0], 0x1111);
	CHECK_EQ(dr.db[1], 0x5555);
	CHECK_EQ(dr.dr6, 0xffff0ff0 | BIT(13));
}

static void sync_regs_guest(u64 a)
{
	guest_sync(a, 0, 0, 0);
}

static void sync_regs(void)
{
	struct vcpu *vcpu = fresh(0);
	struct kvm_run *run = vcpu->run;

	dev_require_cap(KVM_CAP_SYNC_REGS);
	CHECK_EQ(dev_cap(KVM_CAP_SYNC_REGS), 7);
	vcpu_enter(vcpu, sync_regs_guest, 1);
	run->kvm_valid_regs = BIT(40 % 32) | 0x80;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EINVAL);
	run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	run->kvm_dirty_regs = 0x80;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EINVAL);
	run->kvm_dirty_regs = 0;
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(run->s.regs.regs.rip, vcpu_regs(vcpu).rip);
	CHECK_EQ(run->s.regs.sregs.cr3, vcpu->vm->cr3);
	/* The other way: start over with another argument, given through the page alone. */
	run->s.regs.regs.rip = (uintptr_t)sync_regs_guest;
	run->s.regs.regs.rdi = 77;
	vcpu_complete(vcpu);
	run->s.regs.regs.rip = (uintptr_t)sync_regs_guest;
	run->s.regs.regs.rdi = 77;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	vcpu_run_sync(vcpu, 77);
	CHECK_EQ(run->kvm_dirty_regs, 0);
}

static void mp_state(void)
{
	struct vcpu *vcpu = fresh(VM_IRQCHIP);
	static const u32 good[] = { KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
				    KVM_MP_STATE_HALTED };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		vcpu_set_mp_state(vcpu, good[i]);
		CHECK_EQ(vcpu_mp_state(vcpu), good[i]);
	}
}

/* Run state from one VM goes on in another. */
static void migrate_guest(void)
{
	u64 i, sum = 0;

	wrmsr(MSR_KERNEL_GS_BASE, 0x123456789000);
	wrmsr(MSR_SYSENTER_EIP, 0x777);
	for (i = 0; i < 5; i++) {
		sum += i * 10;
		guest_sync(i, sum, 0, 0);
	}
	GUEST_CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x123456789000);
	GUEST_CHECK_EQ(rdmsr(MSR_SYSENTER_EIP), 0x777);
	GUEST_CHECK_EQ(sum, 100);
}

static struct vcpu *migrate(struct vcpu *old)
{
	struct vcpu *new = fresh(0);
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_xsave xsave;

	vcpu_complete(old);
	regs = vcpu_regs(old);
	sregs = vcpu_sregs(old);
	SYS(ioctl(old->fd, KVM_GET_VCPU_EVENTS, &events));
	SYS(ioctl(old->fd, KVM_GET_XSAVE, &xsave));
	memcpy(new->vm->arena, old->vm->arena, VM_ARENA_SIZE);
	vcpu_set_regs(new, &regs);
	vcpu_set_sregs(new, &sregs);
	SYS(ioctl(new->fd, KVM_SET_XSAVE, &xsave));
	vcpu_set_msr(new, MSR_KERNEL_GS_BASE, vcpu_msr(old, MSR_KERNEL_GS_BASE));
	vcpu_set_msr(new, MSR_SYSENTER_EIP, vcpu_msr(old, MSR_SYSENTER_EIP));
	SYS(ioctl(new->fd, KVM_SET_VCPU_EVENTS, &events));
	return new;
}

static void move_between_vms(void)
{
	struct vcpu *vcpu = vcpu_start(0, migrate_guest, 0, 0);
	u64 i;

	for (i = 0; i < 5; i++) {
		vcpu_run_sync(vcpu, i);
		vcpu = migrate(vcpu);
	}
	vcpu_run_done(vcpu);
}

static const struct test_case cases[] = {
	{ "reset_values", reset_values },
	{ "regs_round_trip", regs_round_trip },
	{ "regs_in_guest", regs_in_guest },
	{ "sregs_round_trip", sregs_round_trip },
	{ "sregs_rejects", sregs_rejects },
	{ "cpuid", cpuid_check },
	{ "cpuid_in_guest", cpuid_in_guest },
	{ "events", events },
	{ "debugregs", debugregs },
	{ "sync_regs", sync_regs },
	{ "mp_state", mp_state },
	{ "move_between_vms", move_between_vms },
};

TEST_MAIN(cases)
