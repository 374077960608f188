// SPDX-License-Identifier: GPL-2.0-only
/* The VM file descriptor: opening the hypervisor, memory slots, interrupt lines, MSI, eventfds. */
#include <errno.h>
#include <fcntl.h>
#include <linux/corbel.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"
#include "vm.h"

#define TSS_ADDR	0xfffbd000UL	/* three pages that no guest memory or device covers */

int vm_cap(int fd, long cap)
{
	int ret = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return ret < 0 ? 0 : ret;
}

/* Name of the module behind a device node, for messages that say what to load. */
const char *vm_module(const char *path)
{
	return strstr(path, "kvm") ? "kvm_intel or kvm_amd" : "corbel";
}

static int open_checked(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0)
		return -1;
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		error_die(EXIT_ERROR, "%s does not speak version %d of the KVM API; name another "
			  "device with --device", path, KVM_API_VERSION);
	return fd;
}

static _Noreturn void open_failed(const char *path, int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		error_die(EXIT_ERROR, "no permission to open %s; run as root, or join its group: "
			  "sudo usermod -aG kvm $USER", path);
	case ENODEV:
	case ENXIO:
	case ENOENT:
		error_die(EXIT_ERROR, "%s is not there; load its module: sudo modprobe %s", path,
			  vm_module(path));
	default:
		error_die(EXIT_ERROR, "cannot open %s: %s", path, strerror(err));
	}
}

/**
 * vm_open - open the hypervisor
 * @device: a path, or NULL for $CORBEL_DEV, else /dev/corbel, else /dev/kvm
 * @path: which one it is
 *
 * Returns: its file descriptor. Ends the process with an explanation where there is none.
 */
int vm_open(const char *device, const char **path)
{
	int fd;

	*path = device ? device : getenv("CORBEL_DEV");
	if (*path && **path) {
		fd = open_checked(*path);
		if (fd < 0)
			open_failed(*path, errno);
		return fd;
	}
	*path = "/dev/corbel";
	fd = open_checked(*path);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
		open_failed(*path, errno);
	*path = "/dev/kvm";
	fd = open_checked(*path);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		error_die(EXIT_ERROR, "no hypervisor: neither /dev/corbel nor /dev/kvm is there; "
			  "load the module: sudo modprobe corbel");
	if (fd < 0)
		open_failed(*path, errno);
	return fd;
}

static void require(const struct vm *vm, long cap, const char *what)
{
	if (!vm_cap(vm->sys_fd, cap))
		error_die(EXIT_ERROR, "the hypervisor has no %s, which corbel needs", what);
}

