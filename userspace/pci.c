// SPDX-License-Identifier: GPL-2.0-only
/* PCI bus 0: host bridge, configuration space by CF8/CFC and by ECAM, BARs. */
#include <linux/pci_regs.h>
#include <string.h>

#include "error.h"
#include "machine.h"
#include "pci.h"

#define CF8_ENABLE	(1u << 31)
#define RESET_CPU	(1u << 2)
#define HOST_VENDOR	0x8086
#define HOST_DEVICE	0x0d57
#define CLASS_HOST	0x06000000
#define PCI_LARGE	(64ULL << 20)

void pci_set16(struct pci_dev *pd, unsigned int off, uint16_t value)
{
	memcpy(pd->cfg + off, &value, sizeof(value));
}

void pci_set32(struct pci_dev *pd, unsigned int off, uint32_t value)
{
	memcpy(pd->cfg + off, &value, sizeof(value));
}

uint16_t pci_get16(const struct pci_dev *pd, unsigned int off)
{
	uint16_t value;

	memcpy(&value, pd->cfg + off, sizeof(value));
	return value;
}

uint32_t pci_get32(const struct pci_dev *pd, unsigned int off)
{
	uint32_t value;

	memcpy(&value, pd->cfg + off, sizeof(value));
	return value;
}

static unsigned int bar_register(unsigned int i)
{
	return i == PCI_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * i;
}

static bool inside(uint64_t at, uint64_t size, uint64_t base, uint64_t window)
{
	return at >= base && at - base <= window && size <= window - (at - base);
}

/* Returns: where the guest wants the BAR, 0: nowhere, or where no BAR can be. */
static uint64_t bar_address(const struct pci_dev *pd, unsigned int i)
{
	const struct pci_bar *bar = &pd->bars[i];
	uint16_t command = pci_get16(pd, PCI_COMMAND);
	uint64_t at = pci_get32(pd, bar_register(i));

	if (bar->flags & PCI_BASE_ADDRESS_SPACE_IO) {
		at &= PCI_BASE_ADDRESS_IO_MASK;
		return command & PCI_COMMAND_IO &&
				       inside(at, bar->size, PCI_PORTS, 0x10000 - PCI_PORTS)
			       ? at
			       : 0;
	}
	if (!(command & PCI_COMMAND_MEMORY) || (i == PCI_ROM && !(at & PCI_ROM_ADDRESS_ENABLE)))
		return 0;
	at &= i == PCI_ROM ? PCI_ROM_ADDRESS_MASK : PCI_BASE_ADDRESS_MEM_MASK;
	if (bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		at |= (uint64_t)pci_get32(pd, bar_register(i) + 4) << 32;
	/* Outside of the windows lie memory, ECAM and the APICs. */
	return inside(at, bar->size, PCI_WINDOW, PCI_WINDOW_SIZE) ||
	       inside(at, bar->size, PCI_WINDOW64, PCI_WINDOW64_SIZE) ? at : 0;
}

/* Bring the bus in line with one BAR and the decoding bits. */
static void update_bar(struct pci_dev *pd, unsigned int i)
{
	struct pci_bar *bar = &pd->bars[i];
	struct bus *bus = bar->flags & PCI_BASE_ADDRESS_SPACE_IO ? &pd->m->pio : &pd->m->mmio;
	uint64_t from = bar->mapped, to = bar->size ? bar_address(pd, i) : 0;

	if (from == to)
		return;
	if (from)
		bus_remove(bus, from, bar->dev);
	/* Two BARs in one place: the first one answers, as good as any choice on a real bus. */
	if (to && bus_add(bus, to, bar->size, bar->fn, bar->dev))
		to = 0;
	bar->mapped = to;
	if (pd->bar_moved && from != to)
		pd->bar_moved(pd, i, from, to);
}

static void dev_read(struct pci_dev *pd, unsigned int off, uint8_t *data, unsigned int len)
{
	if (pd->cfg_read)
		pd->cfg_read(pd, off, len);
	memcpy(data, pd->cfg + off, len);
}

static void dev_write(struct pci_dev *pd, unsigned int off, const uint8_t *data, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++) {
		uint8_t mask = pd->wmask[off + i];

		pd->cfg[off + i] = (pd->cfg[off + i] & ~mask) | (data[i] & mask);
	}
	if (off < PCI_ROM_ADDRESS + 4)
		for (unsigned int i = 0; i < PCI_BARS; i++)
			update_bar(pd, i);
	if (pd->cfg_written)
		pd->cfg_written(pd, off, len);
}

/* @off: bits 20-12 bus, device and function as in ECAM, bits 11-0 register. */
static void config_access(struct pci *pci, uint32_t off, void *data, unsigned int len, bool write)
{
	unsigned int slot = off >> 15 & 31, function = off >> 12 & 7, reg = off & 0xfff;
	struct pci_dev *pd = off >> 20 || function ? NULL : pci->slots[slot];

	if (!pd || reg + len > PCI_CFG_SIZE) {
		if (!write)
			memset(data, pd ? 0 : 0xff, len);
		return;
	}
	pthread_mutex_lock(&pci->lock);
	if (write)
		dev_write(pd, reg, data, len);
	else
		dev_read(pd, reg, data, len);
	pthread_mutex_unlock(&pci->lock);
}

static void ecam_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	config_access(dev, off, data, len, write);
}

/*
 * Only a 32-bit access reaches the address register. A byte at CF9, in its middle, is the chipset's
 * reset control register.
 */
