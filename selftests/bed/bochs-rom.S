/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Option ROM that starts a kernel lying in memory, by the PVH protocol.
 *
 * The runner has put the kernel, the initramfs and the boot parameters into the emulated memory.
 * What is left to do when the BIOS looks for something to boot: copy the BIOS's memory map into the
 * boot parameters, switch to protected mode and jump. The offsets are those of bedlib/pvh.py.
 */

#define ROM_ADDRESS	0xd0000
#define PARAMS		0x20000
#define MEMMAP_ENTRIES	0x30
#define KERNEL_ENTRY	0x180
#define MEMMAP		0x200
#define MEMMAP_MAX	32
#define ENTRY_SIZE	24
#define INT19_VECTOR	(0x19 * 4)
#define SMAP		0x534d4150

	.code16
	.globl _start
_start:
	.byte	0x55, 0xaa
	.byte	1			/* length in units of 512 bytes */
	jmp	init

	/* Called while the BIOS is still starting: only ask for the boot call. */
init:
	push	%ds
	xor	%ax, %ax
	mov	%ax, %ds
	movw	$boot, INT19_VECTOR
	mov	%cs, INT19_VECTOR + 2
	pop	%ds
	lret

boot:
	xor	%ax, %ax
	mov	%ax, %ss
	mov	$0x7c00, %sp
	mov	$(PARAMS >> 4), %ax
	mov	%ax, %es
	mov	$MEMMAP, %di
	xor	%ebx, %ebx
	xor	%bp, %bp

	/* E820 gives entries of 20 bytes; PVH wants 24, the last 4 reserved. */
next_entry:
	mov	$0xe820, %eax
	mov	$SMAP, %edx
	mov	$20, %ecx
	int	$0x15
	jc	map_done
	movl	$0, %es:20(%di)
	add	$ENTRY_SIZE, %di
	inc	%bp
	cmp	$MEMMAP_MAX, %bp
	jae	map_done
	test	%ebx, %ebx
	jnz	next_entry
map_done:
	mov	%bp, %es:MEMMAP_ENTRIES

	cli
	in	$0x92, %al
	or	$2, %al			/* A20 on */
	and	$0xfe, %al		/* and no reset */
	out	%al, $0x92
	lgdtl	%cs:gdt_pointer
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $(ROM_ADDRESS + protected)

	.code32
protected:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$PARAMS, %ebx
	jmp	*PARAMS + KERNEL_ENTRY

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9a000000ffff	/* code, flat, 32 bits */
	.quad	0x00cf92000000ffff	/* data, flat */
gdt_pointer:
	.word	. - gdt - 1
	.long	ROM_ADDRESS + gdt
