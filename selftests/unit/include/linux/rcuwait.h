/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_RCUWAIT_H
#define SHIM_RCUWAIT_H

#include <linux/rcupdate.h>

struct rcuwait { int unused; };

#endif
