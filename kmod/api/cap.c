// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the API offers. A capability that is not here reads 0; one goes in when its ioctls work,
 * because clients abort when an advertised one does not.
 */
#include <linux/capability.h>
#include <linux/cpumask.h>
#include <linux/sched/stat.h>
#include <asm/cpufeature.h>
#include "api.h"
#include "backend.h"
#include "cpu/debug.h"
#include "cpu/xstate.h"
#include "irq/route.h"
#include "vm.h"

#define CAP_COALESCED_PAGE	2	/* where the ring is in a vCPU's mapping */
#define CAP_X2APIC		(KVM_X2APIC_API_USE_32BIT_IDS | \
				 KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
#define CAP_DIRTY_LOG		(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)
#define CAP_CLOCK		(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)
#define CAP_QUIRKS		(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_CD_NW_CLEARED | \
				 KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP | \
				 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | \
				 KVM_X86_QUIRK_FIX_HYPERCALL_INSN | \
				 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)
#define CAP_EXITS		(KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE | \
				 KVM_X86_DISABLE_EXITS_MWAIT | KVM_X86_DISABLE_EXITS_CSTATE)
#define CAP_MSR_REASONS		(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
				 KVM_MSR_EXIT_REASON_FILTER)

/* Those that are simply there: 1. */
static const u16 cap_present[] = {
	KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR, KVM_CAP_VAPIC,
	KVM_CAP_EXT_CPUID, KVM_CAP_CLOCKSOURCE, KVM_CAP_PIT, KVM_CAP_NOP_IO_DELAY,
	KVM_CAP_MP_STATE, KVM_CAP_COALESCED_PIO, KVM_CAP_SYNC_MMU,
	KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, KVM_CAP_USER_NMI,
	KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_REINJECT_CONTROL, KVM_CAP_IRQ_INJECT_STATUS,
	KVM_CAP_IRQFD, KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_PIT2, KVM_CAP_PIT_STATE2,
	KVM_CAP_SET_BOOT_CPU_ID, KVM_CAP_IOEVENTFD, KVM_CAP_IOEVENTFD_NO_LENGTH,
	KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_INTERNAL_ERROR_DATA,
	KVM_CAP_VCPU_EVENTS, KVM_CAP_PCI_SEGMENT, KVM_CAP_DEBUGREGS,
	KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_ENABLE_CAP, KVM_CAP_ENABLE_CAP_VM, KVM_CAP_XSAVE,
	KVM_CAP_DEVICE_CTRL, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES,
	KVM_CAP_GET_TSC_KHZ, KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_KVMCLOCK_CTRL,
	KVM_CAP_SIGNAL_MSI, KVM_CAP_READONLY_MEM, KVM_CAP_EXT_EMUL_CPUID,
	KVM_CAP_CHECK_EXTENSION_VM, KVM_CAP_IOAPIC_POLARITY_IGNORED, KVM_CAP_DISABLE_QUIRKS,
	KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_VCPU_ATTRIBUTES, KVM_CAP_IMMEDIATE_EXIT,
	KVM_CAP_GET_MSR_FEATURES, KVM_CAP_MSR_PLATFORM_INFO, KVM_CAP_EXCEPTION_PAYLOAD,
	KVM_CAP_LAST_CPU, KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_X86_MSR_FILTER,
	KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_SREGS2, KVM_CAP_BINARY_STATS_FD,
	KVM_CAP_SYS_ATTRIBUTES, KVM_CAP_SYSTEM_EVENT_DATA, KVM_CAP_X86_TRIPLE_FAULT_EVENT,
};

static const struct {
	u16 cap;
	int value;
} cap_values[] = {
	{ KVM_CAP_NR_MEMSLOTS, CORBEL_NR_MEMSLOTS },
	{ KVM_CAP_COALESCED_MMIO, CAP_COALESCED_PAGE },
	{ KVM_CAP_SET_GUEST_DEBUG2, DEBUG_CONTROLS },
	{ KVM_CAP_IRQ_ROUTING, ROUTE_NR_GSIS },
	{ KVM_CAP_MCE, CORBEL_MCE_BANKS },
	{ KVM_CAP_ADJUST_CLOCK, CAP_CLOCK },
	{ KVM_CAP_MAX_VCPUS, CORBEL_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, CORBEL_MAX_VCPU_IDS },
	{ KVM_CAP_SYNC_REGS, API_SYNC_FIELDS },
	{ KVM_CAP_DISABLE_QUIRKS2, CAP_QUIRKS },
	{ KVM_CAP_X2APIC_API, CAP_X2APIC },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, CAP_DIRTY_LOG },
	{ KVM_CAP_DIRTY_LOG_RING, RING_MAX_BYTES },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING_MAX_BYTES },
	{ KVM_CAP_X86_DISABLE_EXITS, CAP_EXITS },
};

