/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What Corbel offers beyond <linux/kvm.h>. Clients need none of it: the KVM API is complete without.
 */
#ifndef _UAPI_LINUX_CORBEL_H
#define _UAPI_LINUX_CORBEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Not KVM's 0xAE: a Corbel ioctl that reaches KVM by mistake fails there, and the reverse. */
#define CORBELIO	0xBD

#define CORBEL_API_VERSION	1

/* Bits of corbel_info.features: what of the hardware is in use. */
#define CORBEL_FEATURE_TDP		(1 << 0)	/* EPT or NPT */
#define CORBEL_FEATURE_TDP_AD		(1 << 1)	/* accessed and dirty bits in its entries */
#define CORBEL_FEATURE_REAL_MODE	(1 << 2)	/* runs real mode without emulation */
#define CORBEL_FEATURE_APICV		(1 << 3)	/* APIC virtualization (or AVIC) */
#define CORBEL_FEATURE_POSTED		(1 << 4)	/* posted interrupts */
#define CORBEL_FEATURE_PML		(1 << 5)	/* page-modification logging */
#define CORBEL_FEATURE_TSC_SCALING	(1 << 6)
#define CORBEL_FEATURE_TIMER		(1 << 7)	/* VMX preemption timer */
#define CORBEL_FEATURE_PLE		(1 << 8)	/* PAUSE-loop exiting */

/**
 * struct corbel_info - which hypervisor answers, and on what
 * @version: CORBEL_API_VERSION
 * @features: CORBEL_FEATURE_* bits
 * @backend: "vmx" or "svm", zero-terminated
 * @reserved: zero
 */
struct corbel_info {
	__u32 version;
	__u32 features;
	char backend[16];
	__u64 reserved[5];
};

/*
 * On /dev/corbel, or on /dev/kvm when the module provides that too: succeeds only if it is Corbel
 * that answers. Returns 0; -EFAULT. KVM returns -EINVAL.
 */
#define CORBEL_GET_INFO		_IOR(CORBELIO, 0x00, struct corbel_info)

/*
 * How the guest's memory is translated. Shadow tables serve CPUs without nested paging, and those who
 * want to compare; Documentation/mmu.rst describes both ways to keep them.
 */
#define CORBEL_MMU_AUTO		0	/* as the module's parameter mmu says */
#define CORBEL_MMU_TDP		1	/* EPT or NPT */
#define CORBEL_MMU_SHADOW_WP	2	/* the guest's tables are write-protected */
#define CORBEL_MMU_SHADOW_LAZY	3	/* they are looked at again when the guest flushes */

/*
 * On a VM without memory, interrupt controllers and vCPUs. Returns 0; -EINVAL: no such way; -EBUSY:
 * the VM has one of these; -EOPNOTSUPP: the CPU has no nested paging; -ENOMEM; -EFAULT.
 */
#define CORBEL_SET_MMU		_IOW(CORBELIO, 0x01, __u32)

#endif
