/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VIRTQ_H
#define VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ram.h"

#define VIRTQ_MAX	256	/* descriptors in a queue, and in a chain */

/*
 * One split virtqueue. The guest writes to all of its memory at any time: whatever is read from
 * there is read once, checked, and only then used.
 */
struct virtq {
	const struct ram *ram;
	uint16_t size;
	bool ready, event_idx;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	void *desc, *avail, *used;
	uint16_t last_avail, used_idx, signalled;
};

/* One request: readable buffers first, writable ones after. */
struct virtq_chain {
	uint16_t head;
	unsigned int nr_out, nr_in;
	uint64_t out_len, in_len;
	struct iovec iov[VIRTQ_MAX];
};

void virtq_reset(struct virtq *q, const struct ram *ram);
int virtq_enable(struct virtq *q);
int virtq_pop(struct virtq *q, struct virtq_chain *c);
void virtq_unpop(struct virtq *q);
bool virtq_has_avail(const struct virtq *q);
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);
void virtq_fill(struct virtq *q, unsigned int ahead, uint16_t head, uint32_t len);
void virtq_publish(struct virtq *q, unsigned int count);
bool virtq_should_signal(struct virtq *q);
bool virtq_rearm(struct virtq *q);

size_t virtq_read(const struct virtq_chain *c, uint64_t off, void *buf, size_t len);
size_t virtq_write(const struct virtq_chain *c, uint64_t off, const void *buf, size_t len);
unsigned int virtq_slice(const struct virtq_chain *c, bool in, uint64_t off, uint64_t len,
			 struct iovec *iov);

#endif
