// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interrupt controllers together: which of them a vCPU hears, creation, and userspace's view.
 */
#include <linux/bitops.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/apicdef.h>
#include "vm.h"
#include "cpu/debug.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "irq/ioapic.h"
#include "irq/lapic.h"
#include "irq/pic.h"
#include "irq/pit.h"
#include "irq/route.h"

/* What a vCPU hears */

static bool extint_pending(struct vcpu *vcpu)
{
	if (vcpu->irq.user_irq >= 0)
		return lapic_accepts_extint(vcpu);
	return pic_output(vcpu->vm->irq.pic) && lapic_accepts_extint(vcpu);
}

bool irq_pending(struct vcpu *vcpu)
{
	if (vcpu->irq.lapic && lapic_mode(vcpu) != LAPIC_DISABLED &&
	    lapic_highest_irq(vcpu->irq.lapic) >= 0)
		return true;
	return extint_pending(vcpu);
}

bool irq_injectable(struct vcpu *vcpu)
{
	return vcpu->irq.apicv ? extint_pending(vcpu) : irq_pending(vcpu);
}

/* An EOI by a flag in memory is given up for this once if the other one costs no more than an MSR's exit. */
bool irq_only_lapic(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	return lapic && !vcpu->irq.apicv && vcpu->vm->mmu.any_mode && !READ_ONCE(vcpu->irq.init_sipi) &&
	       lapic_mode(vcpu) != LAPIC_DISABLED && !extint_pending(vcpu) && !lapic->synced && !lapic->vapic_gpa &&
	       (!pv_eoi_enabled(vcpu) || lapic_mode(vcpu) == LAPIC_X2APIC) &&
	       !READ_ONCE(vcpu->run->request_interrupt_window);
}

int irq_ack(struct vcpu *vcpu)
{
	int vector;

	if (extint_pending(vcpu)) {
		if (vcpu->irq.user_irq < 0)
			return pic_ack(vcpu->vm);
		vector = vcpu->irq.user_irq;
		vcpu->irq.user_irq = -1;
		return vector;
	}
	if (!vcpu->irq.lapic || vcpu->irq.apicv || lapic_mode(vcpu) == LAPIC_DISABLED)
		return -1;
	return lapic_ack(vcpu->irq.lapic);
}

