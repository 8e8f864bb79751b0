/* SPDX-License-Identifier: MIT */
/* The same slab cache, its fast path in the caller's code. */
#include "peer_cache.h"

struct Peer : Cache<0> {
    static constexpr const char *name = "inline";

    static void *alloc(size_t) {
        return ash_slab_alloc_inline(&cache);
    }
    static void free(void *pointer) {
        ash_slab_free_inline(&cache, pointer);
    }
};
