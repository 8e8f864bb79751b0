/* SPDX-License-Identifier: MIT */
/* page.S: see page.h. Loops end where an address comes to the end of its page. */
    .arch armv8-a+simd

    .section .text.page, "ax"
    .global page_copy_pairs
    .type page_copy_pairs, %function
    .balign 32
page_copy_pairs:
1:  ldp     x2, x3, [x1]
    ldp     x4, x5, [x1, #16]
    ldp     x6, x7, [x1, #32]
    ldp     x8, x9, [x1, #48]
    ldp     x10, x11, [x1, #64]
    ldp     x12, x13, [x1, #80]
    ldp     x14, x15, [x1, #96]
    ldp     x16, x17, [x1, #112]
    add     x1, x1, #128
    stp     x2, x3, [x0]
    stp     x4, x5, [x0, #16]
    stp     x6, x7, [x0, #32]
    stp     x8, x9, [x0, #48]
    stp     x10, x11, [x0, #64]
    stp     x12, x13, [x0, #80]
    stp     x14, x15, [x0, #96]
    stp     x16, x17, [x0, #112]
    add     x0, x0, #128
    tst     x1, #4095
    b.ne    1b
    ret
    .size page_copy_pairs, . - page_copy_pairs

    .global page_copy_simd
    .type page_copy_simd, %function
    .balign 32
page_copy_simd:
1:  ldp     q0, q1, [x1]
    ldp     q2, q3, [x1, #32]
    ldp     q4, q5, [x1, #64]
    ldp     q6, q7, [x1, #96]
    ldp     q16, q17, [x1, #128]
    ldp     q18, q19, [x1, #160]
    ldp     q20, q21, [x1, #192]
    ldp     q22, q23, [x1, #224]
    add     x1, x1, #256
    stp     q0, q1, [x0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q16, q17, [x0, #128]
    stp     q18, q19, [x0, #160]
    stp     q20, q21, [x0, #192]
    stp     q22, q23, [x0, #224]
    add     x0, x0, #256
    tst     x1, #4095
    b.ne    1b
    ret
    .size page_copy_simd, . - page_copy_simd

    .global page_zero_pairs
    .type page_zero_pairs, %function
    .balign 32
page_zero_pairs:
1:  stp     xzr, xzr, [x0]
    stp     xzr, xzr, [x0, #16]
    stp     xzr, xzr, [x0, #32]
    stp     xzr, xzr, [x0, #48]
    stp     xzr, xzr, [x0, #64]
    stp     xzr, xzr, [x0, #80]
    stp     xzr, xzr, [x0, #96]
    stp     xzr, xzr, [x0, #112]
    add     x0, x0, #128
    tst     x0, #4095
    b.ne    1b
    ret
    .size page_zero_pairs, . - page_zero_pairs

    .global page_zero_blocks
    .type page_zero_blocks, %function
    .balign 32
page_zero_blocks:
1:
    .rept   8
    dc      zva, x0
    add     x0, x0, x1
    .endr
    tst     x0, #4095
    b.ne    1b
    ret
    .size page_zero_blocks, . - page_zero_blocks
