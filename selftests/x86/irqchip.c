// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an interrupt line that does not arrive through PIC or IOAPIC, arrives twice or is lost
 * behind a mask; level and edge mixed up; EOI that frees nothing; a PIT that does not tick; MSI
 * decoded wrongly; a vCPU whose creation writes into the guest.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

#define VECTOR	0x61
#define PIN	5
#define PIC_BASE 0x20

#define WAIT_COUNT(n)	do { sti(); GUEST_WAIT(trap_count[VECTOR] >= (n)); cli(); } while (0)

/* Stage by stage: the host moves the line between the stages. */
static void edge_guest(void)
{
	apic_enable();
	trap_set(VECTOR, trap_count_irq);
	ioapic_set(PIN, 0, VECTOR);
	GUEST_SYNC(1);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
	/* The line is still up: an edge is not repeated. */
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
	GUEST_SYNC(2);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 2);
	ioapic_set(PIN, 0, VECTOR | APIC_LVT_MASKED);
	GUEST_SYNC(3);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 2);
	GUEST_CHECK_EQ(ioapic_read(0x10 + 2 * PIN), VECTOR | APIC_LVT_MASKED);
	GUEST_CHECK_EQ(ioapic_read(0x01) & 0xff00ff, 0x170011);
}

static void ioapic_edge(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, edge_guest, 0, 0);

	vcpu_run_sync(vcpu, 1);
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_sync(vcpu, 2);
	vm_irq_line(vcpu->vm, PIN, 1);
	vm_irq_line(vcpu->vm, PIN, 0);
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_sync(vcpu, 3);
	vm_irq_line(vcpu->vm, PIN, 0);
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_done(vcpu);
}

static volatile u64 level_drop_at;

static void level_handler(struct trap_frame *frame)
{
	trap_count_only(frame);
	/* Remote IRR is set until the EOI. */
	GUEST_CHECK(ioapic_read(0x10 + 2 * PIN) & BIT(14));
	GUEST_CHECK(apic_pending(APIC_TMR, VECTOR));
	if (trap_count[VECTOR] == level_drop_at)
		GUEST_SYNC(10);
	apic_eoi();
}

static void level_guest(void)
{
	apic_enable();
	trap_set(VECTOR, level_handler);
	ioapic_set(PIN, 0, VECTOR | APIC_LEVEL);
	level_drop_at = 3;
	GUEST_SYNC(1);
	/* As long as the line is up it comes again after each EOI. */
	sti();
	GUEST_WAIT(trap_count[VECTOR] == 3);
	guest_delay(100000);
	cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 3);
	GUEST_CHECK(!(ioapic_read(0x10 + 2 * PIN) & BIT(14)));
	/* Up and down while masked leaves nothing; up and unmasked comes. */
	ioapic_set(PIN, 0, VECTOR | APIC_LEVEL | APIC_LVT_MASKED);
	level_drop_at = 4;
	GUEST_SYNC(2);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 3);
	ioapic_set(PIN, 0, VECTOR | APIC_LEVEL);
	WAIT_COUNT(4);
	GUEST_CHECK_EQ(trap_count[VECTOR], 4);
}

static void ioapic_level(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, level_guest, 0, 0);

	vcpu_run_sync(vcpu, 1);
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_sync(vcpu, 10);
	vm_irq_line(vcpu->vm, PIN, 0);
	vcpu_run_sync(vcpu, 2);
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_sync(vcpu, 10);
	vm_irq_line(vcpu->vm, PIN, 0);
	vcpu_run_done(vcpu);
}

/* What KVM_IRQ_LINE_STATUS says. */
static int line_status(struct vm *vm, u32 gsi, u32 level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	SYS(ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &irq));
	return irq.status;
}

static void status_guest(void)
{
	apic_enable();
	trap_set(VECTOR, trap_count_irq);
	ioapic_set(20, 0, VECTOR);
	GUEST_SYNC(1);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
}

