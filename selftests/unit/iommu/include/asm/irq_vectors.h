/* SPDX-License-Identifier: GPL-2.0-only */
#define POSTED_INTR_VECTOR		0xf2
#define POSTED_INTR_WAKEUP_VECTOR	0xf1
