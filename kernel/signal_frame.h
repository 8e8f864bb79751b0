/* SPDX-License-Identifier: MIT */
/*
 * signal_frame.h: what a signal handler finds on its stack, and what it is that it returns to:
 * byte for byte as Linux has it on arm64 (struct rt_sigframe of arch/arm64/kernel/signal.c; the
 * structures of its uapi headers sigcontext.h and ucontext.h), so that C libraries and programs
 * read it. Pure.
 *
 *     sp + 4688   frame record: x29, x30 of what was interrupted
 *     sp +  416   sigcontext: fault address, x0..x30, sp, pc, pstate; records: fpsimd, end
 *          ...
 *     sp +  128   ucontext: flags, link, stack, mask
 *     sp          siginfo
 */
#ifndef KERNEL_SIGNAL_FRAME_H
#define KERNEL_SIGNAL_FRAME_H

#include "platform/user.h"
#include "signal.h"

enum {
    SIGNAL_INFO_BYTES = 128,
    SIGNAL_CONTEXT_OFFSET = 128,
    SIGNAL_FRAME_BYTES = 4688,
    SIGNAL_RECORD_BYTES = 16,
    /* What is ever written or read of it, but the frame record: the rest is reserved. */
    SIGNAL_FRAME_USED_BYTES = 128 + 176 + 288 + 528 + 16,
    SIGNAL_STACK_BYTES_MIN = 5120,
};

/* siginfo of a signal. */
void signal_info_bytes(uint32_t number, const struct signal_info *info,
                       uint8_t bytes[SIGNAL_INFO_BYTES]);

/* What is saved. */
struct signal_context {
    uint64_t mask;
    struct signal_stack stack;
    bool is_on_stack; /* the interrupted code ran on it */
};

/* The first SIGNAL_FRAME_USED_BYTES of the frame, the rest being zeroes. */
void signal_frame_build(uint8_t *bytes, const struct platform_user *user, uint32_t number,
                        const struct signal_info *info, const struct signal_context *context);

/*
 * The other way; nothing is changed by what is malformed: false. What a program may not choose
 * (pstate beyond its flags) is the platform's business.
 */
bool signal_frame_read(const uint8_t *bytes, struct platform_user *user,
                       struct signal_context *context);

#endif
