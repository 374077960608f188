/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VHOST_USER_H
#define VHOST_USER_H

#include <linux/vhost_types.h>
#include <stdbool.h>
#include <stdint.h>

#define VHOST_USER_REGIONS	8
#define VHOST_USER_CONFIG	60	/* of a virtio-blk device's configuration: all but the newest */
#define VHOST_USER_MAX_CONFIG	256
#define VHOST_USER_HEADER	12

/* Requests, by QEMU's "Vhost-user Protocol" */
enum vhost_user_request {
	VU_GET_FEATURES = 1, VU_SET_FEATURES, VU_SET_OWNER, VU_RESET_OWNER, VU_SET_MEM_TABLE,
	VU_SET_VRING_NUM = 8, VU_SET_VRING_ADDR, VU_SET_VRING_BASE, VU_GET_VRING_BASE,
	VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR, VU_GET_PROTOCOL_FEATURES,
	VU_SET_PROTOCOL_FEATURES, VU_GET_QUEUE_NUM, VU_SET_VRING_ENABLE,
	VU_GET_CONFIG = 24, VU_SET_CONFIG,
};

#define VU_VERSION	1u	/* in the flags of a message */
#define VU_VERSION_MASK	3u
#define VU_REPLY	4u
#define VU_NEED_REPLY	8u

#define VU_F_PROTOCOL_FEATURES	(1ULL << 30)	/* beside the device's own features */
#define VU_PROTOCOL_MQ		(1ULL << 0)
#define VU_PROTOCOL_REPLY_ACK	(1ULL << 3)
#define VU_PROTOCOL_CONFIG	(1ULL << 9)

#define VU_QUEUE_MASK	0xffu	/* in the number that comes with an eventfd */
#define VU_NO_FD	0x100u

struct vhost_user_region {
	uint64_t gpa, size;
	uint64_t address;	/* what the front-end calls it in ring addresses */
	uint64_t offset;	/* in the descriptor that comes with it */
};

struct vhost_user_message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct {
			uint32_t n, zero;
			struct vhost_user_region regions[VHOST_USER_REGIONS];
		} memory;
		struct {
			uint32_t offset, size, flags;
			uint8_t data[VHOST_USER_MAX_CONFIG];
		} config;
	};
} __attribute__((packed));

/* One end of a connection; what has come of the next message, and the descriptors with it. */
struct vhost_user_stream {
	int fd;
	uint32_t have;
	unsigned int nr_fds;
	int fds[VHOST_USER_REGIONS];
	struct vhost_user_message m;
};

int vhost_user_receive(struct vhost_user_stream *s);
int vhost_user_take_fd(struct vhost_user_stream *s);
void vhost_user_next(struct vhost_user_stream *s);
int vhost_user_send(int fd, struct vhost_user_message *m, const int *fds, unsigned int n);
int vhost_user_listen(const char *path);

/* A disk's back-end: the process that serves its queue. It stays connected over guest resets. */
struct vhost_user {
	const char *path;
	struct vhost_user_stream stream;
	uint64_t features, protocol;	/* the back-end's; chosen */
	bool gone;
	uint8_t config[VHOST_USER_CONFIG];
};

struct vhost_user *vhost_user_open(const char *path);
int vhost_user_call(struct vhost_user *u, struct vhost_user_message *m, const int *fds,
		    unsigned int n, bool reply);

#endif
