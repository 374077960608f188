/* SPDX-License-Identifier: GPL-2.0-only */
#define X86_TRAP_DB	1
#define X86_TRAP_UD	6
#define X86_TRAP_DF	8
#define X86_TRAP_GP	13
#define X86_TRAP_PF	14
