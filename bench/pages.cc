/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include <cstdlib>

struct ash_buddy bench_buddy;

static void *pages_alloc(void *, uint32_t order) {
    ash_pfn_t first;
    return ash_buddy_alloc(&bench_buddy, order, 0, &first) == 0 ? bench_pointer(first) : nullptr;
}

static void pages_free(void *, void *base, uint32_t order) {
    ash_buddy_free(&bench_buddy, bench_frame(base), order);
}

static const struct ash_page_source_ops ops = {pages_alloc, pages_free, nullptr};
struct ash_page_source bench_pages;

void bench_pages_init() {
    constexpr size_t bytes = size_t{128} << 20;
    void *arena = std::aligned_alloc(size_t{2} << 20, bytes);
    struct ash_buddy_region region = {bench_frame(arena), bytes / ASH_PAGE_SIZE};
    struct ash_buddy_config config = {&region, 1};
    size_t storage_bytes = ash_buddy_storage_size(&config);
    void *storage = std::malloc(storage_bytes);
    if (arena == nullptr || storage == nullptr ||
        ash_buddy_init(&bench_buddy, &config, storage, storage_bytes) != 0)
        std::abort();
    struct ash_page_source_config source = {};
    source.ops = &ops;
    source.base = arena;
    source.len_pages = bytes / ASH_PAGE_SIZE;
    storage_bytes = ash_page_source_storage_size(&source);
    storage = std::malloc(storage_bytes);
    if (storage == nullptr ||
        ash_page_source_init(&bench_pages, &source, storage, storage_bytes) != 0)
        std::abort();
}

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}
