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

/* Bring the bus in line with one BAR and the memory-decoding bit. */
static void update_bar(struct pci_dev *pd, unsigned int i)
{
	struct pci_bar *bar = &pd->bars[i];
	uint64_t from = bar->mapped, to = 0;

	if (pci_get16(pd, PCI_COMMAND) & PCI_COMMAND_MEMORY)
		to = pci_get32(pd, PCI_BASE_ADDRESS_0 + 4 * i) & PCI_BASE_ADDRESS_MEM_MASK;
	/* Outside of the window lie memory, ECAM and the APICs. */
	if (to < PCI_WINDOW || to + bar->size > PCI_WINDOW + PCI_WINDOW_SIZE)
		to = 0;
	if (!bar->size || from == to)
		return;
	if (from)
		bus_remove(&pd->m->mmio, from, pd->dev);
	/* Two BARs in one place: the first one answers, as good as any choice on a real bus. */
	if (to && bus_add(&pd->m->mmio, to, bar->size, bar->fn, pd->dev))
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
	if (off < PCI_BASE_ADDRESS_0 + 4 * PCI_BARS)
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

/* A 32-bit memory BAR, placed in the window; it answers once the guest enables decoding. */
void pci_add_bar(struct pci_dev *pd, unsigned int bar, uint32_t size, bus_fn fn)
{
	struct pci *pci = &pd->m->pci;
	uint32_t mask = ~(size - 1);

	pci->next_bar = (pci->next_bar + size - 1) & ~(uint64_t)(size - 1);
	pd->bars[bar] = (struct pci_bar){ .size = size, .fn = fn };
	pci_set32(pd, PCI_BASE_ADDRESS_0 + 4 * bar, pci->next_bar);
	memcpy(pd->wmask + PCI_BASE_ADDRESS_0 + 4 * bar, &mask, 4);
	pci->next_bar += size;
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
