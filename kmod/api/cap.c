// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the API offers. A capability that is not here reads 0; one goes in when its ioctls work,
 * because clients abort when an advertised one does not.
 */
#include <linux/cpumask.h>
#include <linux/sched/stat.h>
#include <asm/cpufeature.h>
#include "api.h"
#include "backend.h"
#include "cpu/cap.h"
#include "cpu/debug.h"
#include "cpu/xstate.h"
#include "irq/route.h"
#include "vm.h"

#define CAP_COALESCED_PAGE	2	/* where the ring is in a vCPU's mapping */
#define CAP_SYNC_FIELDS		(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

static int cap_nr_vcpus(void)
{
	return min_t(int, num_online_cpus(), CORBEL_MAX_VCPUS);
}

static int cap_xcrs(void)
{
	return boot_cpu_has(X86_FEATURE_XSAVE);
}

static int cap_steal_time(void)
{
	return sched_info_on();
}

static int cap_tsc_scaling(void)
{
	return caps.tsc_scaling;
}

static int cap_disable_exits(void)
{
	return cap_exits_possible();
}

static int cap_xsave2(void)
{
	return xstate_size_max();
}

static const struct cap_row {
	u16 cap;
	int value;
	int (*get)(void);	/* instead of value */
} cap_rows[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_VAPIC, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_CLOCKSOURCE, 1 },
	{ KVM_CAP_NR_VCPUS, 0, cap_nr_vcpus },
	{ KVM_CAP_NR_MEMSLOTS, CORBEL_NR_MEMSLOTS },
	{ KVM_CAP_PIT, 1 },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_COALESCED_MMIO, CAP_COALESCED_PAGE },
	{ KVM_CAP_COALESCED_PIO, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG2, DEBUG_CONTROLS },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	{ KVM_CAP_IRQ_ROUTING, ROUTE_NR_GSIS },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_MCE, CORBEL_MCE_BANKS },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_PCI_SEGMENT, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_ENABLE_CAP, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_XSAVE2, 0, cap_xsave2 },
	{ KVM_CAP_XCRS, 0, cap_xcrs },
	{ KVM_CAP_TSC_CONTROL, 0, cap_tsc_scaling },
	{ KVM_CAP_VM_TSC_CONTROL, 0, cap_tsc_scaling },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_MAX_VCPUS, CORBEL_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, CORBEL_MAX_VCPU_IDS },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_SYNC_REGS, CAP_SYNC_FIELDS },
	{ KVM_CAP_KVMCLOCK_CTRL, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_EXT_EMUL_CPUID, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1 },
	{ KVM_CAP_DISABLE_QUIRKS, 1 },
	{ KVM_CAP_DISABLE_QUIRKS2, CAP_QUIRKS },
	{ KVM_CAP_SPLIT_IRQCHIP, 1 },
	{ KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
			      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_X86_DISABLE_EXITS, 0, cap_disable_exits },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1 },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
					     KVM_DIRTY_LOG_INITIALLY_SET },
	{ KVM_CAP_LAST_CPU, 1 },
	{ KVM_CAP_STEAL_TIME, 0, cap_steal_time },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1 },
	{ KVM_CAP_X86_MSR_FILTER, 1 },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1 },
	{ KVM_CAP_SREGS2, 1 },
	{ KVM_CAP_BINARY_STATS_FD, 1 },
	{ KVM_CAP_SYS_ATTRIBUTES, 1 },
	{ KVM_CAP_SYSTEM_EVENT_DATA, 1 },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
};

int cap_check(unsigned long cap)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(cap_rows); i++) {
		if (cap_rows[i].cap == cap)
			return cap_rows[i].get ? cap_rows[i].get() : cap_rows[i].value;
	}
	return 0;
}

static int cap_x2apic_api(struct vm *vm, u64 flags)
{
	if (flags & ~(u64)(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK))
		return -EINVAL;
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		vm->irq.x2apic_32bit_ids = true;
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		vm->irq.x2apic_no_broadcast_quirk = true;
	return 0;
}

static int cap_manual_dirty(struct vm *vm, u64 flags)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	if (flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (flags & ~allowed)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vm->mem.manual_dirty = flags;
	mutex_unlock(&vm->slots_lock);
	return 0;
}

int cap_enable(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_SPLIT_IRQCHIP:
		if (cap->args[0] > ROUTE_NR_GSIS)
			return -EINVAL;
		if (vm->nr_vcpus)
			return -EEXIST;		/* as KVM says it here, unlike CREATE_IRQCHIP */
		return irqchip_create_split(vm, cap->args[0]);
	case KVM_CAP_X2APIC_API:
		return cap_x2apic_api(vm, cap->args[0]);
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return cap_manual_dirty(vm, cap->args[0]);
	default:
		return cap_enable_vm(vm, cap);
	}
}