static void line_statuses(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, status_guest, 0, 0);

	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(line_status(vcpu->vm, 20, 1), 1);
	CHECK_EQ(line_status(vcpu->vm, 21, 1), -1);
	vcpu_run_done(vcpu);
}

static void pic_init(u8 mask)
{
	outb(0x20, 0x11);
	outb(0x21, PIC_BASE);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, PIC_BASE + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, mask);
	outb(0xa1, 0xff);
}

static volatile u64 pic_hits;

static void pic_handler(struct trap_frame *frame)
{
	(void)frame;
	outb(0x20, 0x0b);
	GUEST_CHECK_EQ(inb(0x20), BIT(PIN));
	pic_hits++;
	outb(0x20, 0x60 | PIN);
}

static void pic_guest(void)
{
	/* Virtual wire: LINT0 takes the PIC's interrupt. */
	apic_enable();
	apic_write(APIC_LVT0, APIC_DM_EXTINT);
	pic_init((u8)~BIT(PIN));
	trap_set(PIC_BASE + PIN, pic_handler);
	GUEST_CHECK_EQ(inb(0x21), (u8)~BIT(PIN));
	GUEST_SYNC(1);
	sti_nop_cli();
	GUEST_CHECK_EQ(pic_hits, 1);
	sti_nop_cli();
	GUEST_CHECK_EQ(pic_hits, 1);
	outb(0x21, 0xff);
	GUEST_SYNC(2);
	sti_nop_cli();
	GUEST_CHECK_EQ(pic_hits, 1);
	/* The request waits behind the mask. */
	outb(0x20, 0x0a);
	GUEST_CHECK(inb(0x20) & BIT(PIN));
	outb(0x21, (u8)~BIT(PIN));
	sti_nop_cli();
	GUEST_CHECK_EQ(pic_hits, 2);
	/* LINT0 masked: the PIC is cut off. */
	apic_write(APIC_LVT0, APIC_DM_EXTINT | APIC_LVT_MASKED);
	GUEST_SYNC(3);
	sti_nop_cli();
	GUEST_CHECK_EQ(pic_hits, 2);
}

static void pulse(struct vm *vm, u32 gsi)
{
	vm_irq_line(vm, gsi, 1);
	vm_irq_line(vm, gsi, 0);
}

static void pic(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, pic_guest, 0, 0);

	vcpu_run_sync(vcpu, 1);
	vm_irq_line(vcpu->vm, PIN, 0);
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_sync(vcpu, 2);
	vm_irq_line(vcpu->vm, PIN, 0);
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_sync(vcpu, 3);
	pulse(vcpu->vm, PIN);
	vcpu_run_done(vcpu);
}

static void pit_handler(struct trap_frame *frame)
{
	(void)frame;
	pic_hits++;
	outb(0x20, 0x20);
}

static u16 pit_count(void)
{
	u16 low;

	outb(0x43, 0);
	low = inb(0x40);
	return low | inb(0x40) << 8;
}

static void pit_guest(void)
{
	u64 last;

	apic_enable();
	apic_write(APIC_LVT0, APIC_DM_EXTINT);
	pic_init(0xfe);
	trap_set(PIC_BASE, pit_handler);
	outb(0x43, 0x34);
	outb(0x40, 0x00);
	outb(0x40, 0x10);
	GUEST_CHECK(pit_count() <= 0x1000);
	while (pic_hits < 5)
		sti_hlt_cli();
	/* A read-back of the status: mode 2, both bytes, binary. */
	outb(0x43, 0xe2);
	GUEST_CHECK_EQ(inb(0x40) & 0x3f, 0x34);
	/* One shot. */
	outb(0x43, 0x30);
	outb(0x40, 0x00);
	outb(0x40, 0x08);
	sti_nop_cli();
	last = pic_hits;
	while (pic_hits == last)
		sti_hlt_cli();
	/* Channel 2 and its gate, at port 0x61. */
	outb(0x61, 1);
	GUEST_CHECK_EQ(inb(0x61) & 3, 1);
	outb(0x43, 0xb0);
	outb(0x42, 0x00);
	outb(0x42, 0x01);
	GUEST_WAIT(inb(0x61) & 0x20);
}

