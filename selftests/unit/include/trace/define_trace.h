/* SPDX-License-Identifier: GPL-2.0-only */
/* Nothing: tracepoint.h made the functions already. */
