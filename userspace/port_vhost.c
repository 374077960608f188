// SPDX-License-Identifier: GPL-2.0-only
/*
 * Domain port, the side of the other guest: vhost-user's back-end, as far as that is no work on the
 * queues. What the front-end says becomes registers, a memory slot and eventfds of the hypervisor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "port.h"

#define PROTOCOL	(VU_PROTOCOL_MQ | VU_PROTOCOL_REPLY_ACK | VU_PROTOCOL_CONFIG)
#define MAX_SIZE	32768

static bool any_started(const struct port *p)
{
	for (unsigned int i = 0; i < PORT_QUEUES; i++)
		if (p->rings[i].started)
			return true;
	return false;
}

/* A front-end that does not read is as good as gone, which shows at the next poll. */
static void answer(struct port *p, struct vhost_user_message *m)
{
	m->flags = VU_REPLY;
	vhost_user_send(p->stream.fd, m, NULL, 0);
}

static void answer_number(struct port *p, uint32_t request, uint64_t number)
{
	answer(p, &(struct vhost_user_message){ .request = request, .size = 8, .number = number });
}

/*
 * One request. Returns: NULL, or what is wrong with it. Called with p->lock held, and a queue that
 * there is where the payload begins with one.
 */
typedef const char *(*request_fn)(struct port *p, const struct vhost_user_message *m);

static const char *get_features(struct port *p, const struct vhost_user_message *m)
{
	answer_number(p, m->request, p->regs.offered | VU_F_PROTOCOL_FEATURES);
	return NULL;
}

static const char *set_features(struct port *p, const struct vhost_user_message *m)
{
	if (m->number & ~(p->regs.offered | VU_F_PROTOCOL_FEATURES))
		return "features that were not offered";
	if (!(m->number & VU_F_PROTOCOL_FEATURES))
		return "no protocol features";
	p->regs.features = m->number & ~VU_F_PROTOCOL_FEATURES;
	port_changed(p);
	return NULL;
}

/* SET_OWNER; and SET_VRING_ERR, as there is no error to tell: vhost_user_next() closes the eventfd. */
static const char *accept_it(struct port *p, const struct vhost_user_message *m)
{
	(void)p;
	(void)m;
	return NULL;
}

static const char *get_protocol(struct port *p, const struct vhost_user_message *m)
{
	answer_number(p, m->request, PROTOCOL);
	return NULL;
}

static const char *set_protocol(struct port *p, const struct vhost_user_message *m)
{
	if (m->number & ~PROTOCOL)
		return "protocol features that were not offered";
	p->protocol = m->number;
	return NULL;
}

static const char *get_queue_num(struct port *p, const struct vhost_user_message *m)
{
	answer_number(p, m->request, PORT_QUEUES);
	return NULL;
}

/* An answer without a payload says that there is no such configuration. */
static const char *get_config(struct port *p, const struct vhost_user_message *m)
{
	struct vhost_user_message a = *m;
	uint32_t off = m->config.offset, len = m->config.size;

	if (m->size < 12 || len != m->size - 12)
		return "a wrong length";
	if (off > PORT_CONFIG || len > PORT_CONFIG - off)
		a.size = 0;
	else
		memcpy(a.config.data, p->regs.config + off, len);
	answer(p, &a);
	return NULL;
}

static const char *set_mem_table(struct port *p, const struct vhost_user_message *m)
{
	const char *wrong = NULL;
	uint32_t n = m->memory.n;

	if (!n || n > PORT_REGIONS || m->size != 8 + n * sizeof(struct vhost_user_region))
		return "a wrong length";
	if (p->stream.nr_fds != n)
		return "another number of descriptors than of regions";
	if (any_started(p))
		return "other memory while a queue is in use";
	port_remove_memory(p);
	for (unsigned int i = 0; i < n && !wrong; i++) {
		struct vhost_user_region r = m->memory.regions[i];

		wrong = port_add_memory(p, &r, p->stream.fds[i]);
	}
	p->regs.nr_regions = p->nr_memory;
	p->regs.connected = 1;
	port_changed(p);
	return wrong;
}

static const char *set_vring_num(struct port *p, const struct vhost_user_message *m)
{
	uint32_t n = m->state.num;

	if (!n || n > MAX_SIZE || n & (n - 1))
		return "a queue's size that is no power of two";
	if (p->rings[m->state.index].started)
		return "another size for a queue in use";
	p->regs.queues[m->state.index].size = n;
	return NULL;
}

static const char *set_vring_addr(struct port *p, const struct vhost_user_message *m)
{
	if (p->rings[m->addr.index].started)
		return "another place for a queue in use";
	if (m->addr.flags)
		return "a log of writes";
	p->rings[m->addr.index].addr = m->addr;
	return NULL;
}

