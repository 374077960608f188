// SPDX-License-Identifier: GPL-2.0-only
/*
 * Domain port, the side of its guest: registers, doorbells and interrupts that are another guest's
 * notifications, and a window onto that guest's memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "port.h"

#define CLASS_OTHER	0xff000000u
#define BAR_SIZE	4096
#define BAR_PBA		0x800
#define WINDOW		(32ULL << 30)	/* of addresses: how much memory the other guest can have */
#define ALIGN		(2ULL << 20)
#define PAGE		4096ULL
#define BELL(i)		(offsetof(struct port_regs, doorbells) + 4 * (i))

static const struct { unsigned int start, end; } writable[] = {
	{ offsetof(struct port_regs, offered), offsetof(struct port_regs, zero1) },
	{ offsetof(struct port_regs, config), offsetof(struct port_regs, regions) },
};

static bool is_writable(uint64_t off, unsigned int len)
{
	uint64_t queue = off - offsetof(struct port_regs, queues);

	for (unsigned int i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		if (off >= writable[i].start && off + len <= writable[i].end)
			return true;
	return queue < sizeof(((struct port_regs *)0)->queues) && len == 4 &&
	       queue % sizeof(struct port_queue) == offsetof(struct port_queue, next);
}

static void regs_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct port *p = dev;
	uint8_t *regs = (uint8_t *)&p->regs;

	pthread_mutex_lock(&p->lock);
	if (write && is_writable(off, len)) {
		memcpy(regs + off, data, len);
		loop_kick(p->wake);
	} else if (!write) {
		memset(data, 0, len);
		if (off + len <= sizeof(p->regs))
			memcpy(data, regs + off, len);
	}
	pthread_mutex_unlock(&p->lock);
}

static void msix_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct port *p = dev;

	if (off < BAR_PBA)
		msix_table_access(&p->msix, off, data, len, write);
	else if (!write)
		msix_pba_read(&p->msix, off - BAR_PBA, data, len);
}

/* Where there is no memory. */
static void window_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	(void)dev;
	(void)off;
	if (!write)
		memset(data, 0xff, len);
}

static int bell(const struct port *p, unsigned int i, bool on)
{
	struct vm *vm = &p->m->vm;
	unsigned int len = vm->ioeventfd_any_len ? 0 : 4;

	if (!p->bar0 || p->rings[i].call < 0)
		return 0;
	return vm_ioeventfd(vm, p->rings[i].call, p->bar0 + BELL(i), len, on);
}

/*
 * A doorbell works in the kernel or not at all: this process does not write to descriptors of
 * others, for that could block. Returns: 0, or -errno where @eventfd, which is ours then, is none.
 */
int port_set_call(struct port *p, unsigned int queue, int eventfd)
{
	struct port_ring *r = &p->rings[queue];

	bell(p, queue, false);
	if (r->call >= 0)
		close(r->call);
	r->call = eventfd;
	return bell(p, queue, true);
}

static void show(struct port *p, struct port_memory *pm)
{
	pm->slot = p->bar2 ? vm_slot_add(&p->m->vm, p->bar2 + pm->offset, pm->hva, pm->size) : -1;
}

static void hide(struct port *p, struct port_memory *pm)
{
	if (pm->slot >= 0)
		vm_slot_remove(&p->m->vm, pm->slot);
	pm->slot = -1;
}

static void bar_moved(struct pci_dev *pd, unsigned int bar, uint64_t from, uint64_t to)
{
	struct port *p = pd->dev;

	(void)from;
	pthread_mutex_lock(&p->lock);
	for (unsigned int i = 0; bar == 0 && i < PORT_QUEUES; i++)
		bell(p, i, false);
	for (unsigned int i = 0; bar == 2 && i < p->nr_memory; i++)
		hide(p, &p->memory[i]);
	if (bar == 0)
		p->bar0 = to;
	if (bar == 2)
		p->bar2 = to;
	for (unsigned int i = 0; bar == 0 && i < PORT_QUEUES; i++)
		bell(p, i, true);
	for (unsigned int i = 0; bar == 2 && i < p->nr_memory; i++)
		show(p, &p->memory[i]);
	pthread_mutex_unlock(&p->lock);
}

/* The guest is to look at the registers. */
void port_changed(struct port *p)
{
	p->regs.generation++;
	msix_notify(&p->msix, 0);
}

/* The guest has looked, and no longer does what it did before. */
bool port_followed(const struct port *p)
{
	return p->regs.seen == p->regs.generation;
}

/* A file that shrinks would take this process with it, so it has to be sealed against that. */
static const char *unfit(const struct port *p, const struct vhost_user_region *r, int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return "memory that is no memfd sealed against shrinking";
	if (!r->size || (r->gpa | r->size | r->offset) & (PAGE - 1) || r->gpa + r->size < r->gpa ||
	    r->address + r->size < r->address)
		return "a region of memory that is not whole pages";
	if (fstat(fd, &st) || r->offset > (uint64_t)st.st_size ||
	    r->size > st.st_size - r->offset)
		return "a region that its memfd does not have";
	for (unsigned int i = 0; i < p->nr_memory; i++)
		if (r->gpa < p->regs.regions[i].gpa + p->regs.regions[i].size &&
		    p->regs.regions[i].gpa < r->gpa + r->size)
			return "regions of memory that overlap";
	return NULL;
}

