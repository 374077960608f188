// SPDX-License-Identifier: GPL-2.0-only
/* A TAP interface of the host as the other end of a virtio network device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "net_tap.h"
#include "virtio_net.h"

struct net_tap {
	struct net_backend b;
	struct vnet *n;
	struct loop *loop;
	int fd;
	uint8_t packet[NET_HDR + NET_MAX_PACKET];
};

/* Returns: a non-blocking descriptor whose packets carry a virtio header. */
int net_tap_open(const char *ifname)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int hdr = NET_HDR, fd;

	if (strlen(ifname) >= IFNAMSIZ)
		error_die(EXIT_USAGE, "--net tap=%s: the name is too long", ifname);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		error_die(EXIT_ERROR, "cannot open /dev/net/tun for --net tap=%s: %s; sudo "
			  "modprobe tun, or use --net user", ifname, strerror(errno));
	strcpy(ifr.ifr_name, ifname);
	if (!ioctl(fd, TUNSETIFF, &ifr) && !ioctl(fd, TUNSETVNETHDRSZ, &hdr))
		return fd;
	if (errno == EPERM)
		error_die(EXIT_ERROR, "no permission to use tap %s; let root create it: ip tuntap "
			  "add %s mode tap user $USER", ifname, ifname);
	if (errno == EBUSY)
		error_die(EXIT_ERROR, "tap %s is in use by another program", ifname);
	error_die(EXIT_ERROR, "cannot use tap %s: %s", ifname, strerror(errno));
}

/* Where the host's queue is full, the packet is lost, as on a wire. */
static void tap_send(struct net_backend *b, const struct iovec *iov, unsigned int n)
{
	struct net_tap *t = (struct net_tap *)b;

	while (writev(t->fd, iov, n) < 0 && errno == EINTR)
		;
}

/* What the guest can take unsegmented and without checksums, the host may leave so. */
static void tap_negotiated(struct net_backend *b, const struct virtio *v)
{
	struct net_tap *t = (struct net_tap *)b;
	unsigned long offload = 0;

	if (virtio_has(v, VIRTIO_NET_F_GUEST_CSUM))
		offload |= TUN_F_CSUM;
	if (virtio_has(v, VIRTIO_NET_F_GUEST_TSO4))
		offload |= TUN_F_TSO4;
	if (virtio_has(v, VIRTIO_NET_F_GUEST_TSO6))
		offload |= TUN_F_TSO6;
	if (virtio_has(v, VIRTIO_NET_F_GUEST_ECN))
		offload |= TUN_F_TSO_ECN;
	if (ioctl(t->fd, TUNSETOFFLOAD, offload))
		error_warn("the tap interface refused offloads %#lx: %s", offload, strerror(errno));
}

/* Without a receive buffer the interface is left alone: packets wait in the host's queue. */
static void tap_readable(void *ctx, uint32_t events)
{
	struct net_tap *t = ctx;
	ssize_t len;

	(void)events;
	while (virtio_net_has_room(t->n)) {
		len = read(t->fd, t->packet, sizeof(t->packet));
		if (len <= 0)
			return;
		virtio_net_receive(t->n, t->packet, len);
	}
	loop_set(t->loop, t->fd, 0);
}

static void tap_room(struct net_backend *b)
{
	struct net_tap *t = (struct net_tap *)b;

	loop_set(t->loop, t->fd, EPOLLIN);
}

static void tap_free(struct net_backend *b)
{
	free(b);	/* the descriptor stays open for the machine after a reset */
}

struct net_backend *net_tap_create(struct vnet *n, const struct config_net *cn, struct loop *loop)
{
	struct net_tap *t = calloc(1, sizeof(*t));

	if (!t)
		error_die(EXIT_ERROR, "out of memory");
	t->n = n;
	t->loop = loop;
	t->fd = cn->fd;
	t->b = (struct net_backend){
		.features = 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM |
			    1ULL << VIRTIO_NET_F_GUEST_TSO4 | 1ULL << VIRTIO_NET_F_GUEST_TSO6 |
			    1ULL << VIRTIO_NET_F_GUEST_ECN | 1ULL << VIRTIO_NET_F_HOST_TSO4 |
			    1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN,
		.send = tap_send,
		.negotiated = tap_negotiated,
		.room = tap_room,
		.free = tap_free,
	};
	if (loop_add(loop, t->fd, EPOLLIN, tap_readable, t))
		error_die(EXIT_ERROR, "cannot watch tap %s", cn->ifname);
	return &t->b;
}
