// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which event the next entry delivers. An event that was interrupted while it was being delivered
 * comes first, unless what interrupted it is an exception of the guest's own.
 */
#include <linux/bits.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/processor-flags.h>
#include "trace.h"
#include "vm.h"
#include "cpu/debug.h"
#include "cpu/dr.h"
#include "cpu/regs.h"
#include "irq/lapic.h"

#define VECTOR_DB	1
#define VECTOR_NMI	2
#define VECTOR_DF	8
#define VECTOR_PF	14
#define NR_EXCEPTIONS	32

/* The classes of the double-fault table in the SDM's chapter on exceptions. */
#define CONTRIBUTORY	(BIT(0) | BIT(10) | BIT(11) | BIT(12) | BIT(13))
#define PAGE_FAULTS	(BIT(14) | BIT(20))

/*
 * Faults push RF set, so that the instruction does not hit its own breakpoint again. #DB decides
 * by itself.
 */
#define FAULTS		(CONTRIBUTORY | PAGE_FAULTS | BIT(5) | BIT(6) | BIT(7) | BIT(16) | \
			 BIT(17) | BIT(19) | BIT(21))

static int previous_exception(const struct vcpu_events *ev)
{
	if (ev->exception.pending)
		return ev->exception.vector;
	if (ev->entry.type == EVENT_EXCEPTION || ev->entry.type == EVENT_SOFT_EXCEPTION)
		return ev->entry.vector;
	return -1;
}

static bool makes_double_fault(u8 first, u8 second)
{
	if (BIT(first) & PAGE_FAULTS)
		return BIT(second) & (PAGE_FAULTS | CONTRIBUTORY);
	return (BIT(first) & CONTRIBUTORY) && (BIT(second) & CONTRIBUTORY);
}

static int queue(struct vcpu *vcpu, struct exception new)
{
	struct vcpu_events *ev = &vcpu->events;
	int previous = previous_exception(ev);

	vcpu_request(vcpu, REQ_EVENT);
	if (previous == VECTOR_DF) {
		events_clear_exception(vcpu);
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		return RESUME;
	}
	if (previous >= 0 && makes_double_fault(previous, new.vector))
		new = (struct exception){ .vector = VECTOR_DF, .has_error = true };
	/*
	 * Otherwise the second one wins: the instruction raises the first again when it is
	 * restarted.
	 */
	if (previous >= 0)
		events_clear_exception(vcpu);
	new.pending = true;
	ev->exception = new;
	return RESUME;
}

int inject_exception(struct vcpu *vcpu, u8 vector)
{
	return queue(vcpu, (struct exception){ .vector = vector });
}

int inject_exception_error(struct vcpu *vcpu, u8 vector, u32 error)
{
	return queue(vcpu, (struct exception){
		.vector = vector, .has_error = true, .error = error,
	});
}

int inject_page_fault(struct vcpu *vcpu, gva_t cr2, u32 error)
{
	return queue(vcpu, (struct exception){
		.vector = VECTOR_PF, .has_error = true, .error = error,
		.has_payload = true, .payload = cr2,
	});
}

int inject_db(struct vcpu *vcpu, u64 dr6_bits)
{
	return queue(vcpu, (struct exception){
		.vector = VECTOR_DB, .has_payload = true, .payload = dr6_bits,
	});
}

void inject_nmi(struct vcpu *vcpu)
{
	atomic_inc(&vcpu->events.nmi_queued);
	vcpu_request_kick(vcpu, REQ_NMI);
}

void inject_nmi_collect(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;
	unsigned int queued = atomic_xchg(&ev->nmi_queued, 0);
	unsigned int limit = 2;

	if (!queued)
		return;
	/* Hardware latches one NMI while another one is being handled. */
	if (ev->entry.type == EVENT_NMI || (shadow_get(vcpu) & SHADOW_NMI))
		limit = 1;
	ev->nmi_pending = min(ev->nmi_pending + queued, limit);
	vcpu_request(vcpu, REQ_EVENT);
}

/* Nothing is on its way into the guest, and no instruction shields against what comes. */
static bool may_interrupt(struct vcpu *vcpu, u64 shadow)
{
	return vcpu->events.entry.type == EVENT_NONE && !vcpu->events.exception.pending &&
	       !(shadow_get(vcpu) & (SHADOW_STI | SHADOW_MOV_SS | shadow));
}

bool inject_irq_allowed(struct vcpu *vcpu)
{
	return (rflags_get(vcpu) & X86_EFLAGS_IF) && !debug_blocks_irq(vcpu) &&
	       may_interrupt(vcpu, 0);
}

bool inject_nmi_allowed(struct vcpu *vcpu)
{
	return may_interrupt(vcpu, SHADOW_NMI);
}

int inject_irq_vector(struct vcpu *vcpu)
{
	const struct event *entry = &vcpu->events.entry;

	if (entry->type == EVENT_IRQ)
		return entry->vector;
	return vcpu->vm->irq.mode == IRQCHIP_NONE ? vcpu->irq.user_irq : -1;
}

