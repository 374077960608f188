// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an irqfd that injects nothing or keeps injecting after it is gone, a resample that is
 * not told of the EOI, an ioeventfd that swallows what it should not or lets through what it
 * should swallow.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

#define VECTOR	0x61
#define GSI	10

static int irqfd(struct vm *vm, int fd, u32 gsi, u32 flags, int resample)
{
	struct kvm_irqfd arg = { .fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resample };

	return ioctl(vm->fd, KVM_IRQFD, &arg);
}

static void signal_fd(int fd)
{
	u64 one = 1;

	CHECK_EQ(write(fd, &one, 8), 8);
}

/* Counter of a non-blocking eventfd, 0 if there is none. */
static u64 fd_count(int fd)
{
	u64 count = 0;

	if (read(fd, &count, 8) != 8)
		return 0;
	return count;
}

static u64 fd_wait(int fd)
{
	u64 count;
	int i;

	for (i = 0; i < 2000; i++) {
		count = fd_count(fd);
		if (count)
			return count;
		usleep(1000);
	}
	return 0;
}

static int event(void)
{
	return SYS(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static void irq_guest(u64 low)
{
	u64 i;

	apic_enable();
	trap_set(VECTOR, trap_count_irq);
	ioapic_set(GSI, 0, VECTOR | low);
	for (i = 1;; i++) {
		guest_sync(i, 0, 0, 0);
		sti_nop_cli();
		guest_sync(i, trap_count[VECTOR], 0, 0);
	}
}

/* The number of interrupts the guest has taken so far. */
static u64 taken(struct vcpu *vcpu)
{
	u64 count;

	count = vcpu_run_ucall(vcpu)->args[1];
	vcpu_run_ucall(vcpu);
	return count;
}

static struct vcpu *irq_start(u64 low)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, irq_guest, low, 0);

	vcpu_run_ucall(vcpu);
	return vcpu;
}

static void assign(void)
{
	struct vcpu *vcpu = irq_start(0);
	int fd = event();

	CHECK_EQ(irqfd(vcpu->vm, fd, GSI, 0, 0), 0);
	CHECK_ERRNO(irqfd(vcpu->vm, fd, GSI + 1, 0, 0), EBUSY);
	signal_fd(fd);
	usleep(20000);
	CHECK_EQ(taken(vcpu), 1);
	CHECK_EQ(fd_count(fd), 0);
	signal_fd(fd);
	usleep(20000);
	CHECK_EQ(taken(vcpu), 2);
	CHECK_EQ(irqfd(vcpu->vm, fd, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	signal_fd(fd);
	usleep(20000);
	CHECK_EQ(taken(vcpu), 2);
	CHECK_EQ(fd_count(fd), 1);
	/* Deassigning what is not there is no error. */
	CHECK_EQ(irqfd(vcpu->vm, fd, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
}

/* A count that is pending at assignment counts. */
static void pending(void)
{
	struct vcpu *vcpu = irq_start(0);
	int fd = event();

	signal_fd(fd);
	CHECK_EQ(irqfd(vcpu->vm, fd, GSI, 0, 0), 0);
	usleep(20000);
	CHECK_EQ(taken(vcpu), 1);
}

/* Closing the eventfd ends the assignment, and the number is free for another. */
static void closed(void)
{
	struct vcpu *vcpu = irq_start(0);
	int i, fd;

	for (i = 0; i < 20; i++) {
		fd = event();
		CHECK_EQ(irqfd(vcpu->vm, fd, GSI, 0, 0), 0);
		signal_fd(fd);
		usleep(20000);
		CHECK_EQ(taken(vcpu), i + 1);
		SYS(close(fd));
	}
}

static void msi(void)
{
	struct vcpu *vcpu = irq_start(0);
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} table = {
		.head.nr = 1,
		.entry = {
			.gsi = 200, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = APIC_BASE_GPA, .data = VECTOR },
		},
	};
	int fd = event();

	/* Assigned before it is routed. */
	CHECK_EQ(irqfd(vcpu->vm, fd, 200, 0, 0), 0);
	signal_fd(fd);
	usleep(20000);
	CHECK_EQ(taken(vcpu), 0);
	SYS(ioctl(vcpu->vm->fd, KVM_SET_GSI_ROUTING, &table));
	signal_fd(fd);
	CHECK_EQ(taken(vcpu), 1);
}

static void resample(void)
{
	struct vcpu *vcpu = irq_start(APIC_LEVEL);
	int fd = event(), re = event();

	dev_require_cap(KVM_CAP_IRQFD_RESAMPLE);
	CHECK_EQ(irqfd(vcpu->vm, fd, GSI, KVM_IRQFD_FLAG_RESAMPLE, re), 0);
	CHECK_EQ(fd_count(re), 0);
	signal_fd(fd);
	usleep(20000);
	CHECK_EQ(taken(vcpu), 1);
	/* The EOI took the line down and told us; nothing comes again by itself. */
	CHECK_EQ(fd_wait(re), 1);
	CHECK_EQ(taken(vcpu), 1);
	CHECK_EQ(fd_count(re), 0);
	signal_fd(fd);
	usleep(20000);
	CHECK_EQ(taken(vcpu), 2);
	CHECK_EQ(fd_wait(re), 1);
}

/* Wakes a vCPU that sleeps in HLT. */
static void halt_guest(void)
{
	apic_enable();
	trap_set(VECTOR, trap_count_irq);
	ioapic_set(GSI, 0, VECTOR);
	GUEST_SYNC(1);
	sti_hlt_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
}

static void wakes(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, halt_guest, 0, 0);
	int fd = event();

	CHECK_EQ(irqfd(vcpu->vm, fd, GSI, 0, 0), 0);
	vcpu_run_sync(vcpu, 1);
	vcpu_thread_start(vcpu, NULL);
	usleep(50000);
	signal_fd(fd);
	vcpu_thread_join(vcpu);
}

static int ioeventfd(struct vm *vm, int fd, u64 addr, u32 len, u32 flags, u64 match)
{
	struct kvm_ioeventfd arg = {
		.fd = fd, .addr = addr, .len = len, .flags = flags, .datamatch = match,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &arg);
}

#define PIO	KVM_IOEVENTFD_FLAG_PIO
#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define OFF	KVM_IOEVENTFD_FLAG_DEASSIGN

static void ports_guest(void)
{
	outl(0x500, 7);
	outl(0x500, 8);
	outb(0x500, 7);
	outw(0x510, 0x1234);
	outb(0x510, 0x12);
	inb(0x510);
}

static void expect_port(struct vcpu *vcpu, u16 port, u8 size, u8 direction)
{
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, port);
	CHECK_EQ(vcpu->run->io.size, size);
	CHECK_EQ(vcpu->run->io.direction, direction);
}

