/* SPDX-License-Identifier: MIT */
/* The heap of six classes, over the buddy. */
#include "pages.h"

#include <ashlar/heap.h>

struct Peer : OwnDefaults {
    static constexpr const char *name = "kmalloc";
    static constexpr bool counts = true;
    static inline struct ash_heap heap;
    alignas(ASH_PORT_CACHE_LINE) static inline char storage[ASH_HEAP_STORAGE_SIX];

    static void prepare(size_t) {
        if (bench_buddy.total_pages != 0)
            return;
        bench_pages_init();
        struct ash_heap_config config = {};
        config.source = &bench_pages;
        if (ash_heap_init(&heap, &config, storage, sizeof(storage)) != 0)
            std::abort();
    }
    static void *alloc(size_t size) {
        return ash_kmalloc(&heap, size);
    }
    static void free(void *pointer) {
        ash_kfree(&heap, pointer);
    }
    static void reap() {
        ash_heap_shrink(&heap);
        OwnDefaults::reap();
    }
    static Calls calls() {
        Calls sum = {};
        for (uint32_t i = 0; i < ash_heap_class_count(&heap); i++) {
            struct ash_slab_stats stats;
            ash_slab_cache_get_stats(ash_heap_cache(&heap, i), &stats);
            sum.allocations += stats.allocations;
            sum.hits += stats.hits;
        }
        return sum;
    }
};
