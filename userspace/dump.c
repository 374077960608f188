// SPDX-License-Identifier: GPL-2.0-only
/* What a vCPU looked like when it could not go on, for a person to read. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "dump.h"
#include "machine.h"
#include "vcpu.h"

static const char *suberror_name(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "an instruction that the emulator does not know";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "an exception while delivering an exception";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "an exit while delivering an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "an exit that nothing handles";
	default:
		return "unknown suberror";
	}
}

static void dump_internal(const struct kvm_run *run)
{
	fprintf(stderr, "  suberror %u: %s; data:", run->internal.suberror,
		suberror_name(run->internal.suberror));
	for (uint32_t i = 0; i < run->internal.ndata && i < 16; i++)
		fprintf(stderr, " %#llx", (unsigned long long)run->internal.data[i]);
	fputc('\n', stderr);
}

static void dump_reason(const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		dump_internal(run);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(stderr, "  hardware reason %#llx on CPU %u; see dmesg\n",
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason,
			run->fail_entry.cpu);
		break;
	case KVM_EXIT_UNKNOWN:
		fprintf(stderr, "  hardware exit reason %#llx\n",
			(unsigned long long)run->hw.hardware_exit_reason);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		fprintf(stderr, "  event type %u\n", run->system_event.type);
		break;
	default:
		fprintf(stderr, "  exit reason %u\n", run->exit_reason);
	}
}

static void dump_regs(const struct kvm_regs *r)
{
	const struct { const char *name; uint64_t value; } regs[] = {
		{ "rax", r->rax }, { "rbx", r->rbx }, { "rcx", r->rcx }, { "rdx", r->rdx },
		{ "rsi", r->rsi }, { "rdi", r->rdi }, { "rsp", r->rsp }, { "rbp", r->rbp },
		{ "r8", r->r8 }, { "r9", r->r9 }, { "r10", r->r10 }, { "r11", r->r11 },
		{ "r12", r->r12 }, { "r13", r->r13 }, { "r14", r->r14 }, { "r15", r->r15 },
		{ "rip", r->rip }, { "rflags", r->rflags },
	};

	for (unsigned int i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		fprintf(stderr, "  %-6s %016" PRIx64 "%s", regs[i].name, regs[i].value,
			i % 3 == 2 ? "\n" : "");
}

static void dump_segment(const char *name, const struct kvm_segment *s)
{
	fprintf(stderr, "  %-4s sel %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u "
		"db %u g %u\n", name, s->selector, (unsigned long long)s->base, s->limit, s->type,
		s->s, s->dpl, s->present, s->l, s->db, s->g);
}

static void dump_sregs(const struct kvm_sregs *s)
{
	fprintf(stderr,
		"  cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx  cr8 %llx  efer %llx  apic %llx\n",
		(unsigned long long)s->cr0, (unsigned long long)s->cr2, (unsigned long long)s->cr3,
		(unsigned long long)s->cr4, (unsigned long long)s->cr8, (unsigned long long)s->efer,
		(unsigned long long)s->apic_base);
	dump_segment("cs", &s->cs);
	dump_segment("ss", &s->ss);
	dump_segment("ds", &s->ds);
	dump_segment("tr", &s->tr);
	fprintf(stderr, "  gdt %016llx limit %04x   idt %016llx limit %04x\n",
		(unsigned long long)s->gdt.base, s->gdt.limit, (unsigned long long)s->idt.base,
		s->idt.limit);
}

/* The instruction bytes, where RIP can be translated and points into memory. */
static void dump_code(const struct vcpu *v, uint64_t rip)
{
	struct kvm_translation tr = { .linear_address = rip };
	const uint8_t *p;

	if (ioctl(v->fd, KVM_TRANSLATE, &tr) || !tr.valid)
		return;
	p = ram_ptr(&v->m->ram, tr.physical_address, 16);
	if (!p)
		return;
	fprintf(stderr, "  code at rip:");
	for (unsigned int i = 0; i < 16; i++)
		fprintf(stderr, " %02x", p[i]);
	fputc('\n', stderr);
}

static void dump_state(const struct vcpu *v)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(v->fd, KVM_GET_REGS, &regs) || ioctl(v->fd, KVM_GET_SREGS, &sregs))
		return;
	dump_regs(&regs);
	dump_sregs(&sregs);
	dump_code(v, regs.rip + (sregs.cs.l ? 0 : sregs.cs.base));
}

/* Context: the vCPU's own thread, right after its exit. */
void dump_exit(struct vcpu *v, const char *what)
{
	pthread_mutex_lock(&v->m->report);
	fprintf(stderr, "corbel: vCPU %u: %s\n", v->id, what);
	dump_reason(v->run);
	dump_state(v);
	pthread_mutex_unlock(&v->m->report);
}

/* Context: the vCPUs have ended. */
void dump_all(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_vcpus; i++) {
		fprintf(stderr, "vCPU %u\n", i);
		dump_state(&m->vcpus[i]);
	}
}
