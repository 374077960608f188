// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a split irqchip whose LAPIC does not tell userspace of the EOIs it has to know, or
 * tells of others; whose ExtINT from userspace is lost; APIC ids above 255 that are cut off.
 */
#include <stdlib.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

#define LEVEL_VECTOR	0x61
#define EDGE_VECTOR	0x62

static void route(struct vm *vm, u32 nr, const struct kvm_irq_routing_entry *entries)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + nr * sizeof(*entries));

	table->nr = nr;
	memcpy(table->entries, entries, nr * sizeof(*entries));
	SYS(ioctl(vm->fd, KVM_SET_GSI_ROUTING, table));
	free(table);
}

static struct kvm_irq_routing_entry msi_entry(u32 gsi, u64 address, u32 data)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = address, .address_hi = address >> 32, .data = data },
	};
}

/* The pins of userspace's IOAPIC are MSI routes; those with the level bit want their EOI. */
static void eoi_guest(void)
{
	apic_enable();
	trap_set(LEVEL_VECTOR, trap_count_irq);
	trap_set(EDGE_VECTOR, trap_count_irq);
	GUEST_SYNC(1);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[EDGE_VECTOR], 1);
	GUEST_SYNC(2);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[LEVEL_VECTOR], 1);
	GUEST_SYNC(3);
}

static void eoi_exits(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_SPLIT), 0);
	struct kvm_irq_routing_entry pins[2] = {
		msi_entry(3, APIC_BASE_GPA, LEVEL_VECTOR | APIC_LEVEL | APIC_ASSERT),
		msi_entry(4, APIC_BASE_GPA, EDGE_VECTOR),
	};

	vcpu_enter(vcpu, eoi_guest, 0);
	route(vcpu->vm, 2, pins);
	vcpu_run_sync(vcpu, 1);
	vm_irq_line(vcpu->vm, 4, 1);
	vcpu_run_sync(vcpu, 2);
	vm_irq_line(vcpu->vm, 3, 1);
	vcpu_run_exit(vcpu, KVM_EXIT_IOAPIC_EOI);
	CHECK_EQ(vcpu->run->eoi.vector, LEVEL_VECTOR);
	vcpu_run_sync(vcpu, 3);
	vcpu_run_done(vcpu);
}

/* Userspace's PIC: the window opens, KVM_INTERRUPT delivers through LINT0 as ExtINT. */
static void extint_guest(void)
{
	apic_enable();
	apic_write(APIC_LVT0, APIC_DM_EXTINT);
	trap_set(0x28, trap_count_only);
	GUEST_SYNC(1);
	sti_nop_cli();
	GUEST_SYNC(2);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[0x28], 1);
	/* Wakes a halted CPU too: pending before the HLT. */
	GUEST_SYNC(3);
	sti_hlt_cli();
	GUEST_CHECK_EQ(trap_count[0x28], 2);
}

static void extint(void)
{
	struct vcpu *vcpu = vcpu_start(VM_SPLIT, extint_guest, 0, 0);
	struct kvm_interrupt irq = { .irq = 0x28 };

	vcpu_run_sync(vcpu, 1);
	vcpu->run->request_interrupt_window = 1;
	vcpu_run_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	vcpu->run->request_interrupt_window = 0;
	SYS(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_INTERRUPT, &irq), EEXIST);
	vcpu_run_sync(vcpu, 2);
	vcpu_run_sync(vcpu, 3);
	SYS(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	vcpu_run_done(vcpu);
}

/* Ports and addresses of the chips that are not there go to userspace. */
static void absent_guest(void)
{
	inb(0x21);
	*(volatile u32 *)(IOAPIC_BASE_GPA + 0x10);
	GUEST_CHECK_EQ(xapic_read(APIC_LVR) & 0xff, 0x14);
}

static void absent_chips(void)
{
	struct vcpu *vcpu = vcpu_start(VM_SPLIT, absent_guest, 0, 0);

	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, 0x21);
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.phys_addr, IOAPIC_BASE_GPA + 0x10);
	vcpu_run_done(vcpu);
}

/* Ids above 255 by MSI, once KVM_CAP_X2APIC_API is on. */
static void wide_guest(void)
{
	apic_enable_x2();
	GUEST_CHECK_EQ(apic_id(), 300);
	trap_set(EDGE_VECTOR, trap_count_irq);
	GUEST_SYNC(1);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[EDGE_VECTOR], 1);
}

static void wide_ids(void)
{
	struct vm *vm = vm_create(VM_SPLIT);
	struct vcpu *vcpu;

	dev_require_cap(KVM_CAP_X2APIC_API);
	vm_enable_cap(vm, KVM_CAP_X2APIC_API,
		      KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	vcpu_create(vm, 0);
	vcpu = vcpu_create(vm, 300);
	vcpu_enter(vcpu, wide_guest, 0);
	vcpu_set_mp_state(vcpu, KVM_MP_STATE_RUNNABLE);
	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(vm_signal_msi(vm, 0x100ULL << 32 | APIC_BASE_GPA | 44 << 12, EDGE_VECTOR), 1);
	CHECK_ERRNO(vm_signal_msi(vm, 0x101ULL << 32 | APIC_BASE_GPA, EDGE_VECTOR), EINVAL);
	vcpu_run_done(vcpu);
}

static const struct test_case cases[] = {
	{ "eoi_exits", eoi_exits },
	{ "extint", extint },
	{ "absent_chips", absent_chips },
	{ "wide_ids", wide_ids },
};

TEST_MAIN(cases)
