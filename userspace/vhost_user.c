// SPDX-License-Identifier: GPL-2.0-only
/*
 * vhost-user: messages over a Unix socket by which one process serves the queues of another's
 * device. How messages travel, for both ends; and what the front-end asks when it connects.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "vhost_user.h"

#define PATIENCE_MS	30000	/* a guest may have to answer; one in an emulated host is slow */

_Static_assert(offsetof(struct vhost_user_message, number) == VHOST_USER_HEADER, "header");

/* Keep the descriptors that came with a part of a message. Returns: 0, -EPROTO for too many. */
static int keep_fds(struct vhost_user_stream *s, struct msghdr *h)
{
	int ret = h->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		unsigned int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned int i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (s->nr_fds < VHOST_USER_REGIONS) {
				s->fds[s->nr_fds++] = fd;
			} else {
				close(fd);
				ret = -EPROTO;
			}
		}
	}
	return ret;
}

static int receive_some(struct vhost_user_stream *s, uint32_t want)
{
	char control[CMSG_SPACE(VHOST_USER_REGIONS * sizeof(int))];
	struct iovec iov = { (uint8_t *)&s->m + s->have, want - s->have };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(s->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -EPIPE;
	s->have += n;
	return keep_fds(s, &h) ?: n;
}

/**
 * vhost_user_receive - take what has come of the next message
 *
 * Returns: 1 when it is whole, in @s->m; 0 as long as it is not; -EPIPE when the other end is gone;
 * -EPROTO for what is no message.
 */
int vhost_user_receive(struct vhost_user_stream *s)
{
	for (;;) {
		uint32_t want = VHOST_USER_HEADER;
		int ret;

		if (s->have >= VHOST_USER_HEADER) {
			if (s->m.size > sizeof(s->m) - VHOST_USER_HEADER ||
			    (s->m.flags & VU_VERSION_MASK) != VU_VERSION)
				return -EPROTO;
			want += s->m.size;
			if (s->have == want)
				return 1;
		}
		ret = receive_some(s, want);
		if (ret <= 0)
			return ret;
	}
}

/* Returns: the first descriptor that came with the message, now the caller's; -1: none. */
int vhost_user_take_fd(struct vhost_user_stream *s)
{
	int fd = s->nr_fds ? s->fds[0] : -1;

	if (s->nr_fds)
		memmove(s->fds, s->fds + 1, --s->nr_fds * sizeof(fd));
	return fd;
}

/* Done with the message. Descriptors that nobody has taken are closed. */
void vhost_user_next(struct vhost_user_stream *s)
{
	while (s->nr_fds)
		close(s->fds[--s->nr_fds]);
	memset(&s->m, 0, sizeof(s->m));
	s->have = 0;
}

/* Returns: 0 or -errno. The messages are small: who lets them pile up is not listening any more. */
int vhost_user_send(int fd, struct vhost_user_message *m, const int *fds, unsigned int n)
{
	char control[CMSG_SPACE(VHOST_USER_REGIONS * sizeof(int))] = { 0 };
	struct iovec iov = { m, VHOST_USER_HEADER + m->size };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	m->flags |= VU_VERSION;
	if (n) {
		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		*CMSG_FIRSTHDR(&h) = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET,
						       SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, n * sizeof(int));
	}
	sent = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return -errno;
	return sent == (ssize_t)iov.iov_len ? 0 : -EPIPE;
}

