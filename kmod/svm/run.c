// SPDX-License-Identifier: GPL-2.0-only
/* One round trip into the guest. */
#include <linux/build_bug.h>
#include <linux/sched.h>
#include <linux/stddef.h>
#include <asm/apicdef.h>
#include <asm/asm.h>
#include <asm/mmu_context.h>
#include <asm/spec-ctrl.h>
#include "compat.h"
#include "cpu/regs.h"
#include "guest_state.h"
#include "irq/lapic.h"
#include "stay.h"
#include "svm/exit.h"
#include "svm/svm.h"
#include "vm.h"

static_assert(offsetof(struct vcpu, regs.gpr) == 0);
static_assert(offsetof(struct svm_enter_ctx, vmcb) == SVM_CTX_VMCB);
static_assert(offsetof(struct svm_enter_ctx, host) == SVM_CTX_HOST);
static_assert(offsetof(struct svm_enter_ctx, spec_ctrl) == SVM_CTX_SPEC_CTRL);
static_assert(offsetof(struct svm_enter_ctx, flags) == SVM_CTX_FLAGS);

/*
 * Global interrupt flag: while it is clear, nothing at all comes in. A fault is ignored: it means
 * an emergency switched SVM off, and VMRUN will fail too.
 */
#define GIF(insn)	asm volatile("1: " insn "\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "memory")

static const u32 event_types[] = {	/* APM volume 2, "Event Injection" */
	[EVENT_IRQ] = SVM_EVTINJ_TYPE_INTR,
	[EVENT_NMI] = SVM_EVTINJ_TYPE_NMI,
	[EVENT_EXCEPTION] = SVM_EVTINJ_TYPE_EXEPT,
	[EVENT_SOFT_INT] = SVM_EVTINJ_TYPE_SOFT,
	[EVENT_SOFT_EXCEPTION] = SVM_EVTINJ_TYPE_EXEPT,
	[EVENT_PRIV_SOFT_EXCEPTION] = SVM_EVTINJ_TYPE_EXEPT,
};

/*
 * A software interrupt or exception pushes the address behind the instruction. Which field that
 * is taken from differs between CPUs: move them all. A delivery that is done again finds it moved.
 */
static void soft_advance(struct svm_vcpu *svm, const struct event *event)
{
	struct vcpu *vcpu = svm->vcpu;

	if (!svm->soft_injected)
		rip_set(vcpu, rip_get(vcpu) + event->insn_len);
	svm->soft_injected = true;
	if (svm_caps.next_rip)
		svm->vmcb->control.next_rip = rip_get(vcpu);
}

static noinline void inject(struct vcpu *vcpu, const struct event *event)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	u32 info = SVM_EVTINJ_VALID | event_types[event->type] | event->vector;

	if (event->type >= EVENT_SOFT_INT)
		soft_advance(svm, event);
	if (event->type == EVENT_NMI)
		svm_nmi_mask(svm, true);
	if (event->has_error && (cr0_get(vcpu) & X86_CR0_PE)) {
		info |= SVM_EVTINJ_VALID_ERR;
		control->event_inj_err = event->error;
	}
	control->event_inj = info;
}

/* A virtual interrupt of the highest priority that nobody takes: it exits once it could be taken. */
static void irq_window(struct svm_vcpu *svm, bool wanted)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	control->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	if (wanted)
		control->int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	svm_intercept(svm, INTERCEPT_VINTR, wanted);
}

/*
 * There is no window for NMIs: step over what blocks them, the IRET of the last one or a shadow. An
 * event to be delivered first would push our TF; leave again right behind it instead.
 */
static void nmi_window(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = svm->vcpu;

	if (svm->nmi_masked && !svm->iret_pending)
		return;		/* IRET is intercepted */
	if (vcpu->events.entry.type != EVENT_NONE) {
		compat_kick_cpu(smp_processor_id());
		return;
	}
	svm->stepping = true;
	svm->step_tf = rflags_get(vcpu) & X86_EFLAGS_TF;
	rflags_set(vcpu, rflags_get(vcpu) | X86_EFLAGS_TF);
}

static u32 *tpr_of(struct vcpu *vcpu)
{
	return (u32 *)(vcpu->irq.lapic->regs + APIC_TASKPRI);
}

/*
 * CR8 is virtual. Its writes are intercepted when a lower one could let an interrupt through, or
 * when the interrupts are userspace's, which wants to hear of it.
 */
static void tpr_enter(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	u64 cr8 = vcpu->irq.lapic ? *tpr_of(vcpu) >> 4 : vcpu->regs.cr8;

	svm->tpr = cr8 & V_TPR_MASK;
	svm->vmcb->control.int_ctl &= ~V_TPR_MASK;
	svm->vmcb->control.int_ctl |= svm->tpr;
	svm_intercept(svm, INTERCEPT_CR8_WRITE, !vcpu->irq.lapic || lapic_tpr_threshold(vcpu));
}

static noinline void tpr_changed(struct vcpu *vcpu, u8 cr8)
{
	svm_of(vcpu)->tpr = cr8;
	if (vcpu->irq.lapic)
		*tpr_of(vcpu) = cr8 << 4;
}

static __always_inline void tpr_exit(struct vcpu *vcpu, struct svm_vcpu *svm)
{
	u8 cr8 = svm->vmcb->control.int_ctl & V_TPR_MASK;

	if (unlikely(cr8 != svm->tpr))
		tpr_changed(vcpu, cr8);
}

static const void *ldt_of_thread(void)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	return READ_ONCE(current->mm->context.ldt);
#else
	return NULL;
#endif
}

/*
 * What VMLOAD brings back after every exit. It stays right while the thread stays on this CPU,
 * except that another thread may change the LDT they share.
 */
