/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUMP_H
#define DUMP_H

struct machine;
struct vcpu;

void dump_exit(struct vcpu *v, const char *what);
void dump_all(struct machine *m);

#endif
