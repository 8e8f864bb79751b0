/* SPDX-License-Identifier: MIT */
/*
 * context.S: see platform.h. AAPCS64 6.1: x19..x29 and sp are the callee's to keep, x30 is where to
 * go on. v8..v15 too, but the kernel is compiled without FP/SIMD registers and CPACR_EL1 traps
 * them. context.c builds the same frame for a context that has not run yet.
 */
    .section .text.context, "ax"
    .global platform_context_switch
    .type platform_context_switch, %function
    .balign 32
platform_context_switch:
    stp     x19, x20, [sp, #-96]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    mov     x2, sp
    str     x2, [x0]
    ldr     x2, [x1]
    mov     sp, x2
    ldp     x29, x30, [sp, #80]
    ldp     x27, x28, [sp, #64]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #32]
    ldp     x21, x22, [sp, #16]
    ldp     x19, x20, [sp], #96
    ret
    .size platform_context_switch, . - platform_context_switch

/* x19: the argument; x20: the entry; x29 is 0, so that a backtrace ends here. */
    .global context_start
    .type context_start, %function
context_start:
    mov     x0, x19
    blr     x20
    bl      context_returned
    .size context_start, . - context_start
