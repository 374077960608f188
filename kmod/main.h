/* SPDX-License-Identifier: GPL-2.0-only */
/* The module as a whole. */
#ifndef CORBEL_MAIN_H
#define CORBEL_MAIN_H

#include <linux/percpu.h>

DECLARE_PER_CPU(bool, virt_on);		/* VMX or SVM is on here and ours */

#endif
