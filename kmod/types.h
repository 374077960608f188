/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vocabulary of addresses, used in every signature: Documentation/vocabulary.rst.
 */
#ifndef CORBEL_TYPES_H
#define CORBEL_TYPES_H

#include <linux/types.h>
#include <linux/kvm.h>

typedef unsigned long gva_t;	/* guest virtual address */
typedef u64 gpa_t;		/* guest physical address */
typedef u64 gfn_t;		/* guest frame number: gpa >> 12 */
typedef unsigned long hva_t;	/* host virtual address, in the process that owns the VM */
typedef u64 hpa_t;		/* host physical address */
typedef u64 hfn_t;		/* host frame number ("pfn") */

#define INVALID_GPA	(~(gpa_t)0)
#define INVALID_HPA	(~(hpa_t)0)

struct vm;
struct vcpu;

/*
 * What an exit handler, and everything it calls to finish its work, returns.
 * A negative errno ends KVM_RUN with that error; nothing here means anything to the guest.
 */
enum vcpu_next {
	TO_USER = 0,	/* kvm_run describes why */
	RESUME = 1,	/* go back into the guest */
};

#endif
