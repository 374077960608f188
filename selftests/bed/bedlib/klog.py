# SPDX-License-Identifier: GPL-2.0-only
"""Judge a kernel log: what in it means that a run has failed."""

import re

SPLATS = re.compile(
    r"\bBUG\b|WARNING:|still has objects|\bOops\b|general protection|Call Trace|Kernel panic|kernel BUG|"
    r"INFO: (?:task|rcu|possible|suspicious|inconsistent|HARDIRQ)|rcu.*(?:stall|self-detected)|"
    r"possible (?:circular|recursive|deadlock)|suspicious RCU|scheduling while atomic|"
    r"sleeping function called|UBSAN:|KASAN:|KCSAN:|bed: leaked|"
    r"soft lockup|hard LOCKUP|refcount_t|unchecked MSR access|divide error:|"
    r"invalid opcode:|stack segment:|double fault:|unable to handle|segfault at .* in corbel")

# What the emulated machines provoke in an unmodified kernel, before any module is loaded.
HARMLESS = re.compile(r"(?:Speculative Return Stack Overflow|RETBleed): WARNING|\[Firmware (?:Bug|Warn)\]")


# x86/fault_inject makes allocations fail that the kernel does for us: the kernel reports some of these, with a trace.
PROVOKED = re.compile(r"\bfault_inject: (?:vmalloc error|page allocation failure)")
TRACE_LINES = 8		# from the head of such a report to the head of its trace, at most


def findings(text, allowed=()):
    """Numbers of the lines that should not be there."""
    allow = [re.compile(pattern) for pattern in allowed]
    found, expected = [], -1	# until which line the next trace is expected
    for number, line in enumerate(text.splitlines()):
        if PROVOKED.search(line):
            expected = number + TRACE_LINES
        elif "Call Trace" in line and number <= expected:
            expected = -1
        elif SPLATS.search(line) and not HARMLESS.search(line) and not any(pattern.search(line) for pattern in allow):
            found.append(number)
    return found


def region(text, found, before=3, after=45):
    """The lines around the first finding, as one text."""
    lines = text.splitlines()
    first = found[0]
    return "\n".join(lines[max(0, first - before):first + after])
