/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VIRTIO_VHOST_H
#define VIRTIO_VHOST_H

struct machine;
struct vhost_user;

void virtio_vhost_create(struct machine *m, struct vhost_user *u, unsigned int index);

#endif
