/* SPDX-License-Identifier: MIT */
/*
 * setjmp.S: setjmp and longjmp in general registers only (the kernel has no others), which also
 * keep the interrupt mask and the pin depth: a jump out of a critical section leaves it. Not the
 * CPU's number, the rest of x18: the context may have moved since.
 * The jump buffer is picolibc's, 22 words.
 */
    .section .text.setjmp, "ax"
    .global setjmp
    .type setjmp, %function
setjmp:
    stp     x19, x20, [x0]
    stp     x21, x22, [x0, #16]
    stp     x23, x24, [x0, #32]
    stp     x25, x26, [x0, #48]
    stp     x27, x28, [x0, #64]
    stp     x29, x30, [x0, #80]
    mov     x1, sp
    mrs     x2, daif
    stp     x1, x2, [x0, #96]
    lsr     x1, x18, #8
    str     x1, [x0, #112]
    mov     w0, #0
    ret
    .size setjmp, . - setjmp

    .global longjmp
    .type longjmp, %function
longjmp:
    ldp     x19, x20, [x0]
    ldp     x21, x22, [x0, #16]
    ldp     x23, x24, [x0, #32]
    ldp     x25, x26, [x0, #48]
    ldp     x27, x28, [x0, #64]
    ldp     x29, x30, [x0, #80]
    ldp     x2, x3, [x0, #96]
    mov     sp, x2
    ldr     x2, [x0, #112]
    bfi     x18, x2, #8, #56
    msr     daif, x3
    cmp     w1, #0
    csinc   w0, w1, wzr, ne             /* 0 becomes 1 (C11 7.13.2.1) */
    ret
    .size longjmp, . - longjmp