static const char *set_vring_base(struct port *p, const struct vhost_user_message *m)
{
	if (m->state.num > UINT16_MAX)
		return "an index of 16 bits that is larger";
	if (p->rings[m->state.index].started)
		return "another index for a queue in use";
	p->regs.queues[m->state.index].next = m->state.num;
	return NULL;
}

static void set_enabled(struct port *p, unsigned int i)
{
	uint32_t was = p->regs.queues[i].enabled;

	p->regs.queues[i].enabled = p->rings[i].started && p->rings[i].enabled;
	if (was != p->regs.queues[i].enabled)
		port_changed(p);
}

static void halt(struct port *p, unsigned int i)
{
	if (p->rings[i].started)
		msix_replace(&p->msix, 1 + i, -1);
	p->rings[i].started = false;
	set_enabled(p, i);
}

/* What is answered has to be true: not before the driver domain has let the queue go. */
static const char *get_vring_base(struct port *p, const struct vhost_user_message *m)
{
	p->stopping = m->state.index;
	halt(p, m->state.index);
	return NULL;
}

static bool place_rings(struct port *p, unsigned int i)
{
	struct port_queue *q = &p->regs.queues[i];
	const struct vhost_vring_addr *a = &p->rings[i].addr;
	uint64_t n = q->size;

	return n &&
	       port_offset(p, a->desc_user_addr, sizeof(struct vring_desc) * n, &q->desc) &&
	       port_offset(p, a->avail_user_addr, sizeof(struct vring_avail) + 2 * n + 2,
			   &q->avail) &&
	       port_offset(p, a->used_user_addr,
			   sizeof(struct vring_used) + sizeof(struct vring_used_elem) * n + 2,
			   &q->used) &&
	       !(q->desc & 15) && !(q->avail & 1) && !(q->used & 3);
}

static const char *set_vring_kick(struct port *p, const struct vhost_user_message *m)
{
	unsigned int i = m->number & VU_QUEUE_MASK;

	if (m->number & VU_NO_FD || p->stream.nr_fds != 1)
		return "no eventfd, or several";
	if (!place_rings(p, i))
		return "a queue that is not wholly in memory";
	msix_replace(&p->msix, 1 + i, vhost_user_take_fd(&p->stream));
	p->rings[i].started = true;
	set_enabled(p, i);
	return NULL;
}

static const char *set_vring_call(struct port *p, const struct vhost_user_message *m)
{
	if (p->stream.nr_fds != !(m->number & VU_NO_FD))
		return "no eventfd, or several";
	if (port_set_call(p, m->number & VU_QUEUE_MASK, vhost_user_take_fd(&p->stream)))
		return "something else than an eventfd";
	return NULL;
}

static const char *set_vring_enable(struct port *p, const struct vhost_user_message *m)
{
	p->rings[m->state.index].enabled = m->state.num;
	set_enabled(p, m->state.index);
	return NULL;
}

enum payload { ANY, NOTHING, NUMBER, STATE, EVENT, ADDR };

