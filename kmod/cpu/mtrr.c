// SPDX-License-Identifier: GPL-2.0-only
/* Memory type range registers and PAT: validated and kept; EPT and NPT decide the memory type. */
#include <linux/errno.h>
#include <linux/nospec.h>
#include <asm/msr-index.h>
#include "vm.h"
#include "cpu/msr.h"
#include "cpu/regs.h"

#define DEFTYPE_BITS	0xcffull	/* type, fixed enable, enable */
#define VAR_MASK_VALID	BIT_ULL(11)
#define TYPES_MTRR	0x73		/* UC, WC, WT, WP, WB: bit per type */
#define TYPES_PAT	0xf3		/* and UC- */

static const u32 fixed_msrs[CORBEL_NR_FIXED_MTRRS] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static bool types_valid(u64 val, u32 types)
{
	int i;

	for (i = 0; i < 8; i++, val >>= 8)
		if ((val & 0xff) > 7 || !(types & BIT(val & 7)))
			return false;
	return true;
}

bool mtrr_pat_valid(u64 pat)
{
	return types_valid(pat, TYPES_PAT);
}

static u64 *find(struct vcpu *vcpu, u32 msr)
{
	int i;

	if (msr == MSR_MTRRdefType)
		return &vcpu->arch.mtrr.deftype;
	if (msr - 0x200 < 2 * CORBEL_NR_VAR_MTRRS)
		return &vcpu->arch.mtrr.var[array_index_nospec(msr - 0x200,
							       2 * CORBEL_NR_VAR_MTRRS)];
	for (i = 0; i < CORBEL_NR_FIXED_MTRRS; i++)
		if (fixed_msrs[i] == msr)
			return &vcpu->arch.mtrr.fixed[i];
	return NULL;
}

static bool var_valid(struct vcpu *vcpu, u32 msr, u64 val)
{
	u64 reserved = vcpu->arch.cr3_reserved;

	if (msr & 1)
		return !(val & (reserved | 0x7ff));
	return !(val & (reserved | 0xf00)) && (val & 0xff) <= 7 && (TYPES_MTRR & BIT(val & 7));
}

static bool valid(struct vcpu *vcpu, u32 msr, u64 val)
{
	if (msr == MSR_MTRRdefType)
		return !(val & ~DEFTYPE_BITS) && (val & 0xff) <= 7 && (TYPES_MTRR & BIT(val & 7));
	if (msr - 0x200 < 2 * CORBEL_NR_VAR_MTRRS)
		return var_valid(vcpu, msr, val);
	return types_valid(val, TYPES_MTRR);
}

int mtrr_get(struct vcpu *vcpu, u32 msr, u64 *val)
{
	const u64 *reg = find(vcpu, msr);

	if (msr == MSR_MTRRcap) {
		*val = BIT(10) | BIT(8) | CORBEL_NR_VAR_MTRRS;	/* WC, fixed ranges */
		return 0;
	}
	if (!reg)
		return -ENOENT;
	*val = *reg;
	return 0;
}

int mtrr_set(struct vcpu *vcpu, u32 msr, u64 val)
{
	u64 *reg = find(vcpu, msr);

	if (!reg)
		return -ENOENT;
	if (!valid(vcpu, msr, val))
		return -EINVAL;
	*reg = val;
	return 0;
}
