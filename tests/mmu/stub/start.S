/* SPDX-License-Identifier: MIT */
/*
 * start.S: from reset to C in the top 512 GiB; the vectors; the accesses that may fault.
 *
 * Each access is a leaf function whose exception ends it: the vector returns to x30 with the
 * syndrome in x1, and a struct of two words is returned in x0 and x1 (AAPCS64). x18 is 1 while one
 * is under way; an exception at any other time is the stub's own mistake.
 */
#include "mmu/protocol.h"

/* A half of TCR_EL1: TnSZ 16, walks write-back and inner shareable. */
#define TCR_HALF (16 | 1 << 8 | 1 << 10 | 3 << 12)
#define SCTLR 0x30d0180d /* RES1 bits (Arm ARM D17.2.118), M, C, SA, I */

    .section .text.start, "ax"
    .global _start
_start:
    msr     daifset, #15
    mrs     x0, currentel
    cmp     x0, #(1 << 2)
    b.ne    .                           /* QEMU's `virt` without EL2 begins at EL1 */

    ldr     x0, =MMU_MAIR
    msr     mair_el1, x0
    /* Both halves, 4 KiB; the CPU's physical size, at most 48 bits. */
    ldr     x0, =(TCR_HALF | TCR_HALF << 16 | 2 << 30)
    mrs     x1, id_aa64mmfr0_el1
    and     x1, x1, #15
    mov     x2, #5
    cmp     x1, x2
    csel    x1, x1, x2, lo
    orr     x0, x0, x1, lsl #32
    mov     x1, #(1 << 36)              /* AS: ASIDs of 16 bits */
    orr     x0, x0, x1
    msr     tcr_el1, x0
    adrp    x0, root_low
    msr     ttbr0_el1, x0
    adrp    x0, root_high
    msr     ttbr1_el1, x0
    tlbi    vmalle1
    dsb     sy
    isb
    ldr     x0, =SCTLR
    msr     sctlr_el1, x0
    isb

    ldr     x0, =high                   /* the linked address, no longer the loaded one */
    br      x0
high:
    ldr     x0, =(root_empty - MMU_STUB_OFFSET)
    msr     ttbr0_el1, x0
    tlbi    vmalle1
    ldr     x0, =vectors
    msr     vbar_el1, x0
    msr     cpacr_el1, xzr
    dsb     sy
    isb
    mov     x18, xzr
    ldr     x0, =stack_top
    mov     sp, x0
    mov     x29, xzr
    bl      stub_main
    b       .

/* struct outcome probe_x(uint64_t address [, uint64_t value]) */
    .macro probe name, instruction:vararg
    .global \name
\name:
    mov     x2, x0
    mov     x18, #1
    \instruction
    mov     x18, xzr
    mov     x1, xzr
    ret
    .endm

    probe   probe_user_load, ldtr w0, [x2]
    probe   probe_user_store, sttr w1, [x2]
    probe   probe_kernel_load, ldr w0, [x2]
    probe   probe_kernel_store, str w1, [x2]

/* struct outcome probe_fetch(uint64_t address, uint64_t pstate): ends by an exception alone. */
    .global probe_fetch
probe_fetch:
    msr     elr_el1, x0
    msr     spsr_el1, x1
    mov     x18, #1
    isb
    eret

    .text
    .balign 2048
vectors:
    .rept   16
    .balign 128
    cbz     x18, own_mistake
    mov     x18, xzr
    msr     elr_el1, x30
    mov     x0, #0x3c5                  /* EL1h, interrupts masked */
    msr     spsr_el1, x0
    mrs     x1, esr_el1
    eret
    .endr

    .balign 128
own_mistake:
    ldr     x0, =stack_top
    mov     sp, x0
    mrs     x0, esr_el1
    mrs     x1, far_el1
    mrs     x2, elr_el1
    bl      stub_mistake
    b       .

/* The stub's own tables: one level 1 table, seen from the bottom of TTBR0 while it begins, and from
 * the top of TTBR1 for good. Never executed or seen at EL0: AP[2:1] 0, UXN; the devices PXN too. */
    .data
    .balign 4096
root_low:
    .quad   level_1 - MMU_STUB_OFFSET + 3
    .fill   511, 8, 0
root_high:
    .fill   511, 8, 0
    .quad   level_1 - MMU_STUB_OFFSET + 3
level_1:
    .quad   0x00000000 | 0x409 | 1 << 53 | 1 << 54 /* block, AF, attribute 2: Device-nGnRE */
    .quad   0x40000000 | 0x701 | 1 << 54           /* block, AF, inner shareable, Normal */
    .fill   510, 8, 0
root_empty:
    .fill   512, 8, 0
    .fill   1024, 8, 0
stack_top:
