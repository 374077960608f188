// SPDX-License-Identifier: GPL-2.0-only
/* The register ioctls, and the modes in which a vCPU starts. */
#include "vcpu.h"

struct kvm_regs vcpu_regs(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	SYS(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	return regs;
}

struct kvm_sregs vcpu_sregs(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	SYS(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	return sregs;
}

void vcpu_set_regs(struct vcpu *vcpu, struct kvm_regs *regs)
{
	SYS(ioctl(vcpu->fd, KVM_SET_REGS, regs));
}

void vcpu_set_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	SYS(ioctl(vcpu->fd, KVM_SET_SREGS, sregs));
}

static int msr_call(struct vcpu *vcpu, unsigned long cmd, u32 msr, u64 *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = { .head.nmsrs = 1, .entry = { .index = msr, .data = *value } };
	int ret = SYS(ioctl(vcpu->fd, cmd, &one));

	*value = one.entry.data;
	return ret;
}

int vcpu_try_set_msr(struct vcpu *vcpu, u32 msr, u64 value)
{
	return msr_call(vcpu, KVM_SET_MSRS, msr, &value);
}

int vcpu_try_msr(struct vcpu *vcpu, u32 msr, u64 *value)
{
	*value = 0;
	return msr_call(vcpu, KVM_GET_MSRS, msr, value);
}

u64 vcpu_msr(struct vcpu *vcpu, u32 msr)
{
	u64 value;

	if (vcpu_try_msr(vcpu, msr, &value) != 1)
		FAIL("KVM_GET_MSRS refused %#x", msr);
	return value;
}

void vcpu_set_msr(struct vcpu *vcpu, u32 msr, u64 value)
{
	if (vcpu_try_set_msr(vcpu, msr, value) != 1)
		FAIL("KVM_SET_MSRS refused %#x = %#llx", msr, (unsigned long long)value);
}

u32 vcpu_mp_state(struct vcpu *vcpu)
{
	struct kvm_mp_state state;

	SYS(ioctl(vcpu->fd, KVM_GET_MP_STATE, &state));
	return state.mp_state;
}

void vcpu_set_mp_state(struct vcpu *vcpu, u32 state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	SYS(ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp));
}

static struct kvm_segment segment(u16 selector, u8 type, u8 dpl, bool l, bool db)
{
	return (struct kvm_segment){
		.selector = selector, .type = type, .dpl = dpl, .l = l, .db = db,
		.limit = 0xffffffff, .g = 1, .s = 1, .present = 1,
	};
}

/* Null, code64, data, code32, user code32, user data, user code64, (free), TSS in two. */
static void gdt_build(struct vcpu *vcpu)
{
	static const u64 flat[] = {
		0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff,
		0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0,
	};
	u64 *gdt = vm_host(vcpu->vm, vcpu->gdt), base = vcpu->tss;

	memcpy(gdt, flat, sizeof(flat));
	gdt[GUEST_TSS / 8] = 0x67 | (base & 0xffffff) << 16 | 0x8bULL << 40 |
			     (base >> 24 & 0xff) << 56;
	gdt[GUEST_TSS / 8 + 1] = base >> 32;
}

/* Stack, GDT and a TSS whose RSP0 and IST1 are stacks of their own. */
static void tables_build(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u8 *tss;
	u64 rsp0, ist1;

	if (vcpu->stack_top)
		return;
	vcpu->stack_top = vm_alloc(vm, VCPU_STACK_PAGES) + VCPU_STACK_PAGES * PAGE;
	vcpu->gdt = vm_alloc(vm, 1);
	vcpu->tss = vm_alloc(vm, 1);
	rsp0 = vm_alloc(vm, 2) + 2 * PAGE;
	ist1 = vm_alloc(vm, 2) + 2 * PAGE;
	tss = vm_host(vm, vcpu->tss);
	memcpy(tss + 4, &rsp0, 8);
	memcpy(tss + 36, &ist1, 8);
	gdt_build(vcpu);
}

