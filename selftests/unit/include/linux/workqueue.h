/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_WORKQUEUE_H
#define SHIM_WORKQUEUE_H

#include <linux/list.h>

struct workqueue_struct;
struct work_struct {
	void (*func)(struct work_struct *work);
	struct work_struct *next;
	bool pending;
};

extern struct work_struct *shim_work_list;	/* queued, for shim_work_run() */

#define INIT_WORK(work, f)	((void)((work)->func = (f), (work)->pending = false))
#define system_highpri_wq	NULL

static inline bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	(void)wq;
	if (work->pending)
		return false;
	work->pending = true;
	work->next = shim_work_list;
	shim_work_list = work;
	return true;
}

static inline bool shim_work_run(void)
{
	struct work_struct *work = shim_work_list;

	if (!work)
		return false;
	shim_work_list = work->next;
	work->pending = false;
	work->func(work);
	return true;
}

static inline bool cancel_work_sync(struct work_struct *work)
{
	struct work_struct **link = &shim_work_list;

	while (*link && *link != work)
		link = &(*link)->next;
	if (*link)
		*link = work->next;
	work->pending = false;
	return false;
}

#endif
