/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_RCULIST_H
#define SHIM_RCULIST_H

#include <linux/list.h>

#define list_add_rcu	list_add
#define list_del_rcu	list_del
#define hlist_add_head_rcu	hlist_add_head
#define hlist_del_rcu	hlist_del
#define list_for_each_entry_rcu(pos, head, member, ...)	list_for_each_entry(pos, head, member)
#define hlist_for_each_entry_rcu(pos, head, member, ...)	hlist_for_each_entry(pos, head, member)
#define list_for_each_entry_srcu(pos, head, member, ...)	list_for_each_entry(pos, head, member)
#define hlist_for_each_entry_srcu(pos, head, member, ...)	hlist_for_each_entry(pos, head, member)

#endif
