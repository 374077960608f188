// SPDX-License-Identifier: GPL-2.0-only
/* Model-specific registers: one table of what they are, and the two ways to them. */
#include <linux/indirect_call_wrapper.h>
#include <linux/nospec.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>
#include "trace.h"
#include "vm.h"
#include "cpu/clock.h"
#include "cpu/cpuid.h"
#include "cpu/cr.h"
#include "cpu/msr.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "cpu/tsc.h"
#include "irq/lapic.h"
#include "irq/lapic_timer.h"

#define MISC_ENABLE_RESET	(MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | \
				 MSR_IA32_MISC_ENABLE_BTS_UNAVAIL)
#define PAT_RESET		0x0007040600070406ull
#define UCODE_RESET		(1ull << 32)
#define HWCR_KEPT		(BIT_ULL(18) | BIT_ULL(24))	/* McStatusWrEn, TscFreqSel */
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8))
#define X2APIC_FIRST		0x800
#define X2APIC_LAST		0x8ff
#define X2APIC_EOI		0x80b
#define X2APIC_ICR		0x830
#define X2APIC_SELF_IPI		0x83f
#define MTRR_VAR_FIRST		0x200
#define MTRR_VAR_LAST		(MTRR_VAR_FIRST + 2 * CORBEL_NR_VAR_MTRRS - 1)

#define PV_FEATURES		32	/* KVM_FEATURE_* above the guest features in one mask */
static_assert(NR_GUEST_FEATURES <= PV_FEATURES);

enum msr_flags {
	LISTED		= 1 << 0,	/* KVM_GET_MSR_INDEX_LIST */
	READ_ONLY	= 1 << 1,	/* a write finds no such register */
	WRITE_ONLY	= 1 << 2,
	BACKEND		= 1 << 3,	/* the value is in hardware */
	CANONICAL	= 1 << 4,	/* an address: VM entry and SYSCALL rely on its form */
	USER_WRITES	= 1 << 5,	/* a guest's write is refused */
	LOST		= 1 << 6,	/* a guest's write, or one to a constant, has no effect */
	OPEN_READ	= 1 << 7,	/* the guest reads, or writes, without an exit */
	OPEN_WRITE	= 1 << 8,
	OPEN		= OPEN_READ | OPEN_WRITE,
	QUICK_SET	= 1 << 9,	/* .set may be called with interrupts off */
	/* Worked out at load, so that most accesses look at one flag: no condition on who may, and then */
	PLAIN_READ	= 1 << 10,	/* not the backend's */
	PLAIN_WRITE	= 1 << 11,	/* kept here, or .set is quick; of the value only .ignored and .reserved matter */
};

/* A register, or a range whose values follow each other; without KEPT and hooks a constant. */
struct msr_row {
	u32 first, last;
	u16 flags;		/* enum msr_flags */
	u16 where;		/* KEPT(): the value's place in struct vcpu_cpu */
	u64 needs;		/* F() or PV(): any of these offers it, unless userspace asks */
	u64 constant;
	u64 ignored, reserved;	/* bits that a write loses; that it must not set */
	/* Is it there: 0 or the error */
	int (*may)(struct vcpu *vcpu, u32 msr, bool host);
	int (*get)(struct vcpu *vcpu, u32 msr, u64 *val);
	/* May the value be stored: 0 or the error */
	int (*check)(struct vcpu *vcpu, u32 msr, u64 val, bool host);
	int (*set)(struct vcpu *vcpu, u32 msr, u64 val, bool host);	/* instead of storing it */
};

static bool canonical(struct vcpu *vcpu, u64 addr)
{
	unsigned int bits = cr4_get(vcpu) & X86_CR4_LA57 ? 57 : 48;

	return (u64)((s64)(addr << (64 - bits)) >> (64 - bits)) == addr;
}

static int live_get(struct vcpu *vcpu, u32 msr, u64 *val)
{
	switch (msr) {
	case MSR_IA32_TSC:
		*val = tsc_guest_now(vcpu);
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		*val = lapic_deadline_get(vcpu);
		return 0;
	case MSR_IA32_APICBASE:
		*val = lapic_base_get(vcpu);
		return 0;
	case MSR_EFER:
		*val = efer_get(vcpu);
		return 0;
	}
	*val = vcpu->vm->arch.wall_clock_msr;
	return 0;
}

