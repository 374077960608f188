/* SPDX-License-Identifier: GPL-2.0-only */
/* A host CPU, a VM with one vCPU, and the other rooms as far as CPUID, MSRs and CRs call them. */
#ifndef WORLD_H
#define WORLD_H

#include "ktap.h"
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/cr.h"
#include "cpu/msr.h"
#include "cpu/regs.h"

struct world {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_run run;
	u32 max_basic, max_extended;	/* of the host's CPUID */
	u32 vendor_ebx;
	bool host_all_ones;		/* every feature register reads ~0 */
	u64 apic_base;
	u64 memory[512];		/* guest-physical 0 to 4095 */
	int gp, ud, mc, cmci, paging_changed, controls;
	bool msr_read_open[3], msr_write_open[3];
};
extern struct world world;

/** world_start() - a host with every feature the kernel knows, an Intel-like CPUID, fresh vCPU */
struct vcpu *world_start(void);
void world_end(void);
void world_supported_cpuid(void);	/* KVM_SET_CPUID2 of what is supported */
/* the same without these bits */
void world_cpuid_clear(u32 function, u32 index, int reg, u32 bits);
u32 world_random(void);

#endif
