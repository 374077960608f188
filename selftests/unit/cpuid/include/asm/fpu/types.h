/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_FPU_TYPES_H
#define SHIM_FPU_TYPES_H

struct fpu_guest { int unused; };

#define XFEATURE_MASK_FP	0x1
#define XFEATURE_MASK_SSE	0x2
#define XFEATURE_MASK_YMM	0x4
#define XFEATURE_MASK_AVX512	0xe0
#define XFEATURE_MASK_PKRU	0x200

#endif
