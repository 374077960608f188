/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_FPU_TYPES_H
#define SHIM_FPU_TYPES_H

struct fpu_guest { int unused; };

#endif
