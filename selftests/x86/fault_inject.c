// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an error path that leaks, frees twice or leaves half of an object behind. Each
 * operation is repeated with its first allocation (or copy from and to the user) failing, then
 * its second, and so on until it gets through. After each failure the errno must be one of memory,
 * the module's own counts must be what they were, and the same call must now succeed.
 *
 * Needs a kernel with fault injection: 'make check-debug'. There a skip is a failure.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "live.h"
#include "vcpu.h"

#define FAULTS	"/sys/kernel/debug/"
#define WALK_MAX	5000
#define SLOT_SIZE	(64 * PAGE)

/* Where an operation works: made anew for each failure. */
struct place {
	struct vm *vm;
	struct vcpu *vcpu;
	void *memory;
	int event, resample;
	int made;	/* descriptor that the operation returned */
};

struct operation {
	const char *name;
	unsigned int flags;		/* of vm_create() */
	bool vcpu;			/* there is one */
	void (*prepare)(struct place *place);
	int (*call)(struct place *place);
};

/* Injection */

static int fail_nth = -1;

static void fault_set(const char *file, const char *value)
{
	int fd = SYS(open(file, O_WRONLY));

	CHECK_EQ(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

/* Sleeping allocations fail too, any order; no report of each in the log. */
static void faults_setup(void)
{
	if (access("/proc/self/fail-nth", W_OK) || access(FAULTS "failslab", F_OK) ||
	    access(FAULTS "fail_page_alloc", F_OK) || access(FAULTS "fail_usercopy", F_OK)) {
		if (getenv("TEST_FAULT_INJECTION"))
			FAIL("no fault injection, and TEST_FAULT_INJECTION demands it");
		test_skip("no fault injection in this kernel");
	}
	fault_set(FAULTS "failslab/verbose", "0");
	fault_set(FAULTS "failslab/ignore-gfp-wait", "N");
	fault_set(FAULTS "fail_page_alloc/verbose", "0");
	fault_set(FAULTS "fail_page_alloc/ignore-gfp-wait", "N");
	fault_set(FAULTS "fail_page_alloc/ignore-gfp-highmem", "N");
	fault_set(FAULTS "fail_page_alloc/min-order", "0");
	fault_set(FAULTS "fail_usercopy/verbose", "0");
	fail_nth = SYS(open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC));
	/* This program's own page faults are not what is walked. */
	SYS(mlockall(MCL_CURRENT));
}

static void fault_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	CHECK_EQ(pwrite(fail_nth, text, len, 0), len);
}

/*
 * Disarm; whether the failure has happened. The read and the write copy to and from the user, so
 * a failure that is still due may hit them.
 */
static bool fault_happened(void)
{
	char text[16] = "";
	bool happened = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (pwrite(fail_nth, "0", 1, 0) != 1)
		CHECK_EQ(errno, EFAULT);
	return happened;
}

static struct place place_create(const struct operation *op)
{
	struct place place = { .event = -1, .resample = -1, .made = -1 };

	place.vm = vm_create(op->flags);
	if (op->vcpu)
		place.vcpu = vcpu_create(place.vm, 0);
	if (op->prepare)
		op->prepare(&place);
	return place;
}

static void place_destroy(struct place *place)
{
	vm_destroy(place->vm);
	if (place->made > 0)
		close(place->made);
	if (place->memory)
		munmap(place->memory, SLOT_SIZE);
	if (place->event >= 0)
		close(place->event);
	if (place->resample >= 0)
		close(place->resample);
}

