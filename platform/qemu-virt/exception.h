/* SPDX-License-Identifier: MIT */
/* exception.h: what vectors.S saves, and who is told. */
#ifndef QEMU_VIRT_EXCEPTION_H
#define QEMU_VIRT_EXCEPTION_H

#define FRAME_BYTES 288

/* Bit in `vector` beside its number 0..15: the stack pointer was misaligned, or ran into a
 * guard. */
#define EXCEPTION_STACK_UNUSABLE 16

#ifndef __ASSEMBLER__

#include <ashlar/base.h>

#include "cpu.h"

struct exception_frame {
    uint64_t x[31];
    uint64_t sp; /* as it was; what is here at the end is loaded back */
    uint64_t elr, spsr;
    uint64_t esr, far;
};

_Static_assert(sizeof(struct exception_frame) == FRAME_BYTES, "vectors.S");

/* Called by vectors.S; a return resumes what the frame says. */
void exception_main(struct exception_frame *frame, uint32_t vector);

/* What lies at the begin of a frame, and of struct platform_user, too. */
struct interrupted {
    uint64_t x[31];
    uint64_t sp, pc;
};

_Static_assert(offsetof(struct exception_frame, sp) == offsetof(struct interrupted, sp),
               "sample.c");
_Static_assert(offsetof(struct exception_frame, elr) == offsetof(struct interrupted, pc),
               "sample.c");

/* Runs the handlers of what is pending, and platform_after_interrupt, masked. What was interrupted
 * lies on the caller's stack: another CPU may return. */
void exception_interrupt(const struct interrupted *interrupted, enum cpu_interrupts kind);

#endif
#endif