void inject_irq_requeue(struct vcpu *vcpu, u8 vector)
{
	/* Without a LAPIC in the kernel it is userspace's own, which waits until the guest can take it. */
	if (vcpu->vm->irq.mode == IRQCHIP_NONE)
		vcpu->irq.user_irq = vector;
	else
		vcpu->events.entry = (struct event){ .type = EVENT_IRQ, .vector = vector };
	vcpu_request(vcpu, REQ_EVENT);
}

static void apply_payload(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	if (!ev->exception.has_payload)
		return;
	if (ev->exception.vector == VECTOR_DB)
		dr_deliver(vcpu, ev->exception.payload);
	else if (ev->exception.vector == VECTOR_PF)
		vcpu->regs.cr2 = ev->exception.payload;
	ev->exception.has_payload = false;
	ev->exception.payload = 0;
}

static void deliver_exception(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;
	u8 vector = ev->exception.vector;

	apply_payload(vcpu);
	if (BIT(vector) & FAULTS)
		rflags_set(vcpu, rflags_get(vcpu) | X86_EFLAGS_RF);
	/*
	 * An external interrupt or NMI whose delivery faulted is lost, as on the real machine;
	 * INT n is executed again because RIP still points at it.
	 */
	ev->entry = (struct event){
		.type = EVENT_EXCEPTION,
		.vector = vector,
		.has_error = ev->exception.has_error && (cr0_get(vcpu) & X86_CR0_PE),
		.error = ev->exception.error,
	};
	ev->exception.pending = false;
	vcpu->stats.exceptions++;
}

static void deliver_async(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;
	int vector;

	if (ev->nmi_pending && inject_nmi_allowed(vcpu)) {
		ev->nmi_pending--;
		ev->entry = (struct event){ .type = EVENT_NMI, .vector = VECTOR_NMI };
		vcpu->stats.nmi_injections++;
		return;
	}
	if (!inject_irq_allowed(vcpu))
		return;
	vector = irq_ack(vcpu);
	if (vector < 0)
		return;
	ev->entry = (struct event){ .type = EVENT_IRQ, .vector = vector };
	vcpu->stats.irq_injections++;
}

/*
 * Userspace that emulates the PIC wants to know when the guest could take an interrupt. With LINT0
 * masked it never could: a window would exit again and again, and nobody would leave the loop.
 */
static bool user_wants_window(struct vcpu *vcpu)
{
	return vcpu->vm->irq.mode != IRQCHIP_KERNEL && lapic_accepts_extint(vcpu) &&
	       READ_ONCE(vcpu->run->request_interrupt_window);
}

static void choose_windows(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	ev->want_nmi_window = ev->nmi_pending;
	ev->want_irq_window = !debug_blocks_irq(vcpu) &&
			      (irq_injectable(vcpu) || user_wants_window(vcpu));
	/*
	 * Behind STI an NMI window is open but NMIs are not allowed yet; IF is set, so the other
	 * one will do.
	 */
	if (ev->nmi_pending && (shadow_get(vcpu) & SHADOW_STI)) {
		ev->want_nmi_window = false;
		ev->want_irq_window = true;
	}
}

int inject_events(struct vcpu *vcpu)
{
	struct event *entry = &vcpu->events.entry;
	bool again = false;

	inject_nmi_collect(vcpu);
	if (vcpu->events.exception.pending)
		deliver_exception(vcpu);
	else if (entry->type == EVENT_NONE)
		deliver_async(vcpu);
	else
		again = true;
	if (entry->type != EVENT_NONE)
		trace_corbel_inject(vcpu->id, entry->type, entry->vector, entry->error, again);
	choose_windows(vcpu);
	lapic_sync_enter(vcpu);
	return RESUME;
}

bool inject_lapic_fast(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;
	int vector;

	if (ev->nmi_pending || ev->want_irq_window || ev->want_nmi_window || trace_corbel_inject_enabled() ||
	    !irq_only_lapic(vcpu) || !inject_irq_allowed(vcpu))
		return false;
	vcpu_take_request(vcpu, REQ_EVENT);
	vector = lapic_ack(vcpu->irq.lapic);
	if (vector >= 0) {
		ev->entry = (struct event){ .type = EVENT_IRQ, .vector = vector };
		vcpu->stats.irq_injections++;
	}
	return true;
}

int inject_window_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	vcpu_request(vcpu, REQ_EVENT);
	return RESUME;
}

void events_clear_exception(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	if (ev->entry.type == EVENT_EXCEPTION || ev->entry.type == EVENT_SOFT_EXCEPTION)
		ev->entry.type = EVENT_NONE;
	ev->exception.pending = false;
	ev->exception.has_payload = false;
}

void events_reset(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	events_clear_exception(vcpu);
	ev->entry.type = EVENT_NONE;
	ev->nmi_pending = 0;
	atomic_set(&ev->nmi_queued, 0);
	ev->want_irq_window = false;
	ev->want_nmi_window = false;
	vcpu_request(vcpu, REQ_EVENT);
}