/* Does @op get through with its @nth allocation failing? @refused counts what it refused. */
static bool walk_step(const struct operation *op, unsigned int nth, unsigned int *refused)
{
	struct place place = place_create(op);
	struct live before = live_now();
	bool happened;
	int ret, err;

	fault_arm(nth);
	ret = op->call(&place);
	err = errno;
	happened = fault_happened();
	if (ret < 0) {
		if (!happened || (err != ENOMEM && err != EFAULT))
			FAIL("%s, failure %u: %s%s", op->name, nth, strerror(err),
			     happened ? "" : ", without a failure");
		++*refused;
		live_check_same(&before, op->name);
		ret = op->call(&place);
		if (ret < 0)
			FAIL("%s, again after failure %u: %s", op->name, nth, strerror(errno));
	}
	place_destroy(&place);
	live_check();
	return !happened;
}

static void walk(const struct operation *op)
{
	unsigned int nth = 1, refused = 0;

	while (!walk_step(op, nth, &refused)) {
		nth++;
		CHECK_LT(nth, WALK_MAX);
	}
	test_note("%s: %u failures, %u of them refused the call", op->name, nth - 1, refused);
	CHECK_NE(refused, 0);
}

static void walk_all(const struct operation *ops, size_t nr)
{
	size_t i;

	faults_setup();
	for (i = 0; i < nr; i++)
		walk(&ops[i]);
}

/* Creation */

static int vm_dev;	/* opened while no allocation fails */

static int call_vm(struct place *place)
{
	place->made = ioctl(vm_dev, KVM_CREATE_VM, 0UL);
	return place->made;
}

static int call_vcpu(struct place *place)
{
	place->made = ioctl(place->vm->fd, KVM_CREATE_VCPU, 7UL);
	return place->made;
}

static int call_stats(struct place *place)
{
	place->made = ioctl(place->vm->fd, KVM_GET_STATS_FD, 0UL);
	return place->made;
}

static int call_irqchip(struct place *place)
{
	return ioctl(place->vm->fd, KVM_CREATE_IRQCHIP, 0UL);
}

static int call_split(struct place *place)
{
	struct kvm_enable_cap enable = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	return ioctl(place->vm->fd, KVM_ENABLE_CAP, &enable);
}

static int call_pit(struct place *place)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	return ioctl(place->vm->fd, KVM_CREATE_PIT2, &pit);
}

static void vms(void)
{
	static const struct operation ops[] = {
		{ "vm beside another", VM_BARE, .call = call_vm },
	};

	vm_dev = dev_open();
	walk_all(ops, ARRAY_SIZE(ops));
}

static void vcpus(void)
{
	static const struct operation ops[] = {
		{ "vcpu", VM_BARE, .call = call_vcpu },
		{ "vcpu with irqchip", VM_BARE | VM_IRQCHIP, .call = call_vcpu },
		{ "vcpu with split irqchip", VM_BARE | VM_SPLIT, .call = call_vcpu },
		{ "second vcpu", VM_IRQCHIP, true, .call = call_vcpu },
		{ "stats", VM_BARE, .call = call_stats },
	};

	walk_all(ops, ARRAY_SIZE(ops));
}

static void irqchips(void)
{
	static const struct operation ops[] = {
		{ "irqchip", VM_BARE, .call = call_irqchip },
		{ "split irqchip", VM_BARE, .call = call_split },
		{ "pit", VM_BARE | VM_IRQCHIP, .call = call_pit },
	};

	walk_all(ops, ARRAY_SIZE(ops));
}

/* The first VM of a process, with no other beside it: its MMU notifier comes with it. */
static void first_vm(void)
{
	unsigned int nth, refused = 0;
	bool happened = true;
	int dev, vm, err;

	faults_setup();
	dev = dev_open();
	for (nth = 1; happened; nth++) {
		CHECK_LT(nth, WALK_MAX);
		fault_arm(nth);
		vm = ioctl(dev, KVM_CREATE_VM, 0UL);
		err = errno;
		happened = fault_happened();
		if (vm < 0) {
			CHECK(happened && (err == ENOMEM || err == EFAULT));
			refused++;
		} else {
			close(vm);
		}
		live_check();
	}
	test_note("first vm: %u failures, %u of them refused the call", nth - 2, refused);
	CHECK_NE(refused, 0);
}

