/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_INDIRECT_CALL_WRAPPER_H
#define SHIM_INDIRECT_CALL_WRAPPER_H

#define INDIRECT_CALL_2(f, likely, less_likely, ...)	((f)(__VA_ARGS__))

#endif
