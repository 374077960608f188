// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own accesses to guest memory: through the owner's page tables, so that userspace,
 * swapping and the MMU notifier need not know of them.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include "vm.h"
#include "mem/slots.h"

static hva_t hva_in(const struct slot *slot, gpa_t gpa, bool write)
{
	if (!slot || (write && (slot->flags & KVM_MEM_READONLY)))
		return 0;
	return slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
}

hva_t slots_hva(struct vm *vm, gpa_t gpa, bool write)
{
	return hva_in(slots_find(slots_current(vm), gpa >> PAGE_SHIFT), gpa, write);
}

static unsigned int in_page(gpa_t gpa, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
}

/* One look at the slots a page: whoever starts a log waits for vm->srcu before it is told so. */
static __always_inline int copy(struct vm *vm, struct vcpu *writer, gpa_t gpa, void *buf,
				unsigned int len)
{
	while (len) {
		struct slot *slot = slots_find(slots_current(vm), gpa >> PAGE_SHIFT);
		void __user *user = (void __user *)hva_in(slot, gpa, writer);
		unsigned int n = in_page(gpa, len);

		if (!user || (writer ? copy_to_user(user, buf, n) : copy_from_user(buf, user, n)))
			return -EFAULT;
		if (writer)
			slots_log_dirty(writer, slot, gpa >> PAGE_SHIFT);
		gpa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

int guest_read(struct vm *vm, gpa_t gpa, void *buf, unsigned int len)
{
	return copy(vm, NULL, gpa, buf, len);
}

int guest_write(struct vcpu *vcpu, gpa_t gpa, const void *buf, unsigned int len)
{
	return copy(vcpu->vm, vcpu, gpa, (void *)buf, len);
}

/* slots_find_cached(), whose usual answer is had without a call. */
static __always_inline hva_t hva_cached(struct vcpu *vcpu, gpa_t gpa)
{
	const struct slots *slots = srcu_dereference_check(vcpu->vm->mem.slots, &vcpu->vm->srcu,
							   lockdep_is_held(&vcpu->vm->slots_lock));
	const struct slot *slot = vcpu->mmu.recent_slots[0];
	gfn_t gfn = gpa >> PAGE_SHIFT;

	if (unlikely(!slot || vcpu->mmu.recent_generation != slots->generation || !slot_has_gfn(slot, gfn)))
		slot = slots_find_cached(vcpu, slots, gfn);
	return hva_in(slot, gpa, false);
}

int guest_read_near(struct vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len)
{
	const void __user *from = (void __user *)hva_cached(vcpu, gpa);
	u64 first, last;

	if (!from)
		return -EFAULT;
	if (len < sizeof(u64) || len > 2 * sizeof(u64))
		return copy_from_user(buf, from, len) ? -EFAULT : 0;
	/* Most instructions: two loads, which may overlap, instead of all that a copy checks. */
	if (get_user(first, (u64 __user *)from) ||
	    get_user(last, (u64 __user *)(from + len - sizeof(u64))))
		return -EFAULT;
	memcpy(buf + len - sizeof(u64), &last, sizeof(u64));
	memcpy(buf, &first, sizeof(u64));
	return 0;
}

int guest_read_entry(struct vcpu *vcpu, gpa_t gpa, u64 *entry, unsigned int size)
{
	hva_t hva = hva_cached(vcpu, gpa);
	u32 half = 0;
	int ret;

	if (!hva)
		return -EFAULT;
	if (size == sizeof(*entry))
		return get_user(*entry, (u64 __user *)hva);
	ret = get_user(half, (u32 __user *)hva);
	*entry = half;
	return ret;
}

int guest_write_entry(struct vcpu *vcpu, gpa_t gpa, u64 entry, unsigned int size)
{
	struct slot *slot = slots_find_cached(vcpu, slots_current(vcpu->vm), gpa >> PAGE_SHIFT);
	hva_t hva = hva_in(slot, gpa, true);

	if (!hva || (size == sizeof(entry) ? put_user(entry, (u64 __user *)hva) :
					     put_user((u32)entry, (u32 __user *)hva)))
		return -EFAULT;
	slots_log_dirty(vcpu, slot, gpa >> PAGE_SHIFT);
	return 0;
}

#define CMPXCHG_USER(type, hva, old, new)					\
({										\
	type __user *ptr = (type __user *)(hva);				\
	type expect = *(old);							\
	int ret = __try_cmpxchg_user(ptr, &expect, (type)(new), fault_##type);	\
										\
	*(old) = expect;							\
	ret;									\
})

int guest_cmpxchg(struct vcpu *vcpu, gpa_t gpa, u64 *old, u64 new, unsigned int len)
{
	hva_t hva = slots_hva(vcpu->vm, gpa, true);
	int ret;

	if (!hva || in_page(gpa, len) != len || !access_ok((void __user *)hva, len))
		return -EFAULT;
	switch (len) {
	case 1:
		ret = CMPXCHG_USER(u8, hva, old, new);
		break;
	case 2:
		ret = CMPXCHG_USER(u16, hva, old, new);
		break;
	case 4:
		ret = CMPXCHG_USER(u32, hva, old, new);
		break;
	case 8:
		ret = CMPXCHG_USER(u64, hva, old, new);
		break;
	default:
		return -EFAULT;
	}
	if (!ret)
		slots_mark_dirty(vcpu, gpa >> PAGE_SHIFT);
	return ret;
}
