/* SPDX-License-Identifier: MIT */
/* The heap of six classes, over the buddy. */
#include "pages.h"

#include <ashlar/heap.h>

static const char *const peer_name = "kmalloc";
static struct ash_heap peer_heap;

static inline const char *peer_version() {
    return "this tree";
}

static inline void peer_prepare(size_t) {
    if (bench_buddy.total_pages != 0)
        return;
    bench_pages_init();
    if (ash_heap_init(&peer_heap, &bench_pages) != 0)
        __builtin_abort();
}

static inline void *peer_alloc(size_t size) {
    return ash_kmalloc(&peer_heap, size);
}

static inline void peer_free(void *pointer) {
    ash_kfree(&peer_heap, pointer);
}
