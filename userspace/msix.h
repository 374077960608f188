/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MSIX_H
#define MSIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define MSIX_NONE	0xffff

struct msix;
struct pci_dev;

/* One entry, laid out as in the table that the guest sees; the rest is ours. */
struct msix_vector {
	uint32_t addr_lo, addr_hi, data, ctl;
	bool pending;		/* by msix_notify(); what a source has signalled is in @eventfd */
	bool wired;		/* @eventfd is an interrupt of the guest's */
	int gsi;		/* the route of @eventfd; -1: none yet, signal by ioctl */
	int eventfd;
};

/* Hardware that signals the eventfds itself. Called with msix.lock held. */
struct msix_source {
	/* MSI-X has been enabled, or disabled; all vectors are as they should be. */
	void (*switched)(struct msix *x, bool on);
	/* While it is enabled: vector @i has got its eventfd wired. */
	void (*wired)(struct msix *x, unsigned int i);
};

/* Others signal the eventfds, and need not be told which of them are wired. */
extern const struct msix_source msix_eventfds;

struct msix {
	struct pci_dev *pd;
	unsigned int cap, n;
	const struct msix_source *source;	/* NULL: msix_notify() */
	pthread_mutex_t lock;	/* guards all below */
	bool enabled, masked;
	struct msix_vector *v;
};

void msix_init(struct msix *x, struct pci_dev *pd, unsigned int n, unsigned int bar,
	       uint32_t table, uint32_t pba);
void msix_init_at(struct msix *x, struct pci_dev *pd, unsigned int n, unsigned int cap);
void msix_free(struct msix *x);
void msix_table_access(struct msix *x, uint32_t off, void *data, unsigned int len, bool write);
void msix_pba_read(struct msix *x, uint32_t off, void *data, unsigned int len);
bool msix_cfg_has(const struct msix *x, unsigned int off, unsigned int len);
void msix_cfg_written(struct msix *x);
bool msix_enabled(struct msix *x);
void msix_notify(struct msix *x, unsigned int vector);
void msix_replace(struct msix *x, unsigned int vector, int eventfd);

#endif
