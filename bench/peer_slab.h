/* SPDX-License-Identifier: MIT */
/* A slab cache of the objects' exact size, over the buddy. */
#include "pages.h"

struct Peer : OwnDefaults {
    static constexpr const char *name = "slab";
    static constexpr bool sized = false;
    static inline struct ash_slab_cache cache;

    static void prepare(size_t size) {
        struct ash_slab_config config = {};
        bench_pages_init();
        if (cache.slabs.source != nullptr && ash_slab_cache_fini(&cache) != 0)
            std::abort();
        config.name = "bench";
        config.size_bytes = size;
        config.empty_max = 2;
        config.source = &bench_pages;
        if (ash_slab_cache_init(&cache, &config) != 0)
            std::abort();
    }
    static void *alloc(size_t) {
        return ash_slab_alloc(&cache);
    }
    static void free(void *pointer) {
        ash_slab_free(&cache, pointer);
    }
    static void reap() {
        ash_slab_cache_shrink(&cache);
    }
};
