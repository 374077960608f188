// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a disk that tells its back-end the wrong memory, ring or eventfd, or whose reset is over
 * while the back-end still works; a domain port that believes what a front-end says, gives memory out
 * that is not there, or is not ready for the next one. Two machines in one process: what is the guest
 * of one is driven here, and so is the driver domain.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "port.h"
#include "vhost_user.h"
#include "virtio.h"
#include "world.h"

#define SLOT		1
#define DESC		0x1000
#define AVAIL		(RAM_HOLE_END + 0x2000)
#define USED		0x3000
#define QUEUE		64
#define BAR_CONFIG	0x2000
#define BAR_NOTIFY	0x3000
#define BAR_MSIX	0x4000
#define FEATURES	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BLK_F_FLUSH)
#define REG(field)	offsetof(struct port_regs, field)

static char path[64];
static struct world domain, user;

#define SOON(cond)							\
({									\
	int soon_left = 5000;						\
	while (!(cond) && --soon_left)					\
		usleep(1000);						\
	soon_left > 0;							\
})

static uint64_t reg(unsigned int off, unsigned int len)
{
	uint64_t value = 0;

	bus_access(&domain.m.mmio, domain.m.pci.slots[SLOT]->bars[0].mapped + off, &value, len,
		   false);
	return value;
}

static void set_reg(unsigned int off, unsigned int len, uint64_t value)
{
	world_write(&domain, SLOT, off, len, value);
}

static void vector(unsigned int i, uint8_t data)
{
	uint64_t at = domain.m.pci.slots[SLOT]->bars[1].mapped + 16 * i, addr = 0xfee00000;
	uint64_t rest = data;

	bus_access(&domain.m.mmio, at, &addr, 8, true);
	bus_access(&domain.m.mmio, at + 8, &rest, 8, true);
}

static unsigned int msix_cap(struct world *w)
{
	unsigned int cap = world_cfg_read(w, SLOT, PCI_CAPABILITY_LIST, 1);

	while (cap && world_cfg_read(w, SLOT, cap, 1) != PCI_CAP_ID_MSIX)
		cap = world_cfg_read(w, SLOT, cap + 1, 1);
	return cap;
}