static void pit(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP | VM_PIT, pit_guest, 0, 0));
}

static void pit_state(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP | VM_PIT, pit_guest, 0, 0);
	struct kvm_pit_state2 state;

	SYS(ioctl(vcpu->vm->fd, KVM_GET_PIT2, &state));
	CHECK_EQ(state.channels[0].count, 0x10000);
	CHECK_EQ(state.channels[2].gate, 0);
	vcpu_run_done(vcpu);
	SYS(ioctl(vcpu->vm->fd, KVM_GET_PIT2, &state));
	CHECK_EQ(state.channels[0].count, 0x800);
	CHECK_EQ(state.channels[2].count, 0x100);
	CHECK_EQ(state.channels[2].gate, 1);
	SYS(ioctl(vcpu->vm->fd, KVM_SET_PIT2, &state));
}

static void msi_guest(void)
{
	apic_enable();
	trap_set(VECTOR, trap_count_irq);
	trap_set(VECTOR + 1, trap_count_irq);
	GUEST_SYNC(1);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
	GUEST_SYNC(2);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
	GUEST_CHECK_EQ(trap_count[VECTOR + 1], 1);
	GUEST_SYNC(3);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR + 1], 2);
}

static void route_msi(struct vm *vm, u32 gsi, u64 address, u32 data)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} table = {
		.head.nr = 1,
		.entry = {
			.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = address, .address_hi = address >> 32,
					.data = data },
		},
	};

	SYS(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table));
}

static void msi(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, msi_guest, 0, 0);

	vcpu_run_sync(vcpu, 1);
	/* Two before the guest takes one are one. */
	CHECK_EQ(vm_signal_msi(vcpu->vm, APIC_BASE_GPA, VECTOR), 1);
	CHECK_GE(vm_signal_msi(vcpu->vm, APIC_BASE_GPA, VECTOR), 0);
	vcpu_run_sync(vcpu, 2);
	/* To CPU 9, which is not there. */
	CHECK(vm_signal_msi(vcpu->vm, APIC_BASE_GPA | 9 << 12, VECTOR) <= 0);
	route_msi(vcpu->vm, 100, APIC_BASE_GPA, VECTOR + 1);
	vm_irq_line(vcpu->vm, 100, 1);
	vcpu_run_sync(vcpu, 3);
	vm_irq_line(vcpu->vm, 100, 0);
	vm_irq_line(vcpu->vm, 100, 1);
	/*
	 * The table was replaced as a whole: the pins are not routed any more, and that is no
	 * error.
	 */
	vm_irq_line(vcpu->vm, PIN, 1);
	vcpu_run_done(vcpu);
}

static int route_try(struct vm *vm, u32 nr, struct kvm_irq_routing_entry *entries)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + nr * sizeof(*entries));

	table->nr = nr;
	memcpy(table->entries, entries, nr * sizeof(*entries));
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, table);
}

static void routing_rejects(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_BARE);
	struct kvm_irq_routing_entry two[2] = {
		{ .gsi = 4, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { KVM_IRQCHIP_IOAPIC,
		  4 } },
		{ .gsi = 4, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { KVM_IRQCHIP_PIC_MASTER,
		  4 } },
	};

	CHECK_EQ(route_try(vm, 2, two), 0);
	two[1].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	CHECK_ERRNO(route_try(vm, 2, two), EINVAL);
	two[1].type = KVM_IRQ_ROUTING_MSI;
	CHECK_ERRNO(route_try(vm, 2, two), EINVAL);
	two[0].u.irqchip.pin = 24;
	CHECK_ERRNO(route_try(vm, 1, two), EINVAL);
	two[0].u.irqchip.pin = 4;
	two[0].u.irqchip.irqchip = 7;
	CHECK_ERRNO(route_try(vm, 1, two), EINVAL);
	two[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	two[0].gsi = 4096;
	CHECK_ERRNO(route_try(vm, 1, two), EINVAL);
	two[0].gsi = 4;
	two[0].flags = 2;
	CHECK_ERRNO(route_try(vm, 1, two), EINVAL);
	two[0].flags = 0;
	two[0].type = 99;
	CHECK_ERRNO(route_try(vm, 1, two), EINVAL);
	CHECK_EQ(route_try(vm, 0, two), 0);
}

