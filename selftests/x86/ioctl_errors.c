// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an ioctl that answers a wrong call with success or another error than KVM's, which is
 * what clients probe for; an unknown ioctl that is taken for a known one because only its number
 * was looked at.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vcpu.h"

enum where {
	SYS_FD,		/* /dev/corbel */
	VM_FD,		/* without irqchip */
	VCPU_FD,	/* of that VM */
	CHIP_FD,	/* VM with irqchip and one vCPU */
	CHIP_VCPU_FD,
	SPLIT_FD,
	SPLIT_VCPU_FD,
	NR_FDS,
};

struct row {
	enum where where;
	unsigned long cmd;
	unsigned long arg;
	int error;	/* 0: success */
	const char *name;
};

#define P(...)		((unsigned long)(uintptr_t)(__VA_ARGS__))
#define BAD_POINTER	0xdead0000000000UL
#define ROW(w, c, a, e)	{ w, c, a, e, #w " " #c " " #a }

static u8 zeros[8192];

static struct kvm_enable_cap cap_unknown = { .cap = 9999 };
static struct kvm_enable_cap cap_flags = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .flags = 1 };
static struct kvm_enable_cap cap_split_late = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
static struct kvm_enable_cap cap_dirty_bit1 = {
	.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 2 },
};
static struct kvm_enable_cap cap_quirk_bad = { .cap = KVM_CAP_DISABLE_QUIRKS2,
		.args = { BIT(40) } };
static struct kvm_cpuid2 cpuid_none = { .nent = 0 };
static struct kvm_cpuid2 cpuid_many = { .nent = 257 };
static struct kvm_msr_list msrs_none = { .nmsrs = 0 };
static struct kvm_msrs msrs_many = { .nmsrs = 257 };
static struct kvm_msrs msrs_zero = { .nmsrs = 0 };
static struct kvm_mp_state mp_bad = { .mp_state = 77 };
static struct kvm_mp_state mp_halted = { .mp_state = KVM_MP_STATE_HALTED };
static struct kvm_mp_state mp_runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
static struct kvm_irqchip chip_bad = { .chip_id = 3 };
static struct kvm_irqchip chip_pic = { .chip_id = 0 };
static struct kvm_interrupt irq_32 = { .irq = 32 };
static struct kvm_interrupt irq_256 = { .irq = 256 };
static struct kvm_irq_level line_5 = { .irq = 5, .level = 0 };
static struct kvm_irq_level line_unrouted = { .irq = 4000, .level = 1 };
static struct kvm_irq_routing routing_flags = { .nr = 0, .flags = 1 };
static struct kvm_irq_routing routing_many = { .nr = 4097 };
static struct kvm_irq_routing routing_none = { .nr = 0 };
static struct kvm_irqfd irqfd_bad_fd = { .fd = 9999, .gsi = 3 };
static struct kvm_irqfd irqfd_flags = { .fd = 9999, .gsi = 3, .flags = 0x80 };
static struct kvm_ioeventfd ioev_bad_fd = { .fd = 9999, .addr = 0x100, .len = 4 };
static struct kvm_ioeventfd ioev_len = { .fd = 9999, .addr = 0x100, .len = 3 };
static struct kvm_ioeventfd ioev_flags = { .fd = 9999, .addr = 0x100, .len = 4, .flags = 0x100 };
static struct kvm_ioeventfd ioev_wrap = { .fd = 9999, .addr = -2ULL, .len = 4 };
static struct kvm_debugregs dr_flags = { .flags = 1, .dr6 = 0xffff0ff0, .dr7 = 0x400 };
static struct kvm_debugregs dr6_high = { .dr6 = BIT(32), .dr7 = 0x400 };
static struct kvm_debugregs dr7_high = { .dr6 = 0xffff0ff0, .dr7 = BIT(32) };
static struct kvm_xcrs xcr_zero = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 0 } } };
static struct kvm_xcrs xcr_no_fpu = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 2 } } };
static struct kvm_xcrs xcr_many = { .nr_xcrs = 17 };
static struct kvm_xcrs xcr_flags = { .flags = 1, .nr_xcrs = 1, .xcrs = { { .value = 1 } } };
static struct kvm_vcpu_events ev_flags = { .flags = 0x8000 };
static struct kvm_vcpu_events ev_payload = { .flags = KVM_VCPUEVENT_VALID_PAYLOAD };
static struct kvm_vcpu_events ev_nmi_exc = { .exception = { .injected = 1, .nr = 2 } };
static struct kvm_vcpu_events ev_exc_32 = { .exception = { .injected = 1, .nr = 32 } };
static struct kvm_dirty_log log_absent = { .slot = 5, .dirty_bitmap = zeros };
static struct kvm_dirty_log log_bad_slot = { .slot = 0x7fff, .dirty_bitmap = zeros };
static struct kvm_clear_dirty_log clear_absent = {
	.slot = 5, .num_pages = 64, .dirty_bitmap = zeros,
};
static struct kvm_create_device device_unknown = { .type = 999 };
static struct kvm_device_attr attr_unknown = { .group = 77, .attr = 1 };
static struct kvm_clock_data clock_flags = { .flags = 0x80000000 };
static struct kvm_coalesced_mmio_zone zone_bad = { .addr = 0x1000, .size = 16, .pio = 2 };
static struct kvm_coalesced_mmio_zone zone_absent = { .addr = 0x1000, .size = 16 };
static struct kvm_pit_config pit_flags = { .flags = 0 };
static struct kvm_vapic_addr vapic_none;
static struct kvm_tpr_access_ctl tpr_ctl = { .enabled = 1, .flags = 1 };
static struct kvm_msr_filter filter_flags = { .flags = 0x10 };
static struct kvm_msr_filter filter_range = {
	.ranges = { { .flags = 0x80, .nmsrs = 8, .base = 0x10, .bitmap = zeros } },
};
static struct kvm_signal_mask sigmask_len = { .len = 4 };
static u64 identity = 0xfeffc000;
static u64 mce_too_many = 33;
static u64 mce_none;

