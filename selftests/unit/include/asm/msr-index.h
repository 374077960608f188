/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_MSR_INDEX_H
#define SHIM_MSR_INDEX_H

#define EFER_SCE	(1 << 0)
#define EFER_LME	(1 << 8)
#define EFER_LMA	(1 << 10)
#define EFER_NX		(1 << 11)

#define MSR_IA32_APICBASE_BSP		(1 << 8)
#define X2APIC_ENABLE			(1UL << 10)
#define MSR_IA32_APICBASE_ENABLE	(1 << 11)

#endif