static void host_save(struct svm_vcpu *svm)
{
	if (likely(svm->host_saved && svm->host_ldt == ldt_of_thread()))
		return;
	svm->host_ldt = ldt_of_thread();
	svm_user_msrs_load(svm);
	asm volatile("1: vmsave %[pa]\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : : [pa] "a" (svm->ctx.host) : "memory");
	svm->host_saved = true;
}

static noinline void root_load(struct vcpu *vcpu, struct svm_vcpu *svm)
{
	svm->root = vcpu->mmu.root;
	if (vcpu->vm->mmu.shadow)
		svm->vmcb->save.cr3 = __sme_set(svm->root);
	else
		svm->vmcb->control.nested_cr3 = __sme_set(svm->root);
	svm_tlb_flush(vcpu, TLB_ALL, 0);
}

static noinline void event_update(struct vcpu *vcpu)
{
	tpr_enter(vcpu);
	if (vcpu->events.entry.type != EVENT_NONE)
		inject(vcpu, &vcpu->events.entry);
}

/* Once for a stay: what only changes while interrupts are on. */
static noinline void prepare(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	host_save(svm);
	irq_window(svm, vcpu->events.want_irq_window);
	if (unlikely(vcpu->events.want_nmi_window))
		nmi_window(svm);
	svm_tlb_asid(svm);
	GIF("clgi");
	x86_spec_ctrl_set_guest(svm->virt_spec_ctrl);
	event_update(vcpu);
}

static noinstr void round_trip(struct vcpu *vcpu, struct svm_vcpu *svm, bool again)
{
	guest_state_enter(again);
	svm_enter_guest(vcpu->regs.gpr, &svm->ctx);
	guest_state_exit();
}

/* Hardware has one bit for both shadows; of the two MOV SS says less about RFLAGS.IF. */
static u64 shadow_now(const struct svm_vcpu *svm)
{
	return (svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK ? SHADOW_MOV_SS : 0) |
	       (svm->nmi_masked ? SHADOW_NMI : 0);
}

/* The VMCB is memory: what nearly every exit asks for is taken over at once. */
static __always_inline void regs_after(struct vcpu *vcpu, const struct svm_vcpu *svm)
{
	const struct vmcb_save_area *save = &svm->vmcb->save;
	struct vcpu_regs *regs = &vcpu->regs;

	regs->gpr[GPR_RAX] = save->rax;
	regs->rip = save->rip;
	regs->rflags = save->rflags;
	regs->cr2 = save->cr2;
	/* CR4, EFER, DR7: we intercept every write. */
	regs->avail = ((BIT_ULL(16) - 1) & ~BIT_ULL(GPR_RSP)) | BIT_ULL(REG_RIP) | BIT_ULL(REG_RFLAGS) |
		      BIT_ULL(REG_SHADOW) | BIT_ULL(REG_CR4) | BIT_ULL(REG_EFER) | BIT_ULL(REG_DR7);
}

/* Nearly every exit that was served moved RIP and nothing else, but for RAX and CR2. */
static __always_inline void regs_flush(struct vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_save_area *save = &svm->vmcb->save;
	struct vcpu_regs *regs = &vcpu->regs;

	if (likely(regs->dirty == BIT_ULL(REG_RIP)))
		save->rip = regs->rip;
	else if (regs->dirty)
		svm_regs_flush(vcpu, regs->dirty);
	regs->dirty = 0;
	save->rax = regs->gpr[GPR_RAX];
	save->cr2 = regs->cr2;
}

static __always_inline void one_trip(struct vcpu *vcpu, struct svm_vcpu *svm, bool again)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	regs_flush(vcpu, svm);
	control->exit_code = SVM_EXIT_NONE;

	round_trip(vcpu, svm, again);

	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	control->event_inj = 0;
	regs_after(vcpu, svm);
	tpr_exit(vcpu, svm);
	if (unlikely(!svm_exit_plain(vcpu, svm)))
		svm_exit_decode(vcpu, &vcpu->exit);
	vcpu->regs.shadow = shadow_now(svm);	/* of NMIs the decoder has found out */
}

bool svm_run_enter(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	bool again = false, handle = false;
	enum stay stay;

	prepare(vcpu);
	for (;;) {
		if (unlikely(svm->root != vcpu->mmu.root))
			root_load(vcpu, svm);
		if (unlikely(svm->asid_cpu < 0))
			svm_tlb_asid(svm);
		stay_entry(vcpu);
		one_trip(vcpu, svm, again);
		stay = stay_exit(vcpu, &handle);
		if (stay == STAY_OVER)
			break;
		if (unlikely(stay == STAY_EVENT))
			event_update(vcpu);
		again = true;
	}
	if (vcpu->arch.spec_ctrl_live)
		vcpu->arch.spec_ctrl = cpu_feature_enabled(X86_FEATURE_V_SPEC_CTRL) ?
				       svm->vmcb->save.spec_ctrl : svm->ctx.spec_ctrl;
	return handle;
}

/*
 * With GIF set again the NMI that ended the guest is taken; its interrupt comes when interrupts go
 * on, for a moment here so that it counts as the guest's time.
 */
void svm_run_host_events(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	u32 code = svm->vmcb->control.exit_code;

	x86_spec_ctrl_restore_host(svm->virt_spec_ctrl);
	GIF("stgi");
	if (code == SVM_EXIT_INTR) {
		vcpu->stats.host_irqs++;
		local_irq_enable();
		asm volatile("nop");	/* the shadow of STI */
		local_irq_disable();
	} else if (code == SVM_EXIT_EXCP_BASE + X86_TRAP_MC) {
		compat_machine_check();
	}
}

/* SVM has no timer of its own. */
bool svm_run_timer_set(struct vcpu *vcpu, u64 guest_tsc)
{
	return guest_tsc == ~0ULL;
}
