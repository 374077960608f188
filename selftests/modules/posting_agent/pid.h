/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What interrupt-remapping hardware does to a posted-interrupt descriptor: "Interrupt-Posting
 * Hardware Operation" of the VT-d specification. What is one access to its cache line there is
 * two here: the bit of PIR, then ON. The order is what those who clear SN or ON rely on.
 */
#ifndef POSTING_AGENT_PID_H
#define POSTING_AGENT_PID_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include "irte.h"

struct descriptor {
	u64 pir[4];
	u64 control;		/* bits 319:256 */
};

enum pid_result {
	PID_NOTIFY,		/* send NV to NDST, both of *control */
	PID_OUTSTANDING,	/* somebody has notified already */
	PID_SUPPRESSED,
	PID_FAULT,
};

static inline enum pid_result pid_post(struct descriptor *pid, u8 vector, bool urgent, u64 *control)
{
	u64 seen;

	*control = READ_ONCE(pid->control);
	if (*control & PID_RESERVED)
		return PID_FAULT;
	set_bit(vector, (unsigned long *)pid->pir);
	smp_mb__after_atomic();
	*control = READ_ONCE(pid->control);
	while (pid_notifies(*control, urgent)) {
		seen = cmpxchg(&pid->control, *control, *control | 1ull << PID_ON);
		if (seen == *control)
			return PID_NOTIFY;
		*control = seen;
	}
	return *control >> PID_ON & 1 ? PID_OUTSTANDING : PID_SUPPRESSED;
}

#endif
