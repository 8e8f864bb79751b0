/* SPDX-License-Identifier: MIT */
/*
 * tlb_range.h: a range of pages as operands of TLBI RVAE1IS and its kin (FEAT_TLBIRANGE, Arm ARM
 * C5.5). One covers (NUM + 1) << (5 * SCALE + 1) pages from BaseADDR on. Freestanding: its cases
 * run on the host too, since an emulator may flush more than it is told.
 */
#ifndef QEMU_VIRT_TLB_RANGE_H
#define QEMU_VIRT_TLB_RANGE_H

#include <ashlar/base.h>

enum {
    TLB_RANGE_SCALE_MAX = 3,
    /* Of the largest units: QEMU 7.2 keeps the bytes of one instruction in 32 bits. */
    TLB_RANGE_LAST_MAX = 15,
};

/*
 * The operand for the first of the pages (their number is even, and not 0) from *va on, which are
 * then those that remain: five bits of the number at a time, from the lowest up; what is more than
 * all scales take is left to the last of them, again and again.
 */
static inline uint64_t tlb_range_operand(uint32_t asid, uint64_t *va, uint64_t *pages) {
    const uint64_t granule_4k = UINT64_C(1) << 46, base_mask = (UINT64_C(1) << 37) - 1;
    uint64_t scale = 0, units = *pages >> 1;
    while (scale < TLB_RANGE_SCALE_MAX && units % 32 == 0) {
        units >>= 5;
        scale++;
    }
    units = scale < TLB_RANGE_SCALE_MAX ? units % 32 : ash_min_u64(units, TLB_RANGE_LAST_MAX);
    uint64_t operand = (uint64_t)asid << 48 | granule_4k | scale << 44 | (units - 1) << 39 |
                       (*va >> ASH_PAGE_SHIFT & base_mask);
    uint64_t covered = units << (5 * scale + 1);
    *va += covered << ASH_PAGE_SHIFT;
    *pages -= covered;
    return operand;
}

#endif