/* Memory */

static void prepare_memory(struct place *place)
{
	place->memory = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(place->memory != MAP_FAILED);
}

static void prepare_slot(struct place *place)
{
	prepare_memory(place);
	vm_set_slot(place->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, SLOT_SIZE, place->memory);
}

static void prepare_logged(struct place *place)
{
	prepare_memory(place);
	vm_set_slot(place->vm, VM_SLOT_TEST, KVM_MEM_LOG_DIRTY_PAGES, VM_TEST_GPA, SLOT_SIZE,
		    place->memory);
}

static int call_slot(struct place *place)
{
	return vm_try_slot(place->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, SLOT_SIZE, place->memory);
}

static int call_slot_logged(struct place *place)
{
	return vm_try_slot(place->vm, VM_SLOT_TEST, KVM_MEM_LOG_DIRTY_PAGES, VM_TEST_GPA,
			   SLOT_SIZE, place->memory);
}

static int call_slot_move(struct place *place)
{
	return vm_try_slot(place->vm, VM_SLOT_TEST, 0, VM_TEST_GPA + PAGE_2M, SLOT_SIZE,
			   place->memory);
}

static int call_slot_delete(struct place *place)
{
	return vm_try_slot(place->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, 0, place->memory);
}

static int call_dirty_log(struct place *place)
{
	u64 bitmap[SLOT_SIZE / PAGE / 64];
	struct kvm_dirty_log log = { .slot = VM_SLOT_TEST, .dirty_bitmap = bitmap };

	return ioctl(place->vm->fd, KVM_GET_DIRTY_LOG, &log);
}

static void slots(void)
{
	static const struct operation ops[] = {
		{ "slot", VM_BARE, .prepare = prepare_memory, .call = call_slot },
		{ "logged slot", VM_BARE, .prepare = prepare_memory, .call = call_slot_logged },
		{ "log of a slot", VM_BARE, .prepare = prepare_slot, .call = call_slot_logged },
		{ "no log any more", VM_BARE, .prepare = prepare_logged, .call = call_slot },
		{ "move", VM_BARE, .prepare = prepare_slot, .call = call_slot_move },
		{ "delete", VM_BARE, .prepare = prepare_slot, .call = call_slot_delete },
		{ "dirty log", VM_BARE, .prepare = prepare_logged, .call = call_dirty_log },
	};

	walk_all(ops, ARRAY_SIZE(ops));
}

/* Events */