static int live_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	switch (msr) {
	case MSR_IA32_TSC:
		tsc_write(vcpu, val, host);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		if (!host && !guest_has(vcpu, GUEST_TSC_ADJUST))
			return -EINVAL;
		tsc_adjust_write(vcpu, val, host);
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		lapic_deadline_set(vcpu, val);
		return 0;
	case MSR_IA32_APICBASE:
		return lapic_base_set(vcpu, val, host);
	}
	return efer_write(vcpu, val, host) ? 0 : -EINVAL;
}

static int x2apic_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	return lapic_msr_write(vcpu, msr, val);
}

static int pv_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	switch (msr) {
	case MSR_KVM_STEAL_TIME:
		return pv_steal_msr_set(vcpu, val);
	case MSR_KVM_PV_EOI_EN:
		return pv_eoi_msr_set(vcpu, val);
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		clock_system_time_set(vcpu, val);
		return 0;
	}
	clock_wall_set(vcpu, val);
	return 0;
}

static int misc_enable_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	u64 changed = vcpu->arch.misc_enable ^ val;

	if (!host && (changed & MISC_ENABLE_RESET))
		return -EINVAL;		/* there is no PEBS and no BTS to make available */
	vcpu->arch.misc_enable = val;
	if (changed & MSR_IA32_MISC_ENABLE_MWAIT)
		cpuid_refresh(vcpu);
	return 0;
}

static int platform_info_may(struct vcpu *vcpu, u32 msr, bool host)
{
	return host || !vcpu->vm->arch.platform_info_hidden ? 0 : -EINVAL;
}

/* The values of the two depend on each other. */
static int cpuid_fault_check(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	u64 info = msr == MSR_PLATFORM_INFO ? val : vcpu->arch.platform_info;
	u64 enabled = msr == MSR_PLATFORM_INFO ? vcpu->arch.misc_features : val;

	return enabled && !(info & MSR_PLATFORM_INFO_CPUID_FAULT) ? -EINVAL : 0;
}

static int spec_ctrl_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	if (val & ~msr_host.spec_ctrl)
		return -EINVAL;
	vcpu->arch.spec_ctrl = val;
	if (val && !host && !vcpu->arch.spec_ctrl_live) {
		vcpu->arch.spec_ctrl_live = true;
		msr_intercepts(vcpu);
	}
	backend.controls_changed(vcpu);
	return 0;
}

static bool command_offered(struct vcpu *vcpu, u32 msr)
{
	if (msr == MSR_IA32_FLUSH_CMD)
		return boot_cpu_has(X86_FEATURE_FLUSH_L1D) && guest_has(vcpu, GUEST_FLUSH_L1D);
	return boot_cpu_has(X86_FEATURE_IBPB) &&
	       (guest_has(vcpu, GUEST_SPEC_CTRL) || guest_has(vcpu, GUEST_IBPB));
}

/* Do it on this CPU; userspace's writes mean nothing. */
static int command_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	if (!host && !command_offered(vcpu, msr))
		return -EINVAL;
	if (val && !host)
		wrmsrl(msr, val);
	return 0;
}

static int feat_ctl_check(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	return host || !(vcpu->arch.feat_ctl & FEAT_CTL_LOCKED) ? 0 : -EINVAL;
}

/* Memory types of MTRRs: a bit per type. */
#define TYPES_MTRR	0x73		/* UC, WC, WT, WP, WB */

static bool type_valid(u8 type)
{
	return type <= 7 && (TYPES_MTRR & BIT(type));
}

static bool types_valid(u64 val)
{
	int i;

	for (i = 0; i < 8; i++, val >>= 8)
		if (!type_valid(val))
			return false;
	return true;
}

