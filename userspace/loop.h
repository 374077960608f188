/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LOOP_H
#define LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sandbox.h"

/* Called in the loop's thread when @fd is ready; @events are EPOLL* bits. */
typedef void (*loop_fn)(void *ctx, uint32_t events);

struct loop_source {
	struct loop_source *next;
	int fd;
	loop_fn fn;
	void *ctx;
};

/* An event loop, and the thread that turns it (the main loop has none: main() turns it). */
struct loop {
	int epfd;
	int stop_fd;
	atomic_bool stopped;
	struct loop_source *sources;
	pthread_t thread;
	void (*body)(struct loop *loop, void *ctx);
	void *body_ctx;
	const char *name;
	enum sandbox_kind sandbox;
};

void loop_init(struct loop *loop);
void loop_free(struct loop *loop);
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *ctx);
void loop_set(struct loop *loop, int fd, uint32_t events);
void loop_once(struct loop *loop, int timeout_ms);
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
void loop_start(struct loop *loop, const char *name, enum sandbox_kind sandbox,
		void (*body)(struct loop *loop, void *ctx), void *ctx);
void loop_join(struct loop *loop);

int loop_eventfd(void);
void loop_kick(int eventfd);
bool loop_kicked(int fd);

#endif