static const struct row rows[] = {
	/* Unknown numbers, and known ones on the wrong descriptor. */
	ROW(SYS_FD, _IO(KVMIO, 0xff), 0, EINVAL),
	ROW(VM_FD, _IO(KVMIO, 0xff), 0, ENOTTY),
	ROW(VCPU_FD, _IO(KVMIO, 0xff), 0, EINVAL),
	ROW(SYS_FD, _IO('Z', 0x03), 0, EINVAL),
	ROW(VM_FD, _IO('Z', 0x41), 0, ENOTTY),
	ROW(VCPU_FD, _IO('Z', 0x80), 0, EINVAL),
	ROW(SYS_FD, KVM_CREATE_VCPU, 0, EINVAL),
	ROW(SYS_FD, KVM_RUN, 0, EINVAL),
	ROW(VM_FD, KVM_RUN, 0, ENOTTY),
	ROW(VM_FD, KVM_GET_REGS, P(zeros), ENOTTY),
	ROW(VM_FD, KVM_KVMCLOCK_CTRL, 0, ENOTTY),
	ROW(VM_FD, KVM_CREATE_VM, 0, ENOTTY),
	ROW(VCPU_FD, KVM_CREATE_VCPU, 0, EINVAL),
	ROW(VCPU_FD, KVM_CREATE_IRQCHIP, 0, EINVAL),
	/* A known number in a wrong encoding: size and direction are part of the name. */
	ROW(VCPU_FD, _IOR(KVMIO, 0x81, char[8]), P(zeros), EINVAL),
	ROW(VCPU_FD, _IOR(KVMIO, 0x80, char[4]), P(zeros), EINVAL),
	ROW(VM_FD, _IOW(KVMIO, 0x46, char[8]), P(zeros), ENOTTY),
	ROW(SYS_FD, _IOR(KVMIO, 0x00, char[8]), 0, EINVAL),
	/* System. */
	ROW(SYS_FD, KVM_GET_API_VERSION, 1, EINVAL),
	ROW(SYS_FD, KVM_CREATE_VM, 1, EINVAL),
	ROW(SYS_FD, KVM_CREATE_VM, 99, EINVAL),
	ROW(SYS_FD, KVM_GET_VCPU_MMAP_SIZE, 1, EINVAL),
	ROW(SYS_FD, KVM_CHECK_EXTENSION, 99999, 0),
	ROW(SYS_FD, KVM_GET_SUPPORTED_CPUID, P(&cpuid_none), E2BIG),
	ROW(SYS_FD, KVM_GET_SUPPORTED_CPUID, BAD_POINTER, EFAULT),
	ROW(SYS_FD, KVM_GET_MSR_INDEX_LIST, P(&msrs_none), E2BIG),
	ROW(SYS_FD, KVM_GET_MSR_INDEX_LIST, BAD_POINTER, EFAULT),
	ROW(SYS_FD, KVM_GET_MSR_FEATURE_INDEX_LIST, BAD_POINTER, EFAULT),
	ROW(SYS_FD, KVM_GET_MSRS, P(&msrs_many), E2BIG),
	ROW(SYS_FD, KVM_X86_GET_MCE_CAP_SUPPORTED, BAD_POINTER, EFAULT),
	/* VM. */
	ROW(VM_FD, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY, 0),
	ROW(VM_FD, KVM_CREATE_VCPU, 0, EEXIST),
	ROW(VM_FD, KVM_CREATE_VCPU, 1UL << 20, EINVAL),
	ROW(VM_FD, KVM_CREATE_VCPU, -1UL, EINVAL),
	ROW(VM_FD, KVM_CREATE_IRQCHIP, 0, EINVAL),
	ROW(VM_FD, KVM_SET_IDENTITY_MAP_ADDR, P(&identity), EINVAL),
	ROW(VM_FD, KVM_SET_TSS_ADDR, 0xfeffd000, 0),
	ROW(VM_FD, KVM_SET_TSS_ADDR, 0xffffe000, EINVAL),
	ROW(VM_FD, KVM_SET_BOOT_CPU_ID, 0, EBUSY),
	ROW(VM_FD, KVM_SET_USER_MEMORY_REGION, BAD_POINTER, EFAULT),
	ROW(VM_FD, KVM_SET_NR_MMU_PAGES, 63, EINVAL),
	ROW(VM_FD, KVM_SET_NR_MMU_PAGES, 64, 0),
	ROW(VM_FD, KVM_GET_DIRTY_LOG, P(&log_absent), ENOENT),
	ROW(VM_FD, KVM_GET_DIRTY_LOG, P(&log_bad_slot), EINVAL),
	ROW(VM_FD, KVM_CLEAR_DIRTY_LOG, P(&clear_absent), ENOENT),
	ROW(VM_FD, KVM_ENABLE_CAP, P(&cap_unknown), EINVAL),
	ROW(VM_FD, KVM_ENABLE_CAP, P(&cap_flags), EINVAL),
	ROW(VM_FD, KVM_ENABLE_CAP, P(&cap_split_late), EEXIST),
	ROW(VM_FD, KVM_ENABLE_CAP, P(&cap_dirty_bit1), EINVAL),
	ROW(VM_FD, KVM_ENABLE_CAP, P(&cap_quirk_bad), EINVAL),
	ROW(VM_FD, KVM_CREATE_DEVICE, P(&device_unknown), ENODEV),
	ROW(VM_FD, KVM_CREATE_DEVICE, BAD_POINTER, EFAULT),
	ROW(VM_FD, KVM_SET_CLOCK, P(&clock_flags), EINVAL),
	ROW(VM_FD, KVM_X86_SET_MSR_FILTER, P(&filter_flags), EINVAL),
	ROW(VM_FD, KVM_X86_SET_MSR_FILTER, P(&filter_range), EINVAL),
	ROW(VM_FD, KVM_REGISTER_COALESCED_MMIO, P(&zone_bad), EINVAL),
	ROW(VM_FD, KVM_UNREGISTER_COALESCED_MMIO, P(&zone_bad), EINVAL),
	ROW(VM_FD, KVM_UNREGISTER_COALESCED_MMIO, P(&zone_absent), 0),
	ROW(VM_FD, KVM_IOEVENTFD, P(&ioev_bad_fd), EBADF),
	ROW(VM_FD, KVM_IOEVENTFD, P(&ioev_len), EINVAL),
	ROW(VM_FD, KVM_IOEVENTFD, P(&ioev_flags), EINVAL),
	ROW(VM_FD, KVM_IOEVENTFD, P(&ioev_wrap), EINVAL),
	/* VM without irqchip: nothing of the irqchip answers. */
	ROW(VM_FD, KVM_IRQ_LINE, P(&line_5), ENXIO),
	ROW(VM_FD, KVM_IRQ_LINE_STATUS, P(&line_5), ENXIO),
	ROW(VM_FD, KVM_GET_IRQCHIP, P(&chip_pic), ENXIO),
	ROW(VM_FD, KVM_SET_IRQCHIP, P(&chip_pic), ENXIO),
	ROW(VM_FD, KVM_SET_GSI_ROUTING, P(&routing_none), EINVAL),
	ROW(VM_FD, KVM_GET_PIT2, P(zeros), ENXIO),
	ROW(VM_FD, KVM_SET_PIT2, P(zeros), ENXIO),
	ROW(VM_FD, KVM_REINJECT_CONTROL, P(zeros), ENXIO),
	ROW(VM_FD, KVM_IRQFD, P(&irqfd_bad_fd), EINVAL),
	/* VM with irqchip. */
	ROW(CHIP_FD, KVM_CREATE_IRQCHIP, 0, EEXIST),
	ROW(CHIP_FD, KVM_ENABLE_CAP, P(&cap_split_late), EEXIST),
	ROW(CHIP_FD, KVM_IRQ_LINE, P(&line_5), 0),
	ROW(CHIP_FD, KVM_IRQ_LINE, P(&line_unrouted), 0),
	ROW(CHIP_FD, KVM_IRQ_LINE, BAD_POINTER, EFAULT),
	ROW(CHIP_FD, KVM_GET_IRQCHIP, P(&chip_bad), EINVAL),
	ROW(CHIP_FD, KVM_SET_IRQCHIP, P(&chip_bad), EINVAL),
	ROW(CHIP_FD, KVM_SET_GSI_ROUTING, P(&routing_flags), EINVAL),
	ROW(CHIP_FD, KVM_SET_GSI_ROUTING, P(&routing_many), EINVAL),
	ROW(CHIP_FD, KVM_CREATE_PIT2, P(&pit_flags), 0),
	ROW(CHIP_FD, KVM_CREATE_PIT2, P(&pit_flags), EEXIST),
	ROW(CHIP_FD, KVM_IRQFD, P(&irqfd_bad_fd), EBADF),
	ROW(CHIP_FD, KVM_IRQFD, P(&irqfd_flags), EINVAL),
	ROW(SPLIT_FD, KVM_CREATE_IRQCHIP, 0, EEXIST),
	ROW(SPLIT_FD, KVM_IRQ_LINE, P(&line_5), 0),
	ROW(SPLIT_FD, KVM_GET_IRQCHIP, P(&chip_pic), ENXIO),
	/* vCPU. */
	ROW(VCPU_FD, KVM_RUN, 1, EINVAL),
	ROW(VCPU_FD, KVM_SET_REGS, BAD_POINTER, EFAULT),
	ROW(VCPU_FD, KVM_GET_REGS, BAD_POINTER, EFAULT),
	ROW(VCPU_FD, KVM_SET_SREGS, BAD_POINTER, EFAULT),
	ROW(VCPU_FD, KVM_SET_FPU, BAD_POINTER, EFAULT),
	ROW(VCPU_FD, KVM_SET_XSAVE, BAD_POINTER, EFAULT),
	ROW(VCPU_FD, KVM_SET_CPUID2, P(&cpuid_many), E2BIG),
	ROW(VCPU_FD, KVM_SET_CPUID2, BAD_POINTER, EFAULT),
	ROW(VCPU_FD, KVM_SET_MSRS, P(&msrs_many), E2BIG),
	ROW(VCPU_FD, KVM_SET_MSRS, P(&msrs_zero), 0),
	ROW(VCPU_FD, KVM_GET_MSRS, P(&msrs_zero), 0),
	ROW(VCPU_FD, KVM_SET_DEBUGREGS, P(&dr_flags), EINVAL),
	ROW(VCPU_FD, KVM_SET_DEBUGREGS, P(&dr6_high), EINVAL),
	ROW(VCPU_FD, KVM_SET_DEBUGREGS, P(&dr7_high), EINVAL),
	ROW(VCPU_FD, KVM_SET_XCRS, P(&xcr_zero), EINVAL),
	ROW(VCPU_FD, KVM_SET_XCRS, P(&xcr_no_fpu), EINVAL),
	ROW(VCPU_FD, KVM_SET_XCRS, P(&xcr_many), EINVAL),
	ROW(VCPU_FD, KVM_SET_XCRS, P(&xcr_flags), EINVAL),
	ROW(VCPU_FD, KVM_SET_VCPU_EVENTS, P(&ev_flags), EINVAL),
	ROW(VCPU_FD, KVM_SET_VCPU_EVENTS, P(&ev_payload), EINVAL),
	ROW(VCPU_FD, KVM_SET_VCPU_EVENTS, P(&ev_nmi_exc), EINVAL),
	ROW(VCPU_FD, KVM_SET_VCPU_EVENTS, P(&ev_exc_32), EINVAL),
	ROW(VCPU_FD, KVM_SET_MP_STATE, P(&mp_bad), EINVAL),
	ROW(VCPU_FD, KVM_SET_MP_STATE, P(&mp_halted), EINVAL),
	ROW(VCPU_FD, KVM_SET_MP_STATE, P(&mp_runnable), 0),
	ROW(VCPU_FD, KVM_GET_LAPIC, P(zeros), EINVAL),
	ROW(VCPU_FD, KVM_SET_LAPIC, P(zeros), EINVAL),
	ROW(VCPU_FD, KVM_SET_VAPIC_ADDR, P(&vapic_none), EINVAL),
	ROW(VCPU_FD, KVM_INTERRUPT, P(&irq_256), EINVAL),
	ROW(VCPU_FD, KVM_INTERRUPT, P(&irq_32), 0),
	ROW(VCPU_FD, KVM_KVMCLOCK_CTRL, 0, EINVAL),
	ROW(VCPU_FD, KVM_TPR_ACCESS_REPORTING, P(&tpr_ctl), EINVAL),
	ROW(VCPU_FD, KVM_SET_GUEST_DEBUG, BAD_POINTER, EFAULT),
	ROW(VCPU_FD, KVM_SET_SIGNAL_MASK, P(&sigmask_len), EINVAL),
	ROW(VCPU_FD, KVM_X86_SETUP_MCE, P(&mce_too_many), EINVAL),
	ROW(VCPU_FD, KVM_X86_SETUP_MCE, P(&mce_none), EINVAL),
	ROW(VCPU_FD, KVM_ENABLE_CAP, P(&cap_unknown), EINVAL),
	ROW(VCPU_FD, KVM_SET_DEVICE_ATTR, P(&attr_unknown), ENXIO),
	ROW(VCPU_FD, KVM_HAS_DEVICE_ATTR, P(&attr_unknown), ENXIO),
	ROW(CHIP_VCPU_FD, KVM_INTERRUPT, P(&irq_32), ENXIO),
	ROW(CHIP_VCPU_FD, KVM_INTERRUPT, P(&irq_256), EINVAL),
	ROW(CHIP_VCPU_FD, KVM_SET_MP_STATE, P(&mp_halted), 0),
	ROW(CHIP_VCPU_FD, KVM_SET_MP_STATE, P(&mp_bad), EINVAL),
	ROW(CHIP_VCPU_FD, KVM_SET_VAPIC_ADDR, P(&vapic_none), 0),
	ROW(CHIP_VCPU_FD, KVM_GET_LAPIC, BAD_POINTER, EFAULT),
	ROW(SPLIT_VCPU_FD, KVM_INTERRUPT, P(&irq_32), 0),
	ROW(SPLIT_VCPU_FD, KVM_INTERRUPT, P(&irq_32), EEXIST),
};

