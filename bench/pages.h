/* SPDX-License-Identifier: MIT */
/*
 * pages.h: a buddy over 1 GiB of this process, and the page source that a slab cache wants of it,
 * joined as a kernel joins them. A frame's number is its address / 4096.
 */
#ifndef ASHLAR_BENCH_PAGES_H
#define ASHLAR_BENCH_PAGES_H

#include "peer.h"

#include <ashlar/buddy.h>
#include <ashlar/slab.h>

extern struct ash_buddy bench_buddy;
extern struct ash_page_source bench_pages;

/* Before all else; again: nothing. */
void bench_pages_init();

/* Bytes of the pages that are out, and of their entries in the page map. */
size_t bench_pages_held();

static inline void *bench_pointer(ash_pfn_t frame) {
    return reinterpret_cast<void *>(frame << ASH_PAGE_SHIFT);
}

static inline ash_pfn_t bench_frame(const void *pointer) {
    return reinterpret_cast<uintptr_t>(pointer) >> ASH_PAGE_SHIFT;
}

/* What the allocators of this tree have in common. */
struct OwnDefaults : PeerDefaults {
    static std::string version() {
        return "this tree";
    }
    static void enter(size_t n) {
        hosted_this_cpu.index = static_cast<uint32_t>(n);
    }
    static size_t held_bytes() {
        return bench_pages_held();
    }
};

#endif
