/* SPDX-License-Identifier: MIT */
/*
 * vectors.S: exceptions. Each entry first looks whether the frame can be pushed: is the pointer
 * aligned, may the MMU write there (AT S1E1W)? A stack that ran into its guard page is so found
 * before it is touched, on whatever stack the CPU is, and the report goes to the exception stack.
 * TPIDRRO_EL0 is the scratch register. From a program (EL0) the stack is as user_enter left it.
 */
#include "cpu.h"
#include "exception.h"
#include "user_frame.h"

    .macro entry kind
    .balign 128
    msr     tpidrro_el0, x0
    sub     x0, sp, #FRAME_BYTES
    tst     x0, #15
    b.ne    1f
    at      s1e1w, x0
    isb
    mrs     x0, par_el1
    tbnz    x0, #0, 1f
    mrs     x0, tpidrro_el0
    sub     sp, sp, #FRAME_BYTES
    stp     x0, x1, [sp]
    add     x0, sp, #FRAME_BYTES
    mov     x1, #\kind
    b       exception_save
1:  mov     x0, sp
    msr     sp_el0, x0
    mrs     x0, tpidr_el1
    ldr     x0, [x0, #CPU_EXCEPTION_STACK_TOP]
    mov     sp, x0
    mrs     x0, tpidrro_el0
    sub     sp, sp, #FRAME_BYTES
    stp     x0, x1, [sp]
    mrs     x0, sp_el0
    mov     x1, #(\kind | EXCEPTION_STACK_UNUSABLE)
    b       exception_save
    .endm

    .macro user_entry cause
    .balign 128
    stp     x0, x1, [sp, #USER_FRAME_SCRATCH]
    mov     x1, #\cause
    b       user_leave
    .endm

/* Four each: from SP_EL0, which the kernel does not use; from the kernel; from a program; from one
 * in AArch32, where none can be. */
    .section .text.vectors, "ax"
    .global vectors
    .balign 2048
vectors:
    .set    kind, 0
    .rept   8
    entry   kind
    .set    kind, kind + 1
    .endr
    user_entry USER_SYNC
    user_entry USER_IRQ
    user_entry USER_FIQ
    user_entry USER_SERROR
    .set    kind, 12
    .rept   4
    entry   kind
    .set    kind, kind + 1
    .endr

/* x0: the interrupted stack pointer; x1: which vector; the frame's x0 and x1 are in place. */
    .type exception_save, %function
exception_save:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    stp     x30, x0, [sp, #240]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    stp     x2, x3, [sp, #256]
    mrs     x2, esr_el1
    mrs     x3, far_el1
    stp     x2, x3, [sp, #272]
    mov     x0, sp
    bl      exception_main

    ldp     x2, x3, [sp, #256]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldr     x19, [sp, #152]             /* x18 stays as it is: the CPU's, which may be another */
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x1, [sp, #248]              /* exception_main may have moved the stack pointer */
    ldr     x30, [sp, #240]
    mov     x0, sp
    mov     sp, x1
    ldp     x0, x1, [x0]
    eret
    .size exception_save, . - exception_save
