// SPDX-License-Identifier: GPL-2.0-only
/*
 * IN and OUT. Userspace is asked with RIP still at the instruction; the next KVM_RUN completes it,
 * unless userspace has meanwhile moved RIP elsewhere (a reset, a debugger).
 */
#include <linux/mm.h>
#include "cpu/regs.h"
#include "trace.h"
#include "vm.h"

#define PIO_PAGE	1		/* of the vCPU's mapping */
#define PORT_OUT_7E	0x7e		/* KVM_X86_QUIRK_OUT_7E_INC_RIP */

static __always_inline int ask_user(struct vcpu *vcpu, bool in, u16 port, unsigned int size, unsigned int count)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = PIO_PAGE * PAGE_SIZE;
	vcpu->stats.io_exits++;
	return TO_USER;
}

int pio_user_exit(struct vcpu *vcpu, bool in, u16 port, unsigned int size, unsigned int count,
		  const void *data)
{
	if (WARN_ON_ONCE(size * count > PAGE_SIZE))
		return -EINVAL;
	if (!in)
		memcpy(vcpu->pio_data, data, size * count);
	return ask_user(vcpu, in, port, size, count);
}

/* A 4-byte IN clears the upper half of RAX as any 32-bit write does; smaller ones keep the rest. */
static void pio_set_rax(struct vcpu *vcpu, u32 val, unsigned int size)
{
	unsigned long *rax = &vcpu->regs.gpr[GPR_RAX];

	if (size == 1)
		*(u8 *)rax = val;
	else if (size == 2)
		*(u16 *)rax = val;
	else
		*rax = val;
}

void pio_hold(struct vcpu *vcpu)
{
	if (!vcpu->complete || vcpu->io.may_move)
		return;
	vcpu->io.may_move = true;
	vcpu->io.linear_rip = regs_linear_rip(vcpu);
}

static bool pio_moved(struct vcpu *vcpu)
{
	return unlikely(vcpu->io.may_move) && regs_linear_rip(vcpu) != vcpu->io.linear_rip;
}

static int pio_complete_out(struct vcpu *vcpu)
{
	return pio_moved(vcpu) ? RESUME : vcpu_skip_insn(vcpu);
}

static u32 pio_answer(struct vcpu *vcpu)
{
	const void *data = vcpu->pio_data;

	if (vcpu->io.size == 1)
		return READ_ONCE(*(const u8 *)data);
	return vcpu->io.size == 2 ? READ_ONCE(*(const u16 *)data) : READ_ONCE(*(const u32 *)data);
}

static int pio_complete_in(struct vcpu *vcpu)
{
	u32 val;

	if (pio_moved(vcpu))
		return RESUME;
	val = pio_answer(vcpu);
	trace_corbel_pio(vcpu->id, false, vcpu->run->io.port, vcpu->io.size, val);
	pio_set_rax(vcpu, val, vcpu->io.size);
	return vcpu_skip_insn(vcpu);
}

static u32 pio_out_value(struct vcpu *vcpu, unsigned int size)
{
	u32 val = gpr_get(vcpu, GPR_RAX);

	return size < 4 ? val & ((1u << size * 8) - 1) : val;
}

/* @dev: ask this one only; NULL: all that are on the bus. One that does not take it has done nothing, and may be asked again. */
static __always_inline bool pio_move(struct vcpu *vcpu, struct vcpu_exit *exit, struct bus_dev *dev)
{
	unsigned int size = exit->io.size;
	u16 port = exit->io.port;
	u32 *val = &exit->io.val;

	if (!exit->io.in) {
		*val = pio_out_value(vcpu, size);
		return !(dev ? bus_dev_write(vcpu, dev, port, size, val) : bus_write(vcpu, BUS_PIO, port, size, val));
	}
	*val = 0;
	if (dev ? bus_dev_read(vcpu, dev, port, size, val) : bus_read(vcpu, BUS_PIO, port, size, val))
		return false;
	pio_set_rax(vcpu, *val, size);
	return true;
}

/* Ask the devices in the kernel. Return: one has taken it; all but RIP is done. */
static bool pio_served(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct srcu_struct *srcu = &vcpu->vm->srcu;
	bool served;
	int index;

	index = srcu_read_lock(srcu);
	served = pio_move(vcpu, exit, NULL);
	srcu_read_unlock(srcu, index);
	return served;
}

static void pio_trace(struct vcpu *vcpu, struct vcpu_exit *exit, u32 val)
{
	trace_corbel_pio(vcpu->id, !exit->io.in, exit->io.port, exit->io.size, val);
}

bool pio_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct bus_dev *dev;

	/* Where spinlocks sleep, devices want interrupts on. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) || exit->io.string || !exit->insn_len || trace_corbel_pio_enabled())
		return false;
	dev = bus_find(vcpu->vm, BUS_PIO, exit->io.port, exit->io.size);
	if (!dev) {
		exit->io.asked = true;
		return false;
	}
	return likely(pio_move(vcpu, exit, dev)) && skip_fast(vcpu);
}

static int pio_in_to_user(struct vcpu *vcpu, u16 port, unsigned int size)
{
	vcpu->io = (struct vcpu_io){ .size = size };
	vcpu->complete = pio_complete_in;
	return ask_user(vcpu, true, port, size, 1);
}

static noinline int pio_out_to_user(struct vcpu *vcpu, u16 port, unsigned int size)
{
	u32 val = pio_out_value(vcpu, size);

	/* Firmware's way out to a debugger; clients expect RIP behind it. */
	if (port == PORT_OUT_7E && cpu_quirk(&vcpu->vm->arch, KVM_X86_QUIRK_OUT_7E_INC_RIP)) {
		int next = vcpu_skip_insn(vcpu);

		return next < 0 ? next : pio_user_exit(vcpu, false, port, size, 1, &val);
	}
	vcpu->io = (struct vcpu_io){ .size = size };
	vcpu->complete = pio_complete_out;
	return pio_user_exit(vcpu, false, port, size, 1, &val);
}

int pio_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	if (exit->io.string)
		return emulate_insn(vcpu);
	if (!exit->io.in)
		pio_trace(vcpu, exit, pio_out_value(vcpu, exit->io.size));
	if (!exit->io.asked && pio_served(vcpu, exit)) {
		if (exit->io.in)
			pio_trace(vcpu, exit, exit->io.val);
		return vcpu_skip_insn(vcpu);
	}
	return exit->io.in ? pio_in_to_user(vcpu, exit->io.port, exit->io.size) :
			     pio_out_to_user(vcpu, exit->io.port, exit->io.size);
}