static void prepare_events(struct place *place)
{
	place->event = SYS(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	place->resample = SYS(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static int irqfd(struct place *place, u32 flags)
{
	struct kvm_irqfd arg = {
		.fd = place->event, .gsi = 10, .flags = flags, .resamplefd = place->resample,
	};

	return ioctl(place->vm->fd, KVM_IRQFD, &arg);
}

static int call_irqfd(struct place *place)
{
	return irqfd(place, 0);
}

static int call_irqfd_resample(struct place *place)
{
	return irqfd(place, KVM_IRQFD_FLAG_RESAMPLE);
}

static int call_irqfd_deassign(struct place *place)
{
	return irqfd(place, KVM_IRQFD_FLAG_DEASSIGN);
}

static void prepare_irqfd(struct place *place)
{
	prepare_events(place);
	SYS(irqfd(place, 0));
}

static int ioeventfd(struct place *place, u64 address, u32 flags)
{
	struct kvm_ioeventfd arg = {
		.addr = address, .len = 4, .fd = place->event, .flags = flags,
	};

	return ioctl(place->vm->fd, KVM_IOEVENTFD, &arg);
}

static int call_ioeventfd_port(struct place *place)
{
	return ioeventfd(place, 0x300, KVM_IOEVENTFD_FLAG_PIO);
}

static int call_ioeventfd_mmio(struct place *place)
{
	return ioeventfd(place, VM_HOLE_GPA, 0);
}

static void prepare_ioeventfd(struct place *place)
{
	prepare_events(place);
	SYS(call_ioeventfd_mmio(place));
}

static int call_ioeventfd_deassign(struct place *place)
{
	return ioeventfd(place, VM_HOLE_GPA, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static int call_coalesced(struct place *place)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = VM_HOLE_GPA, .size = PAGE };

	return ioctl(place->vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone);
}

static void prepare_coalesced(struct place *place)
{
	SYS(call_coalesced(place));
}

static int call_coalesced_gone(struct place *place)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = VM_HOLE_GPA, .size = PAGE };

	return ioctl(place->vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

static int call_routing(struct place *place)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[2];
	} table = {
		.head.nr = 2,
		.entries = {
			{ .gsi = 10, .type = KVM_IRQ_ROUTING_IRQCHIP,
			  .u.irqchip = { KVM_IRQCHIP_IOAPIC, 10 } },
			{ .gsi = 40, .type = KVM_IRQ_ROUTING_MSI,
			  .u.msi = { .address_lo = 0xfee00000, .data = 0x41 } },
		},
	};

	return ioctl(place->vm->fd, KVM_SET_GSI_ROUTING, &table);
}

static void events(void)
{
	static const struct operation ops[] = {
		{ "irqfd", VM_BARE | VM_IRQCHIP, .prepare = prepare_events, .call = call_irqfd },
		{ "irqfd with resample", VM_BARE | VM_IRQCHIP, .prepare = prepare_events,
		  .call = call_irqfd_resample },
		{ "irqfd deassign", VM_BARE | VM_IRQCHIP, .prepare = prepare_irqfd,
		  .call = call_irqfd_deassign },
		{ "ioeventfd on a port", VM_BARE, .prepare = prepare_events,
		  .call = call_ioeventfd_port },
		{ "ioeventfd in memory", VM_BARE, .prepare = prepare_events,
		  .call = call_ioeventfd_mmio },
		{ "ioeventfd deassign", VM_BARE, .prepare = prepare_ioeventfd,
		  .call = call_ioeventfd_deassign },
		{ "coalesced zone", VM_BARE, true, .call = call_coalesced },
		{ "coalesced zone gone", VM_BARE, true, .prepare = prepare_coalesced,
		  .call = call_coalesced_gone },
		{ "routing", VM_BARE | VM_IRQCHIP, .call = call_routing },
	};

	walk_all(ops, ARRAY_SIZE(ops));
}

/* State of a vCPU */

static int call_cpuid(struct place *place)
{
	struct dev_cpuid set;

	vcpu_default_cpuid(0, &set);
	return ioctl(place->vcpu->fd, KVM_SET_CPUID2, &set);
}

static int call_xsave(struct place *place)
{
	static struct kvm_xsave xsave;

	if (ioctl(place->vcpu->fd, KVM_GET_XSAVE, &xsave))
		return -1;
	return ioctl(place->vcpu->fd, KVM_SET_XSAVE, &xsave);
}

static int call_lapic(struct place *place)
{
	struct kvm_lapic_state lapic;

	if (ioctl(place->vcpu->fd, KVM_GET_LAPIC, &lapic))
		return -1;
	return ioctl(place->vcpu->fd, KVM_SET_LAPIC, &lapic);
}

static int call_msrs(struct place *place)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry.index = MSR_SYSENTER_CS };

	return ioctl(place->vcpu->fd, KVM_GET_MSRS, &msrs);
}

static int call_sregs(struct place *place)
{
	struct kvm_sregs sregs;

	if (ioctl(place->vcpu->fd, KVM_GET_SREGS, &sregs))
		return -1;
	return ioctl(place->vcpu->fd, KVM_SET_SREGS, &sregs);
}

static int call_filter(struct place *place)
{
	static u8 bitmap[8];
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = {
			.flags = KVM_MSR_FILTER_READ, .nmsrs = 64, .base = 0x100, .bitmap = bitmap,
		},
	};

	return ioctl(place->vm->fd, KVM_X86_SET_MSR_FILTER, &filter);
}

