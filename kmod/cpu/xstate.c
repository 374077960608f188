// SPDX-License-Identifier: GPL-2.0-only
/* The guest's FPU lives in the kernel's own guest fpstate; XCR0, XSS and PKRU are switched here. */
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/pkru.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/regs.h"
#include "cpu/xstate.h"

struct xstate_host xstate_host;

void xstate_module_init(void)
{
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		xstate_host.xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	/* A kernel that does without XSAVES, for an erratum, does not keep a guest from it. */
	if (rdmsrl_safe(MSR_IA32_XSS, &xstate_host.xss))
		xstate_host.xss = 0;
}

int xstate_vcpu_init(struct vcpu *vcpu)
{
	if (!fpu_alloc_guest_fpstate(&vcpu->arch.fpu))
		return -ENOMEM;
	vcpu->arch.xcr0_live = xstate_host.xcr0;
	vcpu->arch.xss_live = xstate_host.xss;
	return 0;
}

void xstate_vcpu_destroy(struct vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->arch.fpu);
}

/*
 * While CR4.OSXSAVE is clear the guest cannot use XSAVE, so the host's values may stay. Not longer:
 * XSAVES is #UD on VMX for a guest that was not given it, but SVM cannot intercept it.
 */
void xstate_update(struct vcpu *vcpu)
{
	struct vcpu_cpu *arch = &vcpu->arch;
	u64 cr4 = cr4_get(vcpu);
	bool on = cr4 & X86_CR4_OSXSAVE;

	arch->xcr0_live = on ? arch->xcr0 : xstate_host.xcr0;
	arch->xss_live = on ? arch->xss : xstate_host.xss;
	arch->pkru_live = cpu_feature_enabled(X86_FEATURE_OSPKE) &&
			  ((cr4 & X86_CR4_PKE) || (on && (arch->xcr0 & XFEATURE_MASK_PKRU)));
	arch->xstate_switch = arch->xcr0_live != xstate_host.xcr0 || arch->xss_live != xstate_host.xss ||
			      arch->pkru_live;
}

/* INIT leaves the FPU as it is; a fresh vCPU's is what fpu_alloc_guest_fpstate() made. */
void xstate_reset(struct vcpu *vcpu, bool init)
{
	if (!init) {
		vcpu->arch.xcr0 = XFEATURE_MASK_FP;
		vcpu->arch.xss = 0;
		vcpu->arch.pkru = 0;
	}
	xstate_update(vcpu);
}

void xstate_load_guest(struct vcpu *vcpu)
{
	if (cpu_feature_enabled(X86_FEATURE_OSPKE))
		vcpu->arch.host_pkru = read_pkru();
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu, true);
	vcpu->arch.fpu_loaded = true;
}

void xstate_put_guest(struct vcpu *vcpu)
{
	if (!vcpu->arch.fpu_loaded)
		return;
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu, false);
	vcpu->arch.fpu_loaded = false;
}

static noinline void switch_to_guest(struct vcpu_cpu *arch)
{
	if (unlikely(arch->xcr0_live != xstate_host.xcr0))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, arch->xcr0_live);
	if (unlikely(arch->xss_live != xstate_host.xss))
		wrmsrl(MSR_IA32_XSS, arch->xss_live);
	if (unlikely(arch->pkru_live) && arch->pkru != arch->host_pkru)
		wrpkru(arch->pkru);
}

void xstate_enter(struct vcpu *vcpu)
{
	if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD)))
		switch_fpu_return();
	vcpu->arch.has_run = true;
	if (vcpu->arch.xstate_switch)
		switch_to_guest(&vcpu->arch);
}

static noinline void switch_to_host(struct vcpu_cpu *arch)
{
	if (unlikely(arch->pkru_live)) {
		arch->pkru = rdpkru();
		if (arch->pkru != arch->host_pkru)
			wrpkru(arch->host_pkru);
	}
	if (unlikely(arch->xcr0_live != xstate_host.xcr0))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, xstate_host.xcr0);
	if (unlikely(arch->xss_live != xstate_host.xss))
		wrmsrl(MSR_IA32_XSS, xstate_host.xss);
}

void xstate_exit(struct vcpu *vcpu)
{
	if (vcpu->arch.xstate_switch)
		switch_to_host(&vcpu->arch);
}

