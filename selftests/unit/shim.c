// SPDX-License-Identifier: GPL-2.0-only
/* What the stand-in headers declare: an arena of pages, grace periods, failures on demand. */
#include <sys/mman.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
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
#define ARENA_PHYS	0x40000000ull

struct rcu_head *shim_rcu_list;
int shim_rcu_readers;
int shim_fail_after = -1;
struct mmu_notifier *shim_notifier;
unsigned int shim_notifier_syncs;
struct work_struct *shim_work_list;
struct hrtimer *shim_hrtimer;
void (*shim_srcu_wait)(struct srcu_struct *srcu);
struct shim_cpu boot_cpu_data = { .x86_phys_bits = 46 };
unsigned int shim_c_bit;
void (*shim_page_freed)(u64 phys);

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

unsigned long __get_free_page(gfp_t flags)
{
	unsigned int i;

	if (shim_alloc_fails())
		return 0;
	if (!arena) {
		arena = mmap(NULL, ARENA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		WARN_ON(arena == MAP_FAILED);
	}
	/* Round robin: a page is not reused at once, so that stale uses are seen. */
	for (i = 0; i < ARENA_PAGES && used[next_page]; i++)
		next_page = (next_page + 1) % ARENA_PAGES;
	WARN_ON(used[next_page]);
	used[next_page] = 1;
	nr_used++;
	ASAN_UNPOISON_MEMORY_REGION(arena + next_page * PAGE_SIZE, PAGE_SIZE);
	memset(arena + next_page * PAGE_SIZE, flags & __GFP_ZERO ? 0 : 0x5a, PAGE_SIZE);
	i = next_page;
	next_page = (next_page + 1) % ARENA_PAGES;
	return (unsigned long)arena + i * PAGE_SIZE;
}

void free_page(unsigned long addr)
{
	unsigned int i = page_index((void *)addr);

	WARN_ON(!used[i]);
	if (shim_page_freed)
		shim_page_freed(__pa((void *)addr));
	used[i] = 0;
	nr_used--;
	ASAN_POISON_MEMORY_REGION((void *)addr, PAGE_SIZE);
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
