/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: events/corbel/ in tracefs. Vocabulary and fields follow KVM's where the event is
 * the same.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM corbel

#if !defined(CORBEL_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CORBEL_TRACE_H

#include <linux/tracepoint.h>
#include "exit.h"

TRACE_EVENT(corbel_entry,
	TP_PROTO(unsigned int vcpu_id, u64 rip),
	TP_ARGS(vcpu_id, rip),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->rip = rip;
	),
	TP_printk("vcpu %u, rip 0x%llx", __entry->vcpu_id, __entry->rip)
);

TRACE_EVENT(corbel_exit,
	TP_PROTO(unsigned int vcpu_id, u64 rip, unsigned int kind, u32 hw_reason),
	TP_ARGS(vcpu_id, rip, kind, hw_reason),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u64, rip)
		__field(unsigned int, kind)
		__field(u32, hw_reason)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->rip = rip;
		__entry->kind = kind;
		__entry->hw_reason = hw_reason;
	),
	TP_printk("vcpu %u, rip 0x%llx, %s (hardware 0x%x)", __entry->vcpu_id, __entry->rip,
		  exit_name(__entry->kind), __entry->hw_reason)
);

/* What KVM_RUN returned to userspace. */
TRACE_EVENT(corbel_userspace_exit,
	TP_PROTO(unsigned int vcpu_id, u32 reason, int err),
	TP_ARGS(vcpu_id, reason, err),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u32, reason)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->reason = reason;
		__entry->err = err;
	),
	TP_printk("vcpu %u, reason %u, return %d", __entry->vcpu_id, __entry->reason, __entry->err)
);

/* An event given to the hardware: type is enum event_type. */
TRACE_EVENT(corbel_inject,
	TP_PROTO(unsigned int vcpu_id, unsigned int type, u8 vector, u32 error, bool again),
	TP_ARGS(vcpu_id, type, vector, error, again),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned int, type)
		__field(u8, vector)
		__field(u32, error)
		__field(bool, again)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->type = type;
		__entry->vector = vector;
		__entry->error = error;
		__entry->again = again;
	),
	TP_printk("vcpu %u, type %u, vector 0x%x, error 0x%x%s", __entry->vcpu_id, __entry->type,
		  __entry->vector, __entry->error, __entry->again ? " (again)" : "")
);

/* access: enum fault_access. */
TRACE_EVENT(corbel_page_fault,
	TP_PROTO(unsigned int vcpu_id, u64 rip, gpa_t gpa, u32 access),
	TP_ARGS(vcpu_id, rip, gpa, access),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u64, rip)
		__field(u64, gpa)
		__field(u32, access)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->rip = rip;
		__entry->gpa = gpa;
		__entry->access = access;
	),
	TP_printk("vcpu %u, rip 0x%llx, gpa 0x%llx, access 0x%x", __entry->vcpu_id, __entry->rip,
		  __entry->gpa, __entry->access)
);

DECLARE_EVENT_CLASS(corbel_access,
	TP_PROTO(unsigned int vcpu_id, bool write, u64 addr, unsigned int len, u64 val),
	TP_ARGS(vcpu_id, write, addr, len, val),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(bool, write)
		__field(u64, addr)
		__field(unsigned int, len)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->write = write;
		__entry->addr = addr;
		__entry->len = len;
		__entry->val = val;
	),
	TP_printk("vcpu %u, %s, address 0x%llx, len %u, val 0x%llx", __entry->vcpu_id,
		  __entry->write ? "write" : "read", __entry->addr, __entry->len, __entry->val)
);

#define ACCESS_EVENT(name)							\
DEFINE_EVENT(corbel_access, name,						\
	TP_PROTO(unsigned int vcpu_id, bool write, u64 addr, unsigned int len, u64 val),	\
	TP_ARGS(vcpu_id, write, addr, len, val))

ACCESS_EVENT(corbel_mmio);
ACCESS_EVENT(corbel_pio);

TRACE_EVENT(corbel_msr,
	TP_PROTO(unsigned int vcpu_id, bool write, u32 msr, u64 val, int err),
	TP_ARGS(vcpu_id, write, msr, val, err),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(bool, write)
		__field(u32, msr)
		__field(u64, val)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->write = write;
		__entry->msr = msr;
		__entry->val = val;
		__entry->err = err;
	),
	TP_printk("vcpu %u, %s, msr 0x%x, val 0x%llx, return %d", __entry->vcpu_id,
		  __entry->write ? "write" : "read", __entry->msr, __entry->val, __entry->err)
);

TRACE_EVENT(corbel_cpuid,
	TP_PROTO(unsigned int vcpu_id, u32 function, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx),
	TP_ARGS(vcpu_id, function, index, eax, ebx, ecx, edx),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u32, function)
		__field(u32, index)
		__field(u32, eax)
		__field(u32, ebx)
		__field(u32, ecx)
		__field(u32, edx)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->function = function;
		__entry->index = index;
		__entry->eax = eax;
		__entry->ebx = ebx;
		__entry->ecx = ecx;
		__entry->edx = edx;
	),
	TP_printk("vcpu %u, leaf 0x%x.%u: 0x%x 0x%x 0x%x 0x%x", __entry->vcpu_id,
		  __entry->function, __entry->index, __entry->eax, __entry->ebx, __entry->ecx,
		  __entry->edx)
);

/* A line was driven: source is enum irq_source, status as KVM_IRQ_LINE_STATUS. */
TRACE_EVENT(corbel_irq_set,
	TP_PROTO(u32 gsi, int source, int level, int status),
	TP_ARGS(gsi, source, level, status),
	TP_STRUCT__entry(
		__field(u32, gsi)
		__field(int, source)
		__field(int, level)
		__field(int, status)
	),
	TP_fast_assign(
		__entry->gsi = gsi;
		__entry->source = source;
		__entry->level = level;
		__entry->status = status;
	),
	TP_printk("gsi %u, source %d, level %d, status %d", __entry->gsi, __entry->source,
		  __entry->level, __entry->status)
);

TRACE_EVENT(corbel_msi,
	TP_PROTO(u32 address_hi, u32 address_lo, u32 data),
	TP_ARGS(address_hi, address_lo, data),
	TP_STRUCT__entry(
		__field(u64, address)
		__field(u32, data)
	),
	TP_fast_assign(
		__entry->address = (u64)address_hi << 32 | address_lo;
		__entry->data = data;
	),
	TP_printk("address 0x%llx, data 0x%x", __entry->address, __entry->data)
);

/* A halt ended: how long it took, and whether polling was enough. */
TRACE_EVENT(corbel_halt,
	TP_PROTO(unsigned int vcpu_id, u64 ns, bool polled),
	TP_ARGS(vcpu_id, ns, polled),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u64, ns)
		__field(bool, polled)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->ns = ns;
		__entry->polled = polled;
	),
	TP_printk("vcpu %u, %llu ns, %s", __entry->vcpu_id, __entry->ns,
		  __entry->polled ? "polled" : "slept")
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
