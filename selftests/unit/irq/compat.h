/* SPDX-License-Identifier: GPL-2.0-only */
/* Instead of the module's: what differs between kernels does not differ here. */
#ifndef UNIT_COMPAT_H
#define UNIT_COMPAT_H

#include <linux/compiler.h>
#include <linux/kvm.h>

#define compat_immediate_exit(run)	READ_ONCE((run)->immediate_exit)

#endif
