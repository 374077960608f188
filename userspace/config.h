/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ram.h"
#include "vfio.h"

#define CONFIG_MAX_DISKS	16
#define CONFIG_MAX_NETS		8
#define CONFIG_MAX_HOSTFWD	16
#define CONFIG_MAX_SERVES	4

enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_FILE, CONSOLE_OFF };
enum net_kind { NET_USER, NET_TAP };

/* A file of the host, opened once; it stays open over guest resets. */
struct config_file {
	const char *path;
	int fd;
	uint64_t size;
	bool ro;
	bool external;			/* a disk's back-end listens at @path */
	struct vhost_user *vhost;	/* and this is the connection to it */
};

/* A socket that another guest's disk is served at. */
struct config_serve {
	const char *path;
	int fd;
};

struct config_hostfwd {
	bool udp;
	uint32_t host_addr, guest_addr;		/* network byte order */
	uint16_t host_port, guest_port;
};

struct config_net {
	enum net_kind kind;
	const char *ifname;
	int fd;					/* of the tap */
	bool restricted;
	uint8_t mac[6];
};

/* What the command line says. Strings point into argv. */
struct config {
	struct config_file kernel, initrd;
	const char *append;
	uint64_t memory;
	enum ram_backend backend;
	bool merge;
	uint32_t mmu;				/* CORBEL_MMU_* */
	unsigned int cpus;
	struct config_file disks[CONFIG_MAX_DISKS];
	unsigned int nr_disks;
	bool shared;				/* back-ends map guest memory */
	struct config_serve serves[CONFIG_MAX_SERVES];
	unsigned int nr_serves;
	struct config_net nets[CONFIG_MAX_NETS];
	unsigned int nr_nets;
	struct config_hostfwd hostfwd[CONFIG_MAX_HOSTFWD];
	unsigned int nr_hostfwd;
	struct vfio vfio;
	enum console_kind console;
	struct config_file console_file;
	const char *name;
	const char *device;
	bool rng;
	bool balloon;
	uint64_t balloon_size;
	bool restart;
	bool stats;
	bool sandbox;
	bool irqfd, ioeventfd;
};

void config_parse(struct config *c, int argc, char **argv);
void config_open(struct config *c);
void config_usage(void);

#endif
