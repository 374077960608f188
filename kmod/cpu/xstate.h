/* SPDX-License-Identifier: GPL-2.0-only */
/* FPU and extended state. Entry and exit functions are in cpu.h. */
#ifndef CORBEL_XSTATE_H
#define CORBEL_XSTATE_H

#include "vcpu.h"

struct xstate_host {
	u64 xcr0, xss;		/* the host's, read at load */
};
extern struct xstate_host xstate_host;

void xstate_module_init(void);
int xstate_vcpu_init(struct vcpu *vcpu);
void xstate_vcpu_destroy(struct vcpu *vcpu);
void xstate_reset(struct vcpu *vcpu, bool init);

/** xstate_update() - XCR0, XSS or CR4 changed: choose what enter loads */
void xstate_update(struct vcpu *vcpu);

/** xcr0_write() - XSETBV, KVM_SET_XCRS. false: refused */
bool xcr0_write(struct vcpu *vcpu, u64 val);

void fpu_to_user(struct vcpu *vcpu, struct kvm_fpu *out);
void fpu_from_user(struct vcpu *vcpu, const struct kvm_fpu *in);

/* KVM_GET_XSAVE, KVM_GET_XSAVE2: @size bytes; xstate_size_max() is KVM_CAP_XSAVE2. 0 or -EINVAL */
u32 xstate_size_max(void);
u32 xstate_size(struct vcpu *vcpu);
void xsave_to_user(struct vcpu *vcpu, void *buf, u32 size);
int xsave_from_user(struct vcpu *vcpu, const void *buf);	/* xstate_size() bytes */
void xcrs_to_user(struct vcpu *vcpu, struct kvm_xcrs *out);
int xcrs_from_user(struct vcpu *vcpu, const struct kvm_xcrs *in);

/*
 * Vector registers for the emulator; the guest's FPU state is loaded. Callers bracket with
 * these.
 */
void xstate_vec_begin(void);
void xstate_vec_end(void);

#endif