/* Returns: NULL, or what is wrong with it. */
const char *port_add_memory(struct port *p, const struct vhost_user_region *r, int fd)
{
	struct port_memory *pm = &p->memory[p->nr_memory];
	const char *wrong = unfit(p, r, fd);
	uint64_t at = 0;

	if (wrong)
		return wrong;
	if (p->nr_memory)
		at = (pm[-1].offset + pm[-1].size + ALIGN - 1) & ~(ALIGN - 1);
	if (at > WINDOW || r->size > WINDOW - at)
		return "more memory than 32 GiB";
	*pm = (struct port_memory){ .size = r->size, .offset = at, .address = r->address };
	pm->hva = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, r->offset);
	if (pm->hva == MAP_FAILED)
		return "memory that cannot be mapped";
	madvise(pm->hva, pm->size, MADV_DONTDUMP);
	p->regs.regions[p->nr_memory++] = (struct port_region){ r->gpa, r->size, at, 0 };
	show(p, pm);
	return pm->slot < 0 ? "memory that the hypervisor does not take" : NULL;
}

/*
 * The other guest takes its memory back. Ours may be in the middle of an access, of a kind that the
 * hypervisor could not emulate: until it has seen what happened, memory of no meaning is there.
 */
void port_blank_memory(struct port *p)
{
	for (unsigned int i = 0; i < p->nr_memory; i++)
		if (mmap(p->memory[i].hva, p->memory[i].size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
		    MAP_FAILED)
			hide(p, &p->memory[i]);
}

void port_remove_memory(struct port *p)
{
	for (unsigned int i = 0; i < p->nr_memory; i++) {
		hide(p, &p->memory[i]);
		munmap(p->memory[i].hva, p->memory[i].size);
	}
	p->nr_memory = 0;
	p->regs.nr_regions = 0;
	memset(p->regs.regions, 0, sizeof(p->regs.regions));
}

/* Where in BAR 2 all of what the front-end has at @address is. */
bool port_offset(const struct port *p, uint64_t address, uint64_t len, __u64 *offset)
{
	for (unsigned int i = 0; i < p->nr_memory; i++) {
		const struct port_memory *pm = &p->memory[i];

		if (address < pm->address || address - pm->address > pm->size ||
		    len > pm->size - (address - pm->address))
			continue;
		*offset = pm->offset + (address - pm->address);
		return true;
	}
	return false;
}

static void cfg_written(struct pci_dev *pd, unsigned int off, unsigned int len)
{
	struct port *p = pd->dev;

	if (msix_cfg_has(&p->msix, off, len))
		msix_cfg_written(&p->msix);
}

/* That there is something to do is all that there is to know: port_serve() looks at everything. */
static void woken(void *ctx, uint32_t events)
{
	(void)events;
	loop_kicked(((struct port *)ctx)->wake);
}

static void port_free(struct device *dev)
{
	struct port *p = (struct port *)dev;

	loop_join(&p->loop);
	for (unsigned int i = 0; i < PORT_QUEUES; i++)
		port_set_call(p, i, -1);
	port_remove_memory(p);
	vhost_user_next(&p->stream);
	if (p->stream.fd >= 0)
		close(p->stream.fd);
	msix_free(&p->msix);
	loop_free(&p->loop);
	close(p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void init_function(struct port *p)
{
	struct pci_dev *pd = &p->pci;

	pci_dev_init(pd, p->m, PORT_VENDOR, PORT_DEVICE, CLASS_OTHER | PORT_VERSION);
	pd->dev = p;
	pd->bar_moved = bar_moved;
	pd->cfg_written = cfg_written;
	pci_set16(pd, PCI_SUBSYSTEM_VENDOR_ID, PORT_VENDOR);
	pci_set16(pd, PCI_SUBSYSTEM_ID, PORT_DEVICE);
	pci_add_bar(pd, 0, BAR_SIZE, 0, regs_access, p);
	pci_add_bar(pd, 1, BAR_SIZE, 0, msix_access, p);
	pci_add_bar(pd, 2, WINDOW, PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
		    window_access, p);
	msix_init(&p->msix, pd, 1 + PORT_QUEUES, 1, 0, BAR_PBA);
	p->msix.source = &msix_eventfds;
	pci_register(pd);
}

static void create_one(struct machine *m, unsigned int index)
{
	struct port *p = calloc(1, sizeof(*p));

	if (!p)
		error_die(EXIT_ERROR, "out of memory");
	if (!m->vm.has_irqfd || !m->vm.has_ioeventfd)
		error_die(EXIT_ERROR, "--serve needs a hypervisor with irqfd and ioeventfd, and "
			  "both on");
	p->m = m;
	p->config = &m->config->serves[index];
	p->stream.fd = p->stopping = -1;
	p->wake = loop_eventfd();
	p->regs.version = PORT_VERSION;
	p->regs.nr_queues = PORT_QUEUES;
	for (unsigned int i = 0; i < PORT_QUEUES; i++)
		p->rings[i].call = -1;
	pthread_mutex_init(&p->lock, NULL);
	init_function(p);
	snprintf(p->name, sizeof(p->name), "port%u", index);
	loop_init(&p->loop);
	if (loop_add(&p->loop, p->wake, EPOLLIN, woken, p))
		error_die(EXIT_ERROR, "cannot watch a domain port");
	loop_start(&p->loop, p->name, SANDBOX_VHOST, port_serve, p);
	machine_add_device(m, &p->device, port_free);
}

static void port_create(struct machine *m)
{
	for (unsigned int i = 0; i < m->config->nr_serves; i++)
		create_one(m, i);
}

DEVICE_TYPE(port);
