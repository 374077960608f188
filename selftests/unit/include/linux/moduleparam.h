/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_MODULEPARAM_H
#define SHIM_MODULEPARAM_H

#include <linux/kernel.h>

#define module_param_named(name, var, type, mode)	_Static_assert(sizeof(var), #name)
#define MODULE_PARM_DESC(name, text)	_Static_assert(sizeof(text), #name)

#endif
