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

/*
 * For guests. Corbel's CPUID leaves stand behind KVM's: at _SIGNATURE, EAX is the highest of them and
 * EBX, ECX, EDX spell CORBEL_CPUID_NAME; at _FEATURES, EAX has CORBEL_CPUID_* bits. A guest has what
 * its launcher passes on of KVM_GET_SUPPORTED_CPUID.
 */
#define CORBEL_CPUID_SIGNATURE	0x40000100
#define CORBEL_CPUID_FEATURES	0x40000101
#define CORBEL_CPUID_NAME	"CorbelCorbel"

#define CORBEL_CPUID_PV_MMU	(1 << 0)	/* CORBEL_HC_MMU_UPDATE */

/**
 * struct corbel_mmu_update - one entry of a page table to be written
 * @gpa: its guest-physical address, a multiple of its size: 8 bytes, or 4 in a guest with 32-bit paging
 * @value: what it shall be; no more than 32 bits where an entry has 4 bytes
 */
struct corbel_mmu_update {
	__u64 gpa;
	__u64 value;
};

#define CORBEL_MMU_MAX_UPDATES	512

/* Flags */
#define CORBEL_MMU_FLUSH	(1 << 0)	/* then drop this CPU's translations, as INVPCID of all does */
#define CORBEL_MMU_FLUSH_ADDR	(1 << 1)	/* then drop those of one linear address, as INVLPG does */

/*
 * Hypercall (KVM's convention: the number in RAX, arguments in RBX, RCX, RDX, RSI, the result in
 * RAX): guest-physical address of an array of struct corbel_mmu_update, a multiple of 8; how many, at most
 * CORBEL_MMU_MAX_UPDATES; flags; the address for CORBEL_MMU_FLUSH_ADDR. The entries are written in order, each by one store, as if the guest
 * had done it; with shadow tables that takes one exit instead of many. A page whose entry has its
 * accessed bit set may be mapped at once. Documentation/pvmmu.rst.
 *
 * Returns how many were written: fewer than asked for if the next one cannot be. If that is the first:
 * -KVM_EINVAL, as for wrong arguments, or -KVM_EFAULT, it or the array is not in (writable) memory.
 * Wrong arguments have no effect at all.
 */
#define CORBEL_HC_MMU_UPDATE	0x434f5201

#endif