static int set_slot(const struct vm *vm, unsigned int slot, uint64_t gpa, void *hva, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/**
 * vm_slot_add - show the guest a range of this process's memory
 *
 * Returns: the number of the slot, -ENOSPC where all are in use, or what the hypervisor says.
 */
int vm_slot_add(struct vm *vm, uint64_t gpa, void *hva, uint64_t size)
{
	int slot = 0, ret = -ENOSPC;

	pthread_mutex_lock(&vm->lock);
	while (slot < VM_NR_SLOTS && vm->slots[slot])
		slot++;
	if (slot < VM_NR_SLOTS)
		ret = set_slot(vm, slot, gpa, hva, size);
	if (!ret)
		vm->slots[slot] = true;
	pthread_mutex_unlock(&vm->lock);
	return ret ? ret : slot;
}

void vm_slot_remove(struct vm *vm, int slot)
{
	pthread_mutex_lock(&vm->lock);
	set_slot(vm, slot, 0, NULL, 0);
	vm->slots[slot] = false;
	pthread_mutex_unlock(&vm->lock);
}

static void add_memory(struct vm *vm, uint64_t gpa, void *hva, uint64_t size)
{
	int ret = vm_slot_add(vm, gpa, hva, size);

	if (ret < 0)
		error_die(EXIT_ERROR, "the hypervisor refused %llu MiB of guest memory: %s; lower "
			  "--memory", (unsigned long long)size >> 20, strerror(-ret));
}

static void must(const struct vm *vm, unsigned long request, void *arg, const char *what)
{
	if (ioctl(vm->fd, request, arg) < 0)
		error_die(EXIT_ERROR, "the hypervisor could not %s: %s; see dmesg", what,
			  strerror(errno));
}

static void create_fd(struct vm *vm)
{
	do {
		vm->fd = ioctl(vm->sys_fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0 && errno == EBUSY)
		error_die(EXIT_ERROR, "another hypervisor holds the CPU's virtualization; unload "
			  "it (lsmod names it), then try again");
	if (vm->fd < 0)
		error_die(EXIT_ERROR, "the hypervisor could not create a VM: %s; see dmesg",
			  strerror(errno));
}

/* KVM_SET_GSI_ROUTING replaces the whole table. Caller holds vm->lock, or is alone. */
static int write_routes(struct vm *vm)
{
	struct kvm_irq_routing *table;
	struct kvm_irq_routing_entry *e;
	int ret;

	table = calloc(1, sizeof(*table) + (16 + VM_NR_GSIS + VM_NR_MSIS) * sizeof(*e));
	if (!table)
		return -ENOMEM;
	e = table->entries;
	for (unsigned int gsi = 0; gsi < VM_NR_GSIS; gsi++) {
		unsigned int pin = gsi ? gsi : 2;	/* as the MADT's override says */

		if (gsi < 16 && gsi != 2)
			*e++ = (struct kvm_irq_routing_entry){
				.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = { gsi / 8, gsi % 8 } };
		if (gsi != 2)
			*e++ = (struct kvm_irq_routing_entry){
				.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = { KVM_IRQCHIP_IOAPIC, pin } };
	}
	for (unsigned int i = 0; i < VM_NR_MSIS; i++)
		if (vm->msi[i].used && vm->msi[i].addr)
			*e++ = (struct kvm_irq_routing_entry){
				.gsi = VM_NR_GSIS + i, .type = KVM_IRQ_ROUTING_MSI,
				.u.msi = { .address_lo = vm->msi[i].addr,
					   .address_hi = vm->msi[i].addr >> 32,
					   .data = vm->msi[i].data } };
	table->nr = e - table->entries;
	ret = ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) ? -errno : 0;
	free(table);
	return ret;
}

static void create_irqchip(struct vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int ret;

	must(vm, KVM_SET_TSS_ADDR, (void *)TSS_ADDR, "place its TSS");
	must(vm, KVM_CREATE_IRQCHIP, NULL, "create the interrupt controllers");
	must(vm, KVM_CREATE_PIT2, &pit, "create the timer");
	ret = write_routes(vm);
	if (ret)
		error_die(EXIT_ERROR, "the hypervisor refused the interrupt routes: %s",
			  strerror(-ret));
}

/* Only Corbel lets one choose. */
static void choose_mmu(const struct vm *vm, uint32_t mmu)
{
	if (mmu == CORBEL_MMU_AUTO || !ioctl(vm->fd, CORBEL_SET_MMU, &mmu))
		return;
	if (errno == EOPNOTSUPP)
		error_die(EXIT_ERROR, "this CPU has no nested paging; leave out --mmu tdp");
	if (errno == ENOTTY || errno == EINVAL)
		error_die(EXIT_ERROR, "this hypervisor has no --mmu; only /dev/corbel has");
	error_die(EXIT_ERROR, "the hypervisor refused --mmu: %s", strerror(errno));
}

void vm_create(struct vm *vm, int sys_fd, const struct ram *ram, uint32_t mmu)
{
	memset(vm, 0, sizeof(*vm));
	pthread_mutex_init(&vm->lock, NULL);
	vm->sys_fd = sys_fd;
	require(vm, KVM_CAP_USER_MEMORY, "memory slots");
	require(vm, KVM_CAP_IRQCHIP, "in-kernel interrupt controllers");
	require(vm, KVM_CAP_PIT2, "in-kernel timer");
	require(vm, KVM_CAP_IRQ_ROUTING, "interrupt routing");
	vm->has_irqfd = vm_cap(sys_fd, KVM_CAP_IRQFD);
	vm->has_ioeventfd = vm_cap(sys_fd, KVM_CAP_IOEVENTFD);
	vm->ioeventfd_any_len = vm_cap(sys_fd, KVM_CAP_IOEVENTFD_ANY_LENGTH);
	vm->has_immediate_exit = vm_cap(sys_fd, KVM_CAP_IMMEDIATE_EXIT);
	vm->max_vcpus = vm_cap(sys_fd, KVM_CAP_MAX_VCPUS);
	create_fd(vm);
	choose_mmu(vm, mmu);
	create_irqchip(vm);
	add_memory(vm, 0, ram->base, ram->low);
	if (ram->size > ram->low)
		add_memory(vm, RAM_HOLE_END, ram->base + ram->low, ram->size - ram->low);
}

void vm_destroy(struct vm *vm)
{
	close(vm->fd);
	pthread_mutex_destroy(&vm->lock);
}

/* Drive an interrupt line that belongs to one device. */
void vm_irq_line(struct vm *vm, unsigned int gsi, bool up)
{
	struct kvm_irq_level level = { .irq = gsi, .level = up };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &level))
		error_warn("interrupt line %u could not be driven: %s", gsi, strerror(errno));
}

