/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints that trace nothing, but whose arguments are still checked. */
#ifndef SHIM_TRACEPOINT_H
#define SHIM_TRACEPOINT_H

#define TP_PROTO(...)	__VA_ARGS__
#define TP_ARGS(...)
#define TRACE_EVENT(name, proto, ...)	static inline void trace_##name(proto) { }	\
	static inline bool trace_##name##_enabled(void) { return false; }

#define SHIM_COUNT(_0, _1, _2, _3, _4, _5, _6, _7, _n, ...)	_n
#define COUNT_ARGS(...)	SHIM_COUNT(, ##__VA_ARGS__, 7, 6, 5, 4, 3, 2, 1, 0)
#define SHIM_CONCAT(a, b)	a##b
#define CONCATENATE(a, b)	SHIM_CONCAT(a, b)

#endif
