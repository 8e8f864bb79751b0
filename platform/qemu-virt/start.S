/* SPDX-License-Identifier: MIT */
/*
 * start.S: from reset to C, on the first CPU (_start, by QEMU's ELF loader) and on the others
 * (secondary_start, by PSCI CPU_ON). Both leave EL2 if they were entered there. They begin at the
 * physical address, with the MMU off, and go on at the one that the kernel is linked for behind
 * their call of mmu_switch; until then addresses are formed by ADRP, which follows the place.
 */
#include "cpu.h"
#include "direct_map.h"

#define SCTLR_EL1_RES1 0x30d00800 /* Arm ARM D17.2.118, Armv8.0 */
#define SCTLR_M        (1 << 0)
#define SCTLR_C        (1 << 2)
#define SCTLR_I        (1 << 12)

/* 48-bit addresses in both halves (T0SZ, T1SZ = 16), 4 KiB pages (TG1 = 2), walks write-back and
 * inner shareable, ASIDs of TTBR0. Arm ARM D17.2.131. */
#define TCR_HALF      (16 | 1 << 8 | 1 << 10 | 3 << 12)
#define TCR_EL1_FIXED (TCR_HALF | TCR_HALF << 16 | 2 << 30)

    .section .text.start, "ax"
    .global _start
    .type _start, %function
_start:
    msr     daifset, #15
    mov     x19, x0                     /* the device tree, if the loader tells */
    bl      leave_el2
    adrp    x0, boot_root
    ldr     w1, =(SCTLR_EL1_RES1 | SCTLR_M | SCTLR_C | SCTLR_I)
    bl      mmu_switch

    /* Only now: with the MMU off, memory is Device and knows neither caches nor exclusives. */
    adrp    x0, __bss_start
    add     x0, x0, :lo12:__bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b

2:  adrp    x0, cpus
    add     x0, x0, :lo12:cpus
    msr     tpidr_el1, x0
    mov     x18, xzr                    /* CPU 0, not pinned */
    ldr     x1, =(cpu_stacks + CPU_STACKS_BYTES)
    mov     sp, x1
    bl      cpu_registers
    mov     x0, x19
    mov     x29, xzr
    mov     x30, xzr
    b       boot_main
    .size _start, . - _start

/* x0: this CPU's struct cpu, PSCI's context argument. */
    .global secondary_start
    .type secondary_start, %function
