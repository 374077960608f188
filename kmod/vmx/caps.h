/* SPDX-License-Identifier: GPL-2.0-only */
/* What this CPU's VMX can do, read once at load: SDM, "VMX Capability Reporting Facility". */
#ifndef CORBEL_VMX_CAPS_H
#define CORBEL_VMX_CAPS_H

#include <linux/types.h>

struct vmx_caps {
	u32 revision;
	u32 vmcs_size;
	u32 pin, exec, exec2;		/* what we use and the CPU allows */
	u32 exit, entry;
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
	u64 ept_vpid;			/* MSR_IA32_VMX_EPT_VPID_CAP */
	u64 misc;
	u8 timer_shift;			/* the preemption timer ticks every 2^shift TSC cycles */
	bool true_controls;
	bool ept;			/* with all that goes with it */
	bool load_efer, load_pat;	/* each both ways */
	bool vpid, invvpid_single, invvpid_addr, invept_context;
};

extern struct vmx_caps vmx_caps;

#endif
