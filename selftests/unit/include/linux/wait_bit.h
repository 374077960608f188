/* SPDX-License-Identifier: GPL-2.0-only */
/* One thread: a wait that would have to sleep would never end, or for its whole time. */
#ifndef UNIT_LINUX_WAIT_BIT_H
#define UNIT_LINUX_WAIT_BIT_H

#include <assert.h>

#define wait_var_event(var, condition)	assert(condition)
#define wait_var_event_timeout(var, condition, timeout)	(!!(condition))
#define wake_up_var(var)		((void)(var))

#endif