/* Validated and kept: EPT and NPT decide the memory type. */
static int mtrr_check(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	u64 reserved;

	if (msr >= MSR_MTRRfix64K_00000 && msr <= MSR_MTRRfix4K_F8000)
		return types_valid(val) ? 0 : -EINVAL;
	if (msr == MSR_MTRRdefType)
		reserved = ~0xcffull;		/* type, fixed enable, enable */
	else if (msr & 1)			/* a mask and its valid bit: no type */
		return val & (vcpu->arch.cr3_reserved | 0x7ff) ? -EINVAL : 0;
	else
		reserved = vcpu->arch.cr3_reserved | 0xf00;
	return !(val & reserved) && type_valid(val) ? 0 : -EINVAL;
}

/* Of eight types at once: 2 and 3 are none, nor are 8 and above. UC- is one here. */
static bool pat_valid(u64 val)
{
	const u64 each = ~0ull / 0xff;

	return !(val & each * 0xf8) && !(val & each * 2 & ~(val >> 1));
}

static int pat_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	int err = pat_valid(val) ? backend_call(msr_set)(vcpu, msr, val) : -EINVAL;

	if (err && err != -ENOENT)
		return err;
	vcpu->arch.pat = val;
	return 0;
}

static int arch_caps_check(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	return val & ~msr_host.arch_caps ? -EINVAL : 0;
}

#define F(name)			BIT_ULL(GUEST_##name)
#define PV(name)		.needs = BIT_ULL(PV_FEATURES + KVM_FEATURE_##name)
#define SPEC_CTRL_FEATURES	(F(SPEC_CTRL) | F(STIBP) | F(SSBD) | F(IBPB) | F(AMD_SSBD))

#define ONE(msr)		.first = (msr), .last = (msr)
#define KEPT(field)		.where = offsetof(struct vcpu_cpu, field)
#define HARDWARE(msr, more)	{ ONE(msr), .flags = BACKEND | (more) }
/*
 * Registers that guests touch without asking CPUID, of either vendor. They read as a constant,
 * and a write is lost, or refused where a value other than the constant would promise something.
 */
#define FIXED(msr, val)		{ ONE(msr), .constant = (val) }
#define IGNORED(from, to, val)	{ .first = (from), .last = (to), .flags = LOST, .constant = (val) }

