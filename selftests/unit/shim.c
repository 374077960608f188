// SPDX-License-Identifier: GPL-2.0-only
/* What the stand-in headers declare: an arena of pages, grace periods, failures on demand. */
#include <sys/mman.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/shrinker.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>
#include <asm/cpufeature.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p))
#endif

#define ARENA_PAGES	16384
#define MAX_ORDER	2
#define ARENA_PHYS	0x40000000ull

struct rcu_head *shim_rcu_list;
int shim_rcu_readers;
int shim_fail_after = -1;
struct mmu_notifier *shim_notifier;
unsigned int shim_notifier_syncs;
struct work_struct *shim_work_list;
struct hrtimer *shim_hrtimer;
void (*shim_before_lock)(rwlock_t *l);
void (*shim_srcu_wait)(struct srcu_struct *srcu);
struct shim_cpu boot_cpu_data = { .x86_phys_bits = 46 };
unsigned int shim_c_bit;
void (*shim_page_freed)(u64 phys);
bool (*shim_swapped_out)(const void *p);
void (*shim_user_written)(const void *p, unsigned long len);

static char *arena;
static struct page pages[ARENA_PAGES];
static unsigned char used[ARENA_PAGES];
static long nr_used;
static unsigned int next_page;

static unsigned int page_index(const void *addr)
{
	unsigned long offset = (unsigned long)addr - (unsigned long)arena;

	WARN_ON(offset >= ARENA_PAGES * PAGE_SIZE);
	return offset >> PAGE_SHIFT;
}

/* The arena begins at a multiple of the largest order that is asked for. */
static void arena_make(void)
{
	const unsigned long align = PAGE_SIZE << MAX_ORDER;
	unsigned long at = (unsigned long)mmap(NULL, ARENA_PAGES * PAGE_SIZE + align,
					       PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	WARN_ON((void *)at == MAP_FAILED);
	arena = (char *)((at + align - 1) & ~(align - 1));
}

static bool run_used(unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (used[first + i])
			return true;
	return false;
}

/* Round robin: a page is not reused at once, so that stale uses are seen. */
unsigned long __get_free_pages(gfp_t flags, unsigned int order)
{
	unsigned int n = 1u << order, first, tries;
	char *addr;

	WARN_ON(order > MAX_ORDER);
	if (shim_alloc_fails())
		return 0;
	if (!arena)
		arena_make();
	first = ((next_page + n - 1) & ~(n - 1)) % ARENA_PAGES;
	for (tries = 0; tries < ARENA_PAGES && run_used(first, n); tries += n)
		first = (first + n) % ARENA_PAGES;
	WARN_ON(run_used(first, n));
	memset(used + first, 1, n);
	nr_used += n;
	next_page = (first + n) % ARENA_PAGES;
	addr = arena + first * PAGE_SIZE;
	ASAN_UNPOISON_MEMORY_REGION(addr, n * PAGE_SIZE);
	memset(addr, flags & __GFP_ZERO ? 0 : 0x5a, n * PAGE_SIZE);
	return (unsigned long)addr;
}

unsigned long __get_free_page(gfp_t flags)
{
	return __get_free_pages(flags, 0);
}

void free_pages(unsigned long addr, unsigned int order)
{
	unsigned int i, n = 1u << order, first;

	if (!addr)
		return;
	first = page_index((void *)addr);
	for (i = 0; i < n; i++)
		WARN_ON(!used[first + i]);
	if (shim_page_freed)
		shim_page_freed(__pa((void *)addr));
	memset(used + first, 0, n);
	nr_used -= n;
	ASAN_POISON_MEMORY_REGION((void *)addr, n * PAGE_SIZE);
}

void free_page(unsigned long addr)
{
	free_pages(addr, 0);
}

void *__va(u64 phys)
{
	return arena + (phys - ARENA_PHYS);
}

u64 __pa(const void *addr)
{
	return ARENA_PHYS + ((unsigned long)addr - (unsigned long)arena);
}

struct page *virt_to_page(const void *addr)
{
	return &pages[page_index(addr)];
}

void *page_address(const struct page *page)
{
	return arena + (page - pages) * PAGE_SIZE;
}

long shim_pages_used(void)
{
	return nr_used;
}

struct shrinker shim_shrinker;

struct shrinker *compat_shrinker_register(unsigned long (*count)(struct shrinker *, struct shrink_control *),
					  unsigned long (*scan)(struct shrinker *, struct shrink_control *),
					  long batch, const char *name)
{
	(void)batch;
	(void)name;
	shim_shrinker.count_objects = count;
	shim_shrinker.scan_objects = scan;
	return &shim_shrinker;
}

void compat_shrinker_unregister(struct shrinker *shrinker)
{
	(void)shrinker;
}