static void open_all(int *fds)
{
	static const unsigned int flags[] = { 0, VM_IRQCHIP, VM_SPLIT };
	size_t i;

	fds[SYS_FD] = dev_open();
	for (i = 0; i < 3; i++) {
		struct vm *vm = vm_create(flags[i] | VM_BARE);

		fds[VM_FD + 2 * i] = vm->fd;
		fds[VCPU_FD + 2 * i] = vcpu_create(vm, 0)->fd;
	}
}

static void table(void)
{
	int fds[NR_FDS], ret, wrong = 0;
	size_t i;

	open_all(fds);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		errno = 0;
		ret = ioctl(fds[row->where], row->cmd, row->arg);
		if (row->error ? ret == -1 && errno == row->error : ret >= 0)
			continue;
		test_note("%s: %d, errno %d (%s), expected %d", row->name, ret, errno,
			  strerror(errno), row->error);
		wrong++;
	}
	CHECK_EQ(wrong, 0);
}

/* On a failed call that is told how much room there is, the needed count comes back. */
static void counts(void)
{
	struct kvm_msr_list *list = calloc(1, 4 + 4 * 512);
	int fd = dev_open();
	u32 nr;

	CHECK_ERRNO(ioctl(fd, KVM_GET_MSR_INDEX_LIST, list), E2BIG);
	nr = list->nmsrs;
	CHECK_GE(nr, 10);
	CHECK_LT(nr, 256);
	SYS(ioctl(fd, KVM_GET_MSR_INDEX_LIST, list));
	CHECK_EQ(list->nmsrs, nr);
	list->nmsrs = nr - 1;
	CHECK_ERRNO(ioctl(fd, KVM_GET_MSR_INDEX_LIST, list), E2BIG);
	CHECK_EQ(list->nmsrs, nr);
	list->nmsrs = 0;
	CHECK_ERRNO(ioctl(fd, KVM_GET_MSR_FEATURE_INDEX_LIST, list), E2BIG);
	CHECK_GE(list->nmsrs, 1);
}

