/* SPDX-License-Identifier: MIT */
/*
 * context.S: what the ABI lets a function change it may change here too, so a switch keeps only the
 * callee-saved registers. context.c builds the same frame for a context that has not run yet.
 *
 * x86-64 (System V ABI 3.2.1): MXCSR and the x87 control word are callee-saved as well, but nothing
 * in this process changes them, and to store and load them would cost more than all the rest. The
 * switch ends in `ret`: its target is predicted when contexts switch to each other, but not when
 * each returns to one loop that called it.
 *
 * The registers lie below the stack pointer, in the red zone, which signals leave alone (3.2.2) and
 * where nobody writes while the context is away. With pushq and popq, every one of which moves the
 * pointer, or with the load of the new pointer behind the store of the old one, a switch between
 * two contexts takes 4 to 5 ns instead of 2.4.
 *
 * platform_context_switch is the same code, unless context.c, for a sanitizer, has another.
 */
#if defined(__x86_64__)
    .text
    .global hosted_context_swap
    .type hosted_context_swap, @function
    .balign 32
hosted_context_swap:
    .cfi_startproc
    movq    (%rsi), %rax
    movq    %rbp, -8(%rsp)
    movq    %rbx, -16(%rsp)
    movq    %r12, -24(%rsp)
    movq    %r13, -32(%rsp)
    movq    %r14, -40(%rsp)
    movq    %r15, -48(%rsp)
    movq    %rsp, (%rdi)
    movq    -48(%rax), %r15
    movq    -40(%rax), %r14
    movq    -32(%rax), %r13
    movq    -24(%rax), %r12
    movq    -16(%rax), %rbx
    movq    -8(%rax), %rbp
    movq    %rax, %rsp
    ret
    .cfi_endproc
    .size hosted_context_swap, . - hosted_context_swap
    .weak platform_context_switch
    .set platform_context_switch, hosted_context_swap

/* r12: the argument; r13: the entry. Nobody called: what walks the stack stops here. */
    .global hosted_context_start
    .type hosted_context_start, @function
hosted_context_start:
    .cfi_startproc
    .cfi_undefined rip
    call    hosted_context_entered
    movq    %r12, %rdi
    call    *%r13
    call    hosted_context_returned
    ud2
    .cfi_endproc
    .size hosted_context_start, . - hosted_context_start

#elif defined(__aarch64__)
/* AAPCS64 6.1: x19..x29, sp, the low halves of v8..v15, and x30, which is where to go on. */
    .text
    .global hosted_context_swap
    .type hosted_context_swap, %function
    .balign 32
hosted_context_swap:
    stp     x19, x20, [sp, #-160]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mov     x2, sp
    str     x2, [x0]
    ldr     x2, [x1]
    mov     sp, x2
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    ldp     x19, x20, [sp], #160
    ret
    .size hosted_context_swap, . - hosted_context_swap
    .weak platform_context_switch
    .set platform_context_switch, hosted_context_swap

/* x19: the argument; x20: the entry. */
    .global hosted_context_start
    .type hosted_context_start, %function
hosted_context_start:
    .cfi_startproc
    .cfi_undefined x30
    bl      hosted_context_entered
    mov     x0, x19
    blr     x20
    bl      hosted_context_returned
    brk     #0
    .cfi_endproc
    .size hosted_context_start, . - hosted_context_start
#endif

    .section .note.GNU-stack, "", %progbits
