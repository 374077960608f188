// SPDX-License-Identifier: GPL-2.0-only
/* Event loops over epoll. Sources are added before the loop runs and live as long as it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "loop.h"

int loop_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		error_die(EXIT_ERROR, "cannot create an eventfd: %s", strerror(errno));
	return fd;
}

void loop_kick(int eventfd)
{
	uint64_t one = 1;

	/* It can only fail by overflow, and then the reader has not seen the last kick yet. */
	if (write(eventfd, &one, sizeof(one)) < 0)
		return;
}

/* Take what an eventfd or a timer has counted. Returns: false, nothing, somebody else was faster */
bool loop_kicked(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static void stop_seen(void *ctx, uint32_t events)
{
	(void)ctx;
	(void)events;
}

void loop_init(struct loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0)
		error_die(EXIT_ERROR, "cannot create an epoll set: %s", strerror(errno));
	loop->stop_fd = loop_eventfd();
	loop_add(loop, loop->stop_fd, EPOLLIN, stop_seen, NULL);
}

void loop_free(struct loop *loop)
{
	struct loop_source *next;

	for (struct loop_source *s = loop->sources; s; s = next) {
		next = s->next;
		free(s);
	}
	close(loop->stop_fd);
	close(loop->epfd);
}

/* Returns: 0, or -errno; -EPERM for a file that is always ready (a regular file, /dev/null). */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *ctx)
{
	struct loop_source *s = calloc(1, sizeof(*s));
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (!s)
		return -ENOMEM;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev)) {
		int err = errno;

		free(s);
		return -err;
	}
	*s = (struct loop_source){ loop->sources, fd, fn, ctx };
	loop->sources = s;
	return 0;
}

/* Change what @fd is watched for; 0 takes it out, for else a hang-up would still be reported. */
void loop_set(struct loop *loop, int fd, uint32_t events)
{
	struct loop_source *s = loop->sources;
	struct epoll_event ev = { .events = events };

	while (s && s->fd != fd)
		s = s->next;
	if (!s)
		return;
	ev.data.ptr = s;
	if (!events)
		epoll_ctl(loop->epfd, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(loop->epfd, EPOLL_CTL_MOD, fd, &ev))
		epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev);
}

void loop_once(struct loop *loop, int timeout_ms)
{
	struct epoll_event ev[8];
	int n = epoll_wait(loop->epfd, ev, 8, timeout_ms);

	for (int i = 0; i < n && !loop->stopped; i++) {
		struct loop_source *s = ev[i].data.ptr;

		s->fn(s->ctx, ev[i].events);
	}
}

void loop_run(struct loop *loop)
{
	while (!loop->stopped)
		loop_once(loop, -1);
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
	loop_kick(loop->stop_fd);
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;

	pthread_setname_np(pthread_self(), loop->name);
	sandbox_enter(loop->sandbox);
	if (loop->body)
		loop->body(loop, loop->body_ctx);
	else
		loop_run(loop);
	return NULL;
}

/* Turn @loop in a thread of its own; @body replaces loop_run() where more than epoll is needed. */
void loop_start(struct loop *loop, const char *name, enum sandbox_kind sandbox,
		void (*body)(struct loop *loop, void *ctx), void *ctx)
{
	loop->name = name;
	loop->sandbox = sandbox;
	loop->body = body;
	loop->body_ctx = ctx;
	if (pthread_create(&loop->thread, NULL, loop_thread, loop))
		error_die(EXIT_ERROR, "cannot create a device thread; raise the limit of "
			  "processes");
}

void loop_join(struct loop *loop)
{
	loop_stop(loop);
	pthread_join(loop->thread, NULL);
}
