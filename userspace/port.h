/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PORT_H
#define PORT_H

#include <pthread.h>

#include "device.h"
#include "loop.h"
#include "msix.h"
#include "pci.h"
#include <linux/corbel_port.h>
#include "vhost_user.h"

struct config_serve;

/* Another guest's memory, behind BAR 2. */
struct port_memory {
	void *hva;
	uint64_t size, offset;
	uint64_t address;	/* what the front-end calls it */
	int slot;		/* -1: the guest has the BAR nowhere */
};

struct port_ring {
	bool started, enabled;
	struct vhost_vring_addr addr;	/* as the front-end says them */
	int call;			/* eventfd behind the doorbell, -1: none */
};

/*
 * A domain port: a vhost-user back-end without a way to serve anything, and the PCI function by
 * which its guest does that. Order of locks: pci.lock, @lock, msix.lock, vm.lock.
 */
struct port {
	struct device device;
	struct machine *m;
	const struct config_serve *config;
	struct pci_dev pci;
	struct msix msix;
	struct loop loop;
	char name[16];
	int wake;			/* eventfd: the guest has written a register */

	/* The thread's own */
	struct vhost_user_stream stream;	/* fd -1: nobody is connected */
	uint64_t protocol;
	int stopping;			/* queue that the guest has yet to let go; -1: none */

	pthread_mutex_t lock;		/* guards all below */
	struct port_regs regs;
	struct port_ring rings[PORT_QUEUES];
	struct port_memory memory[PORT_REGIONS];
	unsigned int nr_memory;		/* after the connection until the guest has seen its end */
	uint64_t bar0, bar2;		/* where the guest has them, 0: nowhere */
};

void port_changed(struct port *p);
bool port_followed(const struct port *p);
const char *port_add_memory(struct port *p, const struct vhost_user_region *r, int fd);
void port_blank_memory(struct port *p);
void port_remove_memory(struct port *p);
bool port_offset(const struct port *p, uint64_t address, uint64_t len, __u64 *offset);
int port_set_call(struct port *p, unsigned int queue, int eventfd);
void port_serve(struct loop *loop, void *port);

#endif
