/* SPDX-License-Identifier: GPL-2.0-only */
/* One thread: a wait that would have to sleep would never end. */
#ifndef UNIT_LINUX_WAIT_BIT_H
#define UNIT_LINUX_WAIT_BIT_H

#include <assert.h>

#define wait_var_event(var, condition)	assert(condition)
#define wake_up_var(var)		((void)(var))

#endif
