/* SPDX-License-Identifier: MIT */
/*
 * user.S: into a program and out of it: one function of the kernel that returns when the program
 * has stopped. While the program runs, SP_EL1 points at the frame that the call pushed, which
 * leads an exception to the program's registers:
 *
 *     sp ->  x29, x30 | x19..x28 | struct platform_user * | - | its x0, x1 for a moment
 */
#include "cpu.h"
#include "user_frame.h"

    .arch armv8-a+simd

/* uint32_t user_enter(struct platform_user *user): masked; returns USER_*, masked. */
    .section .text.user, "ax"
    .global user_enter
    .type user_enter, %function
user_enter:
    stp     x29, x30, [sp, #-USER_FRAME_BYTES]!
    mov     x29, sp
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x0, [sp, #USER_FRAME_USER]
    mov     x1, #CPACR_FP_OPEN
    msr     cpacr_el1, x1
    isb
    add     x1, x0, #USER_V
    ldp     q0, q1, [x1]
    ldp     q2, q3, [x1, #32]
    ldp     q4, q5, [x1, #64]
    ldp     q6, q7, [x1, #96]
    ldp     q8, q9, [x1, #128]
    ldp     q10, q11, [x1, #160]
    ldp     q12, q13, [x1, #192]
    ldp     q14, q15, [x1, #224]
    ldp     q16, q17, [x1, #256]
    ldp     q18, q19, [x1, #288]
    ldp     q20, q21, [x1, #320]
    ldp     q22, q23, [x1, #352]
    ldp     q24, q25, [x1, #384]
    ldp     q26, q27, [x1, #416]
    ldp     q28, q29, [x1, #448]
    ldp     q30, q31, [x1, #480]
    ldp     x2, x3, [x0, #USER_SP]
    ldp     x4, x5, [x0, #USER_PSTATE]
    ldp     x6, x7, [x0, #USER_FPCR]
    and     x4, x4, #0xf0000000         /* the flags; the rest is 0: EL0, AArch64, all unmasked */
    msr     sp_el0, x2
    msr     elr_el1, x3
    msr     spsr_el1, x4
    msr     tpidr_el0, x5
    msr     fpcr, x6
    msr     fpsr, x7
    msr     tpidrro_el0, xzr            /* vectors.S: it has been the kernel's */
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #USER_X30]
    ldp     x0, x1, [x0]
    eret
    .size user_enter, . - user_enter

/*
 * From the vectors: w1 is what user_enter returns, the program's x0 and x1 are in the frame. The
 * kernel's x18 is made anew: the caller is on this CPU, with no pin. CPACR_EL1 is shut for the sake
 * of reports alone, so it need not be at once.
 */
    .global user_leave
    .type user_leave, %function
user_leave:
    ldr     x0, [sp, #USER_FRAME_USER]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    ldp     x2, x3, [sp, #USER_FRAME_SCRATCH]
    stp     x2, x3, [x0]
    mrs     x2, sp_el0
    stp     x30, x2, [x0, #USER_X30]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    and     x3, x3, #0xf0000000
    stp     x2, x3, [x0, #USER_PC]
    mrs     x2, tpidr_el0
    mrs     x3, fpcr
    stp     x2, x3, [x0, #USER_TLS]
    mrs     x2, fpsr
    str     x2, [x0, #USER_FPSR]
    add     x0, x0, #USER_V
    stp     q0, q1, [x0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q8, q9, [x0, #128]
    stp     q10, q11, [x0, #160]
    stp     q12, q13, [x0, #192]
    stp     q14, q15, [x0, #224]
    stp     q16, q17, [x0, #256]
    stp     q18, q19, [x0, #288]
    stp     q20, q21, [x0, #320]
    stp     q22, q23, [x0, #352]
    stp     q24, q25, [x0, #384]
    stp     q26, q27, [x0, #416]
    stp     q28, q29, [x0, #448]
    stp     q30, q31, [x0, #480]
    msr     cpacr_el1, xzr
    mrs     x2, tpidr_el1
    ldr     w18, [x2, #CPU_INDEX]
    mov     w0, w1
    ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #USER_FRAME_BYTES
    ret
    .size user_leave, . - user_leave
