// SPDX-License-Identifier: GPL-2.0-only
#include "apic.h"
#include "dev.h"
#include "trap.h"

#define TRAP_STUB_SIZE	16

extern const char trap_stubs[];
extern const struct { u64 insn, resume; } __start_guest_fixups[], __stop_guest_fixups[];

#define OPCODE_STI	0xfb
#define OPCODE_HLT	0xf4

volatile u64 trap_count[256];
static trap_handler trap_handlers[256];
static bool shadow_forgotten;

/* Vectors 8, 10-14, 17, 21, 29, 30 push an error code; the others get a zero. */
asm(".pushsection .text\n"
    ".balign 16\n"
    "trap_stubs:\n"
    ".set vec, 0\n"
    ".rept 256\n"
    "	.balign 16\n"
    "	.set has_error, 0\n"
    "	.if vec < 32\n"
    "		.set has_error, (0x60227d00 >> vec) & 1\n"
    "	.endif\n"
    "	.if has_error == 0\n"
    "		pushq $0\n"
    "	.endif\n"
    "	pushq $vec\n"
    "	jmp trap_common\n"
    "	.set vec, vec + 1\n"
    ".endr\n"
    ".balign 16\n"
    "trap_common:\n"
    "	push %rax; push %rbx; push %rcx; push %rdx; push %rsi; push %rdi; push %rbp\n"
    "	push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15\n"
    "	cld\n"
    "	mov %rsp, %rdi\n"
    "	call trap_dispatch\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8\n"
    "	pop %rbp; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rbx; pop %rax\n"
    "	add $16, %rsp\n"
    "	iretq\n"
    ".popsection\n"
    /* An entry that never matches, so that the section exists in every program. */
    ".pushsection guest_fixups, \"a\"\n"
    ".quad 0, 0\n"
    ".popsection\n");

static bool trap_fixup(struct trap_frame *frame)
{
	typeof(&__start_guest_fixups[0]) f;

	for (f = __start_guest_fixups; f < __stop_guest_fixups; f++) {
		if (f->insn != frame->rip)
			continue;
		frame->r9 = frame->vector | 0x100;
		frame->r10 = frame->error;
		frame->rip = f->resume;
		return true;
	}
	return false;
}

/*
 * STI shields the HLT behind it. QEMU's TCG forgets that if an interrupt of the host's ends the guest
 * between the two; going on to the HLT would be to sleep for ever.
 */
static void trap_hlt_skip(struct trap_frame *frame)
{
	const u8 *insn = (const u8 *)(uintptr_t)frame->rip;

	if (shadow_forgotten && insn[0] == OPCODE_HLT && insn[-1] == OPCODE_STI)
		frame->rip++;
}

void trap_dispatch(struct trap_frame *frame);

void __attribute__((used)) trap_dispatch(struct trap_frame *frame)
{
	trap_handler handler = trap_handlers[frame->vector];
	struct guest_ucall call = {
		.kind = GUEST_UCALL_FAIL,
		.file = "unexpected trap",
		.line = frame->vector,
		.text = "rip, error code",
		.args = { frame->rip, frame->error, read_cr2() },
	};

	if (handler) {
		handler(frame);
		trap_hlt_skip(frame);
		return;
	}
	if (trap_fixup(frame))
		return;
	for (;;)
		guest_ucall(&call);
}

void trap_set(unsigned int vector, trap_handler handler)
{
	trap_handlers[vector] = handler;
}

void trap_count_only(struct trap_frame *frame)
{
	__atomic_fetch_add(&trap_count[frame->vector], 1, __ATOMIC_SEQ_CST);
}

void trap_count_irq(struct trap_frame *frame)
{
	trap_count_only(frame);
	apic_eoi();
}

void trap_idt_build(struct trap_gate *idt)
{
	unsigned int i;

	shadow_forgotten = dev_host_is_tcg();
	for (i = 0; i < 256; i++) {
		u64 stub = (uintptr_t)trap_stubs + i * TRAP_STUB_SIZE;

		idt[i] = (struct trap_gate){
			.offset_low = stub, .offset_middle = stub >> 16, .offset_high = stub >> 32,
			.selector = GUEST_CODE64, .type = 0x8e,
		};
	}
}
