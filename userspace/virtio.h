/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VIRTIO_H
#define VIRTIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "loop.h"
#include "msix.h"
#include "pci.h"
#include "virtq.h"

#define VIRTIO_MAX_QUEUES	4
#define VIRTIO_MAX_CONFIG	128

struct virtio;

/* What makes a virtio device one of its kind. All are called with virtio.lock held. */
struct virtio_ops {
	uint16_t id;
	uint32_t class;			/* PCI class code, 24 bits */
	unsigned int nr_queues, config_len;
	uint64_t features;		/* beside VERSION_1, INDIRECT_DESC and EVENT_IDX */
	void (*queue)(struct virtio *v, unsigned int i);	/* there may be requests in it */
	void (*read_config)(struct virtio *v, void *config);
	void (*write_config)(struct virtio *v, unsigned int off, const void *data,
			     unsigned int len);
	void (*started)(struct virtio *v);	/* the driver is ready */
	void (*stopped)(struct virtio *v);	/* reset by the driver */
	/*
	 * Another process serves the queues: it gets the kick_fds and signals the vectors' eventfds.
	 * All that is offered is what it offers, and a reset ends by virtio_reset_done().
	 */
	bool external;
	void (*vectors_changed)(struct virtio *v);	/* with the lock, or pci.lock only */
};

/*
 * A modern virtio-pci device. Its queues are served by one loop. @lock is recursive, for user
 * networking answers a frame while it is being sent.
 */
struct virtio {
	struct device device;
	struct machine *m;
	const struct virtio_ops *ops;
	struct pci_dev pci;
	struct msix msix;
	unsigned int cfg_cap;		/* VIRTIO_PCI_CAP_PCI_CFG */
	int kick_fds[VIRTIO_MAX_QUEUES];
	struct virtio_kick { struct virtio *v; unsigned int queue; } kicks[VIRTIO_MAX_QUEUES];

	pthread_mutex_t lock;		/* guards all below */
	uint64_t offered, features;
	uint32_t offered_sel, driver_sel;
	uint16_t queue_sel, config_vector;
	uint8_t status, isr, generation;
	bool line;			/* INTx is asserted */
	bool warned;
	bool resetting;			/* until virtio_reset_done() */
	struct virtq q[VIRTIO_MAX_QUEUES];
	uint16_t vectors[VIRTIO_MAX_QUEUES];
};

void virtio_init(struct virtio *v, struct machine *m, const struct virtio_ops *ops,
		 struct loop *loop);
void virtio_cleanup(struct virtio *v);
bool virtio_running(const struct virtio *v);
bool virtio_has(const struct virtio *v, unsigned int feature);
int virtio_pop(struct virtio *v, unsigned int queue, struct virtq_chain *c);
void virtio_push(struct virtio *v, unsigned int queue, const struct virtq_chain *c, uint32_t len);
void virtio_signal(struct virtio *v, unsigned int queue);
void virtio_raise(struct virtio *v, unsigned int queue);
void virtio_reset_done(struct virtio *v);
void virtio_config_changed(struct virtio *v);
void virtio_broken(struct virtio *v);

#endif
