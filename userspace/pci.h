/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_H
#define PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

#define PCI_ECAM_BASE	0xe0000000ULL
#define PCI_ECAM_SIZE	0x100000ULL	/* bus 0 */
#define PCI_WINDOW	0xc0000000ULL	/* memory BARs; _CRS in dsdt.asl says the same */
#define PCI_WINDOW_SIZE	0x20000000ULL
#define PCI_WINDOW64	0x4000000000ULL	/* 64-bit BARs too large for the first; in _CRS too */
#define PCI_WINDOW64_SIZE 0x4000000000ULL
#define PCI_PORTS	0x1000		/* I/O BARs, up to the end of the ports */
#define PCI_SLOTS	32
#define PCI_CFG_SIZE	256
#define PCI_BARS	7
#define PCI_ROM		6		/* the expansion ROM's register counts as a BAR */
#define PCI_GSI(slot)	(16 + (slot) % 8)	/* _PRT in dsdt.asl says the same */

struct machine;
struct pci_dev;

struct pci_bar {
	uint64_t size;
	uint32_t flags;		/* PCI_BASE_ADDRESS_*: ports or memory, 64 bits, prefetchable */
	bus_fn fn;
	void *dev;		/* given to @fn */
	uint64_t mapped;	/* where the bus has it now, 0: nowhere */
};

/* One function of bus 0. All of it is guarded by pci.lock, once the vCPUs run. */
struct pci_dev {
	struct machine *m;
	unsigned int slot;
	uint8_t cfg[PCI_CFG_SIZE];
	uint8_t wmask[PCI_CFG_SIZE];
	uint8_t next_cap;
	struct pci_bar bars[PCI_BARS];
	void *dev;
	/* The guest has moved a BAR, enabled or disabled it; 0 stands for nowhere. */
	void (*bar_moved)(struct pci_dev *pd, unsigned int bar, uint64_t from, uint64_t to);
	/* The guest is about to read, or has written, [@off, @off + @len). */
	void (*cfg_read)(struct pci_dev *pd, unsigned int off, unsigned int len);
	void (*cfg_written)(struct pci_dev *pd, unsigned int off, unsigned int len);
};

struct pci {
	pthread_mutex_t lock;
	struct pci_dev *slots[PCI_SLOTS];
	struct pci_dev host_bridge;
	uint32_t address;		/* CF8 */
	uint64_t next_bar, next_bar64, next_port;
};

void pci_init(struct machine *m);
void pci_free(struct machine *m);
void pci_dev_init(struct pci_dev *pd, struct machine *m, uint16_t vendor, uint16_t device,
		  uint32_t class_rev);
void pci_add_bar(struct pci_dev *pd, unsigned int bar, uint64_t size, uint32_t flags, bus_fn fn,
		 void *dev);
unsigned int pci_add_cap(struct pci_dev *pd, uint8_t id, unsigned int len);
void pci_register(struct pci_dev *pd);
void pci_set16(struct pci_dev *pd, unsigned int off, uint16_t value);
void pci_set32(struct pci_dev *pd, unsigned int off, uint32_t value);
uint16_t pci_get16(const struct pci_dev *pd, unsigned int off);
uint32_t pci_get32(const struct pci_dev *pd, unsigned int off);

#endif