/* What is not here is the backend's or does not exist. */
static struct msr_row rows[] __ro_after_init = {
	{ ONE(MSR_IA32_TSC), LISTED | OPEN_READ, .get = live_get, .set = live_set },
	HARDWARE(MSR_IA32_SYSENTER_CS, LISTED | OPEN),
	HARDWARE(MSR_IA32_SYSENTER_ESP, LISTED | OPEN | CANONICAL),
	HARDWARE(MSR_IA32_SYSENTER_EIP, LISTED | OPEN | CANONICAL),
	HARDWARE(MSR_STAR, LISTED),
	HARDWARE(MSR_CSTAR, LISTED | CANONICAL),
	HARDWARE(MSR_LSTAR, LISTED | CANONICAL),
	{ ONE(MSR_SYSCALL_MASK), LISTED | BACKEND, .ignored = ~0xffffffffull },
	HARDWARE(MSR_FS_BASE, OPEN | CANONICAL),
	HARDWARE(MSR_GS_BASE, OPEN | CANONICAL),
	HARDWARE(MSR_KERNEL_GS_BASE, LISTED | OPEN | CANONICAL),
	{ ONE(MSR_TSC_AUX), LISTED | BACKEND, .needs = F(RDTSCP) | F(RDPID),
	  .reserved = ~0xffffffffull },
	{ ONE(MSR_IA32_CR_PAT), LISTED | QUICK_SET, KEPT(pat), .set = pat_set },
	{ ONE(MSR_EFER), .get = live_get, .set = live_set },
	{ ONE(MSR_IA32_APICBASE), .get = live_get, .set = live_set },
	{ ONE(MSR_IA32_FEAT_CTL), LISTED, KEPT(feat_ctl), .check = feat_ctl_check,
	  .reserved = ~(u64)FEAT_CTL_LOCKED },	/* nothing it could enable is offered */
	{ ONE(MSR_IA32_TSC_ADJUST), LISTED | QUICK_SET, KEPT(tsc_adjust), .set = live_set },
	{ ONE(MSR_IA32_TSC_DEADLINE), LISTED, .get = live_get, .set = live_set },
	{ ONE(MSR_IA32_MISC_ENABLE), LISTED, KEPT(misc_enable), .set = misc_enable_set },
	{ ONE(MSR_IA32_POWER_CTL), LISTED, KEPT(power_ctl) },
	{ ONE(MSR_PLATFORM_INFO), LISTED | USER_WRITES, KEPT(platform_info),
	  .may = platform_info_may, .check = cpuid_fault_check },
	{ ONE(MSR_MISC_FEATURES_ENABLES), LISTED, KEPT(misc_features), .check = cpuid_fault_check,
	  .reserved = ~(u64)MSR_MISC_FEATURES_ENABLES_CPUID_FAULT },
	{ ONE(MSR_IA32_UCODE_REV), LISTED | LOST, KEPT(ucode_rev) },
	{ ONE(MSR_K7_HWCR), LISTED, KEPT(hwcr), .ignored = HWCR_IGNORED, .reserved = ~HWCR_KEPT },
	{ ONE(MSR_IA32_ARCH_CAPABILITIES), LISTED | USER_WRITES, KEPT(arch_caps),
	  .needs = F(ARCH_CAPABILITIES), .check = arch_caps_check },
	{ ONE(MSR_IA32_XSS), LISTED, KEPT(xss), .needs = F(XSAVES), .reserved = ~0ull },
	/* A power setting stays the host's: as in KVM, a guest may keep a value and cannot tell. */
	{ ONE(MSR_IA32_UMWAIT_CONTROL), LISTED, KEPT(umwait), .needs = F(WAITPKG),
	  .reserved = ~0xffffffffull | BIT(1) },
	{ ONE(MSR_IA32_SPEC_CTRL), LISTED, KEPT(spec_ctrl), .needs = SPEC_CTRL_FEATURES,
	  .set = spec_ctrl_set },
	{ ONE(MSR_AMD64_VIRT_SPEC_CTRL), LISTED | BACKEND, .needs = F(VIRT_SSBD),
	  .reserved = ~(u64)SPEC_CTRL_SSBD },
	{ ONE(MSR_IA32_PRED_CMD), WRITE_ONLY, .set = command_set, .reserved = ~1ull },
	{ ONE(MSR_IA32_FLUSH_CMD), WRITE_ONLY, .set = command_set, .reserved = ~1ull },
	{ X2APIC_FIRST, X2APIC_LAST, .get = lapic_msr_read, .set = x2apic_set },
	{ ONE(MSR_KVM_WALL_CLOCK), LISTED, PV(CLOCKSOURCE), .get = live_get, .set = pv_set },
	{ ONE(MSR_KVM_SYSTEM_TIME), LISTED, KEPT(system_time_msr), PV(CLOCKSOURCE), .set = pv_set },
	{ ONE(MSR_KVM_WALL_CLOCK_NEW), LISTED, PV(CLOCKSOURCE2), .get = live_get, .set = pv_set },
	{ ONE(MSR_KVM_SYSTEM_TIME_NEW), LISTED, KEPT(system_time_msr), PV(CLOCKSOURCE2),
	  .set = pv_set },
	{ ONE(MSR_KVM_STEAL_TIME), LISTED, KEPT(steal.msr), PV(STEAL_TIME), .set = pv_set },
	{ ONE(MSR_KVM_PV_EOI_EN), LISTED, KEPT(pv_eoi_msr), PV(PV_EOI), .set = pv_set },
	{ ONE(MSR_KVM_POLL_CONTROL), LISTED, KEPT(poll_control), PV(POLL_CONTROL),
	  .reserved = ~1ull },
	{ ONE(MSR_IA32_MCG_CAP), READ_ONLY, KEPT(mce.cap) },
	{ ONE(MSR_IA32_MCG_STATUS), LISTED, KEPT(mce.status) },
	{ ONE(MSR_IA32_MCG_CTL), LISTED, KEPT(mce.ctl), .may = mce_may, .check = mce_check },
	{ MSR_IA32_MC0_CTL, MSR_IA32_MCx_CTL(CORBEL_MCE_BANKS) - 1, KEPT(mce.banks),
	  .may = mce_may, .check = mce_check },
	{ MSR_IA32_MC0_CTL2, MSR_IA32_MCx_CTL2(CORBEL_MCE_BANKS) - 1, KEPT(mce.ctl2),
	  .may = mce_ctl2_may, .check = mce_ctl2_check },
	{ ONE(MSR_MTRRcap), READ_ONLY,
	  .constant = BIT(10) | BIT(8) | CORBEL_NR_VAR_MTRRS },		/* WC, fixed ranges */
	{ ONE(MSR_MTRRdefType), KEPT(mtrr.deftype), .check = mtrr_check },
	{ MTRR_VAR_FIRST, MTRR_VAR_LAST, KEPT(mtrr.var), .check = mtrr_check },
	{ ONE(MSR_MTRRfix64K_00000), KEPT(mtrr.fixed[0]), .check = mtrr_check },
	{ MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, KEPT(mtrr.fixed[1]), .check = mtrr_check },
	{ MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_F8000, KEPT(mtrr.fixed[3]), .check = mtrr_check },

