/* SPDX-License-Identifier: MIT */
/* start.S: where a program begins: at sp is what user_stack.h draws; no register says anything. */
    .section .text.start, "ax", %progbits
    .global _start
    .type _start, %function
_start:
    mov x29, xzr /* the end of the chain of frames */
    mov x30, xzr
    mov x0, sp
    b start_program
    .size _start, . - _start

    .section .note.GNU-stack, "", %progbits
