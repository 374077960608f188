// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: statistics that tools cannot parse, counters that do not count, objects that a VM
 * leaves behind; device attributes that answer with the wrong value or take what they should
 * refuse.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "stats.h"
#include "vcpu.h"

#define DEBUGFS	"/sys/kernel/debug"
#define EXITS	50

static void read_ports(u64 nr)
{
	while (nr--)
		inb(0x10);
	guest_done();
}

static void run_ports(struct vcpu *vcpu)
{
	int i;

	for (i = 0; i < EXITS; i++) {
		vcpu_run_exit(vcpu, KVM_EXIT_IO);
		CHECK_EQ(vcpu->run->io.port, 0x10);
	}
	vcpu_run_done(vcpu);
}

/* Binary statistics */

static void stats_check_descs(struct stats *stats)
{
	u64 end = 0, value;
	u32 i;

	for (i = 0; i < stats->head.num_desc; i++) {
		struct kvm_stats_desc *desc = stats_desc(stats, i);
		char *name = (char *)(desc + 1);

		CHECK(*name && memchr(name, 0, stats->head.name_size));
		CHECK_LE(desc->flags & KVM_STATS_TYPE_MASK, KVM_STATS_TYPE_MAX);
		CHECK_GE(desc->size, 1);
		CHECK_EQ(desc->offset % 8, 0);
		if (desc->offset + desc->size * 8 > end)
			end = desc->offset + desc->size * 8;
	}
	CHECK_EQ(pread(stats->fd, &value, 8, stats->head.data_offset + end - 8), 8);
	CHECK_EQ(pread(stats->fd, &value, 8, stats->head.data_offset + end), 0);
}

static void binary_vm(void)
{
	struct vcpu *vcpu = vcpu_start(0, read_ports, EXITS, 0);
	struct stats stats;

	stats_open(&stats, vcpu->vm->fd);
	stats_check_descs(&stats);
	run_ports(vcpu);
	CHECK_GE(stats_value(&stats, "pages_4k") + stats_value(&stats, "pages_2m"), 1);
}

/* On CPUs with the iTLB-multihit bug nothing is fetched from a large page, but in VMs that may not mind. */
static void fetch_guest(void)
{
	GUEST_SYNC(1);
	*(volatile u8 *)VM_TEST_GPA = 0xc3;	/* RET */
	((void (*)(void))VM_TEST_GPA)();
	GUEST_SYNC(2);
}

static bool has_multihit_bug(void)
{
	int fd = open("/sys/devices/system/cpu/vulnerabilities/itlb_multihit", O_RDONLY);
	char text[64] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strncmp(text, "Not aff", 7);
}

