/* SPDX-License-Identifier: MIT */
/*
 * page.c: whole pages by the fewest instructions that the CPU has for it: zeroes by DC ZVA, copies
 * by SIMD registers. The kernel has no SIMD state and a program's is in memory while the kernel
 * runs: so a copy saves no register. But it is pinned: another thread would take its program's
 * back.
 */
#include "page.h"

#include <ashlar/port.h>

#include "user.h"
#include "user_frame.h"

void page_copy_by_simd(void *to, const void *from) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    __asm__ volatile("msr cpacr_el1, %0\n\tisb" ::"r"((uint64_t)CPACR_FP_OPEN) : "memory");
    page_copy_simd(to, from);
    __asm__ volatile("msr cpacr_el1, xzr" ::: "memory");
    ash_port_unpin();
}

/* ID_AA64PFR0_EL1.AdvSIMD: 15 is none. */
void platform_page_copy(void *to, const void *from) {
    uint64_t features;
    __asm__("mrs %0, id_aa64pfr0_el1" : "=r"(features));
    if ((features >> 20 & 15) != 15)
        page_copy_by_simd(to, from);
    else
        page_copy_pairs(to, from);
}

/* DCZID_EL0: DZP forbids it; BS is log2 of a block in words of 4 bytes. */
void platform_page_zero(void *to) {
    uint64_t blocks;
    __asm__("mrs %0, dczid_el0" : "=r"(blocks));
    if ((blocks & 1 << 4) == 0)
        page_zero_blocks(to, UINT64_C(4) << (blocks & 15));
    else
        page_zero_pairs(to);
}
