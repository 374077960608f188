/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VIRTIO_BALLOON_H
#define VIRTIO_BALLOON_H

/* Print what the guest told about its memory, and ask it for newer figures. */
void virtio_balloon_print(void);

#endif
