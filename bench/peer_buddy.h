/* SPDX-License-Identifier: MIT */
/* The buddy alone: the smallest block that holds the object, a page for each. */
#include "pages.h"

struct Peer : OwnDefaults {
    static constexpr const char *name = "buddy";
    static constexpr bool million = false; /* 4 GiB */

    static void prepare(size_t) {
        bench_pages_init();
    }
    static void *alloc(size_t) {
        ash_pfn_t first;
        if (ash_buddy_alloc(&bench_buddy, 0, ASH_BUDDY_MOVABLE, &first) != 0)
            std::abort();
        return bench_pointer(first);
    }
    static void free(void *pointer) {
        ash_buddy_free(&bench_buddy, bench_frame(pointer), 0);
    }
};
