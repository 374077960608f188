/* SPDX-License-Identifier: GPL-2.0-only */
#include KERNEL_MSR_INDEX
#undef EFER_SCE
#undef EFER_LME
#undef EFER_LMA
#undef EFER_NX
#undef EFER_FFXSR
#define EFER_SCE	(1 << 0)
#define EFER_LME	(1 << 8)
#define EFER_LMA	(1 << 10)
#define EFER_NX		(1 << 11)
#define EFER_FFXSR	(1 << 14)
#ifndef X2APIC_ENABLE
#define X2APIC_ENABLE	(1UL << 10)
#endif