static int reply_to(struct vhost_user *u, uint32_t request)
{
	struct vhost_user_stream *s = &u->stream;
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int ret;

	vhost_user_next(s);
	while (!(ret = vhost_user_receive(s))) {
		int n = poll(&p, 1, PATIENCE_MS);

		if (!n)
			return -ETIMEDOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	if (ret < 0)
		return ret;
	return s->m.request == request && s->m.flags & VU_REPLY ? 0 : -EPROTO;
}

/**
 * vhost_user_call - one request to the back-end
 * @reply: it has an answer of its own, which is in @u->stream.m then
 *
 * Where the back-end can, it confirms the others too. Returns: 0; or -errno, and then the back-end
 * is not asked again.
 */
int vhost_user_call(struct vhost_user *u, struct vhost_user_message *m, const int *fds,
		    unsigned int n, bool reply)
{
	bool confirm = !reply && u->protocol & VU_PROTOCOL_REPLY_ACK;
	int ret;

	if (u->gone)
		return -EPIPE;
	m->flags = confirm ? VU_NEED_REPLY : 0;
	ret = vhost_user_send(u->stream.fd, m, fds, n);
	if (!ret && (reply || confirm))
		ret = reply_to(u, m->request);
	if (!ret && confirm && (u->stream.m.size != 8 || u->stream.m.number))
		ret = -EPROTO;
	if (ret) {
		u->gone = true;
		shutdown(u->stream.fd, SHUT_RDWR);
	}
	return ret;
}

static _Noreturn void refused(const struct vhost_user *u, const char *why)
{
	error_die(EXIT_ERROR, "cannot use the back-end %s: %s", u->path, why);
}

static uint64_t get_number(struct vhost_user *u, enum vhost_user_request request)
{
	struct vhost_user_message m = { .request = request };
	int ret = vhost_user_call(u, &m, NULL, 0, true);

	if (!ret && u->stream.m.size != 8)
		ret = -EPROTO;
	if (ret)
		refused(u, strerror(-ret));
	return u->stream.m.number;
}

static void tell(struct vhost_user *u, struct vhost_user_message m)
{
	int ret = vhost_user_call(u, &m, NULL, 0, false);

	if (ret)
		refused(u, strerror(-ret));
}

static void get_config(struct vhost_user *u)
{
	struct vhost_user_message m = { .request = VU_GET_CONFIG, .size = 12 + VHOST_USER_CONFIG };
	int ret;

	m.config.size = VHOST_USER_CONFIG;
	ret = vhost_user_call(u, &m, NULL, 0, true);
	if (!ret && (u->stream.m.size != 12 + VHOST_USER_CONFIG ||
		     u->stream.m.config.size != VHOST_USER_CONFIG))
		ret = -EPROTO;
	if (ret)
		refused(u, ret == -EPROTO ? "it does not tell a disk's configuration" :
			   strerror(-ret));
	memcpy(u->config, u->stream.m.config.data, VHOST_USER_CONFIG);
}

static bool socket_address(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path))
		return false;
	strcpy(a->sun_path, path);
	return true;
}

/* Connect, and ask for what does not change. Ends the process where that fails. */
struct vhost_user *vhost_user_open(const char *path)
{
	struct vhost_user *u = calloc(1, sizeof(*u));
	struct sockaddr_un a;
	uint64_t protocol;

	if (!u)
		error_die(EXIT_ERROR, "out of memory");
	u->path = path;
	u->stream.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!socket_address(&a, path))
		refused(u, "its path is too long");
	if (connect(u->stream.fd, (struct sockaddr *)&a, sizeof(a)))
		error_die(EXIT_ERROR, "cannot connect to the back-end %s: %s; start it first", path,
			  strerror(errno));
	u->features = get_number(u, VU_GET_FEATURES);
	if (!(u->features & VU_F_PROTOCOL_FEATURES))
		refused(u, "it has no protocol features");
	protocol = get_number(u, VU_GET_PROTOCOL_FEATURES) &
		   (VU_PROTOCOL_REPLY_ACK | VU_PROTOCOL_CONFIG);
	if (!(protocol & VU_PROTOCOL_CONFIG))
		refused(u, "it does not tell a disk's configuration");
	tell(u, (struct vhost_user_message){ .request = VU_SET_PROTOCOL_FEATURES, .size = 8,
					     .number = protocol });
	u->protocol = protocol;
	tell(u, (struct vhost_user_message){ .request = VU_SET_OWNER });
	get_config(u);
	return u;
}

/* A socket file that nobody listens at is what an earlier process has left behind. */
static bool is_stale(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale = connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED;

	close(fd);
	return stale;
}

/* Returns: a socket that waits for front-ends. Ends the process where that fails. */
int vhost_user_listen(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;
	int ret;

	if (!socket_address(&a, path))
		error_die(EXIT_ERROR, "cannot listen at %s: the path is too long", path);
	ret = bind(fd, (struct sockaddr *)&a, sizeof(a));
	if (ret && errno == EADDRINUSE && is_stale(&a) && !unlink(path))
		ret = bind(fd, (struct sockaddr *)&a, sizeof(a));
	if (ret || listen(fd, 1))
		error_die(EXIT_ERROR, "cannot listen at %s: %s", path, strerror(errno));
	return fd;
}
