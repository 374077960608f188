// SPDX-License-Identifier: GPL-2.0-only
/* virtio block device on a raw image or a block device; one thread per disk. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "virtio.h"
#include "virtio_vhost.h"

#define SECTOR		512
#define MAX_SEGMENTS	(VIRTQ_MAX - 2)		/* header and status take one each */
#define MAX_DISCARD	(1u << 22)		/* sectors: 2 GiB at once */
#define MAX_RANGES	16
#define CLASS_SCSI	0x018000

struct vblk {
	struct virtio v;
	struct loop loop;
	const struct config_file *file;
	unsigned int index;
	uint64_t sectors;
	char name[16];
	bool warned;
};

/* Move all of @iov. A file that ends early, cut by another program, is an error. */
static int transfer(struct vblk *b, bool write, struct iovec *iov, unsigned int n, uint64_t off)
{
	while (n) {
		ssize_t done = write ? pwritev(b->file->fd, iov, n, off) :
				       preadv(b->file->fd, iov, n, off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		off += done;
		while (n && (size_t)done >= iov->iov_len) {
			done -= iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (uint8_t *)iov->iov_base + done;
			iov->iov_len -= done;
		}
	}
	return 0;
}

static bool in_range(const struct vblk *b, uint64_t sector, uint64_t count)
{
	return sector <= b->sectors && count <= b->sectors - sector;
}

static int read_write(struct vblk *b, const struct virtq_chain *c, bool write, uint64_t sector)
{
	uint64_t len = write ? c->out_len - sizeof(struct virtio_blk_outhdr) : c->in_len - 1;
	struct iovec iov[VIRTQ_MAX];
	unsigned int n;

	if (len % SECTOR || !in_range(b, sector, len / SECTOR) || (write && b->file->ro))
		return -EINVAL;
	n = virtq_slice(c, !write, write ? sizeof(struct virtio_blk_outhdr) : 0, len, iov);
	return transfer(b, write, iov, n, sector * SECTOR);
}

static int zero_by_writing(struct vblk *b, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[65536];

	while (len) {
		struct iovec iov = { (void *)zeroes, len < sizeof(zeroes) ? len : sizeof(zeroes) };
		uint64_t piece = iov.iov_len;
		int ret = transfer(b, true, &iov, 1, off);

		if (ret)
			return ret;
		off += piece;
		len -= piece;
	}
	return 0;
}

/* A discard is advice, so a host file that cannot do it is no error; zeroes must become zeroes. */
static int clear(struct vblk *b, const struct virtio_blk_discard_write_zeroes *r, bool zeroes)
{
	bool punch = !zeroes || (r->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	uint64_t off = r->sector * SECTOR, len = (uint64_t)r->num_sectors * SECTOR;
	int mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

	if (!len || !fallocate(b->file->fd, mode, off, len))
		return 0;
	if (errno != EOPNOTSUPP && errno != ENODEV && errno != EINVAL)
		return -errno;
	return zeroes ? zero_by_writing(b, off, len) : 0;
}

static int discard(struct vblk *b, const struct virtq_chain *c, bool zeroes)
{
	uint32_t known = zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	struct virtio_blk_discard_write_zeroes ranges[MAX_RANGES];
	uint64_t len = c->out_len - sizeof(struct virtio_blk_outhdr);
	unsigned int n = len / sizeof(ranges[0]);
	int ret = 0;

	if (len % sizeof(ranges[0]) || n > MAX_RANGES || b->file->ro)
		return -EINVAL;
	virtq_read(c, sizeof(struct virtio_blk_outhdr), ranges, len);
	for (unsigned int i = 0; i < n; i++) {
		if (ranges[i].flags & ~known)
			return -ENOTSUP;
		if (ranges[i].num_sectors > MAX_DISCARD ||
		    !in_range(b, ranges[i].sector, ranges[i].num_sectors))
			return -EINVAL;
	}
	for (unsigned int i = 0; i < n && !ret; i++)
		ret = clear(b, &ranges[i], zeroes);
	return ret;
}

static int get_id(const struct vblk *b, const struct virtq_chain *c)
{
	char id[VIRTIO_BLK_ID_BYTES + 12] = { 0 };

	snprintf(id, sizeof(id), "corbel-disk%u", b->index);
	if (c->in_len < VIRTIO_BLK_ID_BYTES + 1)
		return -EINVAL;
	virtq_write(c, 0, id, VIRTIO_BLK_ID_BYTES);
	return 0;
}

static int execute(struct vblk *b, const struct virtq_chain *c, const struct virtio_blk_outhdr *h)
{
	switch (h->type) {
	case VIRTIO_BLK_T_IN:
		return read_write(b, c, false, h->sector);
	case VIRTIO_BLK_T_OUT:
		return read_write(b, c, true, h->sector);
	case VIRTIO_BLK_T_FLUSH:
		return fdatasync(b->file->fd) ? -errno : 0;
	case VIRTIO_BLK_T_DISCARD:
		return discard(b, c, false);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return discard(b, c, true);
	case VIRTIO_BLK_T_GET_ID:
		return get_id(b, c);
	default:
		return -ENOTSUP;
	}
}

static uint8_t status_of(struct vblk *b, int ret)
{
	if (!ret)
		return VIRTIO_BLK_S_OK;
	if (ret == -ENOTSUP)
		return VIRTIO_BLK_S_UNSUPP;
	if (ret != -EINVAL && !b->warned)
		error_warn("disk %s: %s; the guest sees an I/O error", b->file->path,
			   strerror(-ret));
	b->warned |= ret != -EINVAL;
	return VIRTIO_BLK_S_IOERR;
}

/* Returns: bytes written to the guest, or -EINVAL when there is no room for the status even. */
static int64_t serve(struct vblk *b, const struct virtq_chain *c)
{
	struct virtio_blk_outhdr h;
	uint8_t status;

	if (!c->in_len || virtq_read(c, 0, &h, sizeof(h)) != sizeof(h))
		return -EINVAL;
	status = status_of(b, execute(b, c, &h));
	virtq_write(c, c->in_len - 1, &status, 1);
	return status == VIRTIO_BLK_S_OK ? (int64_t)c->in_len : 1;
}

static void vblk_queue(struct virtio *v, unsigned int i)
{
	struct vblk *b = (struct vblk *)v;
	struct virtq_chain c;

	while (virtio_pop(v, i, &c)) {
		int64_t len = serve(b, &c);

		if (len < 0) {
			virtio_broken(v);
			return;
		}
		virtio_push(v, i, &c, len > UINT32_MAX ? UINT32_MAX : len);
		virtio_signal(v, i);
	}
}

static void vblk_read_config(struct virtio *v, void *config)
{
	struct virtio_blk_config c = {
		.capacity = ((struct vblk *)v)->sectors,
		.seg_max = MAX_SEGMENTS,
		.blk_size = SECTOR,
		.num_queues = 1,
		.max_discard_sectors = MAX_DISCARD,
		.max_discard_seg = MAX_RANGES,
		.discard_sector_alignment = 4096 / SECTOR,
		.max_write_zeroes_sectors = MAX_DISCARD,
		.max_write_zeroes_seg = MAX_RANGES,
		.write_zeroes_may_unmap = 1,
	};

	memcpy(config, &c, sizeof(c));
}

_Static_assert(sizeof(struct virtio_blk_config) <= VIRTIO_MAX_CONFIG, "block configuration");

static const struct virtio_ops vblk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.class = CLASS_SCSI,
	.nr_queues = 1,
	.config_len = sizeof(struct virtio_blk_config),
	.features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
		    1ULL << VIRTIO_BLK_F_FLUSH,
	.queue = vblk_queue,
	.read_config = vblk_read_config,
};

static void vblk_free(struct device *dev)
{
	struct vblk *b = (struct vblk *)dev;

	loop_join(&b->loop);
	virtio_cleanup(&b->v);
	loop_free(&b->loop);
	free(b);
}

static void create_one(struct machine *m, unsigned int index)
{
	struct vblk *b = calloc(1, sizeof(*b));

	if (!b)
		error_die(EXIT_ERROR, "out of memory");
	b->file = &m->config->disks[index];
	b->index = index;
	b->sectors = b->file->size / SECTOR;
	snprintf(b->name, sizeof(b->name), "disk%u", index);
	if (b->file->ro)
		b->v.offered = 1ULL << VIRTIO_BLK_F_RO;
	else
		b->v.offered = 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	loop_init(&b->loop);
	virtio_init(&b->v, m, &vblk_ops, &b->loop);
	loop_start(&b->loop, b->name, SANDBOX_DEVICE, NULL, NULL);
	machine_add_device(m, &b->v.device, vblk_free);
}

static void virtio_blk_create(struct machine *m)
{
	for (unsigned int i = 0; i < m->config->nr_disks; i++)
		if (m->config->disks[i].vhost)
			virtio_vhost_create(m, m->config->disks[i].vhost, i);
		else
			create_one(m, i);
}

DEVICE_TYPE(virtio_blk);