static const struct request {
	const char *name;
	request_fn handle;
	enum payload payload;
	bool fds;	/* descriptors may come with it */
	bool answers;	/* it has an answer of its own */
} requests[] = {
	[VU_GET_FEATURES] = { "GET_FEATURES", get_features, NOTHING, false, true },
	[VU_SET_FEATURES] = { "SET_FEATURES", set_features, NUMBER, false, false },
	[VU_SET_OWNER] = { "SET_OWNER", accept_it, NOTHING, false, false },
	[VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", set_mem_table, ANY, true, false },
	[VU_SET_VRING_NUM] = { "SET_VRING_NUM", set_vring_num, STATE, false, false },
	[VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", set_vring_addr, ADDR, false, false },
	[VU_SET_VRING_BASE] = { "SET_VRING_BASE", set_vring_base, STATE, false, false },
	[VU_GET_VRING_BASE] = { "GET_VRING_BASE", get_vring_base, STATE, false, true },
	[VU_SET_VRING_KICK] = { "SET_VRING_KICK", set_vring_kick, EVENT, true, false },
	[VU_SET_VRING_CALL] = { "SET_VRING_CALL", set_vring_call, EVENT, true, false },
	[VU_SET_VRING_ERR] = { "SET_VRING_ERR", accept_it, EVENT, true, false },
	[VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", get_protocol, NOTHING, false,
				       true },
	[VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", set_protocol, NUMBER, false,
				       false },
	[VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", get_queue_num, NOTHING, false, true },
	[VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", set_vring_enable, STATE, false, false },
	[VU_GET_CONFIG] = { "GET_CONFIG", get_config, ANY, false, true },
};

static const char *malformed(const struct request *r, const struct vhost_user_stream *s)
{
	static const uint32_t sizes[] = {
		[NUMBER] = 8, [STATE] = 8, [EVENT] = 8, [ADDR] = sizeof(struct vhost_vring_addr) };
	const struct vhost_user_message *m = &s->m;
	uint32_t queue = 0;

	if (r->payload != ANY && m->size != sizes[r->payload])
		return "a wrong length";
	if (s->nr_fds && !r->fds)
		return "descriptors that do not belong there";
	if (r->payload == STATE || r->payload == ADDR)
		queue = m->state.index;
	else if (r->payload == EVENT)
		queue = m->number & VU_QUEUE_MASK;
	return queue < PORT_QUEUES ? NULL : "a queue that there is not";
}

/* The memory is another guest's no longer; the window stays until this one has seen that. */
static void disconnect(struct port *p)
{
	for (unsigned int i = 0; i < PORT_QUEUES; i++) {
		halt(p, i);
		port_set_call(p, i, -1);
		p->rings[i] = (struct port_ring){ .call = -1 };
	}
	port_blank_memory(p);
	vhost_user_next(&p->stream);
	close(p->stream.fd);
	p->stream.fd = p->stopping = -1;
	p->protocol = 0;
	p->regs.features = 0;
	p->regs.connected = 0;
	port_changed(p);
}

static void handle(struct port *p)
{
	struct vhost_user_message *m = &p->stream.m;
	bool confirm = m->flags & VU_NEED_REPLY && p->protocol & VU_PROTOCOL_REPLY_ACK;
	const struct request *r = NULL;
	const char *wrong;

	if (m->request < sizeof(requests) / sizeof(requests[0]))
		r = &requests[m->request];
	if (!r || !r->handle) {
		error_warn("port %s: the front-end asks for request %u, which is not known here; "
			   "the connection is closed", p->config->path, m->request);
		disconnect(p);
		return;
	}
	wrong = malformed(r, &p->stream);
	if (!wrong)
		wrong = r->handle(p, m);
	if (wrong) {
		error_warn("port %s: the front-end's %s has %s; the connection is closed",
			   p->config->path, r->name, wrong);
		disconnect(p);
		return;
	}
	if (confirm && !r->answers)
		answer_number(p, m->request, 0);
	vhost_user_next(&p->stream);
}

static void hung_up(struct port *p, const char *how)
{
	error_warn("port %s: the front-end %s", p->config->path, how);
	disconnect(p);
}

static void listen_to(struct port *p)
{
	int ret = vhost_user_receive(&p->stream);

	if (ret > 0)
		handle(p);
	else if (ret == -EPROTO)
		hung_up(p, "sends something else than messages; the connection is closed");
	else if (ret < 0)
		hung_up(p, "is gone");
}

/* Do what waits for the guest to have seen what has changed, or to be ready. */
static void settle(struct port *p)
{
	if (p->stream.fd >= 0 && !p->regs.ready) {
		error_warn("port %s: the driver domain no longer serves", p->config->path);
		disconnect(p);
	}
	if (!port_followed(p))
		return;
	if (p->stopping >= 0) {
		answer(p, &(struct vhost_user_message){
			.request = VU_GET_VRING_BASE, .size = 8,
			.state = { p->stopping, p->regs.queues[p->stopping].next & UINT16_MAX } });
		p->stopping = -1;
	}
	if (p->stream.fd < 0)
		port_remove_memory(p);
}

/* One front-end at a time, and none before the guest is done with the last one. */
static struct pollfd next_event(struct port *p)
{
	if (p->stream.fd >= 0)
		return (struct pollfd){ p->stream.fd, p->stopping < 0 ? POLLIN : 0, 0 };
	return (struct pollfd){ p->regs.ready && port_followed(p) ? p->config->fd : -1, POLLIN, 0 };
}

static void happened(struct port *p, short what)
{
	if (p->stream.fd < 0)
		p->stream.fd = accept4(p->config->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	else if (p->stopping < 0)
		listen_to(p);
	else if (what & (POLLHUP | POLLERR))
		hung_up(p, "is gone");
}

/* The port's thread. */
void port_serve(struct loop *loop, void *port)
{
	struct port *p = port;

	while (!loop->stopped) {
		struct pollfd fds[2] = { { loop->epfd, POLLIN, 0 } };

		pthread_mutex_lock(&p->lock);
		settle(p);
		fds[1] = next_event(p);
		pthread_mutex_unlock(&p->lock);
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents)
			loop_once(loop, 0);
		if (!fds[1].revents)
			continue;
		pthread_mutex_lock(&p->lock);
		happened(p, fds[1].revents);
		pthread_mutex_unlock(&p->lock);
	}
}
