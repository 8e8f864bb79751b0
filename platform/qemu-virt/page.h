/* SPDX-License-Identifier: MIT */
/* page.h: ways to copy and to zero a page of 4 KiB, aligned; page.c knows which CPU has which. */
#ifndef QEMU_VIRT_PAGE_H
#define QEMU_VIRT_PAGE_H

#include <ashlar/base.h>

/* By pairs of general registers: any CPU. */
void page_copy_pairs(void *to, const void *from);
void page_zero_pairs(void *to);

/* By pairs of SIMD registers, q0..q7, with CPACR_EL1 open: who is pinned, so that no program gets
 * its registers back before the end. */
void page_copy_simd(void *to, const void *from);

/* By DC ZVA, whose blocks have block_bytes, 16 to 2048. */
void page_zero_blocks(void *to, uint64_t block_bytes);

/* Opens SIMD for the copy: what platform_page_copy does where there is SIMD. */
void page_copy_by_simd(void *to, const void *from);

#endif
