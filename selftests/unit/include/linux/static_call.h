/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_STATIC_CALL_H
#define SHIM_STATIC_CALL_H

/* What it calls is looked up each time. */
#define DECLARE_STATIC_CALL(name, func)	\
static inline typeof(&(func)) name##_now(void) { return &(func); }
#define static_call(name)	name##_now()

#endif
