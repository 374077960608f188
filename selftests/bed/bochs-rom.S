/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Option ROM that starts a kernel lying in memory, by the 64-bit boot protocol.
 *
 * The runner has put the kernel, the initramfs and the boot parameters into the emulated memory.
 * What is left to do when the BIOS looks for something to boot: copy the BIOS's memory map into the
 * boot parameters, switch to long mode, write the MSRs that a firmware would have set, and jump. The
 * addresses are those of bedlib/direct.py.
 */

#define ROM_ADDRESS	0xd0000
#define PARAMS		0x20000
#define FIRMWARE_MSRS	0x1e00			/* index, low and high half; the end is index 0 */
#define KERNEL_ENTRY	0x1ff8
#define PAGE_TABLES	0x2000
#define E820_ENTRIES	0x1e8
#define E820_TABLE	0x2d0
#define E820_MAX	128
#define ENTRY_SIZE	20
#define INT19_VECTOR	(0x19 * 4)
#define SMAP		0x534d4150

#define CR0_PE		0x1
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define MSR_EFER	0xc0000080
#define EFER_LME	0x100
#define BOOT_CS		0x10
#define BOOT_DS		0x18

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
	mov	$E820_TABLE, %di
	xor	%ebx, %ebx
	xor	%bp, %bp

next_entry:
	mov	$0xe820, %eax
	mov	$SMAP, %edx
	mov	$ENTRY_SIZE, %ecx
	int	$0x15
	jc	map_done
	add	$ENTRY_SIZE, %di
	inc	%bp
	cmp	$E820_MAX, %bp
	jae	map_done
	test	%ebx, %ebx
	jnz	next_entry
map_done:
	mov	%bp, %ax
	mov	%al, %es:E820_ENTRIES

	cli
	in	$0x92, %al
	or	$2, %al			/* A20 on */
	and	$0xfe, %al		/* and no reset */
	out	%al, $0x92
	lgdtl	%cs:gdt_pointer

	/* From real mode straight into long mode, on the page tables that the runner made. */
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$(PARAMS + PAGE_TABLES), %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$(CR0_PG | CR0_PE), %eax
	mov	%eax, %cr0
	ljmpl	$BOOT_CS, $(ROM_ADDRESS + long_mode)

	.code64
long_mode:
	mov	$BOOT_DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$(PARAMS + FIRMWARE_MSRS), %esi
next_msr:
	mov	(%rsi), %ecx
	jrcxz	msrs_done
	mov	4(%rsi), %eax
	mov	8(%rsi), %edx
	wrmsr
	add	$12, %esi
	jmp	next_msr
msrs_done:
	mov	$PARAMS, %esi
	mov	PARAMS + KERNEL_ENTRY, %rax
	jmp	*%rax

	.balign	8
gdt:
	.quad	0
	.quad	0
	.quad	0x00af9a000000ffff	/* code, 64 bits */
	.quad	0x00cf92000000ffff	/* data, flat */
gdt_pointer:
	.word	. - gdt - 1
	.long	ROM_ADDRESS + gdt
