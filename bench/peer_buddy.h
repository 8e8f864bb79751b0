/* SPDX-License-Identifier: MIT */
/* The buddy alone: the smallest block that holds the object, a page for each. */
#include "pages.h"

static const char *const peer_name = "buddy";

static inline const char *peer_version() {
    return "this tree";
}

static inline void peer_prepare(size_t) {
    if (bench_buddy.total_pages == 0)
        bench_pages_init();
}

static inline void *peer_alloc(size_t) {
    ash_pfn_t first;
    if (ash_buddy_alloc(&bench_buddy, 0, 0, &first) != 0)
        __builtin_abort();
    return bench_pointer(first);
}

static inline void peer_free(void *pointer) {
    ash_buddy_free(&bench_buddy, bench_frame(pointer), 0);
}