/* Drive a line that several devices share; the caller reports only its own edges. */
void vm_irq_share(struct vm *vm, unsigned int gsi, bool up)
{
	unsigned int before, after;

	pthread_mutex_lock(&vm->lock);
	before = vm->asserted[gsi];
	after = vm->asserted[gsi] = before + (up ? 1 : -1);
	if (!before != !after)
		vm_irq_line(vm, gsi, after);
	pthread_mutex_unlock(&vm->lock);
}

/* Returns: a GSI for one MSI vector, or -ENOSPC. */
int vm_msi_alloc(struct vm *vm)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&vm->lock);
	for (unsigned int i = 0; i < VM_NR_MSIS && gsi < 0; i++) {
		if (vm->msi[i].used)
			continue;
		vm->msi[i].used = true;
		gsi = VM_NR_GSIS + i;
	}
	pthread_mutex_unlock(&vm->lock);
	return gsi;
}

/* Point @gsi at a message. The hypervisor waits for readers of the old table: only on change. */
int vm_msi_route(struct vm *vm, int gsi, uint64_t addr, uint32_t data)
{
	struct vm_msi *msi = &vm->msi[gsi - VM_NR_GSIS];
	int ret = 0;

	pthread_mutex_lock(&vm->lock);
	if (msi->addr != addr || msi->data != data) {
		msi->addr = addr;
		msi->data = data;
		ret = write_routes(vm);
	}
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int vm_irqfd(struct vm *vm, int eventfd, int gsi, bool on)
{
	return vm_irqfd_level(vm, eventfd, -1, gsi, on);
}

/* With @resamplefd the line stays up until the guest's EOI, which signals that. */
int vm_irqfd_level(struct vm *vm, int eventfd, int resamplefd, int gsi, bool on)
{
	struct kvm_irqfd irqfd = {
		.fd = eventfd,
		.gsi = gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	if (on && resamplefd >= 0) {
		irqfd.resamplefd = resamplefd;
		irqfd.flags |= KVM_IRQFD_FLAG_RESAMPLE;
	}

	return ioctl(vm->fd, KVM_IRQFD, &irqfd) ? -errno : 0;
}

void vm_msi_send(struct vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = addr, .address_hi = addr >> 32, .data = data };

	/* A message to a vCPU that is not there is lost, as on the real bus. */
	ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

/* A guest write of @len bytes (0: any) at @gpa rings @eventfd without leaving the kernel. */
int vm_ioeventfd(struct vm *vm, int eventfd, uint64_t gpa, unsigned int len, bool on)
{
	struct kvm_ioeventfd io = {
		.addr = gpa,
		.len = len,
		.fd = eventfd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &io) ? -errno : 0;
}