	FIXED(MSR_IA32_PLATFORM_ID, 0), FIXED(MSR_EBC_FREQUENCY_ID, 1 << 24),
	FIXED(MSR_FSB_FREQ, 3), FIXED(MSR_IA32_PERF_STATUS, 1000 | 4ull << 40),
	FIXED(MSR_IA32_PERF_CTL, 0), FIXED(MSR_RAPL_POWER_UNIT, 0),
	FIXED(MSR_IA32_LASTBRANCHFROMIP, 0), FIXED(MSR_IA32_LASTBRANCHTOIP, 0),
	FIXED(MSR_IA32_LASTINTFROMIP, 0), FIXED(MSR_IA32_LASTINTTOIP, 0),
	FIXED(MSR_PKG_ENERGY_STATUS, 0), FIXED(MSR_DRAM_ENERGY_STATUS, 0),
	FIXED(MSR_PP0_ENERGY_STATUS, 0), FIXED(MSR_PP1_ENERGY_STATUS, 0),
	FIXED(MSR_AMD64_SYSCFG, 0), FIXED(MSR_K7_CLK_CTL, 0x20000000), FIXED(MSR_AMD64_NB_CFG, 0),
	FIXED(MSR_K8_INT_PENDING_MSG, 0), FIXED(MSR_FAM10H_MMIO_CONF_BASE, 0),
	FIXED(MSR_K8_TSEG_ADDR, 0), FIXED(MSR_K8_TSEG_MASK, 0), FIXED(MSR_VM_CR, 0),
	FIXED(MSR_AMD64_DE_CFG, BIT(1)),	/* LFENCE serializes */
	IGNORED(MSR_IA32_UCODE_WRITE, MSR_IA32_UCODE_WRITE, 0),
	IGNORED(MSR_P6_PERFCTR0, MSR_P6_PERFCTR1, 0),
	IGNORED(MSR_IA32_BBL_CR_CTL3, MSR_IA32_BBL_CR_CTL3, 0xbe702111),
	IGNORED(MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1, 0),
	IGNORED(MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, 0),
	IGNORED(MSR_AMD64_PATCH_LOADER, MSR_AMD64_PATCH_LOADER, 0),
	IGNORED(MSR_VM_HSAVE_PA, MSR_VM_HSAVE_PA, 0),
	IGNORED(MSR_AMD64_DC_CFG, MSR_AMD64_DC_CFG, 0),
	IGNORED(MSR_AMD64_BU_CFG2, MSR_AMD64_BU_CFG2, 0),
	IGNORED(MSR_F15H_EX_CFG, MSR_F15H_EX_CFG, 0),
};

/* The row found last for a number's lowest byte; several CPUs may write it at once. */
static const struct msr_row *hints[256] = { [0 ... 255] = rows };

