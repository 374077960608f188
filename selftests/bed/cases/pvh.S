/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest of one page with a PVH entry point: checks what it is handed, says so on the serial port,
 * turns the machine off. For launcher.sh.
 */
	.code32
	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* name, descriptor, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	.text
	.globl	start
start:
	mov	$bad, %esi
	cmpl	$0x336ec578, (%ebx)	/* hvm_start_info.magic */
	jne	print
	mov	24(%ebx), %edi		/* cmdline */
	cmpl	$0x6f6c6c65, 1(%edi)	/* "hello": its last four letters */
	jne	print
	mov	16(%ebx), %edi		/* modlist */
	mov	(%edi), %edi
	cmpl	$0x6b6e756a, (%edi)	/* "junk" */
	jne	print
	mov	$good, %esi
print:
	mov	$0x3f8, %dx
1:	lodsb
	test	%al, %al
	jz	off
	out	%al, %dx
	jmp	1b
off:
	mov	$0x604, %dx
	mov	$0x3400, %ax		/* SLP_EN, SLP_TYP 5 */
	out	%ax, %dx
	hlt

good:	.asciz	"PVH is well\n"
bad:	.asciz	"PVH is wrong\n"
