// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vcpu.h"

struct vcpu *vcpu_create_raw(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int dev = dev_open();

	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = SYS(ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id));
	vcpu->run_size = SYS(ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0UL));
	close(dev);
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	CHECK(vcpu->run != MAP_FAILED);
	CHECK_LT(vm->nr_vcpus, VM_MAX_VCPUS);
	vm->vcpus[vm->nr_vcpus++] = vcpu;
	return vcpu;
}

void vcpu_default_cpuid(u32 id, struct dev_cpuid *set)
{
	struct kvm_cpuid_entry2 *entry;
	u32 i;

	memcpy(set, dev_supported_cpuid(), sizeof(*set));
	for (i = 0; i < set->head.nent; i++) {
		entry = &set->entries[i];
		if (entry->function == 1) {
			entry->ebx = (entry->ebx & 0x00ffffff) | id << 24;
			entry->ecx |= BIT(31);
			if (dev_cap(KVM_CAP_TSC_DEADLINE_TIMER) > 0)
				entry->ecx |= BIT(24);
		}
		if (entry->function == 0xb || entry->function == 0x1f)
			entry->edx = id;
	}
}

void vcpu_set_cpuid(struct vcpu *vcpu, struct dev_cpuid *set)
{
	SYS(ioctl(vcpu->fd, KVM_SET_CPUID2, set));
}

struct vcpu *vcpu_create(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = vcpu_create_raw(vm, id);
	struct dev_cpuid *set = calloc(1, sizeof(*set));

	vcpu_default_cpuid(id, set);
	vcpu_set_cpuid(vcpu, set);
	free(set);
	return vcpu;
}

void vcpu_free(struct vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->run_size);
	SYS(close(vcpu->fd));
	free(vcpu);
}

struct vcpu *vcpu_start(unsigned int vm_flags, void *fn, u64 a, u64 b)
{
	struct vcpu *vcpu = vcpu_create(vm_create(vm_flags), 0);

	vcpu_enter(vcpu, fn, a, b);
	return vcpu;
}

int vcpu_run_raw(struct vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_RUN, 0UL);
}

/* EAGAIN is how a vCPU that waited for SIPI comes back. */
void vcpu_run(struct vcpu *vcpu)
{
	int ret;

	do {
		ret = vcpu_run_raw(vcpu);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	if (ret)
		FAIL("KVM_RUN: %d, %s; last %s", ret, strerror(errno), vcpu_exit_text(vcpu));
}

void vcpu_run_exit(struct vcpu *vcpu, u32 reason)
{
	vcpu_run(vcpu);
	if (vcpu->run->exit_reason != reason)
		FAIL("exit reason is not %u but %s", reason, vcpu_exit_text(vcpu));
}

void vcpu_complete(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EINTR);
	vcpu->run->immediate_exit = 0;
}

static void exit_detail(struct kvm_run *run, char *text, size_t size)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		snprintf(text, size, "io %s port %#x size %u count %u",
				run->io.direction ? "out" : "in",
			 run->io.port, run->io.size, run->io.count);
		break;
	case KVM_EXIT_MMIO:
		snprintf(text, size, "mmio %s %#llx len %u", run->mmio.is_write ? "write" : "read",
			 (unsigned long long)run->mmio.phys_addr, run->mmio.len);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(text, size, "internal error %u, ndata %u, data0 %#llx",
			 run->internal.suberror, run->internal.ndata,
			 (unsigned long long)run->internal.data[0]);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(text, size, "failed entry %#llx",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_UNKNOWN:
		snprintf(text, size, "unknown exit %#llx",
			 (unsigned long long)run->hw.hardware_exit_reason);
		break;
	default:
		text[0] = 0;
	}
}

const char *vcpu_exit_text(struct vcpu *vcpu)
{
	static __thread char text[256];
	char detail[120];
	struct kvm_regs regs = { 0 };

	exit_detail(vcpu->run, detail, sizeof(detail));
	ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	snprintf(text, sizeof(text), "exit %u (%s) at rip %#llx", vcpu->run->exit_reason, detail,
		 (unsigned long long)regs.rip);
	return text;
}

struct guest_ucall *vcpu_ucall(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u32 gpa;

	if (run->exit_reason != KVM_EXIT_IO || run->io.port != GUEST_UCALL_PORT ||
	    run->io.direction != KVM_EXIT_IO_OUT || run->io.size != 4)
		return NULL;
	memcpy(&gpa, (u8 *)run + run->io.data_offset, sizeof(gpa));
	if (gpa >= VM_ARENA && gpa < VM_ARENA + VM_ARENA_SIZE)
		return vm_host(vcpu->vm, gpa);
	return (struct guest_ucall *)(uintptr_t)gpa;
}

struct guest_ucall *vcpu_run_ucall(struct vcpu *vcpu)
{
	struct guest_ucall *call;

	for (;;) {
		vcpu_run_exit(vcpu, KVM_EXIT_IO);
		call = vcpu_ucall(vcpu);
		if (!call)
			FAIL("no call from the guest but %s", vcpu_exit_text(vcpu));
		if (call->kind == GUEST_UCALL_FAIL)
			test_fail(call->file, call->line,
					"guest, vcpu %u: %s (%#llx, %#llx, %#llx)",
				  vcpu->id, call->text, (unsigned long long)call->args[0],
				  (unsigned long long)call->args[1],
				  (unsigned long long)call->args[2]);
		if (call->kind != GUEST_UCALL_NOTE)
			return call;
		test_note("guest: %s %#llx", call->text, (unsigned long long)call->args[0]);
	}
}

void vcpu_run_sync(struct vcpu *vcpu, u64 stage)
{
	struct guest_ucall *call = vcpu_run_ucall(vcpu);

	if (call->kind != GUEST_UCALL_SYNC || call->args[0] != stage)
		FAIL("guest is not at stage %llu but kind %u stage %llu", (unsigned long long)stage,
		     call->kind, (unsigned long long)call->args[0]);
}

void vcpu_run_done(struct vcpu *vcpu)
{
	struct guest_ucall *call = vcpu_run_ucall(vcpu);

	if (call->kind != GUEST_UCALL_DONE)
		FAIL("guest is not done but at stage %llu", (unsigned long long)call->args[0]);
}
