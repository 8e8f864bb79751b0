/* SPDX-License-Identifier: MIT */
/* A slab cache of the objects' exact size, over the buddy. */
#include "pages.h"

static const char *const peer_name = "slab";
static struct ash_slab_cache peer_cache;

static inline const char *peer_version() {
    return "this tree";
}

static inline void peer_prepare(size_t size) {
    struct ash_slab_config config = {};
    if (bench_buddy.total_pages == 0)
        bench_pages_init();
    else if (ash_slab_cache_fini(&peer_cache) != 0)
        __builtin_abort();
    config.name = "bench";
    config.size_bytes = size;
    config.empty_max = 2;
    config.source = &bench_pages;
    if (ash_slab_cache_init(&peer_cache, &config) != 0)
        __builtin_abort();
}

static inline void *peer_alloc(size_t) {
    return ash_slab_alloc(&peer_cache);
}

static inline void peer_free(void *pointer) {
    ash_slab_free(&peer_cache, pointer);
}