static void sregs_tables(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	sregs->gdt = (struct kvm_dtable){ .base = vcpu->gdt, .limit = GUEST_TSS + 15 };
	sregs->idt = (struct kvm_dtable){ .base = vcpu->vm->idt, .limit = 4095 };
	sregs->tr = (struct kvm_segment){
		.selector = GUEST_TSS, .base = vcpu->tss, .limit = 0x67, .type = 11, .present = 1,
	};
	sregs->ldt = (struct kvm_segment){ .unusable = 1 };
}

static void sregs_data(struct kvm_sregs *sregs, u16 selector)
{
	sregs->ds = segment(selector, 3, 0, false, true);
	sregs->es = sregs->ds;
	sregs->fs = sregs->ds;
	sregs->gs = sregs->ds;
	sregs->ss = sregs->ds;
}

static void long_sregs(struct vcpu *vcpu)
{
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	tables_build(vcpu);
	sregs_tables(vcpu, &sregs);
	sregs_data(&sregs, GUEST_DATA);
	sregs.cs = segment(GUEST_CODE64, 11, 0, true, false);
	sregs.cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	sregs.cr3 = vcpu->vm->cr3;
	sregs.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMM;
	sregs.efer = EFER_LME | EFER_LMA | EFER_NX | EFER_SCE;
	vcpu_set_sregs(vcpu, &sregs);
}

/* A guest function that returns ends in guest_done(). */
void vcpu_enter_long(struct vcpu *vcpu, u64 rip, const u64 *args)
{
	struct kvm_regs regs = {
		.rip = rip, .rflags = 2,
		.rdi = args[0], .rsi = args[1], .rdx = args[2], .rcx = args[3],
	};

	long_sregs(vcpu);
	regs.rsp = vcpu->stack_top - 8;
	*(u64 *)vm_host(vcpu->vm, regs.rsp) = (uintptr_t)guest_done;
	vcpu_set_regs(vcpu, &regs);
}

void vcpu_enter_compat(struct vcpu *vcpu, u32 eip)
{
	struct kvm_regs regs = { .rip = eip, .rflags = 2 };
	struct kvm_sregs sregs;

	long_sregs(vcpu);
	sregs = vcpu_sregs(vcpu);
	sregs.cs = segment(GUEST_CODE32, 11, 0, false, true);
	vcpu_set_sregs(vcpu, &sregs);
	regs.rsp = vcpu->stack_top - 16;
	vcpu_set_regs(vcpu, &regs);
}

static void enter_unpaged(struct vcpu *vcpu, u32 eip, bool db)
{
	struct kvm_regs regs = { .rip = eip, .rflags = 2, .rsp = 0x9000 };
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs_data(&sregs, GUEST_DATA);
	sregs.cs = segment(db ? GUEST_CODE32 : GUEST_CODE64, 11, 0, false, db);
	sregs.ldt = (struct kvm_segment){ .unusable = 1 };
	sregs.tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
	if (!db) {
		sregs.cs.limit = 0xffff;
		sregs.cs.g = 0;
		sregs.ss.db = 0;
	}
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	sregs.cr4 = 0;
	sregs.efer = 0;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_set_regs(vcpu, &regs);
}

void vcpu_enter_protected(struct vcpu *vcpu, u32 eip)
{
	enter_unpaged(vcpu, eip, true);
}

void vcpu_enter_code16(struct vcpu *vcpu, u32 ip)
{
	enter_unpaged(vcpu, ip, false);
}

void vcpu_enter_real(struct vcpu *vcpu, u16 cs, u16 ip)
{
	struct kvm_regs regs = { .rip = ip, .rflags = 2, .rsp = 0x9000 };
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.cs.selector = cs;
	sregs.cs.base = (u64)cs << 4;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_set_regs(vcpu, &regs);
}
