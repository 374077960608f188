// SPDX-License-Identifier: GPL-2.0-only
/* Under memory pressure VMs give up shadow pages, which faults bring back. */
#include <linux/mutex.h>
#include "compat.h"
#include "vm.h"
#include "mmu/shadow.h"

#define SCAN_BATCH	16	/* pages of a VM at a time: its mmu_lock is held for them */

static LIST_HEAD(vms);		/* that have shadow tables; who was last asked is at the end */
static DEFINE_MUTEX(vms_lock);
static struct shrinker *shrinker;

static unsigned long count(struct shrinker *unused, struct shrink_control *sc)
{
	struct vm_shadow *s;
	unsigned long n = 0;

	if (!mutex_trylock(&vms_lock))
		return 0;
	list_for_each_entry(s, &vms, shrink)
		n += READ_ONCE(s->nr);
	mutex_unlock(&vms_lock);
	return n ?: SHRINK_EMPTY;
}

/* Only of a VM whose lock is free: who allocates memory may hold anything. */
static unsigned long shrink_vm(struct vm *vm, unsigned long n)
{
	struct shadow_batch b;

	if (!write_trylock(&vm->mmu_lock))
		return 0;
	shadow_batch_start(&b, vm);
	n = shadow_give_up(&b, n);
	shadow_batch_finish(&b);
	write_unlock(&vm->mmu_lock);
	return n;
}

static unsigned long scan_vms(unsigned long n)
{
	struct vm_shadow *s, *last = list_last_entry(&vms, struct vm_shadow, shrink);
	unsigned long freed = 0;

	do {
		s = list_first_entry(&vms, struct vm_shadow, shrink);
		list_move_tail(&s->shrink, &vms);
		freed += shrink_vm(s->vm, n - freed);
	} while (freed < n && s != last);
	return freed;
}

static unsigned long scan(struct shrinker *unused, struct shrink_control *sc)
{
	unsigned long freed = 0;

	if (!mutex_trylock(&vms_lock))
		return SHRINK_STOP;
	if (!list_empty(&vms))
		freed = scan_vms(sc->nr_to_scan);
	mutex_unlock(&vms_lock);
	return freed ?: SHRINK_STOP;
}

void shrink_add(struct vm_shadow *s)
{
	mutex_lock(&vms_lock);
	list_add(&s->shrink, &vms);
	mutex_unlock(&vms_lock);
}

void shrink_del(struct vm_shadow *s)
{
	mutex_lock(&vms_lock);
	list_del(&s->shrink);
	mutex_unlock(&vms_lock);
}

int __init shrink_module_init(void)
{
	shrinker = compat_shrinker_register(count, scan, SCAN_BATCH, "corbel-shadow");
	return shrinker ? 0 : -ENOMEM;
}

void shrink_module_exit(void)
{
	compat_shrinker_unregister(shrinker);
}