static void cf8_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct pci *pci = dev;

	if (off == 1 && len == 1) {
		if (write && (*(uint8_t *)data & RESET_CPU))
			machine_end(pci->host_bridge.m, END_RESET);
		else if (!write)
			memset(data, 0, len);
	} else if (!off && len == 4) {
		pthread_mutex_lock(&pci->lock);
		if (write)
			memcpy(&pci->address, data, 4);
		else
			memcpy(data, &pci->address, 4);
		pthread_mutex_unlock(&pci->lock);
	} else if (!write) {
		memset(data, 0xff, len);
	}
}

static void cfc_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct pci *pci = dev;
	uint32_t a = pci->address;

	if (a & CF8_ENABLE)
		config_access(pci, (a & 0xffff00) << 4 | (a & 0xfc) | off, data, len, write);
	else if (!write)
		memset(data, 0xff, len);
}

void pci_dev_init(struct pci_dev *pd, struct machine *m, uint16_t vendor, uint16_t device,
		  uint32_t class_rev)
{
	memset(pd, 0, sizeof(*pd));
	pd->m = m;
	pd->next_cap = 0x40;
	pci_set16(pd, PCI_VENDOR_ID, vendor);
	pci_set16(pd, PCI_DEVICE_ID, device);
	pci_set32(pd, PCI_CLASS_REVISION, class_rev);
	pd->wmask[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	pd->wmask[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	pd->wmask[PCI_INTERRUPT_LINE] = 0xff;
	pd->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
}

static uint64_t take(uint64_t *next, uint64_t size, uint64_t end)
{
	uint64_t at = (*next + size - 1) & ~(size - 1);

	if (at > end || size > end - at)
		return 0;
	*next = at + size;
	return at;
}

/* Returns: a free place for a BAR, 0: there is none. Large ones leave the window below 4 GiB to
 * others. */
static uint64_t place_bar(struct pci *pci, uint64_t size, uint32_t flags)
{
	uint64_t at = 0;

	if (flags & PCI_BASE_ADDRESS_SPACE_IO)
		return take(&pci->next_port, size, 0x10000);
	if (size <= PCI_LARGE || !(flags & PCI_BASE_ADDRESS_MEM_TYPE_64))
		at = take(&pci->next_bar, size, PCI_WINDOW + PCI_WINDOW_SIZE);
	if (!at && flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		at = take(&pci->next_bar64, size, PCI_WINDOW64 + PCI_WINDOW64_SIZE);
	return at;
}

/*
 * A BAR, placed in a window; it answers once the guest enables decoding. @size is a power of two,
 * @flags are those of the register.
 */
void pci_add_bar(struct pci_dev *pd, unsigned int bar, uint64_t size, uint32_t flags, bus_fn fn,
		 void *dev)
{
	unsigned int reg = bar_register(bar), len = flags & PCI_BASE_ADDRESS_MEM_TYPE_64 ? 8 : 4;
	uint64_t at = place_bar(&pd->m->pci, size, flags), mask = ~(size - 1), value = at | flags;

	if (!at)
		error_die(EXIT_ERROR, "no room for a PCI BAR of %llu KiB; leave a device out",
			  (unsigned long long)size >> 10);
	if (bar == PCI_ROM)
		mask |= PCI_ROM_ADDRESS_ENABLE;
	pd->bars[bar] = (struct pci_bar){ .size = size, .flags = flags, .fn = fn, .dev = dev };
	memcpy(pd->cfg + reg, &value, len);
	memcpy(pd->wmask + reg, &mask, len);
	if (flags & PCI_BASE_ADDRESS_SPACE_IO)
		pd->wmask[PCI_COMMAND] |= PCI_COMMAND_IO;
}

/* Returns: the configuration-space offset of a new, zeroed capability of @len bytes. */
unsigned int pci_add_cap(struct pci_dev *pd, uint8_t id, unsigned int len)
{
	unsigned int at = pd->next_cap;

	pd->cfg[at] = id;
	pd->cfg[at + 1] = pd->cfg[PCI_CAPABILITY_LIST];
	pd->cfg[PCI_CAPABILITY_LIST] = at;
	pci_set16(pd, PCI_STATUS, pci_get16(pd, PCI_STATUS) | PCI_STATUS_CAP_LIST);
	pd->next_cap = (at + len + 3) & ~3u;
	return at;
}

void pci_register(struct pci_dev *pd)
{
	struct pci *pci = &pd->m->pci;

	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		if (pci->slots[slot])
			continue;
		pd->slot = slot;
		pci->slots[slot] = pd;
		if (pd->cfg[PCI_INTERRUPT_PIN])
			pd->cfg[PCI_INTERRUPT_LINE] = PCI_GSI(slot);
		return;
	}
	error_die(EXIT_ERROR, "too many devices: there are %d PCI slots", PCI_SLOTS - 1);
}

void pci_init(struct machine *m)
{
	struct pci *pci = &m->pci;

	pthread_mutex_init(&pci->lock, NULL);
	pci->next_bar = PCI_WINDOW;
	pci->next_bar64 = PCI_WINDOW64;
	pci->next_port = PCI_PORTS;
	pci_dev_init(&pci->host_bridge, m, HOST_VENDOR, HOST_DEVICE, CLASS_HOST);
	pci_register(&pci->host_bridge);
	bus_add(&m->mmio, PCI_ECAM_BASE, PCI_ECAM_SIZE, ecam_access, pci);
	bus_add(&m->pio, 0xcf8, 4, cf8_access, pci);
	bus_add(&m->pio, 0xcfc, 4, cfc_access, pci);
}

void pci_free(struct machine *m)
{
	pthread_mutex_destroy(&m->pci.lock);
}
