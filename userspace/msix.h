/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MSIX_H
#define MSIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define MSIX_MAX	16
#define MSIX_NONE	0xffff

struct pci_dev;

/* One entry, laid out as in the table that the guest sees; the rest is ours. */
struct msix_vector {
	uint32_t addr_lo, addr_hi, data, ctl;
	bool pending;
	int gsi;		/* the route of @eventfd; -1: none yet, signal by ioctl */
	int eventfd;
};

struct msix {
	struct pci_dev *pd;
	unsigned int cap, n;
	pthread_mutex_t lock;	/* guards all below */
	bool enabled, masked;
	struct msix_vector v[MSIX_MAX];
};

void msix_init(struct msix *x, struct pci_dev *pd, unsigned int n, unsigned int bar,
	       uint32_t table, uint32_t pba);
void msix_free(struct msix *x);
void msix_table_access(struct msix *x, uint32_t off, void *data, unsigned int len, bool write);
void msix_pba_read(struct msix *x, uint32_t off, void *data, unsigned int len);
void msix_cfg_written(struct msix *x);
bool msix_enabled(struct msix *x);
void msix_notify(struct msix *x, unsigned int vector);

#endif
