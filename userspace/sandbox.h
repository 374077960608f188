/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

/* What a thread may ask of the host's kernel; each kind may do more than the one before. */
enum sandbox_kind { SANDBOX_VCPU, SANDBOX_DEVICE, SANDBOX_VHOST, SANDBOX_NET, SANDBOX_MAIN };

void sandbox_configure(bool on);
void sandbox_enter(enum sandbox_kind kind);

#endif
