// SPDX-License-Identifier: GPL-2.0-only
/* The host's memory: frames that come and go behind a range of addresses; the notifier is told. */
#include <pthread.h>
#include <semaphore.h>
#include <linux/mmu_notifier.h>
#include <linux/uaccess.h>
#include "host.h"
#include "mem/notifier.h"
#include "mem/pfn.h"

struct host_page host[MODEL_PAGES];
bool host_huge[MODEL_PAGES / 512];
struct mm_struct host_mm;
void (*model_in_fault)(struct vcpu *vcpu);
unsigned int model_lets_pass;
unsigned long model_poison_signals;
bool model_poisoned, model_in_more, host_backed;

hva_t model_hva(unsigned long index)
{
	return MODEL_HVA + index * PAGE_SIZE;
}

/* Frames in use by the host carry the number of their host page plus one. */
#define MAX_FRAMES	(1u << 23)
#define FRAME_BASE	0x200000ul
static u32 frame_owner[MAX_FRAMES];
static hfn_t next_frame;

static void frame_free(unsigned long index)
{
	if (host[index].hfn)
		frame_owner[host[index].hfn - FRAME_BASE] = 0;
	host[index].hfn = 0;
}

static hfn_t frames_new(unsigned long n)
{
	hfn_t first = (next_frame + n - 1) & ~(n - 1);

	MODEL(first + n < MAX_FRAMES, "out of frames");
	next_frame = first + n;
	return FRAME_BASE + first;
}

static void frame_give(unsigned long index, hfn_t hfn)
{
	host[index] = (struct host_page){ .hfn = hfn, .writable = !host[index].prot_read,
					  .prot_read = host[index].prot_read };
	frame_owner[hfn - FRAME_BASE] = index + 1;
}

unsigned long host_index(hfn_t hfn)
{
	MODEL(hfn >= FRAME_BASE && hfn < FRAME_BASE + MAX_FRAMES, "no such frame %llx", hfn);
	MODEL(frame_owner[hfn - FRAME_BASE], "frame %llx is used after the host took it back", hfn);
	return frame_owner[hfn - FRAME_BASE] - 1;
}

void host_reset(void)
{
	memset(host, 0, sizeof(host));
	memset(host_huge, 0, sizeof(host_huge));
	memset(frame_owner, 0, next_frame * sizeof(frame_owner[0]));
	next_frame = 0;
	model_in_fault = NULL;
	model_lets_pass = 0;
	model_poisoned = model_in_more = false;
}

/* Nobody tells the VM from here on. */
void host_exit(void)
{
	unsigned long index;

	for (index = 0; index < MODEL_PAGES; index++)
		frame_free(index);
}

void host_start(unsigned long first, unsigned long n)
{
	struct mmu_notifier_range r = { model_hva(first), model_hva(first + n), true };

	shim_notifier->ops->invalidate_range_start(shim_notifier, &r);
}

void host_end(unsigned long first, unsigned long n)
{
	struct mmu_notifier_range r = { model_hva(first), model_hva(first + n), true };

	shim_notifier->ops->invalidate_range_end(shim_notifier, &r);
}

void host_invalidate(unsigned long first, unsigned long n, void (*change)(unsigned long index))
{
	unsigned long i;

	/* a split takes all of it */
	if (host_huge[first / 512] || host_huge[(first + n - 1) / 512]) {
		first &= ~511ul;
		n = ((n + 511) & ~511ul) + 512;
		if (first + n > MODEL_PAGES)
			n = MODEL_PAGES - first;
	}
	host_start(first, n);
	for (i = first; i < first + n; i++) {
		host_huge[i / 512] = false;
		change(i);
	}
	host_end(first, n);
}

void host_unmap(unsigned long index)
{
	frame_free(index);
}

void host_cow(unsigned long index)
{
	host[index].writable = false;
}

static void unmap_nothing(unsigned long index)
{
	(void)index;
}

bool host_collapse(unsigned long index)
{
	unsigned long first = index & ~511ul, i;
	hfn_t hfn;

	for (i = first; i < first + 512; i++)
		if (host[i].prot_read)
			return false;
	host_invalidate(first, 512, unmap_nothing);
	host_start(first, 512);
	hfn = frames_new(512);
	for (i = first; i < first + 512; i++) {
		frame_free(i);
		frame_give(i, hfn + (i - first));
	}
	host_huge[first / 512] = true;
	host_end(first, 512);
	return true;
}

static unsigned long hva_index(hva_t hva)
{
	MODEL(hva >= MODEL_HVA && hva < model_hva(MODEL_PAGES), "hva %lx", hva);
	return (hva - MODEL_HVA) >> PAGE_SHIFT;
}

static void fault_in(unsigned long index)
{
	frame_give(index, frames_new(1));
}

void host_populate(unsigned long index)
{
	if (!host[index].hfn)
		fault_in(index);
}

static void copy_page(unsigned long index)
{
	frame_free(index);
	fault_in(index);
}