static void ports(void)
{
	struct vcpu *vcpu = vcpu_start(0, ports_guest, 0, 0);
	int seven = event(), word = event();

	CHECK_EQ(ioeventfd(vcpu->vm, seven, 0x500, 4, PIO | MATCH, 7), 0);
	CHECK_EQ(ioeventfd(vcpu->vm, word, 0x510, 2, PIO, 0), 0);
	/* Of 7 the second matches neither value, the third not the length. */
	expect_port(vcpu, 0x500, 4, KVM_EXIT_IO_OUT);
	CHECK_EQ(fd_count(seven), 1);
	expect_port(vcpu, 0x500, 1, KVM_EXIT_IO_OUT);
	expect_port(vcpu, 0x510, 1, KVM_EXIT_IO_OUT);
	CHECK_EQ(fd_count(word), 1);
	expect_port(vcpu, 0x510, 1, KVM_EXIT_IO_IN);
	vcpu_run_done(vcpu);
	CHECK_EQ(fd_count(seven), 0);
}

static void memory_guest(void)
{
	volatile u32 *dev = (u32 *)VM_HOLE_GPA;

	dev[0] = 1;
	dev[0] = 2;
	dev[0] = 3;
	*(volatile u8 *)&dev[1] = 9;
	*(volatile u64 *)&dev[2] = 9;
	GUEST_SYNC(1);
	dev[0] = 1;
	GUEST_SYNC(2);
}

static void memory(void)
{
	struct vcpu *vcpu = vcpu_start(0, memory_guest, 0, 0);
	int one = event(), two = event(), any = event(), eight = event();

	CHECK_EQ(ioeventfd(vcpu->vm, one, VM_HOLE_GPA, 4, MATCH, 1), 0);
	CHECK_EQ(ioeventfd(vcpu->vm, two, VM_HOLE_GPA, 4, MATCH, 2), 0);
	CHECK_ERRNO(ioeventfd(vcpu->vm, any, VM_HOLE_GPA, 4, MATCH, 2), EEXIST);
	CHECK_ERRNO(ioeventfd(vcpu->vm, any, VM_HOLE_GPA, 4, 0, 0), EEXIST);
	CHECK_EQ(ioeventfd(vcpu->vm, any, VM_HOLE_GPA + 4, 0, 0, 0), 0);
	CHECK_EQ(ioeventfd(vcpu->vm, eight, VM_HOLE_GPA + 8, 8, 0, 0), 0);
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(*(u32 *)vcpu->run->mmio.data, 3);
	CHECK_EQ(fd_count(one), 1);
	CHECK_EQ(fd_count(two), 1);
	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(fd_count(any), 1);
	CHECK_EQ(fd_count(eight), 1);
	CHECK_ERRNO(ioeventfd(vcpu->vm, one, VM_HOLE_GPA, 4, MATCH | OFF, 5), ENOENT);
	CHECK_ERRNO(ioeventfd(vcpu->vm, two, VM_HOLE_GPA, 4, MATCH | OFF, 1), ENOENT);
	CHECK_EQ(ioeventfd(vcpu->vm, one, VM_HOLE_GPA, 4, MATCH | OFF, 1), 0);
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(*(u32 *)vcpu->run->mmio.data, 1);
	vcpu_run_sync(vcpu, 2);
	CHECK_EQ(fd_count(one), 0);
}

static const struct test_case cases[] = {
	{ "irqfd_assign", assign },
	{ "irqfd_pending", pending },
	{ "irqfd_closed", closed },
	{ "irqfd_msi", msi },
	{ "irqfd_resample", resample },
	{ "irqfd_wakes", wakes },
	{ "ioeventfd_ports", ports },
	{ "ioeventfd_memory", memory },
};

TEST_MAIN(cases)
