/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/posting_agent: each open file is a device function with one interrupt. */
#ifndef POSTING_AGENT_H
#define POSTING_AGENT_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct posting_agent_state {
	__u64 irte[2];		/* the device's entry, as the table has it */
	__u64 posted;		/* interrupts written into a descriptor; of these: */
	__u64 notified;		/*   with a notification */
	__u64 outstanding;	/*   without, because ON was set */
	__u64 suppressed;	/*   without, because SN was */
	__u64 remapped;		/* sent to a CPU of the host */
	__u64 faults;		/* dropped */
	__u64 handled;		/* that the device's handler in the host has seen */
	__u64 orders;		/* how often irq_set_vcpu_affinity() has changed the entry */
};

enum posting_agent_flags {
	POSTING_AGENT_NO_POSTING = 1,	/* hardware that only remaps */
	POSTING_AGENT_URGENT = 2,	/* posted entries have URG */
};

/* From the next order on; and signal this eventfd (-1: none) as VFIO does. */
#define POSTING_AGENT_SET_FLAGS		_IOW(0xbe, 0x80, __u32)
#define POSTING_AGENT_SET_EVENTFD	_IOW(0xbe, 0x81, __s32)
/* The device sends its interrupt: with its own requester id, or with one that is not its own. */
#define POSTING_AGENT_TRIGGER		_IO(0xbe, 0x82)
#define POSTING_AGENT_FORGE		_IO(0xbe, 0x83)
#define POSTING_AGENT_GET_STATE		_IOR(0xbe, 0x84, struct posting_agent_state)

#endif