/* The thread of model_in_fault: control is handed over, never shared. */
static pthread_t other;
static sem_t go_other, go_main;
static bool other_runs;

static void *other_run(void *hook)
{
	((void (*)(struct vcpu *))hook)(&vcpus[0]);
	other_runs = false;
	sem_post(&go_main);
	return NULL;
}

static void other_waits(struct srcu_struct *srcu)
{
	while (other_runs && srcu->readers) {
		sem_post(&go_main);
		sem_wait(&go_other);
	}
}

static void other_start(void)
{
	void *hook = model_in_fault;

	model_in_fault = NULL;
	other_runs = true;
	sem_init(&go_other, 0, 0);
	sem_init(&go_main, 0, 0);
	shim_srcu_wait = other_waits;
	MODEL(!pthread_create(&other, NULL, other_run, hook), "no thread");
	sem_wait(&go_main);
	if (!other_runs)
		pthread_join(other, NULL);
}

static void others_may_run(void)
{
	if (!model_in_fault || model_in_more || vm.mmu_lock.writer)
		return;
	if (model_lets_pass)
		model_lets_pass--;
	else
		other_start();
}

/* In the middle of an invalidation they would get nowhere. */
void host_before_lock(rwlock_t *l)
{
	if (l == &vm.mmu_lock && !vm.mem.notifier->in_progress)
		others_may_run();
}

void host_fault_done(void)
{
	if (!other_runs)
		return;
	sem_post(&go_other);
	sem_wait(&go_main);
	MODEL(!other_runs, "still waiting");
	pthread_join(other, NULL);
}

int pfn_resolve(hva_t hva, bool write, bool want_write, struct pfn *pfn)
{
	unsigned long index = hva_index(hva);

	if (model_poisoned)
		return -EHWPOISON;
	if (write && host[index].prot_read)
		return -EFAULT;
	if (!host[index].hfn)
		fault_in(index);
	else if (write && !host[index].writable)
		host_invalidate(index, 1, copy_page);
	pfn->hfn = host[index].hfn;
	pfn->writable = (write || want_write) && host[index].writable;
	pfn->page = true;
	pfn->mmio = false;
	others_may_run();
	return 0;
}

bool pfn_resolve_fast(hva_t hva, bool write, bool want_write, struct pfn *pfn)
{
	unsigned long index = hva_index(hva);

	if (model_poisoned || !host[index].hfn || (write && !host[index].writable))
		return false;
	*pfn = (struct pfn){
		.hfn = host[index].hfn, .page = true,
		.writable = (write || want_write) && host[index].writable,
	};
	others_may_run();
	return true;
}

unsigned int pfn_resolve_more(hva_t hva, unsigned int n, hfn_t *hfns)
{
	unsigned long index = hva_index(hva);
	unsigned int i;

	MODEL(n <= PFN_MORE, "more than there is room for");
	for (i = 0; i < n && index + i < MODEL_PAGES && host[index + i].hfn &&
	     host[index + i].writable; i++)
		hfns[i] = host[index + i].hfn;
	if (model_in_fault)
		other_start();
	return i;
}

int pfn_host_level(struct mm_struct *mm, hva_t hva)
{
	return host_huge[hva_index(hva) / 512] ? 2 : 1;
}

void pfn_set_accessed(hfn_t hfn)
{
	host[host_index(hfn)].accessed = true;
}

/* Of a large page it is one bit. */
void pfn_set_dirty(hfn_t hfn)
{
	unsigned long index = host_index(hfn), n = 1;

	if (host_huge[index / 512]) {
		index &= ~511ul;
		n = 512;
	}
	while (n--)
		host[index + n].dirty = true;
}

bool shim_user_fault(const void *p, unsigned long len)
{
	(void)len;
	return !host_backed && (unsigned long)p >= MODEL_HVA && (unsigned long)p < model_hva(MODEL_PAGES);
}

void shim_poison_signal(const void *addr)
{
	(void)addr;
	model_poison_signals++;
}

int model_slot(u32 id, gpa_t gpa, u64 pages, hva_t hva, u32 flags)
{
	struct kvm_userspace_memory_region r = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = pages << PAGE_SHIFT,
		.userspace_addr = hva,
	};

	return slots_set_region(&vm, &r);
}

int model_get_dirty(u32 id, unsigned long *bitmap)
{
	struct kvm_dirty_log log = { .slot = id, .dirty_bitmap = bitmap };

	return slots_get_dirty_log(&vm, &log);
}

/* What the models have no use for. */

void vm_kill(struct vm *which)
{
	which->dead = true;
}

int emulate_vcpu_init(struct vcpu *vcpu)
{
	(void)vcpu;
	return 0;
}

void emulate_vcpu_destroy(struct vcpu *vcpu)
{
	(void)vcpu;
}

void emulate_forget(struct vcpu *vcpu)
{
	(void)vcpu;
}