/* How many large pages there are of what was written and fetched. */
static u64 pages_fetched(struct vm *vm)
{
	u8 *mem = mmap(NULL, 2 * PAGE_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct stats stats;
	u64 before;

	CHECK(mem != MAP_FAILED);
	mem = (u8 *)(((uintptr_t)mem + PAGE_2M - 1) & ~(PAGE_2M - 1));
	madvise(mem, PAGE_2M, MADV_HUGEPAGE);
	memset(mem, 0, PAGE_2M);
	vm_set_slot(vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE_2M, mem);
	stats_open(&stats, vm->fd);
	vcpu_enter(vcpu, fetch_guest, 0);
	vcpu_run_sync(vcpu, 1);
	before = stats_value(&stats, "pages_2m");
	vcpu_run_sync(vcpu, 2);
	return stats_value(&stats, "pages_2m") - before;
}

static void nx_huge_pages(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES };
	struct vm *vm = vm_create(0);

	dev_require_cap(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES);
	CHECK_EQ(pages_fetched(vm_create(0)), !has_multihit_bug());
	cap.args[0] = 1;
	CHECK_ERRNO(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 0;
	SYS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	CHECK_EQ(pages_fetched(vm), 1);
	CHECK_ERRNO(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	vm = vm_create(0);
	SYS(seteuid(65534));
	CHECK_ERRNO(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EPERM);
}

static void binary_vcpu(void)
{
	struct vcpu *vcpu = vcpu_start(0, read_ports, EXITS, 0);
	struct stats stats;
	u64 exits, io;

	stats_open(&stats, vcpu->fd);
	stats_check_descs(&stats);
	exits = stats_value(&stats, "exits");
	io = stats_value(&stats, "io_exits");
	run_ports(vcpu);
	CHECK_GE(stats_value(&stats, "exits"), exits + EXITS);
	CHECK_GE(stats_value(&stats, "io_exits"), io + EXITS);
	CHECK_LT(stats_value(&stats, "io_exits"), io + 2 * EXITS);
}

/* The descriptor outlives the VM's: what it reads must not be gone. */
static void binary_after_close(void)
{
	struct vcpu *vcpu = vcpu_start(0, read_ports, EXITS, 0);
	struct stats stats;

	stats_open(&stats, vcpu->fd);
	run_ports(vcpu);
	close(vcpu->fd);
	close(vcpu->vm->fd);
	CHECK_GE(stats_value(&stats, "exits"), EXITS);
}

/* debugfs */

static FILE *debugfs_open(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		FAIL("%s: %s", path, strerror(errno));
	return file;
}

/* A file of its own: the total of a counter, or a count of what lives. */
static u64 debugfs_value(const char *name)
{
	char path[256];
	u64 value;
	FILE *file;

	snprintf(path, sizeof(path), DEBUGFS "/corbel/%s", name);
	file = debugfs_open(path);
	CHECK_EQ(fscanf(file, "%lu", &value), 1);
	fclose(file);
	return value;
}

/* The line of that name in file @of of the folder @dir. */
static u64 debugfs_line(const char *dir, const char *of, const char *name)
{
	char path[256], found[64];
	FILE *file;
	u64 value;

	snprintf(path, sizeof(path), DEBUGFS "/corbel/%s/%s", dir, of);
	file = debugfs_open(path);
	while (fscanf(file, "%63s %lu\n", found, &value) == 2) {
		if (strcmp(found, name))
			continue;
		fclose(file);
		return value;
	}
	FAIL("%s: no %s", path, name);
}

static void debugfs_require(void)
{
	if (!test_is_corbel())
		test_skip("these files are Corbel's");
	if (access(DEBUGFS "/corbel", F_OK))
		mount("none", DEBUGFS, "debugfs", 0, NULL);
	CHECK(!access(DEBUGFS "/corbel", F_OK));
}

static void debugfs_counts(void)
{
	struct vcpu *vcpu;
	char dir[64], path[256];
	u64 total, exits;

	debugfs_require();
	total = debugfs_value("exits_io");
	vcpu = vcpu_start(0, read_ports, EXITS, 0);
	snprintf(dir, sizeof(dir), "%d-%d", getpid(), vcpu->vm->fd);
	CHECK_EQ(debugfs_line(dir, "vm", "exits_io"), 0);
	run_ports(vcpu);
	CHECK_GE(debugfs_line(dir, "vm", "exits_io"), EXITS);
	exits = debugfs_line(dir, "vm", "exits");
	CHECK_GE(exits, EXITS);
	CHECK_EQ(debugfs_line(dir, "vcpu0", "exits"), exits);
	CHECK_GE(debugfs_line(dir, "vm", "user_exits"), EXITS);
	CHECK_GE(debugfs_value("exits_io"), total + EXITS);
	vm_destroy(vcpu->vm);
	snprintf(path, sizeof(path), DEBUGFS "/corbel/%s", dir);
	CHECK(access(path, F_OK) == -1);
	CHECK_GE(debugfs_value("exits_io"), total + EXITS);	/* past VMs count too */
}

/* Page tables go back after a grace period: wait for the value, but not for ever. */
static void expect_live(const char *name, u64 value)
{
	int tries = 200;

	while (debugfs_value(name) != value && tries--)
		usleep(10000);
	CHECK_EQ(debugfs_value(name), value);
}

/* A VM that its vCPU keeps alive keeps its name; the next with that descriptor gets another. */
static void debugfs_same_name(void)
{
	int i, fd, first = -1, dev = dev_open();
	char path[256];

	debugfs_require();
	for (i = 1; i <= 3; i++) {
		fd = SYS(ioctl(dev, KVM_CREATE_VM, 0UL));
		SYS(ioctl(fd, KVM_CREATE_VCPU, 0UL));
		if (i == 1)
			first = fd;
		CHECK_EQ(fd, first);
		close(fd);
		if (i == 1)
			snprintf(path, sizeof(path), DEBUGFS "/corbel/%d-%d/vm", getpid(), fd);
		else
			snprintf(path, sizeof(path), DEBUGFS "/corbel/%d-%d-%d/vm", getpid(), fd, i);
		CHECK(!access(path, R_OK));
	}
}

static void debugfs_live(void)
{
	static const char * const names[] = {
		"live_vms", "live_vcpus", "live_pages", "live_files", "live_mms",
	};
	struct vcpu *vcpu;
	size_t i;

	debugfs_require();
	for (i = 0; i < ARRAY_SIZE(names); i++)
		expect_live(names[i], 0);	/* the VMs of earlier cases are gone */
	vcpu = vcpu_start(VM_IRQCHIP | VM_PIT, read_ports, EXITS, 0);
	run_ports(vcpu);
	CHECK_EQ(debugfs_value("live_vms"), 1);
	CHECK_EQ(debugfs_value("live_vcpus"), 1);
	CHECK_GE(debugfs_value("live_pages"), 4);
	CHECK_GE(debugfs_value("live_mms"), 1);
	vm_destroy(vcpu->vm);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		expect_live(names[i], 0);
}

/* Device attributes, and who answers. */

static void tsc_offset(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u64 offset = 0, wanted;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset,
	};

	dev_require_cap(KVM_CAP_VCPU_ATTRIBUTES);
	SYS(ioctl(vcpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	SYS(ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	offset += 1ull << 40;
	wanted = offset;
	SYS(ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	CHECK_GE(vcpu_msr(vcpu, MSR_TSC), rdtsc() + wanted - (1ull << 36));
	offset = 0;
	SYS(ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	CHECK_EQ(offset, wanted);
	attr.addr = 0xdead0000000000;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr), EFAULT);
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr), EFAULT);
	attr.attr = 1;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr), ENXIO);
}

