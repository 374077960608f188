// SPDX-License-Identifier: GPL-2.0-only
/* One round trip into the guest. */
#include <linux/perf_event.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/mmu_context.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>
#include "backend.h"
#include "compat.h"
#include "cpu/regs.h"
#include "guest_state.h"
#include "irq/lapic.h"
#include "stay.h"
#include "vm.h"
#include "vmx/exit.h"
#include "vmx/l1d.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

static_assert(offsetof(struct vcpu_regs, gpr) == 0);
static_assert(offsetof(struct vcpu_regs, cr2) == VMX_REGS_CR2);
static_assert(offsetof(struct vmx_enter_ctx, host_rsp) == VMX_CTX_HOST_RSP);
static_assert(offsetof(struct vmx_enter_ctx, spec_ctrl) == VMX_CTX_SPEC_CTRL);
static_assert(offsetof(struct vmx_enter_ctx, nmi_entry) == VMX_CTX_NMI_ENTRY);
static_assert(offsetof(struct vmx_enter_ctx, flags) == VMX_CTX_FLAGS);
static_assert(offsetof(struct vmx_enter_ctx, intr_info) == VMX_CTX_INTR_INFO);

unsigned long vmx_host_idt __ro_after_init;

void vmx_run_setup(void)
{
	struct desc_ptr idt;

	store_idt(&idt);
	vmx_host_idt = idt.address;
}

static void host_cr_update(struct vmx_vcpu *vmx)
{
	unsigned long cr3 = __get_current_cr3_fast();
	unsigned long cr4 = cr4_read_shadow();

	if (unlikely(cr3 != vmx->host.cr3)) {
		vmcs_writel(HOST_CR3, cr3);
		vmx->host.cr3 = cr3;
	}
	if (unlikely(cr4 != vmx->host.cr4)) {
		vmcs_writel(HOST_CR4, cr4);
		vmx->host.cr4 = cr4;
	}
}

/*
 * The guest must not count into the host's performance counters, and PEBS must not write through
 * the guest's page tables. Without our own vPMU the guest's value is always "off".
 */
static void perf_switch(struct vmx_vcpu *vmx)
{
	struct perf_guest_switch_msr *msrs;
	u32 entry = vmx->entry & ~VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
	u32 exit = vmx->exit_ctls & ~VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
	int i, nr;

	msrs = perf_guest_get_msrs(&nr, NULL);
	for (i = 0; msrs && i < nr; i++) {
		if (msrs[i].msr == MSR_CORE_PERF_GLOBAL_CTRL && msrs[i].host != msrs[i].guest &&
		    (vmx_caps.entry & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL)) {
			vmcs_write64(GUEST_IA32_PERF_GLOBAL_CTRL, msrs[i].guest);
			vmcs_write64(HOST_IA32_PERF_GLOBAL_CTRL, msrs[i].host);
			entry |= VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
			exit |= VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
		} else if (msrs[i].msr == MSR_IA32_PEBS_ENABLE && msrs[i].host) {
			/* Quiesce it here: the SDM wants it off before the entry loads GLOBAL_CTRL. */
			wrmsrl(MSR_IA32_PEBS_ENABLE, 0);
			vmx->host.pebs = msrs[i].host;
		}
	}
	if (entry != vmx->entry) {
		vmcs_write32(VM_ENTRY_CONTROLS, vmx->entry = entry);
		vmcs_write32(VM_EXIT_CONTROLS, vmx->exit_ctls = exit);
	}
}

static const u32 event_info[] = {	/* SDM, "VM-Entry Controls for Event Injection" */
	[EVENT_IRQ] = INTR_TYPE_EXT_INTR,
	[EVENT_NMI] = INTR_TYPE_NMI_INTR,
	[EVENT_EXCEPTION] = INTR_TYPE_HARD_EXCEPTION,
	[EVENT_SOFT_INT] = INTR_TYPE_SOFT_INTR,
	[EVENT_SOFT_EXCEPTION] = INTR_TYPE_SOFT_EXCEPTION,
	[EVENT_PRIV_SOFT_EXCEPTION] = INTR_TYPE_PRIV_SW_EXCEPTION,
};