static void switch_on(struct world *w)
{
	world_cfg_write(w, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	world_cfg_write(w, SLOT, msix_cap(w) + 2, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void follow(void)
{
	set_reg(REG(seen), 4, reg(REG(generation), 4));
}

static void domain_init(void)
{
	world_init(&domain);
	domain.m.vm.has_irqfd = domain.m.vm.has_ioeventfd = true;
	domain.config.nr_serves = 1;
	domain.config.serves[0].path = path;
	domain.config.serves[0].fd = vhost_user_listen(path);
	world_add_devices(&domain);
	switch_on(&domain);
	for (unsigned int i = 0; i < 1 + PORT_QUEUES; i++)
		vector(i, 0x40 + i);
	set_reg(REG(offered), 8, FEATURES);
	set_reg(REG(config), 8, 1234);
	set_reg(REG(ready), 4, 1);
}

static void domain_exit(void)
{
	world_free(&domain);
	close(domain.config.serves[0].fd);
	unlink(path);
}

static int memory_file(uint64_t size, unsigned int seals)
{
	int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, seals))
		abort();
	return fd;
}

/* After domain_init(): a machine's beginning forgets what the hypervisor of the other knew. */
static void user_create(struct vhost_user *vhost)
{
	struct config_file *f = &user.config.disks[0];
	struct world_slot slots[WORLD_SLOTS];
	struct world_bell bells[WORLD_BELLS];
	int irqfds[8], fd;

	memcpy(slots, world_slots, sizeof(slots));
	memcpy(bells, world_bells, sizeof(bells));
	memcpy(irqfds, world_irqfds, sizeof(irqfds));
	world_init(&user);
	memcpy(world_slots, slots, sizeof(slots));
	memcpy(world_bells, bells, sizeof(bells));
	memcpy(world_irqfds, irqfds, sizeof(irqfds));
	fd = memory_file(user.m.ram.size, F_SEAL_SHRINK);
	user.m.ram.fd = fd;
	mmap(user.m.ram.base, user.m.ram.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	user.m.vm.has_irqfd = true;
	user.config.nr_disks = 1;
	f->external = true;
	f->path = path;
	f->vhost = vhost;
	world_add_devices(&user);
	switch_on(&user);
}

static void user_init(void)
{
	user_create(vhost_user_open(path));
}

static void user_destroy(void)
{
	world_free(&user);
	close(user.m.ram.fd);
}

static void user_exit(void)
{
	user_destroy();
	close(user.config.disks[0].vhost->stream.fd);
	free(user.config.disks[0].vhost);
}

static void common(unsigned int off, unsigned int len, uint32_t value)
{
	world_write(&user, SLOT, off, len, value);
}

static void drive(void)
{
	common(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	common(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	common(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)FEATURES);
	common(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	common(VIRTIO_PCI_COMMON_GF, 4, FEATURES >> 32);
	common(VIRTIO_PCI_COMMON_STATUS, 1, 11);
	world_write(&user, SLOT, BAR_MSIX + 16, 8, 0xfee00000);
	world_write(&user, SLOT, BAR_MSIX + 24, 8, 0x77);
	common(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common(VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE);
	common(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	common(VIRTIO_PCI_COMMON_Q_DESCLO, 4, DESC);
	common(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)AVAIL);
	common(VIRTIO_PCI_COMMON_Q_AVAILHI, 4, AVAIL >> 32);
	common(VIRTIO_PCI_COMMON_Q_USEDLO, 4, USED);
	common(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	common(VIRTIO_PCI_COMMON_STATUS, 1, 15);
}

static uint8_t status(void)
{
	return world_read(&user, SLOT, VIRTIO_PCI_COMMON_STATUS, 1);
}

/* A reset, which is over when the driver domain has let the queue go. */
static void reset_device(void)
{
	follow();
	common(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK(SOON(!reg(REG(queues[0].enabled), 4)));
	follow();
	CHECK(SOON(!status()));
}

/* Of the domain's port: what rings the doorbell of queue @i, -1: nothing. */
static int bell(unsigned int i)
{
	uint64_t gpa = domain.m.pci.slots[SLOT]->bars[0].mapped + REG(doorbells) + 4 * i;

	for (unsigned int b = 0; b < WORLD_BELLS; b++)
		if (world_bells[b].vm == &domain.m.vm && world_bells[b].gpa == gpa)
			return world_bells[b].eventfd;
	return -1;
}

static bool rings(int eventfd)
{
	struct pollfd p = { eventfd, POLLIN, 0 };
	uint64_t n;

	return poll(&p, 1, 1000) == 1 && read(eventfd, &n, sizeof(n)) == 8;
}

static void *window(uint64_t offset)
{
	uint64_t gpa = domain.m.pci.slots[SLOT]->bars[2].mapped + offset;

	for (unsigned int i = 0; i < WORLD_SLOTS; i++)
		if (gpa >= world_slots[i].gpa && gpa - world_slots[i].gpa < world_slots[i].size)
			return world_slots[i].hva + (gpa - world_slots[i].gpa);
	return NULL;
}

/* The port's vector of queue 0, by the GSI that it has got: the second one. */
static int kick_fd(void)
{
	return ((struct port *)domain.m.pci.slots[SLOT]->dev)->msix.v[1].eventfd;
}

static void disk_and_port(void)
{
	uint32_t *word;

	domain_init();
	user_init();
	CHECK_EQ(world_cfg_read(&user, SLOT, 0, 4), 0x10421af4);
	CHECK_EQ(world_read(&user, SLOT, BAR_CONFIG, 4), 1234);
	CHECK_EQ(reg(REG(connected), 4), 0);
	drive();
	CHECK(SOON(reg(REG(queues[0].enabled), 4)));
	CHECK_EQ(reg(REG(connected), 4), 1);
	CHECK_EQ(reg(REG(features), 8), FEATURES);
	CHECK_EQ(reg(REG(nr_regions), 4), 2);
	CHECK_EQ(reg(REG(regions[1].gpa), 8), RAM_HOLE_END);
	CHECK_EQ(reg(REG(regions[1].size), 8), WORLD_HIGH);
	CHECK_EQ(reg(REG(queues[0].size), 4), QUEUE);
	CHECK_EQ(reg(REG(queues[0].desc), 8), DESC);
	CHECK_EQ(reg(REG(queues[0].used), 8), USED);
	CHECK_EQ(reg(REG(queues[0].avail), 8), WORLD_LOW + 0x2000);
	/* One memory, at both ends. */
	*(uint32_t *)(user.m.ram.base + WORLD_LOW + 0x2000) = 0xc0ffee;
	word = window(WORLD_LOW + 0x2000);
	CHECK(word && *word == 0xc0ffee);
	/* Notifications one way, interrupts the other. */
	CHECK(rings(kick_fd()));	/* requests may have been there before */
	CHECK(!rings(kick_fd()));
	world_write(&user, SLOT, BAR_NOTIFY, 2, 0);
	CHECK(rings(kick_fd()));
	CHECK(bell(0) >= 0 && bell(1) < 0);
	eventfd_write(bell(0), 1);
	CHECK(rings(((struct virtio *)user.m.pci.slots[SLOT]->dev)->msix.v[1].eventfd));
	/* The reset is over when the driver domain has let go. */
	follow();
	common(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK(SOON(!reg(REG(queues[0].enabled), 4)));
	usleep(100000);
	follow();
	CHECK(SOON(!status()));
	drive();
	CHECK(SOON(reg(REG(queues[0].enabled), 4)));
	/* The end of the machine is the end of the queue, and of the process that of the memory. */
	reset_device();
	user_exit();
	CHECK(SOON(!reg(REG(connected), 4)));
	CHECK(window(0) && !*(uint32_t *)window(WORLD_LOW + 0x2000));
	follow();
	CHECK(SOON(!window(0)));
	domain_exit();
}

static volatile bool following;

static void *follower(void *unused)
{
	(void)unused;
	while (following) {
		follow();
		usleep(1000);
	}
	return NULL;
}

/* The user's machine resets: other memory, the same connection. */
static void machine_reset(void)
{
	pthread_t thread;

	domain_init();
	user_init();
	drive();
	CHECK(SOON(reg(REG(queues[0].enabled), 4)));
	*(uint32_t *)(user.m.ram.base + 0x4000) = 1;
	following = true;
	pthread_create(&thread, NULL, follower, NULL);
	user_destroy();
	CHECK(SOON(!reg(REG(queues[0].enabled), 4)));
	CHECK_EQ(reg(REG(connected), 4), 1);
	user_create(user.config.disks[0].vhost);
	*(uint32_t *)(user.m.ram.base + 0x4000) = 2;
	drive();
	CHECK(SOON(reg(REG(queues[0].enabled), 4)));
	CHECK_EQ(*(uint32_t *)window(0x4000), 2);
	user_exit();
	CHECK(SOON(!reg(REG(connected), 4)));
	following = false;
	pthread_join(thread, NULL);
	domain_exit();
}

/* The line instead of a vector: no eventfd of the hypervisor's can be it. */
static void without_vectors(void)
{
	domain_init();
	user_init();
	world_cfg_write(&user, SLOT, msix_cap(&user) + 2, 2, 0);
	drive();
	CHECK(SOON(reg(REG(queues[0].enabled), 4)));
	eventfd_write(bell(0), 1);
	CHECK(SOON(world_lines[PCI_GSI(SLOT)] == 1));
	CHECK_EQ(world_read(&user, SLOT, 0x1000, 1), 1);
	/* The driver switches MSI-X on, while the queue is in use. */
	world_cfg_write(&user, SLOT, msix_cap(&user) + 2, 2, PCI_MSIX_FLAGS_ENABLE);
	usleep(100000);
	eventfd_write(bell(0), 1);
	CHECK(rings(((struct virtio *)user.m.pci.slots[SLOT]->dev)->msix.v[1].eventfd));
	CHECK_EQ(world_lines[PCI_GSI(SLOT)], 0);
	reset_device();
	user_exit();
	domain_exit();
}

/* The back-end ends first: the guest can still reset its disk, and nobody waits for ever. */
static void back_end_gone(void)
{
	domain_init();
	user_init();
	drive();
	CHECK(SOON(reg(REG(queues[0].enabled), 4)));
	domain_exit();
	CHECK(SOON(user.config.disks[0].vhost->gone));
	CHECK_EQ(status(), 15);
	world_write(&user, SLOT, BAR_NOTIFY, 2, 0);
	common(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK(SOON(!status()));
	user_exit();
}

/* A front-end of a few lines, that can lie. */

static int connect_raw(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path, path);
	/* Where many wait to be let in, the port waits for its guest, which is here too. */
	while (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		if (errno != EAGAIN)
			abort();
		follow();
		usleep(100);
	}
	return fd;
}

static struct vhost_user_message number(uint32_t request, uint64_t n)
{
	return (struct vhost_user_message){ .request = request, .size = 8, .number = n };
}

static struct vhost_user_message state(uint32_t request, uint32_t index, uint32_t num)
{
	return (struct vhost_user_message){ .request = request, .size = 8,
					    .state = { index, num } };
}

static struct vhost_user_message memory(uint64_t gpa, uint64_t size, uint64_t offset)
{
	struct vhost_user_message m = { .request = VU_SET_MEM_TABLE, .size = 8 + 32 };

	m.memory.n = 1;
	m.memory.regions[0] = (struct vhost_user_region){ gpa, size, gpa, offset };
	return m;
}

static bool closed(int fd)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };

	return poll(&p, 1, 5000) == 1;
}

/* One wrong message. Returns: whether it ends the connection. */
static bool refused(struct vhost_user_message m, const int *fds, unsigned int n)
{
	int fd = connect_raw();
	bool ret;

	m.flags = VU_VERSION;
	if (m.size > sizeof(m))
		ret = write(fd, &m, VHOST_USER_HEADER) == VHOST_USER_HEADER;
	else
		ret = !vhost_user_send(fd, &m, fds, n);
	ret = ret && closed(fd);
	close(fd);
	usleep(1000);
	follow();
	return ret;
}

static void wrong_messages(void)
{
	int sealed = memory_file(1 << 20, F_SEAL_SHRINK), loose = memory_file(1 << 20, 0);
	int event = eventfd(0, EFD_CLOEXEC), two[2] = { sealed, sealed };
	struct vhost_user_message m;

	domain_init();
	follow();
	CHECK(refused(number(0, 0), NULL, 0));
	CHECK(refused(number(VU_RESET_OWNER, 0), NULL, 0));
	CHECK(refused(number(77, 0), NULL, 0));
	CHECK(refused(number(~0u, 0), NULL, 0));
	CHECK(refused(number(VU_GET_FEATURES, 0), NULL, 0));		/* has no payload */
	CHECK(refused(number(VU_SET_FEATURES, ~0ULL), NULL, 0));	/* not offered */
	CHECK(refused(number(VU_SET_FEATURES, FEATURES), NULL, 0));
	CHECK(refused(number(VU_SET_PROTOCOL_FEATURES, 2), NULL, 0));
	CHECK(refused(state(VU_SET_VRING_NUM, 0, 3), NULL, 0));
	CHECK(refused(state(VU_SET_VRING_NUM, 0, 65536), NULL, 0));
	CHECK(refused(state(VU_SET_VRING_NUM, PORT_QUEUES, 64), NULL, 0));
	CHECK(refused(state(VU_SET_VRING_ENABLE, ~0u, 1), NULL, 0));
	CHECK(refused(state(VU_SET_VRING_BASE, 0, 65536), NULL, 0));
	CHECK(refused(number(VU_SET_VRING_KICK, 0), &event, 1));	/* no memory */
	CHECK(refused(number(VU_SET_VRING_KICK, VU_NO_FD), NULL, 0));
	CHECK(refused(number(VU_SET_VRING_CALL, 0), NULL, 0));
	CHECK(refused(number(VU_SET_VRING_CALL, 0), two, 2));
	CHECK(refused(number(VU_SET_VRING_CALL, 200), &event, 1));
	CHECK(refused(number(VU_SET_FEATURES, FEATURES), &event, 1));
	CHECK(refused(memory(0, 1 << 20, 0), NULL, 0));
	CHECK(refused(memory(0, 1 << 20, 0), two, 2));
	CHECK(refused(memory(0, 1 << 20, 0), &loose, 1));
	CHECK(refused(memory(0, 1 << 20, 0), &event, 1));
	CHECK(refused(memory(0, 2 << 20, 0), &sealed, 1));
	CHECK(refused(memory(0, 1 << 20, 4096), &sealed, 1));
	CHECK(refused(memory(0, 4096, ~4095ULL), &sealed, 1));
	CHECK(refused(memory(0, 100, 0), &sealed, 1));
	CHECK(refused(memory(100, 4096, 0), &sealed, 1));
	CHECK(refused(memory(~4095ULL, 8192, 0), &sealed, 1));
	CHECK(refused(memory(0, 0, 0), &sealed, 1));
	m = memory(0, 1 << 20, 0);
	m.memory.n = 2;
	m.size += 32;
	m.memory.regions[1] = (struct vhost_user_region){ 0xff000, 4096, 0, 0 };
	CHECK(refused(m, two, 2));					/* overlap */
	m.memory.n = 9;
	CHECK(refused(m, two, 2));
	m = number(VU_SET_OWNER, 0);
	m.size = 1 << 20;
	CHECK(refused(m, NULL, 0));
	/* After all of that: */
	m = number(VU_GET_FEATURES, 0);
	m.size = 0;
	CHECK(SOON(reg(REG(seen), 4) == reg(REG(generation), 4)));
	CHECK(!window(0));
	user_init();
	user_exit();
	domain_exit();
	close(sealed);
	close(loose);
	close(event);
}

/* Only what a domain may write changes; what is not there reads as nothing. */
static void registers(void)
{
	uint64_t at;

	domain_init();
	for (unsigned int off = 0; off < 0x1000; off += 4) {
		bool rw = (off >= REG(offered) && off < REG(zero1)) ||
			  (off >= REG(config) && off < REG(regions)) ||
			  (off >= REG(queues) && off < REG(zero2) && (off - REG(queues)) % 64 == 32);
		uint32_t was = reg(off, 4);

		if (off >= REG(ready) && off < REG(zero1))
			continue;
		set_reg(off, 4, ~was);
		CHECK_EQ((uint32_t)reg(off, 4), rw ? ~was : was);
	}
	at = domain.m.pci.slots[SLOT]->bars[2].mapped;
	CHECK(at);
	bus_access(&domain.m.mmio, at + (1 << 30), &at, 8, false);
	CHECK(at == ~0ULL);
	/* Without the domain's consent nobody is let in; when it takes that back, he is out. */
	set_reg(REG(seen), 4, reg(REG(generation), 4));
	at = connect_raw();
	usleep(100000);
	set_reg(REG(ready), 4, 0);
	CHECK(closed(at));
	close(at);
	domain_exit();
}

static struct vhost_user_message random_message(uint64_t *nr_fds)
{
	static const uint32_t requests[] = {
		VU_GET_FEATURES, VU_SET_FEATURES, VU_SET_OWNER, VU_SET_MEM_TABLE, VU_SET_VRING_NUM,
		VU_SET_VRING_ADDR, VU_SET_VRING_BASE, VU_GET_VRING_BASE, VU_SET_VRING_KICK,
		VU_SET_VRING_CALL, VU_SET_VRING_ERR, VU_SET_PROTOCOL_FEATURES, VU_SET_VRING_ENABLE,
		VU_GET_CONFIG };
	struct vhost_user_message m = { .size = 8 };

	m.request = requests[world_random() % (sizeof(requests) / sizeof(requests[0]))];
	m.flags = world_random() % 4 ? 0 : VU_NEED_REPLY;
	*nr_fds = 0;
	if (m.request == VU_SET_MEM_TABLE) {
		*nr_fds = m.memory.n = 1 + world_random() % 3;
		m.size = 8 + 32 * m.memory.n;
		for (unsigned int i = 0; i < m.memory.n; i++)
			m.memory.regions[i] = (struct vhost_user_region){
				i << 20, 1 << (12 + world_random() % 9), i << 20, 0 };
	} else if (m.request == VU_SET_VRING_ADDR) {
		m.size = sizeof(m.addr);
		m.addr = (struct vhost_vring_addr){ .index = world_random() % 4,
			.desc_user_addr = (world_random() % 0x40000) & ~15,
			.used_user_addr = (world_random() % 0x40000) & ~15,
			.avail_user_addr = (world_random() % 0x40000) & ~15 };
	} else if (m.request == VU_SET_VRING_KICK || m.request == VU_SET_VRING_CALL ||
		   m.request == VU_SET_VRING_ERR) {
		*nr_fds = 1;
		m.number = world_random() % PORT_QUEUES;
	} else if (m.request == VU_GET_CONFIG) {
		m.size = 12 + world_random() % 90;
		m.config.size = m.size - 12;
	} else if (m.request == VU_GET_FEATURES || m.request == VU_SET_OWNER) {
		m.size = 0;
	} else if (m.request == VU_SET_FEATURES) {
		m.number = FEATURES | VU_F_PROTOCOL_FEATURES;
	} else if (m.request == VU_SET_PROTOCOL_FEATURES) {
		m.number = VU_PROTOCOL_REPLY_ACK | VU_PROTOCOL_CONFIG;
	} else {
		m.state = (struct vhost_vring_state){ world_random() % PORT_QUEUES,
						      1u << world_random() % 6 };
	}
	if (!(world_random() % 64))
		((uint8_t *)&m)[world_random() % (VHOST_USER_HEADER + 40)] ^= 1 << world_random() % 8;
	if (m.size > sizeof(m) - VHOST_USER_HEADER)
		m.size = world_random() % (sizeof(m) - VHOST_USER_HEADER);
	return m;
}

static void mad_front_end(void)
{
	unsigned long rounds = world_env("ROUNDS", 40000) / 4;
	int file = memory_file(1 << 20, F_SEAL_SHRINK), err = dup(2), fd = -1, accepted = 0;
	uint8_t sink[4096];

	domain_init();
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
	for (unsigned long i = 0; i < rounds; i++) {
		uint64_t n;
		struct vhost_user_message m = random_message(&n);
		int fds[3] = { file, file, file };

		if (fd < 0)
			fd = connect_raw();
		if (m.request == VU_SET_VRING_KICK || m.request == VU_SET_VRING_CALL)
			fds[0] = eventfd(0, EFD_CLOEXEC);
		accepted += !vhost_user_send(fd, &m, fds, n);
		if (fds[0] != file)
			close(fds[0]);
		if (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) == 0 || !(world_random() % 256)) {
			close(fd);
			fd = -1;
		}
		follow();
		if (!(world_random() % 16))
			world_cfg_write(&domain, SLOT, PCI_COMMAND, 2,
					world_random() % 2 * PCI_COMMAND_MEMORY);
		world_cfg_write(&domain, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	}
	close(fd);
	dup2(err, 2);
	close(err);
	close(file);
	CHECK(SOON((follow(), !reg(REG(connected), 4))));
	CHECK(accepted > 100);
	domain_exit();
}

static const struct check_case cases[] = {
	{ "a disk and a port: memory, rings, eventfds, reset, end", disk_and_port },
	{ "a disk over a reset of its machine", machine_reset },
	{ "a disk without vectors, and with them later", without_vectors },
	{ "a disk whose back-end is gone", back_end_gone },
	{ "a port's registers", registers },
	{ "a front-end's wrong messages", wrong_messages },
	{ "a mad front-end", mad_front_end },
};

int main(void)
{
	snprintf(path, sizeof(path), "/tmp/vhost_test.%d", getpid());
	return check_run(cases, sizeof(cases) / sizeof(cases[0]));
}
