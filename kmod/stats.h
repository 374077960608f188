/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters: per VM and vCPU, read through debugfs and KVM_GET_STATS_FD. */
#ifndef CORBEL_STATS_H
#define CORBEL_STATS_H

#include <linux/list.h>
#include <linux/percpu.h>
#include "exit.h"

/* Written by the vCPU's own thread only; readers see a counter at some recent moment. */
struct vcpu_stats {
	u64 exits;
	u64 exits_by_kind[NR_EXIT_KINDS];
	u64 fast_exits;
	u64 user_exits;		/* returns to userspace */
	u64 io_exits;		/* of those: KVM_EXIT_IO */
	u64 mmio_exits;		/* of those: KVM_EXIT_MMIO */
	u64 irq_injections, nmi_injections, exceptions;
	u64 halt_exits, halt_wakeups, halt_poll_success;
	u64 posted_wakeups;	/* ended by a notification of hardware */
	u64 host_irqs;
	u64 tlb_flushes;
	u64 pf_fixed, pf_mmio, insn_emulated;
	u64 pf_guest, pf_emulated;	/* shadow paging: the guest's own; writes to its tables */
	u64 signal_exits, request_exits;
};

struct vm_stats {
	union {					/* leaf mappings now */
		struct {
			u64 pages_4k, pages_2m, pages_1g;
		};
		u64 pages[3];			/* by level, from 1 */
	};
	u64 mmu_invalidations;
	u64 remote_tlb_flushes;
	u64 irqfds_posted, irqfds_remapped;	/* of those a device signals, now */
	struct list_head link;			/* all VMs, for the totals */
};

/* What the module holds for all VMs together; each must be 0 when there is no VM. */
enum live_object {
	LIVE_VMS,
	LIVE_VCPUS,
	LIVE_PAGES,	/* page-table, control-structure and ring pages */
	LIVE_FILES,	/* references to eventfds and files */
	LIVE_MMS,	/* mmgrab() and notifier registrations */
	NR_LIVE_OBJECTS
};

DECLARE_PER_CPU(long [NR_LIVE_OBJECTS], stats_live_count);

/** stats_live() - count objects made (delta > 0) or given back (< 0). Context: any. */
static inline void stats_live(enum live_object object, long delta)
{
	this_cpu_add(stats_live_count[object], delta);
}

int stats_module_init(void);
void stats_module_exit(void);

/** stats_assert_idle() - for module unload: warns about each object that is still counted */
void stats_assert_idle(void);

/* The debugfs folder named vm->name, and its part in the totals. */
void stats_vm_create(struct vm *vm);
void stats_vm_destroy(struct vm *vm);		/* its vCPUs still exist */
void stats_vcpu_create(struct vcpu *vcpu);

/** stats_fd() - KVM_GET_STATS_FD; @vcpu NULL: of the VM. Return: a new descriptor or -errno */
int stats_fd(struct vm *vm, struct vcpu *vcpu);

#endif
