/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest for clients that know PVH: reads a port that userspace serves and prints "port MEAN LEAST" on the first
 * serial port, time-stamp ticks in hexadecimal. Then it shuts down by a triple fault.
 */
#define WARM_UP 1044		/* until the client's other threads have come to rest */
#define READS	256
#define PORT	0x71		/* the clock's */
#define SERIAL	0x3f8

	.code32
	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* name, descriptor, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	.macro	say byte
	mov	$\byte, %al
	out	%al, %dx
	.endm

	.macro	say_number reg
	mov	$8, %ecx
1:	rol	$4, \reg
	mov	\reg, %eax
	and	$15, %eax
	mov	digits(%eax), %al
	out	%al, %dx
	loop	1b
	.endm

	.text
	.globl	start
start:
	mov	$(WARM_UP + READS), %ecx
	xor	%esi, %esi		/* sum */
	mov	$-1, %edi		/* least */
1:	rdtsc
	mov	%eax, %ebx
	in	$PORT, %al
	rdtsc
	sub	%ebx, %eax
	cmp	$READS, %ecx
	ja	2f
	add	%eax, %esi
	cmp	%edi, %eax
	jae	2f
	mov	%eax, %edi
2:	loop	1b
	shr	$8, %esi		/* READS */

	mov	$SERIAL, %dx
	mov	$name, %ebp
3:	mov	(%ebp), %al
	out	%al, %dx
	inc	%ebp
	cmpb	$0, (%ebp)
	jne	3b
	say_number %esi
	say	0x20
	say_number %edi
	say	0x0a
	lidt	none
	int3

name:	.asciz	"port "
digits:	.ascii	"0123456789abcdef"
none:	.word	0
	.long	0