static void guest_xcr0(void)
{
	u64 xcr0 = 0;
	struct kvm_device_attr attr = { .addr = (uintptr_t)&xcr0 };
	int fd = dev_open();

	dev_require_cap(KVM_CAP_SYS_ATTRIBUTES);
	SYS(ioctl(fd, KVM_HAS_DEVICE_ATTR, &attr));
	SYS(ioctl(fd, KVM_GET_DEVICE_ATTR, &attr));
	if (dev_cpuid_has(1, 0, 'c', 26))
		CHECK_EQ(xcr0 & 3, 3);
	attr.group = 1;
	CHECK_ERRNO(ioctl(fd, KVM_GET_DEVICE_ATTR, &attr), ENXIO);
}

static void tsc_khz(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	long khz = SYS(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL));

	CHECK_GE(khz, 1000);
	SYS(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, khz));
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL), khz);
	CHECK_ERRNO(ioctl(vcpu->vm->fd, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
}

static void translate(void)
{
	struct vcpu *vcpu = vcpu_start(0, read_ports, 1, 0);
	struct kvm_translation tr = { .linear_address = VM_ARENA + 0x123 };

	SYS(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK(tr.valid);
	CHECK_EQ(tr.physical_address, VM_ARENA + 0x123);
	tr.linear_address = 1ull << 46;
	SYS(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK(!tr.valid);
}

struct info {			/* struct corbel_info of <linux/corbel.h> */
	u32 version, features;
	char backend[16];
	u64 reserved[5];
};

static void info(void)
{
	struct info info;
	int fd = dev_open();

	if (!test_is_corbel()) {
		CHECK_ERRNO(ioctl(fd, _IOR(0xbd, 0, struct info), &info), EINVAL);
		return;
	}
	memset(&info, 0xff, sizeof(info));
	SYS(ioctl(fd, _IOR(0xbd, 0, struct info), &info));
	CHECK_EQ(info.version, 1);
	CHECK(!strcmp(info.backend, "vmx") || !strcmp(info.backend, "svm"));
	CHECK_EQ(info.reserved[0] | info.reserved[4], 0);
	CHECK_ERRNO(ioctl(fd, _IOR(0xbd, 0, struct info), NULL), EFAULT);
}

static const struct test_case cases[] = {
	{ "binary_vm", binary_vm },
	{ "nx_huge_pages", nx_huge_pages },
	{ "binary_vcpu", binary_vcpu },
	{ "binary_after_close", binary_after_close },
	{ "debugfs_counts", debugfs_counts },
	{ "debugfs_same_name", debugfs_same_name },
	{ "debugfs_live", debugfs_live },
	{ "tsc_offset", tsc_offset },
	{ "guest_xcr0", guest_xcr0 },
	{ "tsc_khz", tsc_khz },
	{ "translate", translate },
	{ "info", info },
};

TEST_MAIN(cases)
