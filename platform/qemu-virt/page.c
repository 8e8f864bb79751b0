/* SPDX-License-Identifier: MIT */
/*
 * page.c: whole pages by what CPU 0 did fastest at boot. The kernel has no SIMD state and a
 * program's is in memory while the kernel runs: so a copy by SIMD saves no register. But it is
 * pinned: another thread would take its program's back.
 */
#include "page.h"

#include <ashlar/port.h>
#include <stdio.h>

#include "user.h"
#include "user_frame.h"

enum { TRIES = 8, PAGES_A_TRY = 8 };

struct copy_way {
    const char *name;
    void (*run)(void *to, const void *from);
};

struct zero_way {
    const char *name;
    void (*run)(void *to);
};

static struct copy_way copy = {"LDP and STP", page_copy_pairs};
static struct zero_way zero = {"STP", page_zero_pairs};
static uint64_t block_bytes;

static uint8_t scratch[2][ASH_PAGE_SIZE] __attribute__((aligned(4096)));

void page_copy_by_simd(void *to, const void *from) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    __asm__ volatile("msr cpacr_el1, %0\n\tisb" ::"r"((uint64_t)CPACR_FP_OPEN) : "memory");
    page_copy_simd(to, from);
    __asm__ volatile("msr cpacr_el1, xzr" ::: "memory");
    ash_port_unpin();
}

static void zero_by_blocks(void *to) {
    page_zero_blocks(to, block_bytes);
}

/* The best of some tries: an emulator translates in the first, and any may be disturbed. */
static uint64_t ticks_of(void (*copy_page)(void *to, const void *from), void (*zero_page)(void *)) {
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; i < TRIES; i++) {
        __asm__ volatile("isb" ::: "memory");
        uint64_t begin = ash_port_cycles();
        for (uint32_t k = 0; k < PAGES_A_TRY; k++) {
            if (copy_page != NULL)
                copy_page(scratch[0], scratch[1]);
            else
                zero_page(scratch[0]);
        }
        __asm__ volatile("isb" ::: "memory");
        best = ash_min_u64(best, ash_port_cycles() - begin);
    }
    return best;
}

/* ID_AA64PFR0_EL1.AdvSIMD: 15 is none. DCZID_EL0: DZP forbids it; BS is log2 of a block in words of
 * 4 bytes. */
void page_init(void) {
    uint64_t features, blocks;
    __asm__("mrs %0, id_aa64pfr0_el1" : "=r"(features));
    __asm__("mrs %0, dczid_el0" : "=r"(blocks));
    block_bytes = UINT64_C(4) << (blocks & 15);
    if ((features >> 20 & 15) != 15 &&
        ticks_of(page_copy_by_simd, NULL) < ticks_of(page_copy_pairs, NULL))
        copy = (struct copy_way){"SIMD", page_copy_by_simd};
    if ((blocks & 1 << 4) == 0 && block_bytes <= PAGE_BLOCK_MAX &&
        ticks_of(NULL, zero_by_blocks) < ticks_of(NULL, page_zero_pairs))
        zero = (struct zero_way){"DC ZVA", zero_by_blocks};
}

void platform_page_copy(void *to, const void *from) {
    copy.run(to, from);
}

void platform_page_zero(void *to) {
    zero.run(to);
}

void platform_page_describe(char *text, size_t len) {
    snprintf(text, len, "copied by %s, zeroed by %s", copy.name, zero.name);
}