static bool covers(const struct msr_row *row, u32 msr)
{
	return msr >= row->first && msr <= row->last;
}

static noinline const struct msr_row *search(u32 msr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (covers(&rows[i], msr)) {
			WRITE_ONCE(hints[msr & 0xff], &rows[i]);
			return &rows[i];
		}
	return NULL;
}

static const struct msr_row *find(u32 msr)
{
	const struct msr_row *row = READ_ONCE(hints[msr & 0xff]);

	return likely(covers(row, msr)) ? row : search(msr);
}

static u64 *kept(struct vcpu *vcpu, const struct msr_row *row, u32 msr)
{
	u64 *first = (void *)&vcpu->arch + row->where;

	return first + array_index_nospec(msr - row->first, row->last - row->first + 1);
}

/*
 * Is it there for who asks: 0 or the error. @without: the flag of a register that cannot be
 * accessed this way
 */
static int refused(struct vcpu *vcpu, const struct msr_row *row, u32 msr, bool host, u16 without)
{
	struct vcpu_cpu *arch = &vcpu->arch;
	u64 offered = arch->features | (u64)arch->pv_features << PV_FEATURES;

	if (row->flags & without)
		return -ENOENT;
	if (!arch->pv_enforce)
		offered |= ~0ull << PV_FEATURES;
	if (!host && row->needs && !(offered & row->needs))
		return row->needs >> PV_FEATURES ? -ENOENT : -EINVAL;
	return row->may ? row->may(vcpu, msr, host) : 0;
}

static __always_inline int get(struct vcpu *vcpu, const struct msr_row *row, u32 msr, u64 *val)
{
	if (row->get)
		return INDIRECT_CALL_2(row->get, live_get, lapic_msr_read, vcpu, msr, val);
	*val = row->where ? *kept(vcpu, row, msr) : row->constant;
	return 0;
}

static noinline int get_guarded(struct vcpu *vcpu, u32 msr, u64 *val, bool host)
{
	const struct msr_row *row = find(msr);
	int err = row ? refused(vcpu, row, msr, host, WRITE_ONLY) : 0;

	if (err)
		return err;
	if (!row || (row->flags & BACKEND))
		return backend_call(msr_get)(vcpu, msr, val);
	return get(vcpu, row, msr, val);
}

/* Most rows have no condition, and the hint is right: that is the short way. @plain: PLAIN_READ or PLAIN_WRITE. Else NULL */
static __always_inline const struct msr_row *find_plain(u32 msr, u16 plain)
{
	const struct msr_row *row = READ_ONCE(hints[msr & 0xff]);

	return likely(covers(row, msr) && (row->flags & plain)) ? row : NULL;
}

int msr_get(struct vcpu *vcpu, u32 msr, u64 *val, bool host)
{
	const struct msr_row *row = find_plain(msr, PLAIN_READ);

	return row ? get(vcpu, row, msr, val) : get_guarded(vcpu, msr, val, host);
}

static int store(struct vcpu *vcpu, const struct msr_row *row, u32 msr, u64 val, bool host)
{
	int err = row->check ? row->check(vcpu, msr, val, host) : 0;

	if (err)
		return err;
	if (row->set)
		return row->set(vcpu, msr, val, host);
	if (!row->where)
		return val == row->constant || (row->flags & LOST) ? 0 : -EINVAL;
	if (host || !(row->flags & LOST))
		*kept(vcpu, row, msr) = val;
	return 0;
}

int msr_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	const struct msr_row *row = find(msr);
	int err = row ? refused(vcpu, row, msr, host, READ_ONLY) : 0;

	if (!row)
		return backend_call(msr_set)(vcpu, msr, val);
	if (err)
		return err;
	val &= ~row->ignored;
	if ((val & row->reserved) || (!host && (row->flags & USER_WRITES)))
		return -EINVAL;
	if ((row->flags & CANONICAL) && !canonical(vcpu, val))
		return -EINVAL;
	if (row->flags & BACKEND)
		return backend_call(msr_set)(vcpu, msr, val);
	return store(vcpu, row, msr, val, host);
}

