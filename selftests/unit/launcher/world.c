// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "stats.h"
#include "vm.h"
#include "world.h"

unsigned int check_failures;

int check_run(const struct check_case *cases, unsigned int nr)
{
	unsigned int failed = 0;

	printf("KTAP version 1\n1..%u\n", nr);
	for (unsigned int i = 0; i < nr; i++) {
		check_failures = 0;
		cases[i].run();
		failed += !!check_failures;
		printf("%s %u %s\n", check_failures ? "not ok" : "ok", i + 1, cases[i].name);
		fflush(stdout);
	}
	return failed ? 1 : 0;
}

extern const struct device_type *const __start_device_types[];
extern const struct device_type *const __stop_device_types[];

/* What the devices ask of the rest of the machine. */
void machine_end(struct machine *m, enum machine_end why)
{
	m->end = why;
}

void machine_add_device(struct machine *m, struct device *dev, void (*free)(struct device *dev))
{
	dev->free = free;
	dev->next = m->devices;
	m->devices = dev;
}

unsigned int world_lines[VM_NR_GSIS], world_messages[256];

/* vm.c's part: what the guest would see of interrupts. */
int vm_cap(int fd, long cap)
{
	(void)fd;
	(void)cap;
	return 0;
}

void vm_irq_line(struct vm *vm, unsigned int gsi, bool up)
{
	(void)vm;
	world_lines[gsi] = up;
}

void vm_irq_share(struct vm *vm, unsigned int gsi, bool up)
{
	(void)vm;
	world_lines[gsi] += up ? 1 : -1;
}

void vm_msi_send(struct vm *vm, uint64_t addr, uint32_t data)
{
	(void)vm;
	(void)addr;
	world_messages[data & 0xff]++;
}

int world_irqfds[VM_NR_MSIS];
uint64_t world_routes[VM_NR_MSIS];
static int next_gsi;

int vm_msi_alloc(struct vm *vm)
{
	return vm->has_irqfd && next_gsi < VM_NR_MSIS ? next_gsi++ : -1;
}

int vm_msi_route(struct vm *vm, int gsi, uint64_t addr, uint32_t data)
{
	(void)vm;
	(void)data;
	world_routes[gsi] = addr;
	return 0;
}

int vm_irqfd(struct vm *vm, int eventfd, int gsi, bool on)
{
	if (!vm->has_irqfd)
		return -1;
	world_irqfds[gsi] = on ? eventfd : 0;
	return 0;
}

struct world_bell world_bells[WORLD_BELLS];

int vm_ioeventfd(struct vm *vm, int eventfd, uint64_t gpa, unsigned int len, bool on)
{
	struct world_bell *bell = world_bells;

	(void)len;
	if (!vm->has_ioeventfd)
		return -1;
	while (bell < world_bells + WORLD_BELLS &&
	       (on ? !!bell->vm : bell->vm != vm || bell->gpa != gpa))
		bell++;
	if (bell == world_bells + WORLD_BELLS)
		return -1;
	*bell = on ? (struct world_bell){ vm, gpa, eventfd } : (struct world_bell){ 0 };
	return 0;
}

struct world_slot world_slots[WORLD_SLOTS];

int vm_slot_add(struct vm *vm, uint64_t gpa, void *hva, uint64_t size)
{
	int slot = 0;

	(void)vm;
	while (slot < WORLD_SLOTS && world_slots[slot].size)
		slot++;
	if (slot == WORLD_SLOTS)
		return -1;
	world_slots[slot] = (struct world_slot){ gpa, size, hva };
	return slot;
}

void vm_slot_remove(struct vm *vm, int slot)
{
	(void)vm;
	world_slots[slot].size = 0;
}

unsigned long world_env(const char *name, unsigned long fallback)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : fallback;
}

uint64_t world_random(void)
{
	static uint64_t state;

	if (!state)
		state = world_env("SEED", 1) * 0x9e3779b97f4a7c15ULL;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Low and high memory, so that the hole between them is there in a small machine too. */
void world_init(struct world *w)
{
	struct machine *m = &w->m;

	memset(w, 0, sizeof(*w));
	memset(world_lines, 0, sizeof(world_lines));
	memset(world_messages, 0, sizeof(world_messages));
	memset(world_irqfds, 0, sizeof(world_irqfds));
	memset(world_slots, 0, sizeof(world_slots));
	memset(world_bells, 0, sizeof(world_bells));
	next_gsi = 0;
	m->config = &w->config;
	w->config.console = CONSOLE_OFF;
	loop_init(&m->loop);
	bus_init(&m->pio);
	bus_init(&m->mmio);
	m->ram = (struct ram){ .size = WORLD_LOW + WORLD_HIGH, .low = WORLD_LOW, .fd = -1 };
	m->ram.base = mmap(NULL, m->ram.size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m->vm.fd = m->vm.sys_fd = -1;
	pthread_mutex_init(&m->vm.lock, NULL);
	pci_init(m);
}

void world_add_devices(struct world *w)
{
	for (const struct device_type *const *t = __start_device_types;
	     t < __stop_device_types; t++)
		(*t)->create(&w->m);
}

void world_free(struct world *w)
{
	while (w->m.devices) {
		struct device *dev = w->m.devices;

		w->m.devices = dev->next;
		dev->free(dev);
	}
	munmap(w->m.ram.base, w->m.ram.size);
	bus_free(&w->m.mmio);
	bus_free(&w->m.pio);
	loop_free(&w->m.loop);
}

static uint64_t bar(struct world *w, unsigned int slot)
{
	return w->m.pci.slots[slot]->bars[0].mapped;
}

uint32_t world_read(struct world *w, unsigned int slot, uint32_t off, unsigned int len)
{
	uint64_t value = 0;

	bus_access(&w->m.mmio, bar(w, slot) + off, &value, len, false);
	return value;
}

void world_write(struct world *w, unsigned int slot, uint32_t off, unsigned int len, uint64_t value)
{
	bus_access(&w->m.mmio, bar(w, slot) + off, &value, len, true);
}

uint32_t world_cfg_read(struct world *w, unsigned int slot, uint32_t off, unsigned int len)
{
	uint32_t value = 0;

	bus_access(&w->m.mmio, PCI_ECAM_BASE + (slot << 15) + off, &value, len, false);
	return value;
}

void world_cfg_write(struct world *w, unsigned int slot, uint32_t off, unsigned int len,
		     uint32_t value)
{
	bus_access(&w->m.mmio, PCI_ECAM_BASE + (slot << 15) + off, &value, len, true);
}
