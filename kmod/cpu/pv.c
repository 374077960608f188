// SPDX-License-Identifier: GPL-2.0-only
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <asm/kvm_para.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/pv.h"
#include "irq/lapic.h"
#include "mem/mem.h"

static gpa_t pv_eoi_gpa(struct vcpu *vcpu)
{
	return vcpu->arch.pv_eoi_msr & ~(u64)KVM_MSR_ENABLED;
}

/* The guest clears the bit with an instruction of its own, so the byte is only ever ours or its. */
bool pv_eoi_set(struct vcpu *vcpu)
{
	u8 on = KVM_PV_EOI_ENABLED;

	if (guest_write(vcpu, pv_eoi_gpa(vcpu), &on, sizeof(on)))
		return false;
	vcpu->arch.pv_eoi_pending = true;
	return true;
}

/* Without a flag that is up there is nothing to take down: the address may be none of the guest's. */
void pv_eoi_clear(struct vcpu *vcpu)
{
	u8 off = KVM_PV_EOI_DISABLED;

	if (!vcpu->arch.pv_eoi_pending)
		return;
	guest_write(vcpu, pv_eoi_gpa(vcpu), &off, sizeof(off));
	vcpu->arch.pv_eoi_pending = false;
}

bool pv_eoi_take(struct vcpu *vcpu)
{
	u8 val;

	if (!vcpu->arch.pv_eoi_pending ||
	    guest_read(vcpu->vm, pv_eoi_gpa(vcpu), &val, sizeof(val)))
		return false;
	pv_eoi_clear(vcpu);
	return !(val & KVM_PV_EOI_ENABLED);
}

int pv_eoi_msr_set(struct vcpu *vcpu, u64 val)
{
	if (val & 2)
		return -EINVAL;
	lapic_sync_exit(vcpu);		/* an EOI left at the old address would never be found */
	vcpu->arch.pv_eoi_msr = val;
	vcpu->arch.pv_eoi_pending = false;
	return 0;
}

void pv_kick_vcpu(struct vcpu *vcpu)
{
	WRITE_ONCE(vcpu->arch.pv_unhalted, true);
	vcpu_request_kick(vcpu, REQ_UNHALT);
}

static gpa_t steal_gpa(struct vcpu *vcpu)
{
	return vcpu->arch.steal.msr & KVM_STEAL_VALID_BITS;
}

static bool steal_enabled(struct vcpu *vcpu)
{
	return vcpu->arch.steal.msr & KVM_MSR_ENABLED;
}

int pv_steal_msr_set(struct vcpu *vcpu, u64 val)
{
	if (val & KVM_STEAL_RESERVED_MASK)
		return -EINVAL;
	vcpu->arch.steal.msr = val;
	vcpu->arch.steal.hva = 0;
	vcpu->arch.steal_last = current->sched_info.run_delay;
	if (val & KVM_MSR_ENABLED)
		vcpu_request(vcpu, REQ_STEAL_TIME);
	return 0;
}

/* Fault the page in, remember where it is for steal_time_preempted(). */
static struct kvm_steal_time __user *steal_page(struct vcpu *vcpu)
{
	struct pv_page *page = &vcpu->arch.steal;

	page->slots = rcu_access_pointer(vcpu->vm->mem.slots);
	page->hva = slots_hva(vcpu->vm, steal_gpa(vcpu), true);
	return (struct kvm_steal_time __user *)page->hva;
}

/* Running again: 0 goes into `preempted'. Return: what stood there, or -EFAULT */
static int take_preempted(struct kvm_steal_time __user *page)
{
	u8 old;

	if (get_user(old, &page->preempted))
		return -EFAULT;
	while (old) {
		int ret = -EFAULT;

		if (!user_access_begin(page, sizeof(*page)))
			return -EFAULT;
		ret = unsafe_try_cmpxchg_user(&page->preempted, &old, 0, fault);
		if (ret)
			ret = -EAGAIN;	/* exchanged */
fault:
		user_access_end();
		if (ret == -EFAULT)
			return ret;
		if (ret == -EAGAIN)
			break;
	}
	return old;
}

static void steal_write(struct vcpu *vcpu, struct kvm_steal_time __user *page)
{
	u64 delay = current->sched_info.run_delay, steal;
	u32 version;

	if (get_user(version, &page->version) || get_user(steal, &page->steal))
		return;
	version |= 1;
	if (put_user(version, &page->version))
		return;
	smp_wmb();
	/* Another thread that runs this vCPU now has a count of its own. */
	if (delay > vcpu->arch.steal_last)
		steal += delay - vcpu->arch.steal_last;
	if (put_user(steal, &page->steal))
		return;
	vcpu->arch.steal_last = delay;
	smp_wmb();
	put_user(version + 1, &page->version);
}

bool steal_time_due(struct vcpu *vcpu)
{
	return steal_enabled(vcpu) && (vcpu->arch.steal_preempted ||
				       current->sched_info.run_delay != vcpu->arch.steal_last);
}

void steal_time_record(struct vcpu *vcpu)
{
	struct kvm_steal_time __user *page;
	int preempted;

	if (!steal_enabled(vcpu))
		return;
	page = steal_page(vcpu);
	if (!page)
		return;
	vcpu->arch.steal_preempted = false;
	preempted = take_preempted(page);
	if (preempted < 0) {
		vcpu->arch.steal.hva = 0;
		return;
	}
	/* A sender saw us preempted and left the flush to us. */
	if ((preempted & KVM_VCPU_FLUSH_TLB) && guest_has_pv(vcpu, KVM_FEATURE_PV_TLB_FLUSH))
		vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
	steal_write(vcpu, page);
	slots_mark_dirty(vcpu, steal_gpa(vcpu) >> PAGE_SHIFT);
}

static void write_preempted(struct vcpu *vcpu)
{
	struct kvm_steal_time __user *page = (void __user *)vcpu->arch.steal.hva;
	int err;

	pagefault_disable();
	err = put_user((u8)KVM_VCPU_PREEMPTED, &page->preempted);
	pagefault_enable();
	if (err) {
		vcpu->arch.steal.hva = 0;
		return;
	}
	vcpu->arch.steal_preempted = true;
	slots_mark_dirty(vcpu, steal_gpa(vcpu) >> PAGE_SHIFT);
}

/* Only where the page was at the last record: looking it up again may sleep. */
void steal_time_preempted(struct vcpu *vcpu)
{
	const struct pv_page *page = &vcpu->arch.steal;
	struct vm *vm = vcpu->vm;
	int idx;

	if (!steal_enabled(vcpu) || !page->hva || current->mm != vm->mm)
		return;
	idx = srcu_read_lock(&vm->srcu);
	if (page->slots == rcu_access_pointer(vm->mem.slots))
		write_preempted(vcpu);
	srcu_read_unlock(&vm->srcu, idx);
}

void pv_reset(struct vcpu *vcpu)
{
	vcpu->arch.steal = (struct pv_page){ 0 };
	vcpu->arch.system_time_msr = 0;
	vcpu->arch.pv_eoi_msr = 0;
	vcpu->arch.pv_eoi_pending = false;
	vcpu->arch.poll_control = 1;
	vcpu->arch.pv_unhalted = false;
}