void msr_reset(struct vcpu *vcpu, bool init)
{
	struct vcpu_cpu *arch = &vcpu->arch;

	if (init)
		return;
	pat_set(vcpu, MSR_IA32_CR_PAT, PAT_RESET, true);
	arch->misc_enable = MISC_ENABLE_RESET;
	arch->ucode_rev = UCODE_RESET;
	arch->arch_caps = msr_host.arch_caps;
	arch->platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
	arch->misc_features = 0;
	arch->spec_ctrl = 0;
	arch->spec_ctrl_live = false;
	mce_reset(vcpu);
}

static u32 index_list[ARRAY_SIZE(rows)];
static u32 nr_index;

static u16 plain_flags(const struct msr_row *row)
{
	u16 plain = 0;

	if (row->needs || row->may)
		return 0;
	if (!(row->flags & (BACKEND | WRITE_ONLY)))
		plain |= PLAIN_READ;
	if (row->where && !row->check && (!row->set || (row->flags & QUICK_SET)) &&
	    !(row->flags & (BACKEND | READ_ONLY | USER_WRITES | LOST | CANONICAL)))
		plain |= PLAIN_WRITE;
	return plain;
}

/* What can be both read and written by userspace in every VM here. */
void msr_module_init(void)
{
	u64 offered = cpuid_host.features | ~0ull << PV_FEATURES;
	int i;

	msr_host_init();
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		rows[i].flags |= plain_flags(&rows[i]);
	nr_index = 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if ((rows[i].flags & LISTED) && (!rows[i].needs || (rows[i].needs & offered)))
			index_list[nr_index++] = rows[i].first;
}

const u32 *msr_index_list(u32 *count)
{
	*count = nr_index;
	return index_list;
}

static void allow(struct vcpu *vcpu, u32 msr, bool read, bool write)
{
	read = read && msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_READ);
	write = write && msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_WRITE);
	backend.msr_intercept(vcpu, msr, !read, !write);
}

/*
 * IA32_SPEC_CTRL costs a read after every exit once the guest owns it, so that waits for the first
 * value that is not 0. The commands have no state.
 */
void msr_intercepts(struct vcpu *vcpu)
{
	int srcu = srcu_read_lock(&vcpu->vm->srcu), i;
	bool live = vcpu->arch.spec_ctrl_live &&
		    msr_filter_allows(vcpu, MSR_IA32_SPEC_CTRL, KVM_MSR_FILTER_READ) &&
		    msr_filter_allows(vcpu, MSR_IA32_SPEC_CTRL, KVM_MSR_FILTER_WRITE);

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].flags & OPEN)
			allow(vcpu, rows[i].first, rows[i].flags & OPEN_READ,
			      rows[i].flags & OPEN_WRITE);
	vcpu->arch.spec_ctrl_live = live;
	allow(vcpu, MSR_IA32_SPEC_CTRL, live, live);
	allow(vcpu, MSR_IA32_PRED_CMD, false, command_offered(vcpu, MSR_IA32_PRED_CMD));
	allow(vcpu, MSR_IA32_FLUSH_CMD, false, command_offered(vcpu, MSR_IA32_FLUSH_CMD));
	srcu_read_unlock(&vcpu->vm->srcu, srcu);
}

static void rdmsr_result(struct vcpu *vcpu, u64 val)
{
	gpr_set(vcpu, GPR_RAX, (u32)val);
	gpr_set(vcpu, GPR_RDX, val >> 32);
}

static int complete_rdmsr(struct vcpu *vcpu)
{
	if (vcpu->run->msr.error)
		return inject_gp(vcpu);
	rdmsr_result(vcpu, vcpu->run->msr.data);
	return vcpu_skip_insn(vcpu);
}

static int complete_wrmsr(struct vcpu *vcpu)
{
	if (vcpu->run->msr.error)
		return inject_gp(vcpu);
	return vcpu_skip_insn(vcpu);
}

