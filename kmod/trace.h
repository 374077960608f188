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

#ifndef TRACE_FIELDS
/*
 * EVENT(name, (format, arguments), (type, field), ...): an event whose arguments are its fields. The
 * kernel's macro wants each field named four times.
 */
#define TRACE_FIELDS_1(each, sep, field)	each field
#define TRACE_FIELDS_2(each, sep, field, ...)	each field sep() TRACE_FIELDS_1(each, sep, __VA_ARGS__)
#define TRACE_FIELDS_3(each, sep, field, ...)	each field sep() TRACE_FIELDS_2(each, sep, __VA_ARGS__)
#define TRACE_FIELDS_4(each, sep, field, ...)	each field sep() TRACE_FIELDS_3(each, sep, __VA_ARGS__)
#define TRACE_FIELDS_5(each, sep, field, ...)	each field sep() TRACE_FIELDS_4(each, sep, __VA_ARGS__)
#define TRACE_FIELDS_6(each, sep, field, ...)	each field sep() TRACE_FIELDS_5(each, sep, __VA_ARGS__)
#define TRACE_FIELDS_7(each, sep, field, ...)	each field sep() TRACE_FIELDS_6(each, sep, __VA_ARGS__)
#define TRACE_FIELDS(each, sep, ...)						\
	CONCATENATE(TRACE_FIELDS_, COUNT_ARGS(__VA_ARGS__))(each, sep, __VA_ARGS__)

#define TRACE_COMMA()			,
#define TRACE_NOTHING()
#define TRACE_PROTO(type, field)	type field
#define TRACE_ARG(type, field)		field
#define TRACE_ENTRY(type, field)	__field(type, field)
#define TRACE_ASSIGN(type, field)	__entry->field = field;

#define EVENT(name, print, ...)							\
TRACE_EVENT(name,								\
	TP_PROTO(TRACE_FIELDS(TRACE_PROTO, TRACE_COMMA, __VA_ARGS__)),		\
	TP_ARGS(TRACE_FIELDS(TRACE_ARG, TRACE_COMMA, __VA_ARGS__)),		\
	TP_STRUCT__entry(TRACE_FIELDS(TRACE_ENTRY, TRACE_NOTHING, __VA_ARGS__)),	\
	TP_fast_assign(TRACE_FIELDS(TRACE_ASSIGN, TRACE_NOTHING, __VA_ARGS__)),	\
	TP_printk print								\
)
#endif

EVENT(corbel_entry,
	("vcpu %u, rip 0x%llx", __entry->vcpu_id, __entry->rip),
	(unsigned int, vcpu_id), (u64, rip));

EVENT(corbel_exit,
	("vcpu %u, rip 0x%llx, %s (hardware 0x%x)", __entry->vcpu_id, __entry->rip,
	 exit_name(__entry->kind), __entry->hw_reason),
	(unsigned int, vcpu_id), (u64, rip), (unsigned int, kind), (u32, hw_reason));

/* What KVM_RUN returned to userspace. */
EVENT(corbel_userspace_exit,
	("vcpu %u, reason %u, return %d", __entry->vcpu_id, __entry->reason, __entry->err),
	(unsigned int, vcpu_id), (u32, reason), (int, err));

/* An event given to the hardware: type is enum event_type. */
EVENT(corbel_inject,
	("vcpu %u, type %u, vector 0x%x, error 0x%x%s", __entry->vcpu_id, __entry->type,
	 __entry->vector, __entry->error, __entry->again ? " (again)" : ""),
	(unsigned int, vcpu_id), (unsigned int, type), (u8, vector), (u32, error), (bool, again));

/* access: enum fault_access. */
EVENT(corbel_page_fault,
	("vcpu %u, rip 0x%llx, gpa 0x%llx, access 0x%x", __entry->vcpu_id, __entry->rip,
	 __entry->gpa, __entry->access),
	(unsigned int, vcpu_id), (u64, rip), (u64, gpa), (u32, access));

/* Mappings of a range go: the host takes memory back, or a slot changes. pid: of the VM's owner. */
EVENT(corbel_zap,
	("pid %d, gfn 0x%llx-0x%llx", __entry->pid, __entry->start, __entry->end),
	(int, pid), (u64, start), (u64, end));

/* A table takes the place of a large page; level: of the page. */
EVENT(corbel_split,
	("vcpu %u, gfn 0x%llx, level %d", __entry->vcpu_id, __entry->gfn, __entry->level),
	(unsigned int, vcpu_id), (u64, gfn), (int, level));

#define ACCESS_EVENT(name)							\
EVENT(name,									\
	("vcpu %u, %s, address 0x%llx, len %u, val 0x%llx", __entry->vcpu_id,	\
	 __entry->write ? "write" : "read", __entry->addr, __entry->len, __entry->val),	\
	(unsigned int, vcpu_id), (bool, write), (u64, addr), (unsigned int, len), (u64, val))

ACCESS_EVENT(corbel_mmio);
ACCESS_EVENT(corbel_pio);

EVENT(corbel_msr,
	("vcpu %u, %s, msr 0x%x, val 0x%llx, return %d", __entry->vcpu_id,
	 __entry->write ? "write" : "read", __entry->msr, __entry->val, __entry->err),
	(unsigned int, vcpu_id), (bool, write), (u32, msr), (u64, val), (int, err));

EVENT(corbel_cpuid,
	("vcpu %u, leaf 0x%x.%u: 0x%x 0x%x 0x%x 0x%x", __entry->vcpu_id, __entry->function,
	 __entry->index, __entry->eax, __entry->ebx, __entry->ecx, __entry->edx),
	(unsigned int, vcpu_id), (u32, function), (u32, index), (u32, eax), (u32, ebx), (u32, ecx),
	(u32, edx));

/* A line was driven: source is enum irq_source, status as KVM_IRQ_LINE_STATUS. */
EVENT(corbel_irq_set,
	("gsi %u, source %d, level %d, status %d", __entry->gsi, __entry->source, __entry->level,
	 __entry->status),
	(u32, gsi), (int, source), (int, level), (int, status));

EVENT(corbel_msi,
	("address 0x%x%08x, data 0x%x", __entry->address_hi, __entry->address_lo, __entry->data),
	(u32, address_hi), (u32, address_lo), (u32, data));

/* A halt ended: how long it took, and whether polling was enough. */
EVENT(corbel_halt,
	("vcpu %u, %llu ns, %s", __entry->vcpu_id, __entry->ns, __entry->polled ? "polled" : "slept"),
	(unsigned int, vcpu_id), (u64, ns), (bool, polled));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