static void states(void)
{
	static const struct operation ops[] = {
		{ "cpuid", VM_BARE, true, .call = call_cpuid },
		{ "xsave", VM_BARE, true, .call = call_xsave },
		{ "lapic", VM_BARE | VM_IRQCHIP, true, .call = call_lapic },
		{ "msrs", VM_BARE, true, .call = call_msrs },
		{ "sregs", VM_BARE, true, .call = call_sregs },
		{ "msr filter", VM_BARE, .call = call_filter },
	};

	walk_all(ops, ARRAY_SIZE(ops));
}

/* Running: faults, splits and everything else that a guest makes the module allocate. */

static void toucher(u64 pages)
{
	u64 i;

	for (i = 0; i < pages; i++)
		*(volatile u64 *)(VM_TEST_GPA + i * PAGE) = i;
	for (i = 0; i < pages; i++)
		GUEST_CHECK_EQ(*(volatile u64 *)(VM_TEST_GPA + i * PAGE), i);
}

static void prepare_run(struct place *place)
{
	prepare_slot(place);
	vcpu_enter(place->vcpu, toucher, 4);
}

static int call_run(struct place *place)
{
	int ret = vcpu_run_raw(place->vcpu);

	if (!ret && (!vcpu_ucall(place->vcpu) ||
		     vcpu_ucall(place->vcpu)->kind != GUEST_UCALL_DONE))
		FAIL("the guest came out with %s", vcpu_exit_text(place->vcpu));
	return ret;
}

static void runs(void)
{
	static const struct operation op = {
		"run", VM_IRQCHIP, true, .prepare = prepare_run, .call = call_run,
	};
	unsigned int nth = 1, refused = 0;
	bool happened = true;
	int ret, err;

	/* Pages of the guest's tables stay where a failed run has put them: no equal counts. */
	for (faults_setup(); happened; nth++) {
		struct place place = place_create(&op);

		CHECK_LT(nth, WALK_MAX);
		fault_arm(nth);
		ret = call_run(&place);
		err = errno;
		happened = fault_happened();
		if (ret) {
			CHECK(happened);
			CHECK(err == ENOMEM || err == EFAULT);
			refused++;
			SYS(call_run(&place));
		}
		place_destroy(&place);
		live_check();
	}
	test_note("run: %u failures, %u of them refused the call", nth - 2, refused);
	CHECK_NE(refused, 0);
}

/* The end may not need memory that is not there. */
static void ends(void)
{
	static const struct operation op = {
		"end", VM_IRQCHIP | VM_PIT, true, .prepare = prepare_run, .call = call_run,
	};
	unsigned int nth = 1;
	bool happened = true;

	for (faults_setup(); happened; nth++) {
		struct place place = place_create(&op);

		CHECK_LT(nth, WALK_MAX);
		prepare_events(&place);
		SYS(call_irqfd_resample(&place));
		SYS(call_ioeventfd_mmio(&place));
		SYS(call_run(&place));
		munmap(place.vcpu->run, place.vcpu->run_size);
		fault_arm(nth);
		close(place.vcpu->fd);
		close(place.vm->fd);
		happened = fault_happened();
		place.vm->nr_vcpus = 0;
		place.vm->fd = SYS(dup(0));
		free(place.vcpu);
		place_destroy(&place);
		live_check();
	}
	test_note("end: %u failures", nth - 2);
}

static const struct test_case cases[] = {
	{ "first_vm", first_vm, 120 },
	{ "vms", vms, 120 },
	{ "vcpus", vcpus, 120 },
	{ "irqchips", irqchips, 120 },
	{ "slots", slots, 120 },
	{ "events", events, 120 },
	{ "states", states, 120 },
	{ "runs", runs, 120 },
	{ "ends", ends, 120 },
};

TEST_MAIN(cases)
