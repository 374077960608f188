/* SPDX-License-Identifier: GPL-2.0-only */
void kvm_set_posted_intr_wakeup_handler(void (*handler)(void));
