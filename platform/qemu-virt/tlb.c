/* SPDX-License-Identifier: MIT */
/*
 * tlb.c: TLB maintenance and instruction caches of user.h. The recipe (Arm ARM D8.13): DSB ISHST,
 * after which walks see the stores; TLBI, to the inner shareable domain; DSB ISH, which waits for
 * all CPUs; ISB, for what this one has fetched.
 */
#include "tlb_range.h"
#include "user.h"

enum { ASID_SHIFT = 48 };

#define VA_MASK ((UINT64_C(1) << 44) - 1) /* VA[55:12] in bits 43..0 */

static void begin(void) {
    __asm__ volatile("dsb ishst" ::: "memory");
}

static void end(void) {
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

/* FEAT_TLBIRANGE */
bool platform_tlb_has_ranges(void) {
    uint64_t features;
    __asm__("mrs %0, id_aa64isar0_el1" : "=r"(features));
    return (features >> 56 & 15) >= 2;
}

uint32_t platform_asid_bits(void) {
    uint64_t features;
    __asm__("mrs %0, id_aa64mmfr0_el1" : "=r"(features));
    return (features >> 4 & 15) == 2 ? 16 : 8;
}

void platform_tlb_publish(void) {
    __asm__ volatile("dsb ishst\n\tisb" ::: "memory");
}

static void flush_address(uint32_t asid, uint64_t va, bool leaf_only) {
    uint64_t operand = (uint64_t)asid << ASID_SHIFT | (va >> ASH_PAGE_SHIFT & VA_MASK);
    if (leaf_only)
        __asm__ volatile("tlbi vale1is, %0" ::"r"(operand));
    else
        __asm__ volatile("tlbi vae1is, %0" ::"r"(operand));
}

/* RVALE1IS, RVAE1IS: by number, for older assemblers. */
static void flush_by_ranges(uint32_t asid, uint64_t va, uint64_t pages, bool leaf_only) {
    if (pages % 2 != 0) {
        flush_address(asid, va, leaf_only);
        va += ASH_PAGE_SIZE;
        pages--;
    }
    while (pages != 0) {
        uint64_t operand = tlb_range_operand(asid, &va, &pages);
        if (leaf_only)
            __asm__ volatile("sys #0, c8, c2, #5, %0" ::"r"(operand));
        else
            __asm__ volatile("sys #0, c8, c2, #1, %0" ::"r"(operand));
    }
}

void platform_tlb_flush_range(uint32_t asid, uint64_t va, uint64_t count, uint32_t shift,
                              bool leaf_only) {
    begin();
    if (count > 1 && platform_tlb_has_ranges()) {
        flush_by_ranges(asid, va, count << (shift - ASH_PAGE_SHIFT), leaf_only);
    } else {
        for (uint64_t i = 0; i < count; i++)
            flush_address(asid, va + (i << shift), leaf_only);
    }
    end();
}

void platform_tlb_flush_asid(uint32_t asid) {
    begin();
    __asm__ volatile("tlbi aside1is, %0" ::"r"((uint64_t)asid << ASID_SHIFT));
    end();
}

void platform_tlb_flush_all(void) {
    begin();
    __asm__ volatile("tlbi vmalle1is");
    end();
}

/* CTR_EL0: the smallest lines of data (DminLine) and instructions (IminLine); IDC and DIC: caches
 * that need no cleaning, no invalidation. Where an instruction cache is not indexed like a physical
 * one (L1Ip), the address that will be executed may have another line: then all of it goes. */
void platform_code_written(const void *bytes, size_t len) {
    uint64_t type, at = (uint64_t)(uintptr_t)bytes, stop = at + len;
    __asm__("mrs %0, ctr_el0" : "=r"(type));
    uint64_t data_line = UINT64_C(4) << (type >> 16 & 15), line = UINT64_C(4) << (type & 15);
    bool is_clean = (type >> 28 & 1) != 0, is_coherent = (type >> 29 & 1) != 0;
    bool is_physical = (type >> 14 & 3) == 3;
    for (uint64_t i = ash_align_down(at, data_line); !is_clean && i < stop; i += data_line)
        __asm__ volatile("dc cvau, %0" ::"r"(i) : "memory");
    __asm__ volatile("dsb ish" ::: "memory");
    if (!is_coherent && !is_physical)
        __asm__ volatile("ic ialluis" ::: "memory");
    for (uint64_t i = ash_align_down(at, line); !is_coherent && is_physical && i < stop; i += line)
        __asm__ volatile("ic ivau, %0" ::"r"(i) : "memory");
    end();
}