int irq_user_interrupt(struct vcpu *vcpu, u32 vector)
{
	if (vector > 255)
		return -EINVAL;
	if (vcpu->vm->irq.mode == IRQCHIP_KERNEL)
		return -ENXIO;
	if (vcpu->vm->irq.mode == IRQCHIP_SPLIT && vcpu->irq.user_irq >= 0)
		return -EEXIST;
	vcpu->irq.user_irq = vector;
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

/* kvm_run */

int irq_run_begin(struct vcpu *vcpu)
{
	u64 cr8 = READ_ONCE(vcpu->run->cr8);

	if (vcpu->irq.lapic)
		return 0;
	if (cr8 > 15)
		return -EINVAL;
	lapic_cr8_set(vcpu, cr8);
	return 0;
}

static bool ready_for_user_irq(struct vcpu *vcpu)
{
	return inject_irq_allowed(vcpu) && vcpu->irq.user_irq < 0 && lapic_accepts_extint(vcpu);
}

bool irq_window_exit_wanted(struct vcpu *vcpu)
{
	return vcpu->vm->irq.mode != IRQCHIP_KERNEL &&
	       READ_ONCE(vcpu->run->request_interrupt_window) && ready_for_user_irq(vcpu);
}

void irq_run_end(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(rflags_get(vcpu) & X86_EFLAGS_IF);
	run->cr8 = lapic_cr8_get(vcpu);
	run->apic_base = lapic_base_get(vcpu);
	run->ready_for_interrupt_injection = vcpu->vm->irq.mode == IRQCHIP_KERNEL ||
					     ready_for_user_irq(vcpu);
}

int irq_ioapic_eoi_to_user(struct vcpu *vcpu)
{
	u8 vector = vcpu->irq.eoi_vector;

	if (!test_bit(vector, (unsigned long *)vcpu->irq.eoi_exit))
		return RESUME;
	vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
	vcpu->run->eoi.vector = vector;
	return TO_USER;
}

int irq_tpr_report_to_user(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_TPR_ACCESS;
	vcpu->run->tpr_access.rip = vcpu->irq.tpr_rip;
	vcpu->run->tpr_access.is_write = vcpu->irq.tpr_write;
	return TO_USER;
}

/* Whose EOI matters */

/* An interrupt still in service keeps its exit although its pin has been aimed elsewhere since. */
static void keep_in_service(struct lapic *lapic, u64 bitmap[4])
{
	int word;

	for (word = 0; word < 8; word++) {
		u64 bits = lapic_reg(lapic, APIC_ISR + word * 0x10) &
			   lapic_reg(lapic, APIC_TMR + word * 0x10);

		bitmap[word / 2] |= bits << (word % 2 * 32);
	}
}

void irq_eoi_bitmap_update(struct vcpu *vcpu)
{
	u64 bitmap[4] = {};

	if (!vcpu->irq.lapic)
		return;
	keep_in_service(vcpu->irq.lapic, bitmap);
	if (vcpu->vm->irq.mode == IRQCHIP_KERNEL)
		ioapic_eoi_vectors(vcpu, bitmap);
	else
		route_eoi_vectors(vcpu, bitmap);
	if (!memcmp(vcpu->irq.eoi_exit, bitmap, sizeof(bitmap)))
		return;
	memcpy(vcpu->irq.eoi_exit, bitmap, sizeof(bitmap));
	if (vcpu->irq.apicv)
		backend.apicv_update(vcpu);
}

void irq_eoi_bitmap_request(struct vm *vm)
{
	vm_request_all(vm, REQ_EOI_BITMAP, false);
}

/* APICv */

void irq_apicv_inhibit(struct vm *vm, enum apicv_inhibit reason, bool on)
{
	if (on)
		set_bit(reason, &vm->irq.apicv_inhibits);
	else
		clear_bit(reason, &vm->irq.apicv_inhibits);
	if (caps.apicv)
		vm_request_all(vm, REQ_APICV, false);
}

/*
 * In xAPIC mode the guest's physical page at the reset address is the hardware's; x2APIC needs
 * none.
 */
static bool apicv_wanted(struct vcpu *vcpu)
{
	enum lapic_mode mode = lapic_mode(vcpu);

	if (!caps.apicv || !vcpu->irq.lapic || mode == LAPIC_DISABLED || debug_blocks_irq(vcpu) ||
	    vcpu->vm->mmu.shadow)
		return false;
	if (READ_ONCE(vcpu->vm->irq.apicv_inhibits) & BIT(APICV_NO_IRQCHIP))
		return false;
	return mode == LAPIC_X2APIC ||
	       (vcpu->vm->mmu.apic_page != INVALID_HPA &&
		(vcpu->irq.apic_base & PAGE_MASK) == APIC_DEFAULT_PHYS_BASE);
}

void irq_apicv_refresh(struct vcpu *vcpu)
{
	if (!caps.apicv || !vcpu->irq.lapic)
		return;
	WRITE_ONCE(vcpu->irq.apicv, apicv_wanted(vcpu));
	smp_mb();	/* flag before what is posted; pairs with lapic_post() */
	lapic_collect(vcpu->irq.lapic);
	backend.apicv_update(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
}

/* Exits */

int apic_access_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	return emulate_insn(vcpu);
}

/* Life */

int irq_vm_init(struct vm *vm)
{
	spin_lock_init(&vm->irq.map_lock);
	irqfd_vm_init(vm);
	ir_vm_init(vm);
	set_bit(APICV_NO_IRQCHIP, &vm->irq.apicv_inhibits);
	return 0;
}

/*
 * The page whose accesses hardware virtualizes; nobody reads or writes it. Without one: by
 * emulation.
 */
static void apic_page_create(struct vm *vm)
{
	void *page;

	if (!caps.apic_access || vm->mmu.shadow)
		return;
	page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!page)
		return;
	vm->irq.apic_page = page;
	mmu_set_apic_page(vm, __pa(page));
	stats_live(LIVE_PAGES, 1);
}

