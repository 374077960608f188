// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's CPUID: what the hypervisor supports, plus what depends on the machine: APIC ids and
 * topology. One package, @cpus cores, one thread each.
 */
#include <errno.h>
#include <linux/corbel.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cpuid.h"
#include "error.h"
#include "machine.h"
#include "vcpu.h"

#define MAX_ENTRIES		256
#define LEVEL_THREAD		1
#define LEVEL_CORE		2
#define EDX_HTT			(1u << 28)
#define ECX_TSC_DEADLINE	(1u << 24)
#define ECX_HYPERVISOR		(1u << 31)
#define AMD_CMP_LEGACY		(1u << 1)
#define AMD_TOPOEXT		(1u << 22)

static struct kvm_cpuid2 *get_supported(int sys_fd)
{
	struct kvm_cpuid2 *c;

	c = calloc(1, sizeof(*c) + MAX_ENTRIES * sizeof(c->entries[0]));
	if (!c)
		error_die(EXIT_ERROR, "out of memory");
	c->nent = MAX_ENTRIES;
	if (ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, c))
		error_die(EXIT_ERROR, "the hypervisor does not tell its CPUID: %s",
			  strerror(errno));
	return c;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t leaf, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == leaf && c->entries[i].index == index)
			return &c->entries[i];
	return NULL;
}

/* Bits that hold @n ids. */
static unsigned int id_bits(unsigned int n)
{
	return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

static void drop_leaf(struct kvm_cpuid2 *c, uint32_t leaf)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function != leaf)
			c->entries[kept++] = c->entries[i];
	c->nent = kept;
}

static void add_level(struct kvm_cpuid2 *c, uint32_t leaf, uint32_t index, uint32_t type,
		      uint32_t shift, uint32_t count, uint32_t apic_id)
{
	if (c->nent == MAX_ENTRIES)
		return;
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf, .index = index, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = shift, .ebx = count, .ecx = index | type << 8, .edx = apic_id,
	};
}

/* Leaves 0BH and 1FH: extended topology. */
static void set_topology(struct kvm_cpuid2 *c, uint32_t leaf, unsigned int cpus, uint32_t apic_id)
{
	struct kvm_cpuid_entry2 *max = find(c, 0, 0);

	drop_leaf(c, leaf);
	if (!max || max->eax < leaf)
		return;
	add_level(c, leaf, 0, LEVEL_THREAD, 0, 1, apic_id);
	add_level(c, leaf, 1, LEVEL_CORE, id_bits(cpus), cpus, apic_id);
	add_level(c, leaf, 2, 0, 0, 0, apic_id);
}

static void set_features(struct kvm_cpuid2 *c, const struct vcpu *v, unsigned int cpus)
{
	struct kvm_cpuid_entry2 *e = find(c, 1, 0);

	if (!e)
		return;
	e->ebx = (e->ebx & 0xffff) | (cpus > 255 ? 255 : cpus) << 16 | v->id << 24;
	e->edx = cpus > 1 ? e->edx | EDX_HTT : e->edx & ~EDX_HTT;
	e->ecx |= ECX_HYPERVISOR;
	if (vm_cap(v->m->vm.sys_fd, KVM_CAP_TSC_DEADLINE_TIMER))
		e->ecx |= ECX_TSC_DEADLINE;
}

/* Leaf 4: who shares each cache. Level 3 is the package's, the rest is a core's own. */
static void set_caches(struct kvm_cpuid2 *c, uint32_t leaf, unsigned int cpus)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];
		unsigned int level = e->eax >> 5 & 7;

		if (e->function != leaf || !(e->eax & 0x1f))
			continue;
		e->eax &= leaf == 4 ? 0x3fff : ~(0xfffu << 14);
		if (level >= 3)
			e->eax |= ((1u << id_bits(cpus)) - 1) << 14;
		if (leaf == 4)
			e->eax |= ((1u << id_bits(cpus)) - 1) << 26;
	}
}

static void set_amd(struct kvm_cpuid2 *c, unsigned int id, unsigned int cpus)
{
	struct kvm_cpuid_entry2 *e = find(c, 0x80000001, 0);

	if (e) {
		e->ecx &= ~(AMD_CMP_LEGACY | AMD_TOPOEXT);
		if (cpus > 1)
			e->ecx |= AMD_CMP_LEGACY;
	}
	e = find(c, 0x80000008, 0);
	if (e)
		e->ecx = id_bits(cpus) << 12 | (cpus - 1);
	e = find(c, 0x8000001e, 0);
	if (e) {
		e->eax = id;
		e->ebx = id;
		e->ecx = 0;
	}
}

/* Memory above what the guest's CPU can address would be silently unreachable. */
static void check_memory(struct kvm_cpuid2 *c, const struct machine *m)
{
	struct kvm_cpuid_entry2 *e = find(c, 0x80000008, 0);
	unsigned int bits = e && (e->eax & 0xff) ? e->eax & 0xff : 36;

	if (bits < 64 && ram_top(&m->ram) > 1ULL << bits)
		error_die(EXIT_ERROR, "%llu MiB of guest memory does not fit in this CPU's %u "
			  "physical-address bits; lower --memory",
			  (unsigned long long)m->ram.size >> 20, bits);
}

static bool is_shadowed(const struct machine *m)
{
	struct corbel_info info;

	if (m->config->mmu == CORBEL_MMU_AUTO)
		return !ioctl(m->vm.sys_fd, CORBEL_GET_INFO, &info) &&
		       !(info.features & CORBEL_FEATURE_TDP);
	return m->config->mmu != CORBEL_MMU_TDP;
}

/* With nested paging a guest that asks for each change of its tables would only lose. */
static void set_pv_mmu(struct kvm_cpuid2 *c, const struct machine *m)
{
	struct kvm_cpuid_entry2 *e = find(c, CORBEL_CPUID_FEATURES, 0);

	if (e && !is_shadowed(m))
		e->eax &= ~CORBEL_CPUID_PV_MMU;
}

static bool is_amd(struct kvm_cpuid2 *c)
{
	struct kvm_cpuid_entry2 *e = find(c, 0, 0);

	return e && (e->ebx == 0x68747541 || e->ebx == 0x6f677948);	/* "Auth", "Hygo" */
}

void cpuid_set(struct vcpu *v)
{
	unsigned int cpus = v->m->config->cpus;
	struct kvm_cpuid2 *c = get_supported(v->m->vm.sys_fd);

	check_memory(c, v->m);
	set_features(c, v, cpus);
	set_topology(c, 0xb, cpus, v->id);
	set_topology(c, 0x1f, cpus, v->id);
	if (is_amd(c))
		set_amd(c, v->id, cpus);
	else
		set_caches(c, 4, cpus);
	set_pv_mmu(c, v->m);
	if (ioctl(v->fd, KVM_SET_CPUID2, c))
		error_die(EXIT_ERROR, "the hypervisor refused vCPU %u's CPUID: %s", v->id,
			  strerror(errno));
	free(c);
}
