/* SPDX-License-Identifier: GPL-2.0-only */
/* vCPUs: their modes at entry, KVM_RUN, calls from the guest, and threads that run them. */
#ifndef SELFTESTS_VCPU_H
#define SELFTESTS_VCPU_H

#include <pthread.h>

#include "guest.h"
#include "vm.h"

#define VCPU_STACK_PAGES	4

struct vcpu {
	int fd;
	u32 id;
	struct vm *vm;
	struct kvm_run *run;
	size_t run_size;
	u64 stack_top;
	u64 gdt;
	u64 tss;
	pthread_t thread;
	void (*body)(struct vcpu *vcpu);
};

/*
 * A vCPU as it comes from the kernel, with supported CPUID (vcpu_create) or without any
 * (vcpu_create_raw).
 */
struct vcpu *vcpu_create_raw(struct vm *vm, u32 id);
struct vcpu *vcpu_create(struct vm *vm, u32 id);
void vcpu_free(struct vcpu *vcpu);

/* What vcpu_create() sets: supported CPUID, APIC id, hypervisor bit, TSC-deadline if there. */
void vcpu_default_cpuid(u32 id, struct dev_cpuid *set);
void vcpu_set_cpuid(struct vcpu *vcpu, struct dev_cpuid *set);

/* Entry states. */
typedef void (*vcpu_entry)(u64 a, u64 b, u64 c, u64 d);
#define vcpu_enter(vcpu, fn, ...) vcpu_enter_long(vcpu, (uintptr_t)(fn), (u64[4]){ __VA_ARGS__ })
void vcpu_enter_long(struct vcpu *vcpu, u64 rip, const u64 *args);
void vcpu_enter_protected(struct vcpu *vcpu, u32 eip);	/* flat 32 bit, no paging */
void vcpu_enter_real(struct vcpu *vcpu, u16 cs, u16 ip);
void vcpu_enter_compat(struct vcpu *vcpu, u32 eip);	/* 32-bit code under long mode */
void vcpu_enter_code16(struct vcpu *vcpu, u32 ip);	/* 16-bit protected mode */

/* The two everyday steps in one: a VM with one vCPU in long mode at @fn. */
struct vcpu *vcpu_start(unsigned int vm_flags, void *fn, u64 a, u64 b);

/* KVM_RUN */
int vcpu_run_raw(struct vcpu *vcpu);
void vcpu_run(struct vcpu *vcpu);
void vcpu_run_exit(struct vcpu *vcpu, u32 reason);

/* Run to the next guest_sync() or guest_done(); a guest's failure is the test's. */
struct guest_ucall *vcpu_run_ucall(struct vcpu *vcpu);
struct guest_ucall *vcpu_ucall(struct vcpu *vcpu);	/* of the exit at hand, or NULL */
void vcpu_run_sync(struct vcpu *vcpu, u64 stage);
void vcpu_run_done(struct vcpu *vcpu);
const char *vcpu_exit_text(struct vcpu *vcpu);

/* Complete the exit at hand without going into the guest. */
void vcpu_complete(struct vcpu *vcpu);

/* Registers. */
struct kvm_regs vcpu_regs(struct vcpu *vcpu);
struct kvm_sregs vcpu_sregs(struct vcpu *vcpu);
void vcpu_set_regs(struct vcpu *vcpu, struct kvm_regs *regs);
void vcpu_set_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs);
u64 vcpu_msr(struct vcpu *vcpu, u32 msr);
void vcpu_set_msr(struct vcpu *vcpu, u32 msr, u64 value);
/* KVM_SET_MSRS / KVM_GET_MSRS of one: 1 = taken, 0 = refused. */
int vcpu_try_set_msr(struct vcpu *vcpu, u32 msr, u64 value);
int vcpu_try_msr(struct vcpu *vcpu, u32 msr, u64 *value);
u32 vcpu_mp_state(struct vcpu *vcpu);
void vcpu_set_mp_state(struct vcpu *vcpu, u32 state);

/* Threads: run @body (default vcpu_run_done) until it returns; kick = make KVM_RUN return EINTR. */
void vcpu_thread_start(struct vcpu *vcpu, void (*body)(struct vcpu *vcpu));
void vcpu_thread_join(struct vcpu *vcpu);
void vcpu_thread_kick(struct vcpu *vcpu);
void vcpu_kick_setup(void);

#endif
