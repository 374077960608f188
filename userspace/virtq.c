// SPDX-License-Identifier: GPL-2.0-only
/* Split virtqueues, with indirect descriptors and event indices, under a guest that may lie. */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "virtq.h"

void virtq_reset(struct virtq *q, const struct ram *ram)
{
	*q = (struct virtq){ .ram = ram, .size = VIRTQ_MAX };
}

/* Returns: 0, or -EINVAL when the rings are misaligned or not wholly in memory. */
int virtq_enable(struct virtq *q)
{
	if (!q->size || q->size > VIRTQ_MAX || (q->size & (q->size - 1)))
		return -EINVAL;
	if ((q->desc_gpa & 15) || (q->avail_gpa & 1) || (q->used_gpa & 3))
		return -EINVAL;
	/* Behind each ring is room for the other side's event index. */
	q->desc = ram_ptr(q->ram, q->desc_gpa, sizeof(struct vring_desc) * q->size);
	q->avail = ram_ptr(q->ram, q->avail_gpa, sizeof(struct vring_avail) + 2 * q->size + 2);
	q->used = ram_ptr(q->ram, q->used_gpa, sizeof(struct vring_used) +
			  sizeof(struct vring_used_elem) * q->size + 2);
	if (!q->desc || !q->avail || !q->used)
		return -EINVAL;
	q->ready = true;
	return 0;
}

static uint16_t *avail_field(const struct virtq *q, unsigned int index)
{
	return (uint16_t *)q->avail + index;	/* flags, idx, ring[size], used_event */
}

static uint16_t avail_idx(const struct virtq *q)
{
	return __atomic_load_n(avail_field(q, 1), __ATOMIC_ACQUIRE);
}

static uint16_t *avail_event(const struct virtq *q)
{
	struct vring_used *used = q->used;

	return (uint16_t *)&used->ring[q->size];
}

bool virtq_has_avail(const struct virtq *q)
{
	return q->ready && avail_idx(q) != q->last_avail;
}

/* Append one buffer. Readable after writable is against the rules, and more than fits as well. */
static int add_buffer(const struct virtq *q, struct virtq_chain *c, const struct vring_desc *d)
{
	bool in = d->flags & VRING_DESC_F_WRITE;
	unsigned int n = c->nr_out + c->nr_in;
	void *p;

	if (!d->len)
		return 0;
	p = ram_ptr(q->ram, d->addr, d->len);
	if (!p || n == VIRTQ_MAX || (!in && c->nr_in))
		return -EINVAL;
	c->iov[n] = (struct iovec){ p, d->len };
	if (in) {
		c->nr_in++;
		c->in_len += d->len;
	} else {
		c->nr_out++;
		c->out_len += d->len;
	}
	return 0;
}

/*
 * Follow one table of @size descriptors from @i. A loop is a chain longer than its table.
 * Returns: 1 when @d is the indirect descriptor that ends the chain, 0, or -EINVAL.
 */
static int walk(const struct virtq *q, const struct vring_desc *table, unsigned int size,
		unsigned int i, struct virtq_chain *c, struct vring_desc *d)
{
	for (unsigned int steps = 0; steps < size; steps++) {
		if (i >= size)
			return -EINVAL;
		memcpy(d, &table[i], sizeof(*d));
		__asm__ volatile("" ::: "memory");	/* never look at the guest's copy again */
		if (d->flags & VRING_DESC_F_INDIRECT)
			return d->flags & VRING_DESC_F_NEXT ? -EINVAL : 1;
		if (add_buffer(q, c, d))
			return -EINVAL;
		if (!(d->flags & VRING_DESC_F_NEXT))
			return 0;
		i = d->next;
	}
	return -EINVAL;
}

static int walk_indirect(const struct virtq *q, struct virtq_chain *c, const struct vring_desc *d)
{
	unsigned int size = d->len / sizeof(*d);
	struct vring_desc inner;
	const void *table;

	if (!size || d->len % sizeof(*d) || size > VIRTQ_MAX)
		return -EINVAL;
	table = ram_ptr(q->ram, d->addr, d->len);
	/* A table within a table is against the rules. */
	if (!table || walk(q, table, size, 0, c, &inner))
		return -EINVAL;
	return 0;
}