static void descriptors(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);

	CHECK(fcntl(vcpu->vm->fd, F_GETFD) & FD_CLOEXEC);
	CHECK(fcntl(vcpu->fd, F_GETFD) & FD_CLOEXEC);
	CHECK_ERRNO(read(vcpu->fd, zeros, 8), EINVAL);
	CHECK_ERRNO(write(vcpu->vm->fd, zeros, 8), EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vcpu->vm->fd, 0) == MAP_FAILED);
}

/* The descriptors of one address space are of no use in another. */
static void other_mm(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	int status;
	pid_t pid = SYS(fork());

	if (!pid) {
		CHECK_ERRNO(vcpu_run_raw(vcpu), EIO);
		CHECK_ERRNO(ioctl(vcpu->fd, KVM_GET_REGS, zeros), EIO);
		CHECK_ERRNO(ioctl(vcpu->vm->fd, KVM_CREATE_VCPU, 1UL), EIO);
		CHECK_ERRNO(vm_try_slot(vcpu->vm, 20, 0, VM_TEST_GPA, PAGE, zeros), EIO);
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

static const struct test_case cases[] = {
	{ "table", table },
	{ "counts", counts },
	{ "descriptors", descriptors },
	{ "other_mm", other_mm },
};

TEST_MAIN(cases)