static void chip_state(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_BARE);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vcpu_create(vm, 0);
	SYS(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	CHECK_EQ(chip.chip.ioapic.base_address, IOAPIC_BASE_GPA);
	CHECK_EQ(chip.chip.ioapic.redirtbl[3].bits, 0x10000);
	chip.chip.ioapic.redirtbl[3].bits = 0x0100000000010077;
	chip.chip.ioapic.id = 5;
	SYS(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
	memset(&chip.chip, 0, sizeof(chip.chip));
	SYS(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	CHECK_EQ(chip.chip.ioapic.redirtbl[3].bits, 0x0100000000010077);
	CHECK_EQ(chip.chip.ioapic.id, 5);
	chip.chip_id = KVM_IRQCHIP_PIC_SLAVE;
	SYS(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	CHECK_EQ(chip.chip.pic.elcr_mask, 0xde);
	chip.chip.pic.imr = 0xa5;
	chip.chip.pic.irq_base = 0x70;
	SYS(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
	SYS(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	CHECK_EQ(chip.chip.pic.imr, 0xa5);
	CHECK_EQ(chip.chip.pic.irq_base, 0x70);
}

/* The LAPIC page, in and out. */
static void lapic_state(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 2);
	struct kvm_lapic_state state;
	u32 *reg = (u32 *)state.regs;

	SYS(ioctl(vcpu->fd, KVM_GET_LAPIC, &state));
	CHECK_EQ(reg[APIC_ID / 4], 2 << 24);
	CHECK_EQ(reg[APIC_LVR / 4] & 0xff, 0x14);
	CHECK_EQ(reg[APIC_SVR / 4], 0xff);
	CHECK_EQ(reg[APIC_DFR / 4], 0xffffffff);
	CHECK_EQ(reg[APIC_LVTT / 4], APIC_LVT_MASKED);
	reg[APIC_LVT0 / 4] = APIC_DM_EXTINT;
	reg[APIC_LVT1 / 4] = APIC_DM_NMI;
	reg[APIC_TPR / 4] = 0x50;
	reg[APIC_IRR / 4 + 2 * 4] = BIT(3);
	SYS(ioctl(vcpu->fd, KVM_SET_LAPIC, &state));
	memset(&state, 0, sizeof(state));
	SYS(ioctl(vcpu->fd, KVM_GET_LAPIC, &state));
	CHECK_EQ(reg[APIC_LVT0 / 4], APIC_DM_EXTINT);
	CHECK_EQ(reg[APIC_LVT1 / 4], APIC_DM_NMI);
	CHECK_EQ(reg[APIC_TPR / 4], 0x50);
	CHECK_EQ(reg[APIC_IRR / 4 + 2 * 4], BIT(3));
	CHECK_EQ(vcpu_sregs(vcpu).cr8, 5);
}

/* Memory comes before the vCPU here: its creation, and its reset, write nothing into it. */
static void creation_writes_nothing(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	size_t i;

	memset(vm->low, 0x5a, VM_LOW_SIZE);
	vcpu_create(vm, 0);
	vcpu_create(vm, 1);
	for (i = 0; i < VM_LOW_SIZE; i++)
		CHECK_EQ(vm->low[i], 0x5a);
}

static const struct test_case cases[] = {
	{ "ioapic_edge", ioapic_edge },
	{ "ioapic_level", ioapic_level },
	{ "line_statuses", line_statuses },
	{ "pic", pic },
	{ "pit", pit },
	{ "pit_state", pit_state },
	{ "msi", msi },
	{ "routing_rejects", routing_rejects },
	{ "chip_state", chip_state },
	{ "lapic_state", lapic_state },
	{ "creation_writes_nothing", creation_writes_nothing },
};

TEST_MAIN(cases)
