/* SPDX-License-Identifier: GPL-2.0-only */
/* The first and only program of a guest: reboot(LINUX_REBOOT_CMD_POWER_OFF). */
#include <asm/unistd.h>
#include <linux/reboot.h>

	.globl	_start
_start:
	mov	$__NR_reboot, %eax
	mov	$LINUX_REBOOT_MAGIC1, %edi
	mov	$LINUX_REBOOT_MAGIC2, %esi
	mov	$LINUX_REBOOT_CMD_POWER_OFF, %edx
	syscall
1:	jmp	1b
