/* SPDX-License-Identifier: MIT */
/* The heap of six classes, over the buddy. */
#include "pages.h"

#include <ashlar/heap.h>

static const char *const peer_name = "kmalloc";
static struct ash_heap peer_heap;
alignas(ASH_PORT_CACHE_LINE) static char peer_storage[ASH_HEAP_STORAGE_SIX];

static inline const char *peer_version() {
    return "this tree";
}

static inline void peer_prepare(size_t) {
    if (bench_buddy.total_pages != 0)
        return;
    bench_pages_init();
    struct ash_heap_config config = {&bench_pages, ASH_HEAP_SIX, 0};
    if (ash_heap_init(&peer_heap, &config, peer_storage, sizeof(peer_storage)) != 0)
        __builtin_abort();
}

static inline void *peer_alloc(size_t size) {
    return ash_kmalloc(&peer_heap, size);
}

static inline void peer_free(void *pointer) {
    ash_kfree(&peer_heap, pointer);
}
