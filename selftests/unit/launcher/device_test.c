// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: virtio devices that trust the driver: its order of steps, its requests, its memory; and
 * interrupts that are lost or come where they are masked. A driver in a few lines, no hypervisor.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "world.h"

#define DISK_SIZE	(64 * 512)
#define QUEUE		16
#define DESC		0x1000
#define AVAIL		0x2000
#define USED		0x3000
#define HEADER		0x10000
#define DATA		0x11000
#define STATUS		0x14000
#define BAR_CONFIG	0x2000
#define BAR_NOTIFY	0x3000
#define BAR_MSIX	0x4000
#define BAR_PBA		0x5000
#define BLK		1	/* slot */
#define ALL_FEATURES	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BLK_F_DISCARD |	\
			 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)

static struct world w;
static struct vring_desc *desc;
static uint16_t *avail;
static struct vring_used *used;

static uint8_t *at(uint64_t gpa)
{
	return w.m.ram.base + gpa;
}

static void common(unsigned int off, unsigned int len, uint32_t value)
{
	world_write(&w, BLK, off, len, value);
}

static void blk_init(bool ro)
{
	struct config_file *f = &w.config.disks[0];

	world_init(&w);
	w.config.nr_disks = 1;
	*f = (struct config_file){ .path = "test", .size = DISK_SIZE, .ro = ro };
	f->fd = memfd_create("disk", MFD_CLOEXEC);
	if (ftruncate(f->fd, DISK_SIZE))
		abort();
	for (unsigned int i = 0; i < DISK_SIZE; i += 512) {
		char c = 'A' + i / 512 % 26;

		if (pwrite(f->fd, &c, 1, i) != 1)
			abort();
	}
	world_add_devices(&w);
	world_cfg_write(&w, BLK, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	desc = (void *)at(DESC);
	avail = (void *)at(AVAIL);
	used = (void *)at(USED);
}

static void blk_exit(void)
{
	world_free(&w);
	close(w.config.disks[0].fd);
}

static uint8_t negotiate(uint64_t features)
{
	common(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	common(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	common(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	common(VIRTIO_PCI_COMMON_GF, 4, features);
	common(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	common(VIRTIO_PCI_COMMON_GF, 4, features >> 32);
	common(VIRTIO_PCI_COMMON_STATUS, 1, 11);
	return world_read(&w, BLK, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void start_queue(void)
{
	common(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common(VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE);
	common(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	common(VIRTIO_PCI_COMMON_Q_DESCLO, 4, DESC);
	common(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, AVAIL);
	common(VIRTIO_PCI_COMMON_Q_USEDLO, 4, USED);
	common(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void blk_start(bool ro)
{
	blk_init(ro);
	negotiate(ro ? 1ULL << VIRTIO_F_VERSION_1 : ALL_FEATURES);
	start_queue();
	common(VIRTIO_PCI_COMMON_STATUS, 1, 15);
}

static bool wait_used(uint16_t idx)
{
	for (unsigned int i = 0; i < 5000; i++) {
		if (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == idx)
			return true;
		usleep(1000);
	}
	return false;
}

static void submit(uint16_t head)
{
	avail[2 + avail[1] % QUEUE] = head;
	__atomic_store_n(&avail[1], avail[1] + 1, __ATOMIC_RELEASE);
	world_write(&w, BLK, BAR_NOTIFY, 2, 0);
}

/* Header, one buffer, status. Returns: the status byte, -1 when the device did not answer. */
static int request(uint32_t type, uint64_t sector, uint32_t len, bool device_writes)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };

	memcpy(at(HEADER), &h, sizeof(h));
	*at(STATUS) = 0xee;
	desc[0] = (struct vring_desc){ HEADER, sizeof(h), VRING_DESC_F_NEXT, len ? 1 : 2 };
	desc[1] = (struct vring_desc){ DATA, len, VRING_DESC_F_NEXT |
				       (device_writes ? VRING_DESC_F_WRITE : 0), 2 };
	desc[2] = (struct vring_desc){ STATUS, 1, VRING_DESC_F_WRITE, 0 };
	submit(0);
	return wait_used(avail[1]) ? *at(STATUS) : -1;
}

static void features(void)
{
	blk_init(false);
	CHECK_EQ(world_cfg_read(&w, BLK, 0, 4), 0x10421af4);
	CHECK(negotiate(0) == 3);				/* VERSION_1 is a must */
	CHECK(negotiate(1ULL << VIRTIO_F_VERSION_1 | 1ULL << 40) == 3);	/* not offered */
	CHECK(negotiate(ALL_FEATURES) == 11);
	common(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	common(VIRTIO_PCI_COMMON_GF, 4, ~0u);			/* too late */
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_GF, 4), (uint32_t)ALL_FEATURES);
	blk_exit();
}

static void read_and_write(void)
{
	blk_start(false);
	CHECK_EQ(world_read(&w, BLK, BAR_CONFIG, 4), DISK_SIZE / 512);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 3, 1024, true), VIRTIO_BLK_S_OK);
	CHECK(*at(DATA) == 'D' && *at(DATA + 512) == 'E' && used->ring[0].len == 1025);
	memset(at(DATA), 'x', 512);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 63, 512, false), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 63, 512, true), VIRTIO_BLK_S_OK);
	CHECK(*at(DATA) == 'x' && *at(DATA + 511) == 'x');
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, 20, true), VIRTIO_BLK_S_OK);
	CHECK(!strcmp((char *)at(DATA), "corbel-disk0"));
	blk_exit();
}

static void bad_requests(void)
{
	blk_start(false);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 64, 512, true), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 63, 1024, true), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, ~0ULL, 512, false), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, ~0ULL / 512, 512, false), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 511, true), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, 19, true), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(0x1234, 0, 512, true), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_STATUS, 1), 15);
	blk_exit();
}

