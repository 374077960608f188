// SPDX-License-Identifier: GPL-2.0-only
#include "vm.h"
#include "mem/notifier.h"
#include "mem/slots.h"
#include "mmu/mmu.h"

int mem_module_init(void)
{
	return 0;
}

void mem_module_exit(void)
{
	mmu_notifier_synchronize();
}

int mem_vm_init(struct vm *vm)
{
	int ret = slots_vm_init(vm);

	if (ret)
		return ret;
	ret = notifier_attach(vm);
	if (ret)
		slots_vm_destroy(vm);
	return ret;
}

/* Zap first: what the owner does with its frames afterwards, nobody tells us. */
void mem_vm_destroy(struct vm *vm)
{
	mmu_zap_all(vm);
	notifier_detach(vm);
	slots_vm_destroy(vm);
}
