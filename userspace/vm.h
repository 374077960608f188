/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VM_H
#define VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ram.h"

#define VM_NR_GSIS	24	/* the IOAPIC's pins; MSI routes come after */
#define VM_NR_MSIS	1024
#define VM_NR_SLOTS	64	/* the first two are memory */

struct vm_msi {
	uint64_t addr;
	uint32_t data;
	bool used;
};

/* One VM of /dev/corbel or /dev/kvm, and what its module can do. */
struct vm {
	int sys_fd;
	int fd;
	bool has_irqfd;
	bool has_ioeventfd, ioeventfd_any_len;
	bool has_immediate_exit;
	unsigned int max_vcpus;

	pthread_mutex_t lock;			/* guards all below */
	struct vm_msi msi[VM_NR_MSIS];		/* routes of GSI VM_NR_GSIS and up */
	unsigned int asserted[VM_NR_GSIS];	/* how many devices hold the line up */
	bool slots[VM_NR_SLOTS];		/* those in use */
};

int vm_open(const char *device, const char **path);
const char *vm_module(const char *path);
void vm_create(struct vm *vm, int sys_fd, const struct ram *ram, uint32_t mmu);
void vm_destroy(struct vm *vm);
int vm_cap(int fd, long cap);

void vm_irq_line(struct vm *vm, unsigned int gsi, bool up);
void vm_irq_share(struct vm *vm, unsigned int gsi, bool up);
int vm_msi_alloc(struct vm *vm);
int vm_msi_route(struct vm *vm, int gsi, uint64_t addr, uint32_t data);
int vm_irqfd(struct vm *vm, int eventfd, int gsi, bool on);
void vm_msi_send(struct vm *vm, uint64_t addr, uint32_t data);
int vm_irqfd_level(struct vm *vm, int eventfd, int resamplefd, int gsi, bool on);
int vm_slot_add(struct vm *vm, uint64_t gpa, void *hva, uint64_t size);
void vm_slot_remove(struct vm *vm, int slot);
int vm_ioeventfd(struct vm *vm, int eventfd, uint64_t gpa, unsigned int len, bool on);

#endif
