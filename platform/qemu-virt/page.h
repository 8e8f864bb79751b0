/* SPDX-License-Identifier: MIT */
/* page.h: ways to copy and to zero a page of 4 KiB, aligned; which is the fastest is measured at
 * boot. */
#ifndef QEMU_VIRT_PAGE_H
#define QEMU_VIRT_PAGE_H

#include <ashlar/base.h>

enum { PAGE_BLOCK_MAX = 512 };

/* By pairs of general registers: any CPU. */
void page_copy_pairs(void *to, const void *from);
void page_zero_pairs(void *to);

/* By pairs of SIMD registers, with CPACR_EL1 open: who is pinned, so that no program gets
 * its registers back before the end. */
void page_copy_simd(void *to, const void *from);

/* By DC ZVA, whose blocks have block_bytes, at most PAGE_BLOCK_MAX. */
void page_zero_blocks(void *to, uint64_t block_bytes);

/* Before others want pages; the counter runs. */
void page_init(void);

/* Opens SIMD for that, and shuts it. */
void page_copy_by_simd(void *to, const void *from);

#endif
