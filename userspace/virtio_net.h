/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include <linux/virtio_net.h>
#include <stddef.h>

#include "virtio.h"

#define NET_MAX_PACKET	(65536 + 14)
#define NET_HDR		sizeof(struct virtio_net_hdr_mrg_rxbuf)

struct vnet;
struct config_net;

/* The other end of the wire. Packets begin with a struct virtio_net_hdr_mrg_rxbuf. */
struct net_backend {
	uint64_t features;	/* VIRTIO_NET_F_* that it can do */
	/* Context: the interface's thread, with the device's lock. */
	void (*send)(struct net_backend *b, const struct iovec *iov, unsigned int n);
	void (*negotiated)(struct net_backend *b, const struct virtio *v);
	void (*room)(struct net_backend *b);	/* the guest has given receive buffers */
	void (*thread)(struct loop *loop, void *backend);	/* NULL: loop_run() */
	void (*free)(struct net_backend *b);
};

bool virtio_net_receive(struct vnet *n, const void *packet, size_t len);
bool virtio_net_has_room(struct vnet *n);
pthread_mutex_t *virtio_net_lock(struct vnet *n);

struct net_backend *net_user_create(struct vnet *n, const struct config *c,
				    const struct config_net *cn, struct loop *loop);
struct net_backend *net_tap_create(struct vnet *n, const struct config_net *cn, struct loop *loop);

#endif