static void read_only(void)
{
	char c;

	blk_start(true);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, 512, false), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	*(struct virtio_blk_discard_write_zeroes *)at(DATA) =
		(struct virtio_blk_discard_write_zeroes){ 0, 1, 0 };
	CHECK_EQ(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false), VIRTIO_BLK_S_IOERR);
	CHECK(pread(w.config.disks[0].fd, &c, 1, 0) == 1 && c == 'A');
	blk_exit();
}

static int clear(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = { sector, count, flags };

	memcpy(at(DATA), &r, sizeof(r));
	return request(type, 0, sizeof(r), false);
}

static void discard_and_zeroes(void)
{
	char c;

	blk_start(false);
	CHECK_EQ(clear(VIRTIO_BLK_T_WRITE_ZEROES, 2, 1, 0), VIRTIO_BLK_S_OK);
	CHECK(pread(w.config.disks[0].fd, &c, 1, 2 * 512) == 1 && c == 0);
	CHECK(pread(w.config.disks[0].fd, &c, 1, 3 * 512) == 1 && c == 'D');
	CHECK_EQ(clear(VIRTIO_BLK_T_WRITE_ZEROES, 3, 1, 1), VIRTIO_BLK_S_OK);
	CHECK(pread(w.config.disks[0].fd, &c, 1, 3 * 512) == 1 && c == 0);
	CHECK_EQ(clear(VIRTIO_BLK_T_DISCARD, 8, 8, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(clear(VIRTIO_BLK_T_WRITE_ZEROES, 64, 1, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(VIRTIO_BLK_T_DISCARD, ~0ULL, 2, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(VIRTIO_BLK_T_DISCARD, 0, ~0u, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(clear(VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, 15, false), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(lseek(w.config.disks[0].fd, 0, SEEK_END), DISK_SIZE);
	blk_exit();
}

/* A request without room for its status: the device asks for a reset, and gets well by it. */
static void broken_and_reset(void)
{
	blk_start(false);
	desc[5] = (struct vring_desc){ HEADER, 16, 0, 0 };
	submit(5);
	for (unsigned int i = 0; i < 5000; i++) {
		if (world_read(&w, BLK, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET)
			break;
		usleep(1000);
	}
	CHECK(world_read(&w, BLK, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	memset(at(DESC), 0, 0x3000);
	negotiate(ALL_FEATURES);
	start_queue();
	common(VIRTIO_PCI_COMMON_STATUS, 1, 15);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	blk_exit();
}

static void queue_rules(void)
{
	blk_init(false);
	negotiate(ALL_FEATURES);
	common(VIRTIO_PCI_COMMON_Q_SIZE, 2, 24);
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	common(VIRTIO_PCI_COMMON_Q_SIZE, 2, 512);
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	common(VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);		/* there are vectors 0 and 1 */
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	start_queue();
	common(VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);		/* too late */
	common(VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x5000);
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_Q_DESCLO, 4), DESC);
	common(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);	/* there is none */
	common(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	negotiate(ALL_FEATURES);
	common(VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0xffffffff);
	common(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	CHECK(world_read(&w, BLK, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	blk_exit();
}

static void line_interrupt(void)
{
	unsigned int gsi = PCI_GSI(BLK);

	blk_start(false);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 1000 && !world_lines[gsi]; i++)
		usleep(1000);
	CHECK_EQ(world_lines[gsi], 1);
	CHECK_EQ(world_read(&w, BLK, 0x1000, 1), 1);
	CHECK_EQ(world_lines[gsi], 0);
	CHECK_EQ(world_read(&w, BLK, 0x1000, 1), 0);
	blk_exit();
}

static unsigned int msix_cap(void)
{
	unsigned int cap = world_cfg_read(&w, BLK, PCI_CAPABILITY_LIST, 1);

	while (cap && world_cfg_read(&w, BLK, cap, 1) != PCI_CAP_ID_MSIX)
		cap = world_cfg_read(&w, BLK, cap + 1, 1);
	return cap;
}

static void set_vector(unsigned int vector, uint8_t data, bool masked)
{
	world_write(&w, BLK, BAR_MSIX + 16 * vector, 8, 0xfee00000);
	world_write(&w, BLK, BAR_MSIX + 16 * vector + 8, 8, data | (uint64_t)masked << 32);
}

static bool wait_message(uint8_t data, unsigned int count)
{
	for (unsigned int i = 0; i < 1000 && world_messages[data] < count; i++)
		usleep(1000);
	return world_messages[data] == count;
}

static void msix(void)
{
	unsigned int cap;

	blk_start(false);
	cap = msix_cap();
	CHECK(cap);
	CHECK_EQ(world_cfg_read(&w, BLK, cap + 2, 2), 1);	/* two vectors */
	set_vector(1, 0x55, false);
	world_cfg_write(&w, BLK, cap + 2, 2, PCI_MSIX_FLAGS_ENABLE);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	CHECK(wait_message(0x55, 1));
	CHECK_EQ(world_lines[PCI_GSI(BLK)], 0);
	/* Masked: pending, and sent when unmasked, with the message of then. */
	set_vector(1, 0x55, true);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 1000 && !world_read(&w, BLK, BAR_PBA, 4); i++)
		usleep(1000);
	CHECK_EQ(world_read(&w, BLK, BAR_PBA, 4), 2);
	CHECK(world_messages[0x55] == 1);
	set_vector(1, 0x66, false);
	CHECK(wait_message(0x66, 1));
	CHECK_EQ(world_read(&w, BLK, BAR_PBA, 4), 0);
	/* The same by the mask of the whole function. */
	world_cfg_write(&w, BLK, cap + 2, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 1000 && !world_read(&w, BLK, BAR_PBA, 4); i++)
		usleep(1000);
	world_cfg_write(&w, BLK, cap + 2, 2, PCI_MSIX_FLAGS_ENABLE);
	CHECK(wait_message(0x66, 2));
	blk_exit();
}

/* Firmware without a mapping reaches BAR 0 through configuration space. */
static void config_window(void)
{
	unsigned int cap;

	blk_init(false);
	cap = world_cfg_read(&w, BLK, PCI_CAPABILITY_LIST, 1);
	while (cap && (world_cfg_read(&w, BLK, cap, 1) != PCI_CAP_ID_VNDR ||
		       world_cfg_read(&w, BLK, cap + 3, 1) != VIRTIO_PCI_CAP_PCI_CFG))
		cap = world_cfg_read(&w, BLK, cap + 1, 1);
	CHECK(cap);
	world_cfg_write(&w, BLK, cap + 8, 4, BAR_CONFIG);
	world_cfg_write(&w, BLK, cap + 12, 4, 4);
	CHECK_EQ(world_cfg_read(&w, BLK, cap + 16, 4), DISK_SIZE / 512);
	world_cfg_write(&w, BLK, cap + 8, 4, 0xfffffff0);
	CHECK_EQ(world_cfg_read(&w, BLK, cap + 16, 4), DISK_SIZE / 512);	/* unchanged */
	world_cfg_write(&w, BLK, cap + 8, 4, VIRTIO_PCI_COMMON_STATUS);
	world_cfg_write(&w, BLK, cap + 12, 4, 1);
	world_cfg_write(&w, BLK, cap + 16, 1, 3);
	CHECK_EQ(world_read(&w, BLK, VIRTIO_PCI_COMMON_STATUS, 1), 3);
	blk_exit();
}

/* A driver gone mad, on all kinds of devices at once. */
static void fuzz_access(unsigned int slot)
{
	static const unsigned int lens[] = { 1, 2, 4, 8 };
	unsigned int len = lens[world_random() % 4];
	uint32_t off = world_random() % 8 ? world_random() % 0x40 : world_random() % 0x8000;
	uint64_t value = world_random() % 4 ? world_random() % 0x5000 : world_random();

	switch (world_random() % 16) {
	case 0:
		world_cfg_write(&w, slot, world_random() % 256, len > 4 ? 4 : len, value);
		world_cfg_write(&w, slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		break;
	case 1:
		world_read(&w, slot, off, len);
		break;
	case 2:
	case 3:
	case 4:
		world_write(&w, slot, BAR_NOTIFY + 4 * (world_random() % 4), 2, 0);
		break;
	default:
		world_write(&w, slot, off, len, value);
	}
}

static void fuzz_start(unsigned int slot)
{
	world_write(&w, slot, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	world_write(&w, slot, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	world_write(&w, slot, VIRTIO_PCI_COMMON_GF, 4, 1);
	world_write(&w, slot, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	for (unsigned int i = 0; i < 4; i++) {
		world_write(&w, slot, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		world_write(&w, slot, VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE);
		world_write(&w, slot, VIRTIO_PCI_COMMON_Q_DESCLO, 4, DESC);
		world_write(&w, slot, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, AVAIL);
		world_write(&w, slot, VIRTIO_PCI_COMMON_Q_USEDLO, 4, USED + 0x200 * i);
		world_write(&w, slot, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	world_write(&w, slot, VIRTIO_PCI_COMMON_STATUS, 1, 15);
}

static void fuzz_memory(void)
{
	struct virtio_blk_outhdr *h = (void *)at(HEADER);

	for (unsigned int i = 0; i < QUEUE; i++) {
		desc[i].addr = HEADER + world_random() % 0x3000;
		desc[i].len = world_random() % 4 ? 16 : world_random() % 0x4000;
		desc[i].flags = world_random() % 8;
		desc[i].next = world_random() % (QUEUE + 1);
		avail[2 + i] = world_random() % (QUEUE + 1);
	}
	avail[1] += world_random() % 3;
	h->type = world_random() % 16;
	h->sector = world_random() % 80;
}

static void mad_driver(void)
{
	unsigned long rounds = world_env("ROUNDS", 40000) * 10;
	unsigned int slots = 0;

	blk_init(false);
	world_free(&w);		/* the disk's file stays open */
	world_init(&w);
	w.config.nr_disks = 1;
	w.config.disks[0] = (struct config_file){ .path = "fuzz", .size = DISK_SIZE,
						  .fd = memfd_create("disk", MFD_CLOEXEC) };
	if (ftruncate(w.config.disks[0].fd, DISK_SIZE))
		abort();
	w.config.rng = w.config.balloon = true;
	w.config.nr_nets = 1;
	w.config.nets[0] = (struct config_net){ .kind = NET_USER, .restricted = true };
	world_add_devices(&w);
	desc = (void *)at(DESC);
	avail = (void *)at(AVAIL);
	while (slots < PCI_SLOTS && w.m.pci.slots[slots])
		slots++;
	CHECK_EQ(slots, 5);
	for (unsigned long i = 0; i < rounds; i++) {
		unsigned int slot = 1 + world_random() % (slots - 1);

		if (i % 64 < slots - 1)
			fuzz_start(i % 64 + 1);
		fuzz_memory();
		fuzz_access(slot);
		loop_once(&w.m.loop, 0);
	}
	blk_exit();
}

static const struct check_case cases[] = {
	{ "features: VERSION_1 needed, unknown ones refused, fixed after FEATURES_OK", features },
	{ "disk: read, write, flush, id", read_and_write },
	{ "disk: requests outside of it, or malformed", bad_requests },
	{ "disk: read-only", read_only },
	{ "disk: discard and write zeroes", discard_and_zeroes },
	{ "a broken request needs a reset, and gets it", broken_and_reset },
	{ "queues: sizes, vectors, addresses", queue_rules },
	{ "line interrupt, cleared by reading ISR", line_interrupt },
	{ "MSI-X: sent, masked, pending, unmasked", msix },
	{ "BAR 0 through configuration space", config_window },
	{ "a mad driver", mad_driver },
};

CHECK_MAIN(cases)
