/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
#ifndef LINUX_CORBEL_PORT_H
#define LINUX_CORBEL_PORT_H

#include <linux/types.h>

/*
 * The registers of a domain port, BAR 0: a driver domain's view of another guest's device, whose
 * queues it serves. Vector 0 tells that the generation has changed, vector 1 + n is a notification
 * of queue n. The other guest's memory is in BAR 2.
 */
#define PORT_VENDOR	0x1af4
#define PORT_DEVICE	0x10f0
#define PORT_VERSION	1
#define PORT_QUEUES	4
#define PORT_REGIONS	8
#define PORT_CONFIG	64

/* Memory at @gpa of the other guest is at @offset of BAR 2. */
struct port_region {
	__u64 gpa, size, offset, zero;
};

struct port_queue {
	__u32 enabled;
	__u32 size;
	__u64 desc, avail, used;	/* offsets in BAR 2 */
	__u32 next;	/* RW: the request to begin with; where the driver domain has stopped */
	__u32 zero[7];
};

/* What is not marked RW ignores writes. */
struct port_regs {
	__u32 version;
	__u32 generation;	/* of all that is not RW */
	__u32 connected;	/* the other guest's memory is there */
	__u32 nr_queues;
	__u64 features;	/* that the other guest's driver has chosen */
	__u32 nr_regions;
	__u32 zero0;
	__u64 offered;	/* RW: the device's features */
	__u32 ready;		/* RW: 1: connections are taken */
	__u32 seen;		/* RW: the generation that the driver domain has come to follow */
	__u8 zero1[16];
	__u8 config[PORT_CONFIG];	/* RW: the device's configuration */
	struct port_region regions[PORT_REGIONS];
	struct port_queue queues[PORT_QUEUES];
	__u8 zero2[0x400];
	__u32 doorbells[PORT_QUEUES];	/* write anything: interrupt the other guest */
};

_Static_assert(sizeof(struct port_queue) == 64, "queues are 64 bytes each");
_Static_assert(sizeof(struct port_regs) == 0x690, "registers");

#endif