static void exception_to_user(struct vcpu *vcpu, struct kvm_vcpu_events *out)
{
	struct vcpu_events *ev = &vcpu->events;
	bool payloads = vcpu->vm->arch.exception_payload;

	if (ev->exception.pending) {
		if (!payloads)
			apply_payload(vcpu);
		out->exception.injected = !payloads;
		out->exception.pending = payloads;
		out->exception.nr = ev->exception.vector;
		out->exception.has_error_code = ev->exception.has_error;
		out->exception.error_code = ev->exception.error;
		out->exception_has_payload = ev->exception.has_payload;
		out->exception_payload = ev->exception.payload;
	} else if (ev->entry.type == EVENT_EXCEPTION) {
		out->exception.injected = 1;
		out->exception.nr = ev->entry.vector;
		out->exception.has_error_code = ev->entry.has_error;
		out->exception.error_code = ev->entry.error;
	}
	/* INT3, INTO, INT1 and INT n are not shown: the instruction will run again. */
}

void events_to_user(struct vcpu *vcpu, struct kvm_vcpu_events *out)
{
	struct vcpu_events *ev = &vcpu->events;
	u64 shadow = shadow_get(vcpu);

	memset(out, 0, sizeof(*out));
	inject_nmi_collect(vcpu);
	exception_to_user(vcpu, out);
	if (ev->entry.type == EVENT_IRQ) {
		out->interrupt.injected = 1;
		out->interrupt.nr = ev->entry.vector;
	}
	out->interrupt.shadow = (shadow & SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0) |
				(shadow & SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0);
	out->nmi.injected = ev->entry.type == EVENT_NMI;
	out->nmi.pending = ev->nmi_pending;
	out->nmi.masked = !!(shadow & SHADOW_NMI);
	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		     KVM_VCPUEVENT_VALID_SMM;
	if (vcpu->vm->arch.exception_payload)
		out->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->vm->arch.triple_fault_event) {
		out->triple_fault.pending = test_bit(REQ_TRIPLE_FAULT, &vcpu->requests);
		out->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

static int events_check(struct vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	bool pending = in->exception.pending && (in->flags & KVM_VCPUEVENT_VALID_PAYLOAD);

	if (vcpu->vm->arch.exception_payload)
		known |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->vm->arch.triple_fault_event)
		known |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (in->flags & ~known)
		return -EINVAL;
	if ((in->exception.injected || pending) &&
	    (in->exception.nr >= NR_EXCEPTIONS || in->exception.nr == VECTOR_NMI))
		return -EINVAL;
	/* There is no system management mode to put the vCPU into. */
	if ((in->flags & KVM_VCPUEVENT_VALID_SMM) && (in->smi.smm || in->smi.pending))
		return -EINVAL;
	return 0;
}

static void exception_from_user(struct vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	if ((in->flags & KVM_VCPUEVENT_VALID_PAYLOAD) && in->exception.pending)
		vcpu->events.exception = (struct exception){
			.pending = true,
			.vector = in->exception.nr,
			.has_error = in->exception.has_error_code,
			.error = in->exception.error_code,
			.has_payload = in->exception_has_payload,
			.payload = in->exception_payload,
		};
	else if (in->exception.injected)
		vcpu->events.entry = (struct event){
			.type = EVENT_EXCEPTION,
			.vector = in->exception.nr,
			.has_error = in->exception.has_error_code,
			.error = in->exception.error_code,
		};
}

static void shadow_from_user(struct vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	u64 shadow = shadow_get(vcpu) & ~(u64)SHADOW_NMI;

	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW) {
		shadow &= ~(u64)(SHADOW_STI | SHADOW_MOV_SS);
		if (in->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS)
			shadow |= SHADOW_MOV_SS;
		if (in->interrupt.shadow & KVM_X86_SHADOW_INT_STI)
			shadow |= SHADOW_STI;
	}
	if (in->nmi.masked)
		shadow |= SHADOW_NMI;
	shadow_set(vcpu, shadow);
}

static void triple_fault_from_user(struct vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	if (!(in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT))
		return;
	if (in->triple_fault.pending)
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
	else
		clear_bit(REQ_TRIPLE_FAULT, &vcpu->requests);
}

int events_from_user(struct vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct vcpu_events *ev = &vcpu->events;
	int ret = events_check(vcpu, in);

	if (ret)
		return ret;
	inject_nmi_collect(vcpu);
	events_clear_exception(vcpu);
	ev->entry.type = EVENT_NONE;
	/* Only one event can be in delivery; a restored state never holds two. */
	if (in->nmi.injected)
		ev->entry = (struct event){ .type = EVENT_NMI, .vector = VECTOR_NMI };
	else if (in->interrupt.injected)
		ev->entry = (struct event){
			.type = in->interrupt.soft ? EVENT_SOFT_INT : EVENT_IRQ,
			.vector = in->interrupt.nr,
			.insn_len = in->interrupt.soft ? 2 : 0,
		};
	exception_from_user(vcpu, in);
	shadow_from_user(vcpu, in);
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		ev->nmi_pending = min_t(u8, in->nmi.pending, 2);
	if ((in->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) && vcpu->irq.lapic)
		vcpu->irq.sipi_vector = in->sipi_vector;
	triple_fault_from_user(vcpu, in);
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}