/* SDM, "XCR0": FP always, AVX with SSE, the three AVX-512 parts together and with AVX. */
static bool xcr0_valid(struct vcpu *vcpu, u64 val)
{
	if (!(val & XFEATURE_MASK_FP) ||
	    (val & ~(vcpu->arch.guest_xcr0_allowed | XFEATURE_MASK_FP)))
		return false;
	if ((val & XFEATURE_MASK_YMM) && !(val & XFEATURE_MASK_SSE))
		return false;
	if (!(val & XFEATURE_MASK_AVX512))
		return true;
	return (val & XFEATURE_MASK_YMM) && (val & XFEATURE_MASK_AVX512) == XFEATURE_MASK_AVX512;
}

bool xcr0_write(struct vcpu *vcpu, u64 val)
{
	if (!xcr0_valid(vcpu, val))
		return false;
	if (val == vcpu->arch.xcr0)
		return true;
	vcpu->arch.xcr0 = val;
	xstate_update(vcpu);
	cpuid_refresh(vcpu);
	return true;
}

static struct fxregs_state *fxregs(struct vcpu *vcpu)
{
	return &vcpu->arch.fpu.fpstate->regs.fxsave;
}

void fpu_to_user(struct vcpu *vcpu, struct kvm_fpu *out)
{
	const struct fxregs_state *fx = fxregs(vcpu);

	memset(out, 0, sizeof(*out));
	memcpy(out->fpr, fx->st_space, sizeof(out->fpr));
	memcpy(out->xmm, fx->xmm_space, sizeof(out->xmm));
	out->fcw = fx->cwd;
	out->fsw = fx->swd;
	out->ftwx = fx->twd;
	out->last_opcode = fx->fop;
	out->last_ip = fx->rip;
	out->last_dp = fx->rdp;
}

/* kvm_fpu.mxcsr is ignored, as clients that leave it 0 expect. */
void fpu_from_user(struct vcpu *vcpu, const struct kvm_fpu *in)
{
	struct fxregs_state *fx = fxregs(vcpu);

	memcpy(fx->st_space, in->fpr, sizeof(in->fpr));
	memcpy(fx->xmm_space, in->xmm, sizeof(in->xmm));
	fx->cwd = in->fcw;
	fx->swd = in->fsw;
	fx->twd = in->ftwx;
	fx->fop = in->last_opcode;
	fx->rip = in->last_ip;
	fx->rdp = in->last_dp;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->arch.fpu.fpstate->regs.xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
}

u32 xstate_size_max(void)
{
	return max_t(u32, sizeof(struct kvm_xsave), cpuid_host_xsave_size(cpuid_host.xcr0, false));
}

u32 xstate_size(struct vcpu *vcpu)
{
	return vcpu->arch.fpu.uabi_size;
}

void xsave_to_user(struct vcpu *vcpu, void *buf, u32 size)
{
	fpu_copy_guest_fpstate_to_uabi(&vcpu->arch.fpu, buf, size,
				       vcpu->arch.guest_xcr0_allowed | XFEATURE_MASK_FPSSE,
				       vcpu->arch.pkru);
}

int xsave_from_user(struct vcpu *vcpu, const void *buf)
{
	return fpu_copy_uabi_to_guest_fpstate(&vcpu->arch.fpu, buf, cpuid_host.xcr0,
					      &vcpu->arch.pkru);
}

void xcrs_to_user(struct vcpu *vcpu, struct kvm_xcrs *out)
{
	memset(out, 0, sizeof(*out));
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return;
	out->nr_xcrs = 1;
	out->xcrs[0].value = vcpu->arch.xcr0;
}

int xcrs_from_user(struct vcpu *vcpu, const struct kvm_xcrs *in)
{
	u32 i;

	if (!boot_cpu_has(X86_FEATURE_XSAVE) || in->nr_xcrs > KVM_MAX_XCRS || in->flags)
		return -EINVAL;
	for (i = 0; i < in->nr_xcrs; i++)
		if (in->xcrs[i].xcr == XCR_XFEATURE_ENABLED_MASK)
			return xcr0_write(vcpu, in->xcrs[i].value) ? 0 : -EINVAL;
	return 0;
}

void xstate_vec_begin(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

void xstate_vec_end(void)
{
	fpregs_unlock();
}