static void apic_page_destroy(struct vm *vm)
{
	if (!vm->irq.apic_page)
		return;
	mmu_set_apic_page(vm, INVALID_HPA);
	free_page((unsigned long)vm->irq.apic_page);
	vm->irq.apic_page = NULL;
	stats_live(LIVE_PAGES, -1);
}

static void destroy_chips(struct vm *vm)
{
	mutex_lock(&vm->irq_lock);
	ioapic_destroy(vm);
	pic_destroy(vm);
	mutex_unlock(&vm->irq_lock);
}

void irq_vm_destroy(struct vm *vm)
{
	pit_destroy(vm);
	route_vm_destroy(vm);
	destroy_chips(vm);
	apic_page_destroy(vm);
	lapic_map_destroy(vm);
}

static int may_create(struct vm *vm)
{
	if (vm->irq.mode != IRQCHIP_NONE)
		return -EEXIST;
	return vm->nr_vcpus ? -EINVAL : 0;
}

static void publish(struct vm *vm, enum irqchip_mode mode)
{
	apic_page_create(vm);
	/* the chips first; interrupt sources look at mode */
	smp_store_release(&vm->irq.mode, mode);
	clear_bit(APICV_NO_IRQCHIP, &vm->irq.apicv_inhibits);
}

int irqchip_create(struct vm *vm)
{
	int ret = may_create(vm) ?: route_set_default(vm);

	if (ret)
		return ret;
	mutex_lock(&vm->irq_lock);
	ret = pic_create(vm) ?: ioapic_create(vm);
	mutex_unlock(&vm->irq_lock);
	if (ret)
		destroy_chips(vm);
	else
		publish(vm, IRQCHIP_KERNEL);
	return ret;
}

int irqchip_create_split(struct vm *vm, unsigned int pins)
{
	int ret = pins > ROUTE_NR_GSIS ? -EINVAL : may_create(vm) ?: route_set(vm, NULL, 0);

	if (ret)
		return ret;
	vm->irq.split_pins = pins;
	publish(vm, IRQCHIP_SPLIT);
	return 0;
}

static int chip_check(struct vm *vm, const struct kvm_irqchip *chip)
{
	if (vm->irq.mode != IRQCHIP_KERNEL)
		return -ENXIO;
	return chip->chip_id > KVM_IRQCHIP_IOAPIC ? -EINVAL : 0;
}

int irqchip_to_user(struct vm *vm, struct kvm_irqchip *chip)
{
	int ret = chip_check(vm, chip);

	if (!ret && chip->chip_id == KVM_IRQCHIP_IOAPIC)
		ioapic_to_user(vm, &chip->chip.ioapic);
	else if (!ret)
		pic_to_user(vm, chip->chip_id, &chip->chip.pic);
	return ret;
}

int irqchip_from_user(struct vm *vm, const struct kvm_irqchip *chip)
{
	int ret = chip_check(vm, chip);

	if (!ret && chip->chip_id == KVM_IRQCHIP_IOAPIC)
		ioapic_from_user(vm, &chip->chip.ioapic);
	else if (!ret)
		pic_from_user(vm, chip->chip_id, &chip->chip.pic);
	return ret;
}

int irq_vcpu_init(struct vcpu *vcpu)
{
	vcpu->irq.user_irq = -1;
	vcpu->irq.mp_state = KVM_MP_STATE_RUNNABLE;
	if (vcpu->vm->irq.mode == IRQCHIP_NONE)
		return 0;
	if (vcpu->id != vcpu->vm->bsp_id)
		vcpu->irq.mp_state = KVM_MP_STATE_UNINITIALIZED;
	return lapic_create(vcpu);
}

void irq_vcpu_ready(struct vcpu *vcpu)
{
	if (!vcpu->irq.lapic)
		return;
	lapic_map_update(vcpu->vm);
	vcpu_request(vcpu, REQ_EOI_BITMAP);
	vcpu_request(vcpu, REQ_APICV);
}

void irq_vcpu_destroy(struct vcpu *vcpu)
{
	lapic_destroy(vcpu);
}

void irq_vcpu_reset(struct vcpu *vcpu, bool init)
{
	vcpu->irq.user_irq = -1;
	lapic_reset(vcpu, init);
}
