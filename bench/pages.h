/* SPDX-License-Identifier: MIT */
/*
 * pages.h: a buddy over 128 MiB of this process, and the page source that a slab cache wants of it,
 * joined as a kernel joins them. A frame's number is its address / 4096.
 */
#ifndef ASHLAR_BENCH_PAGES_H
#define ASHLAR_BENCH_PAGES_H

#include <ashlar/buddy.h>
#include <ashlar/slab.h>

extern struct ash_buddy bench_buddy;
extern struct ash_page_source bench_pages;

/* Once, before all else. */
void bench_pages_init();

static inline void *bench_pointer(ash_pfn_t frame) {
    return reinterpret_cast<void *>(frame << ASH_PAGE_SHIFT);
}

static inline ash_pfn_t bench_frame(const void *pointer) {
    return reinterpret_cast<uintptr_t>(pointer) >> ASH_PAGE_SHIFT;
}

#endif