/* Userspace decides if it asked to, for this kind of refusal; else #GP. */
static int refuse(struct vcpu *vcpu, u32 reason, u32 exit_reason, u32 msr, u64 val)
{
	struct kvm_run *run = vcpu->run;

	if (!(vcpu->vm->arch.user_msr_reasons & reason))
		return inject_gp(vcpu);
	run->exit_reason = exit_reason;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = msr;
	run->msr.data = val;
	vcpu->complete = exit_reason == KVM_EXIT_X86_RDMSR ? complete_rdmsr : complete_wrmsr;
	return TO_USER;
}

static u32 refusal(int err)
{
	return err == -ENOENT ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
}

int rdmsr_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 msr = gpr_get(vcpu, GPR_RCX);
	u64 val;
	int err;

	if (!msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_READ))
		return refuse(vcpu, KVM_MSR_EXIT_REASON_FILTER, KVM_EXIT_X86_RDMSR, msr, 0);
	err = msr_get(vcpu, msr, &val, false);
	trace_corbel_msr(vcpu->id, false, msr, err ? 0 : val, err);
	if (err)
		return refuse(vcpu, refusal(err), KVM_EXIT_X86_RDMSR, msr, 0);
	rdmsr_result(vcpu, val);
	return vcpu_skip_insn(vcpu);
}

static u64 wrmsr_value(struct vcpu *vcpu)
{
	return (u32)gpr_get(vcpu, GPR_RAX) | gpr_get(vcpu, GPR_RDX) << 32;
}

int wrmsr_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 msr = gpr_get(vcpu, GPR_RCX);
	u64 val = wrmsr_value(vcpu);
	int err;

	if (!msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_WRITE))
		return refuse(vcpu, KVM_MSR_EXIT_REASON_FILTER, KVM_EXIT_X86_WRMSR, msr, val);
	err = msr_set(vcpu, msr, val, false);
	trace_corbel_msr(vcpu->id, true, msr, val, err);
	if (err)
		return refuse(vcpu, refusal(err), KVM_EXIT_X86_WRMSR, msr, val);
	return vcpu_skip_insn(vcpu);
}

static bool msr_filter_present(struct vcpu *vcpu)
{
	return rcu_access_pointer(vcpu->vm->arch.msr_filter);
}

bool msr_read_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 msr = vcpu->regs.gpr[GPR_RCX];
	const struct msr_row *row = find_plain(msr, PLAIN_READ);
	u64 val;

	if (!row || msr_filter_present(vcpu) || !exit->insn_len || trace_corbel_msr_enabled() || get(vcpu, row, msr, &val))
		return false;
	rdmsr_result(vcpu, val);
	return skip_fast(vcpu);
}

/* What is only kept, and what its hook does in no time. */
static __always_inline bool store_fast(struct vcpu *vcpu, u32 msr, u64 val)
{
	const struct msr_row *row = find_plain(msr, PLAIN_WRITE);

	if (!row || val & (row->ignored | row->reserved) || msr_filter_present(vcpu))
		return false;
	if (row->set)
		return !INDIRECT_CALL_2(row->set, live_set, pat_set, vcpu, msr, val, false);
	*kept(vcpu, row, msr) = val;
	return true;
}

static bool write_fast(struct vcpu *vcpu, u32 msr, u64 val)
{
	bool lapic = vcpu->irq.lapic;

	if (msr == MSR_IA32_TSC_DEADLINE) {	/* what guests write most often */
		if (msr_filter_present(vcpu))
			return false;
		lapic_deadline_set(vcpu, val);
		return true;
	}
	switch (msr) {
	case X2APIC_ICR:
		return lapic && lapic_icr_fast(vcpu, val);
	case X2APIC_EOI:
		return lapic && !val && lapic_eoi_fast(vcpu);
	case X2APIC_SELF_IPI:
		return lapic && lapic_self_ipi_fast(vcpu, val);
	default:
		return store_fast(vcpu, msr, val);
	}
}

bool msr_write_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	if (!exit->insn_len || trace_corbel_msr_enabled() || !write_fast(vcpu, vcpu->regs.gpr[GPR_RCX], wrmsr_value(vcpu)))
		return false;
	return skip_fast(vcpu);
}
