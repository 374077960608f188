// SPDX-License-Identifier: GPL-2.0-only
/*
 * User networking by libslirp: a network of its own with DHCP and DNS, and a TCP/IP stack that
 * turns the guest's connections into the host user's sockets. All calls into libslirp are made in
 * the interface's thread, under the device's lock.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "machine.h"
#include "virtio_net.h"

#define MAX_POLL	512
#define MAX_TIMERS	4
#define MIN_FRAME	60

struct net_timer {
	SlirpTimerCb cb;
	void *opaque;
	int64_t expires;	/* milliseconds; -1: not armed */
};

struct net_user {
	struct net_backend b;
	struct vnet *n;
	Slirp *slirp;
	struct pollfd pfds[MAX_POLL];
	unsigned int nr_pfds;
	struct net_timer timers[MAX_TIMERS];
	unsigned int nr_timers;
	uint8_t in[NET_MAX_PACKET];
	uint8_t out[NET_HDR + NET_MAX_PACKET];
};

static int64_t clock_get_ns(void *opaque)
{
	struct timespec ts;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int64_t now_ms(void)
{
	return clock_get_ns(NULL) / 1000000;
}

/* A frame for the guest. What does not fit is lost; TCP sends it again. */
static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
	struct net_user *u = opaque;
	size_t padded = len < MIN_FRAME ? MIN_FRAME : len;

	if (len > NET_MAX_PACKET)
		return len;
	memset(u->out, 0, NET_HDR + MIN_FRAME);
	memcpy(u->out + NET_HDR, buf, len);
	virtio_net_receive(u->n, u->out, NET_HDR + padded);
	return len;
}

static void guest_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static void *timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
	struct net_user *u = opaque;

	if (u->nr_timers == MAX_TIMERS)
		error_die(EXIT_ERROR, "libslirp asks for more timers than expected");
	u->timers[u->nr_timers] = (struct net_timer){ cb, cb_opaque, -1 };
	return &u->timers[u->nr_timers++];
}

static void timer_free(void *timer, void *opaque)
{
	(void)opaque;
	((struct net_timer *)timer)->expires = -1;
}

static void timer_mod(void *timer, int64_t expire_time, void *opaque)
{
	(void)opaque;
	((struct net_timer *)timer)->expires = expire_time;
}

static void ignore_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void ignore_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = ignore_fd,
	.unregister_poll_fd = ignore_fd,
	.notify = ignore_notify,
};

static const struct { int slirp, poll; } event_bits[] = {
	{ SLIRP_POLL_IN, POLLIN }, { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int add_poll(int fd, int events, void *opaque)
{
	struct net_user *u = opaque;
	short bits = 0;

	if (u->nr_pfds == MAX_POLL)
		return -1;
	for (unsigned int i = 0; i < sizeof(event_bits) / sizeof(event_bits[0]); i++)
		if (events & event_bits[i].slirp)
			bits |= event_bits[i].poll;
	u->pfds[u->nr_pfds] = (struct pollfd){ fd, bits, 0 };
	return u->nr_pfds++;
}

static int get_revents(int idx, void *opaque)
{
	struct net_user *u = opaque;
	int events = 0;

	if (idx < 0)
		return 0;
	for (unsigned int i = 0; i < sizeof(event_bits) / sizeof(event_bits[0]); i++)
		if (u->pfds[idx].revents & event_bits[i].poll)
			events |= event_bits[i].slirp;
	return events;
}

static void run_timers(struct net_user *u)
{
	int64_t now = now_ms();

	for (unsigned int i = 0; i < u->nr_timers; i++) {
		struct net_timer *t = &u->timers[i];

		if (t->expires < 0 || t->expires > now)
			continue;
		t->expires = -1;
		t->cb(t->opaque);
	}
}

static uint32_t until_timer(const struct net_user *u, uint32_t timeout)
{
	int64_t now = now_ms();

	for (unsigned int i = 0; i < u->nr_timers; i++) {
		int64_t left = u->timers[i].expires - now;

		if (u->timers[i].expires >= 0 && left < (int64_t)timeout)
			timeout = left > 0 ? left : 0;
	}
	return timeout;
}

/*
 * The epoll set of the queues is itself polled beside the sockets. While the guest has no receive
 * buffer the sockets are left alone, and the hosts at their other ends wait.
 */
static void user_thread(struct loop *loop, void *backend)
{
	struct net_user *u = backend;
	pthread_mutex_t *lock = virtio_net_lock(u->n);

	while (!loop->stopped) {
		uint32_t timeout = UINT32_MAX;
		bool room = virtio_net_has_room(u->n);
		int ret;

		u->pfds[0] = (struct pollfd){ loop->epfd, POLLIN, 0 };
		u->nr_pfds = 1;
		pthread_mutex_lock(lock);
		if (room)
			slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
		pthread_mutex_unlock(lock);
		timeout = until_timer(u, timeout);
		ret = poll(u->pfds, u->nr_pfds, timeout > INT32_MAX ? -1 : (int)timeout);
		pthread_mutex_lock(lock);
		if (room)
			slirp_pollfds_poll(u->slirp, ret < 0, get_revents, u);
		run_timers(u);
		pthread_mutex_unlock(lock);
		if (ret > 0 && u->pfds[0].revents)
			loop_once(loop, 0);
	}
}

static void user_send(struct net_backend *b, const struct iovec *iov, unsigned int n)
{
	struct net_user *u = (struct net_user *)b;
	size_t skip = NET_HDR, len = 0;

	for (unsigned int i = 0; i < n; i++) {
		size_t head = iov[i].iov_len < skip ? iov[i].iov_len : skip;

		memcpy(u->in + len, (uint8_t *)iov[i].iov_base + head, iov[i].iov_len - head);
		len += iov[i].iov_len - head;
		skip -= head;
	}
	slirp_input(u->slirp, u->in, len);
}

static void user_free(struct net_backend *b)
{
	slirp_cleanup(((struct net_user *)b)->slirp);
	free(b);
}

static void forward(struct net_user *u, const struct config_hostfwd *f)
{
	struct in_addr host = { f->host_addr }, guest = { f->guest_addr };

	if (slirp_add_hostfwd(u->slirp, f->udp, host, f->host_port, guest, f->guest_port))
		error_die(EXIT_ERROR, "cannot forward %s port %u; it is in use, or below 1024",
			  f->udp ? "UDP" : "TCP", f->host_port);
}

struct net_backend *net_user_create(struct vnet *n, const struct config *c,
				    const struct config_net *cn, struct loop *loop)
{
	SlirpConfig sc = {
		.version = 1,
		.restricted = cn->restricted,
		.in_enabled = true,
		.vnetwork.s_addr = inet_addr("10.0.2.0"),
		.vnetmask.s_addr = inet_addr("255.255.255.0"),
		.vhost.s_addr = inet_addr("10.0.2.2"),
		.vdhcp_start.s_addr = inet_addr("10.0.2.15"),
		.vnameserver.s_addr = inet_addr("10.0.2.3"),
		.vhostname = c->name,
	};
	struct net_user *u = calloc(1, sizeof(*u));

	(void)loop;
	if (!u)
		error_die(EXIT_ERROR, "out of memory");
	u->n = n;
	u->b = (struct net_backend){ .send = user_send, .thread = user_thread, .free = user_free };
	u->slirp = slirp_new(&sc, &callbacks, u);
	if (!u->slirp)
		error_die(EXIT_ERROR, "libslirp could not start");
	for (unsigned int i = 0; cn == c->nets && i < c->nr_hostfwd; i++)
		forward(u, &c->hostfwd[i]);
	return &u->b;
}
