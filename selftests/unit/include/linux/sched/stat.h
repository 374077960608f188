/* SPDX-License-Identifier: GPL-2.0-only */
#define single_task_running()	true
