/* SPDX-License-Identifier: MIT */
/* peer_cache.h: what the peers that are a slab cache have in common. */
#ifndef ASHLAR_BENCH_PEER_CACHE_H
#define ASHLAR_BENCH_PEER_CACHE_H

#include "pages.h"

template <uint32_t flags> struct Cache : OwnDefaults {
    static constexpr bool sized = false, bulk = true;
    static inline struct ash_slab_cache cache;

    static void prepare(size_t size) {
        static bool made;
        struct ash_slab_config config = {};
        bench_pages_init();
        if (made && ash_slab_cache_fini(&cache) != 0)
            std::abort();
        config.name = "bench";
        config.size_bytes = size;
        config.flags = flags;
        config.empty_max = 2;
        config.source = &bench_pages;
        if (ash_slab_cache_init(&cache, &config) != 0)
            std::abort();
        made = true;
    }
    static void *alloc(size_t) {
        return ash_slab_alloc(&cache);
    }
    static void free(void *pointer) {
        ash_slab_free(&cache, pointer);
    }
    static void alloc_bulk(void **objects, uint32_t count) {
        if (ash_slab_alloc_bulk(&cache, objects, count) != 0)
            std::abort();
    }
    static void free_bulk(void *const *objects, uint32_t count) {
        ash_slab_free_bulk(&cache, objects, count);
    }
    static void reap() {
        ash_slab_cache_shrink(&cache);
        OwnDefaults::reap();
    }
};

#endif