/* Returns: 1 with the next request in @c, 0 when there is none, -EINVAL for a broken ring. */
int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	uint16_t count = avail_idx(q) - q->last_avail;
	struct vring_desc d;
	int ret;

	if (!count)
		return 0;
	if (count > q->size)
		return -EINVAL;
	c->head = __atomic_load_n(avail_field(q, 2 + q->last_avail % q->size), __ATOMIC_RELAXED);
	c->nr_out = c->nr_in = 0;
	c->out_len = c->in_len = 0;
	ret = walk(q, q->desc, q->size, c->head, c, &d);
	if (ret == 1)
		ret = walk_indirect(q, c, &d);
	if (ret)
		return ret;
	q->last_avail++;
	return 1;
}

/* Take the last virtq_pop() back. */
void virtq_unpop(struct virtq *q)
{
	q->last_avail--;
}

/* Write a used element @ahead of the ones that the guest can see. */
void virtq_fill(struct virtq *q, unsigned int ahead, uint16_t head, uint32_t len)
{
	struct vring_used *used = q->used;

	used->ring[(q->used_idx + ahead) % q->size] = (struct vring_used_elem){ head, len };
}

void virtq_publish(struct virtq *q, unsigned int count)
{
	struct vring_used *used = q->used;

	q->used_idx += count;
	__atomic_store_n(&used->idx, q->used_idx, __ATOMIC_RELEASE);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	virtq_fill(q, 0, head, len);
	virtq_publish(q, 1);
}

/* Whether the guest wants an interrupt for what was published since the last call. */
bool virtq_should_signal(struct virtq *q)
{
	uint16_t old = q->signalled, new = q->used_idx, event;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (old == new)
		return false;
	q->signalled = new;
	if (!q->event_idx)
		return !(__atomic_load_n(avail_field(q, 0), __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(avail_field(q, 2 + q->size), __ATOMIC_RELAXED);
	return vring_need_event(event, new, old);
}

/*
 * Ask for a notification of the next request. Returns: whether one has come meanwhile, for which
 * there may be no notification.
 */
bool virtq_rearm(struct virtq *q)
{
	if (q->event_idx)
		__atomic_store_n(avail_event(q), q->last_avail, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_has_avail(q);
}

/* The part [@off, @off + @len) of one direction of @c. Returns: how many pieces went to @iov. */
unsigned int virtq_slice(const struct virtq_chain *c, bool in, uint64_t off, uint64_t len,
			 struct iovec *iov)
{
	const struct iovec *p = c->iov + (in ? c->nr_out : 0);
	const struct iovec *end = p + (in ? c->nr_in : c->nr_out);
	unsigned int n = 0;

	for (; p < end && len; p++) {
		size_t piece;

		if (off >= p->iov_len) {
			off -= p->iov_len;
			continue;
		}
		piece = p->iov_len - off < len ? p->iov_len - off : len;
		iov[n++] = (struct iovec){ (uint8_t *)p->iov_base + off, piece };
		len -= piece;
		off = 0;
	}
	return n;
}

/* Copy out of the readable part. Returns: how much there was. */
size_t virtq_read(const struct virtq_chain *c, uint64_t off, void *buf, size_t len)
{
	struct iovec iov[VIRTQ_MAX];
	unsigned int n = virtq_slice(c, false, off, len, iov);
	size_t done = 0;

	for (unsigned int i = 0; i < n; i++) {
		memcpy((uint8_t *)buf + done, iov[i].iov_base, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	return done;
}

/* Copy into the writable part. Returns: how much room there was. */
size_t virtq_write(const struct virtq_chain *c, uint64_t off, const void *buf, size_t len)
{
	struct iovec iov[VIRTQ_MAX];
	unsigned int n = virtq_slice(c, true, off, len, iov);
	size_t done = 0;

	for (unsigned int i = 0; i < n; i++) {
		memcpy(iov[i].iov_base, (const uint8_t *)buf + done, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	return done;
}