static int cap_of_host(unsigned long cap)
{
	switch (cap) {
	case KVM_CAP_NR_VCPUS:
		return min_t(int, num_online_cpus(), CORBEL_MAX_VCPUS);
	case KVM_CAP_XSAVE2:
		return xstate_size_max();
	case KVM_CAP_XCRS:
		return boot_cpu_has(X86_FEATURE_XSAVE);
	case KVM_CAP_TSC_CONTROL:
	case KVM_CAP_VM_TSC_CONTROL:
		return caps.tsc_scaling;
	case KVM_CAP_STEAL_TIME:
		return sched_info_on();
	}
	return 0;
}

int cap_check(unsigned long cap)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(cap_present); i++)
		if (cap_present[i] == cap)
			return 1;
	for (i = 0; i < ARRAY_SIZE(cap_values); i++)
		if (cap_values[i].cap == cap)
			return cap_values[i].value;
	return cap_of_host(cap);
}

static int cap_split_irqchip(struct vm *vm, u64 pins)
{
	if (pins > ROUTE_NR_GSIS)
		return -EINVAL;
	if (vm->nr_vcpus)
		return -EEXIST;		/* as KVM says it here, unlike CREATE_IRQCHIP */
	return irqchip_create_split(vm, pins);
}

static int cap_x2apic_api(struct vm *vm, u64 flags)
{
	if (flags & ~(u64)CAP_X2APIC)
		return -EINVAL;
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		vm->irq.x2apic_32bit_ids = true;
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		vm->irq.x2apic_no_broadcast_quirk = true;
	return 0;
}

static int cap_manual_dirty(struct vm *vm, u64 flags)
{
	u64 allowed = flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE ? CAP_DIRTY_LOG : 0;

	if (flags & ~allowed)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vm->mem.manual_dirty = flags;
	mutex_unlock(&vm->slots_lock);
	return 0;
}

/* Set once, before any vCPU. */
static int cap_dirty_ring(struct vm *vm, u32 bytes)
{
	if (!is_power_of_2(bytes) || bytes < PAGE_SIZE ||
	    bytes < ring_reserve() * sizeof(struct kvm_dirty_gfn))
		return -EINVAL;
	if (bytes > RING_MAX_BYTES)
		return -E2BIG;
	if (vm->mem.ring_bytes || vm->nr_vcpus)
		return -EINVAL;
	vm->mem.ring_bytes = bytes;
	return 0;
}

/* The guest may then be able to crash the host: for those who may reboot that, in no namespace. */
static int cap_disable_nx_huge_pages(struct vm *vm, u64 arg)
{
	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	if (arg || vm->nr_vcpus)
		return -EINVAL;
	vm->mmu.nx_huge_pages = false;
	return 0;
}

/* Execution controls are chosen when a vCPU is made. */
static int cap_disable_exits(struct vm *vm, u64 exits)
{
	if (exits & ~(u64)CAP_EXITS || vm->nr_vcpus)
		return -EINVAL;
	vm->arch.exits_off |= exits;
	return 0;
}

/* Set once, before any vCPU. */
static int cap_max_vcpu_id(struct vm *vm, u64 max)
{
	if (!max || max > CORBEL_MAX_VCPU_IDS)
		return -EINVAL;
	if (vm->max_vcpu_ids)
		return vm->max_vcpu_ids == max ? 0 : -EINVAL;
	if (vm->nr_vcpus)
		return -EINVAL;
	vm->max_vcpu_ids = max;
	return 0;
}

static int cap_set(u64 *where, u64 val, u64 allowed)
{
	if (val & ~allowed)
		return -EINVAL;
	*where = val;
	return 0;
}

int cap_enable(struct vm *vm, const struct kvm_enable_cap *cap)
{
	u64 arg = cap->args[0];

	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_SPLIT_IRQCHIP:
		return cap_split_irqchip(vm, arg);
	case KVM_CAP_X2APIC_API:
		return cap_x2apic_api(vm, arg);
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return cap_manual_dirty(vm, arg);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return cap_dirty_ring(vm, arg);
	case KVM_CAP_DISABLE_QUIRKS:
		/* The old capability masks what it does not know. */
		return cap_set(&vm->arch.quirks_off, arg & CAP_QUIRKS, CAP_QUIRKS);
	case KVM_CAP_DISABLE_QUIRKS2:
		return cap_set(&vm->arch.quirks_off, arg, CAP_QUIRKS);
	case KVM_CAP_X86_USER_SPACE_MSR:
		return cap_set(&vm->arch.user_msr_reasons, arg, CAP_MSR_REASONS);
	case KVM_CAP_MAX_VCPU_ID:
		return cap_max_vcpu_id(vm, arg);
	case KVM_CAP_X86_DISABLE_EXITS:
		return cap_disable_exits(vm, arg);
	case KVM_CAP_VM_DISABLE_NX_HUGE_PAGES:
		return cap_disable_nx_huge_pages(vm, arg);
	case KVM_CAP_MSR_PLATFORM_INFO:
		vm->arch.platform_info_hidden = !arg;
		return 0;
	case KVM_CAP_EXCEPTION_PAYLOAD:
		vm->arch.exception_payload = arg;
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->arch.triple_fault_event = arg;
		return 0;
	}
	return -EINVAL;
}

int cap_enable_vcpu(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	if (cap->flags || cap->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	vcpu->arch.pv_enforce = cap->args[0];
	return 0;
}
