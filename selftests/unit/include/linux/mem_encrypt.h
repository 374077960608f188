/* SPDX-License-Identifier: GPL-2.0-only */
#define __sme_set(x)	(x)
#define __sme_clr(x)	(x)