/* Return: what an error code adds to the field of the event. */
static noinline u32 inject_more(struct vcpu *vcpu, const struct event *event)
{
	if (event->type >= EVENT_SOFT_INT)
		vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, event->insn_len);
	if (!event->has_error || !(cr0_get(vcpu) & X86_CR0_PE))
		return 0;
	vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE, event->error);
	return INTR_INFO_DELIVER_CODE_MASK;
}

static void inject(struct vcpu *vcpu, const struct event *event)
{
	u32 info = INTR_INFO_VALID_MASK | event_info[event->type] | event->vector;

	if (event->type != EVENT_IRQ)
		info |= inject_more(vcpu, event);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, info);
}

static void windows_update(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 exec = vmx->exec & ~(CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING);

	if (vcpu->events.want_irq_window)
		exec |= CPU_BASED_INTR_WINDOW_EXITING;
	if (vcpu->events.want_nmi_window)
		exec |= CPU_BASED_NMI_WINDOW_EXITING;
	if (exec != vmx->exec) {
		vmx->exec = exec;
		vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, exec);
	}
}

static void tpr_threshold_update(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 threshold;

	if (!(vmx->exec & CPU_BASED_TPR_SHADOW))
		return;
	threshold = lapic_tpr_threshold(vcpu);
	if (threshold != vmx->tpr_threshold) {
		vmx->tpr_threshold = threshold;
		vmcs_write32(TPR_THRESHOLD, threshold);
	}
}

static noinline void event_update(struct vcpu *vcpu)
{
	tpr_threshold_update(vcpu);
	if (vcpu->events.entry.type != EVENT_NONE)
		inject(vcpu, &vcpu->events.entry);
}

static __always_inline void timer_update(struct vmx_vcpu *vmx)
{
	u64 now, ticks = 0;

	if (!(vmx->pin & PIN_BASED_VMX_PREEMPTION_TIMER))
		return;
	now = rdtsc();
	if (vmx->timer_tsc > now)
		ticks = (vmx->timer_tsc - now) >> vmx_caps.timer_shift;
	vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, min_t(u64, ticks, U32_MAX));
}

static void pin_set(struct vmx_vcpu *vmx, u32 pin)
{
	if (unlikely(pin != vmx->pin)) {
		vmx->pin = pin;
		vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, pin);
	}
}

/*
 * A scaled TSC is left to an hrtimer. A deadline out of the timer's 32 bits is not: it fires too early then, which
 * lapic_timer_serve() finds, and once in seconds. So does one that is none, until prepare() has turned the timer off:
 * in the same stay the next one mostly comes first.
 */
bool vmx_run_timer_set(struct vcpu *vcpu, u64 guest_tsc)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if (guest_tsc == ~0ULL || vcpu->arch.tsc_scaled) {
		vmx->timer_tsc = ~0ULL;
		return guest_tsc == ~0ULL;
	}
	vmx->timer_tsc = guest_tsc - vcpu->arch.tsc_offset;
	pin_set(vmx, vmx->pin | PIN_BASED_VMX_PREEMPTION_TIMER);
	return true;
}

/* Once for a stay: what only changes while interrupts are on. */
static noinline void prepare(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if (unlikely(!vmx->host.loaded))
		vmx_host_save(vmx);
	host_cr_update(vmx);
	vmx->host.debugctl = get_debugctlmsr();	/* perf may change it while interrupts are on */
	perf_switch(vmx);
	if (vmx->timer_tsc == ~0ULL)
		pin_set(vmx, vmx->pin & ~PIN_BASED_VMX_PREEMPTION_TIMER);
	windows_update(vcpu);
	event_update(vcpu);
}

static noinline void root_load(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
	vmx->root = vcpu->mmu.root;
	if (vcpu->vm->mmu.shadow)
		vmcs_writel(GUEST_CR3, __sme_set(vmx->root));
	else
		vmcs_write64(EPT_POINTER, vmx_tlb_eptp(vmx->root));
	vmx_tlb_flush(vcpu, TLB_ALL, 0);
}

