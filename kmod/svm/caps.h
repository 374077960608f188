/* SPDX-License-Identifier: GPL-2.0-only */
/* What this CPU's SVM can do, read once at load: APM volume 3, CPUID Fn8000_000A. */
#ifndef CORBEL_SVM_CAPS_H
#define CORBEL_SVM_CAPS_H

#include <linux/types.h>

struct svm_caps {
	u32 nr_asids;		/* ASIDs 1 to nr_asids - 1 are for guests */
	bool next_rip;		/* the VMCB tells where the next instruction is */
	bool flush_by_asid;
	bool lbr;		/* DEBUGCTL and the branch records are switched by VMRUN */
};

extern struct svm_caps svm_caps;

#endif