secondary_start:
    msr     daifset, #15
    mov     x19, x0
    bl      leave_el2
    adrp    x1, mmu_start
    add     x1, x1, :lo12:mmu_start
    ldp     x0, x1, [x1]
    bl      mmu_switch
    msr     tpidr_el1, x19
    ldr     w18, [x19, #CPU_INDEX]
    ldr     x1, [x19, #CPU_STACK_TOP]
    mov     sp, x1
    bl      cpu_registers
    mov     x29, xzr
    mov     x30, xzr
    b       smp_secondary_main
    .size secondary_start, . - secondary_start

/* Vectors; no FP/SIMD (CPACR_EL1.FPEN = 0): the kernel does not save those registers. */
cpu_registers:
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el1, x0
    msr     cpacr_el1, xzr
    msr     spsel, #1
    isb
    ret

/*
 * void mmu_switch(uint64_t root, uint64_t sctlr): turns translation off and on again, with this
 * root of the kernel's half, an empty one of the other half, and this SCTLR_EL1. Off in between,
 * because a change of block sizes under a live TLB is not allowed (Arm ARM D8.13.1). The code
 * runs where it is physically, which boot_root maps too, while translation goes off and comes
 * back; so it is called before WXN is set. The stack is not used. Called high or with the MMU off,
 * returns high.
 */
    .global mmu_switch
    .type mmu_switch, %function
mmu_switch:
    adrp    x2, boot_root
    and     x2, x2, #~DIRECT_MAP_BASE
    dsb     sy
    msr     ttbr0_el1, x2
    isb
    adr     x3, 1f
    and     x3, x3, #~DIRECT_MAP_BASE
    br      x3
1:  ldr     w3, =SCTLR_EL1_RES1
    msr     sctlr_el1, x3
    isb
    ldr     x3, =0xff04                 /* MAIR: 0 Device-nGnRE, 1 Normal write-back */
    msr     mair_el1, x3
    ldr     x3, =TCR_EL1_FIXED
    mrs     x4, id_aa64mmfr0_el1
    ubfx    x5, x4, #4, #4              /* ASIDs of 16 bits, where the CPU has them */
    cmp     x5, #2
    cset    x5, eq
    orr     x3, x3, x5, lsl #36
    and     x4, x4, #15                 /* physical size: the CPU's, at most 48 bits */
    mov     x5, #5
    cmp     x4, x5
    csel    x4, x4, x5, lo
    orr     x3, x3, x4, lsl #32
    msr     tcr_el1, x3
    msr     ttbr1_el1, x0
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     w3, =(SCTLR_EL1_RES1 | SCTLR_M | SCTLR_C | SCTLR_I)
    msr     sctlr_el1, x3
    isb
    ldr     x3, =2f
    br      x3
2:  adrp    x2, mmu_empty_root
    and     x2, x2, #~DIRECT_MAP_BASE
    msr     ttbr0_el1, x2
    isb
    msr     sctlr_el1, x1
    isb
    tlbi    vmalle1                     /* of boot_root, and of the old SCTLR_EL1 */
    dsb     nsh
    isb
    orr     x30, x30, #DIRECT_MAP_BASE
    ret
    .size mmu_switch, . - mmu_switch

/* Returns at EL1 to its caller, interrupts masked; nothing to do when it is there already. */
leave_el2:
    mrs     x0, currentel
    cmp     x0, #(2 << 2)
    b.ne    3f
    mov     x0, #(1 << 31)              /* HCR_EL2.RW: EL1 is AArch64 */
    msr     hcr_el2, x0
    mov     x0, #3                      /* EL1 may read the physical timer and counter */
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    ldr     w0, =0x33ff                 /* CPTR_EL2: RES1 bits, no traps */
    msr     cptr_el2, x0
    msr     hstr_el2, xzr
    mrs     x0, pmcr_el0                /* MDCR_EL2.HPMN: every event counter belongs to EL1 */
    ubfx    x0, x0, #11, #5
    msr     mdcr_el2, x0
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mrs     x0, id_aa64pfr0_el1
    tst     x0, #(15 << 24)             /* GICv3 by system registers? */
    b.eq    2f
    mrs     x0, s3_4_c12_c9_5           /* ICC_SRE_EL2 */
    orr     x0, x0, #1                  /* SRE ... */
    orr     x0, x0, #8                  /* ... and EL1 may switch it too */
    msr     s3_4_c12_c9_5, x0
    isb
    msr     s3_4_c12_c11_0, xzr         /* ICH_HCR_EL2 */
2:  ldr     w0, =SCTLR_EL1_RES1
    msr     sctlr_el1, x0
    mov     x0, #0x3c5                  /* EL1h, DAIF set */
    msr     spsr_el2, x0
    msr     elr_el2, x30
    eret
3:  ret

/*
 * The first tables, until boot_main knows the machine: a device GiB at 0 and the GiB of RAM that
 * holds the image, both as one block. One root serves both halves: both have these at their begin.
 */
    .section .rodata.boot_tables, "a"
    .balign 4096
boot_root:
    .quad   boot_table - DIRECT_MAP_BASE + 3
    .fill   511, 8, 0
boot_table:
    .quad   0x00000000 | 0x401 | 1 << 53 | 1 << 54 /* block, AF, Device, never executed */
    .quad   0x40000000 | 0x705                     /* block, AF, inner shareable, Normal */
    .fill   510, 8, 0

/* The lower half of the addresses while no program has it. */
    .global mmu_empty_root
mmu_empty_root:
    .fill   512, 8, 0