/* What an exit, or prepare(), turned off and somebody uses. */
static noinline void debug_restore(struct vmx_vcpu *vmx)
{
	if (vmx->host.debugctl)
		update_debugctlmsr(vmx->host.debugctl);
	if (vmx->host.pebs)
		wrmsrl(MSR_IA32_PEBS_ENABLE, vmx->host.pebs);
	vmx->host.pebs = 0;
}

/* Nearly every exit that was served moved RIP and nothing else. */
static __always_inline void regs_flush(struct vcpu *vcpu)
{
	struct vcpu_regs *regs = &vcpu->regs;

	if (likely(regs->dirty == BIT_ULL(REG_RIP)))
		vmcs_writel(GUEST_RIP, regs->rip);
	else if (regs->dirty)
		vmx_regs_flush(vcpu, regs->dirty);
	regs->dirty = 0;
}

static __always_inline void before_entry(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
	if (unlikely(vmx->root != vcpu->mmu.root))
		root_load(vcpu, vmx);
	stay_entry(vcpu);
	regs_flush(vcpu);
	timer_update(vmx);
}

/* The last thing before vmx_stay() enters the guest; @again: interrupts have been off since the last time. */
static __always_inline void to_guest(struct vcpu *vcpu, bool again)
{
	guest_state_enter(again);
	if (static_branch_unlikely(&l1d_wanted))
		l1d_flush(vcpu, again);
	else if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();	/* slots may map device memory */
	if (vcpu->regs.cr2 != native_read_cr2())
		native_write_cr2(vcpu->regs.cr2);
}

noinstr u32 vmx_stay_next(struct vcpu_regs *regs, struct vmx_enter_ctx *ctx, u32 reason)
{
	struct vcpu *vcpu = container_of(regs, struct vcpu, regs);
	struct vmx_vcpu *vmx = container_of(ctx, struct vmx_vcpu, ctx);
	bool handle = false;
	enum stay stay;

	guest_state_exit();
	instrumentation_begin();
	vmx_exit_decode(vcpu, vmx, reason);
	stay = stay_exit(vcpu, &handle);
	if (stay == STAY_OVER) {
		instrumentation_end();
		return handle;
	}
	if (unlikely(stay == STAY_EVENT))
		event_update(vcpu);
	if (unlikely(vcpu->irq.rvi_behind) && vcpu->irq.apicv)	/* posted by the exit itself */
		vmx_posted_sync(vcpu);
	before_entry(vcpu, vmx);
	instrumentation_end();
	to_guest(vcpu, true);
	return VMX_STAY_ON;
}

static noinstr bool stay_begin(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
	to_guest(vcpu, false);
	return vmx_stay(&vcpu->regs, &vmx->ctx);
}

bool vmx_run_enter(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	bool handle;

	prepare(vcpu);
	before_entry(vcpu, vmx);
	handle = stay_begin(vcpu, vmx);
	if (vcpu->arch.spec_ctrl_live)
		vcpu->arch.spec_ctrl = vmx->ctx.spec_ctrl;
	return handle;
}

/*
 * The end of a stay. An interrupt that was acknowledged by the exit is given to the host's own gate. Before it, so
 * that whoever interrupted us to read the dirty log finds all that was written, the
 * page-modification log is emptied.
 */
void vmx_run_host_events(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	gate_desc *gate;
	u32 info;

	if (unlikely(vmx->host.debugctl | vmx->host.pebs))
		debug_restore(vmx);
	if (vmx->pml)
		vmx_exit_pml_drain(vcpu);
	if (vcpu->exit.hw_reason != EXIT_REASON_EXTERNAL_INTERRUPT)
		return;
	info = vmcs_read32(VM_EXIT_INTR_INFO);
	if (!(info & INTR_INFO_VALID_MASK))
		return;
	vcpu->stats.host_irqs++;
	gate = (gate_desc *)vmx_host_idt + (info & INTR_INFO_VECTOR_MASK);
	vmx_call_gate(gate_offset(gate));
}
