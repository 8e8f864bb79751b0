/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include <sys/mman.h>

struct ash_buddy bench_buddy;

static void *pages_alloc(void *, uint32_t order) {
    ash_pfn_t first;
    return ash_buddy_alloc(&bench_buddy, order, ASH_BUDDY_UNMOVABLE, &first) == 0
               ? bench_pointer(first)
               : nullptr;
}

static void pages_free(void *, void *base, uint32_t order) {
    ash_buddy_free(&bench_buddy, bench_frame(base), order);
}

static const struct ash_page_source_ops ops = {pages_alloc, pages_free, nullptr};
struct ash_page_source bench_pages;

void bench_pages_init() {
    if (bench_buddy.total_pages != 0)
        return;
    /* All there from the start, as a kernel's memory is; no page of it is huge. */
    constexpr size_t bytes = size_t{1} << 30, align = size_t{2} << 20;
    void *arena = mmap(nullptr, bytes + align, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (arena == MAP_FAILED)
        std::abort();
    auto base = (reinterpret_cast<uintptr_t>(arena) + align - 1) / align * align;
    struct ash_buddy_region region = {base >> ASH_PAGE_SHIFT, bytes >> ASH_PAGE_SHIFT};
    struct ash_buddy_config config = {};
    config.regions = &region;
    config.region_count = 1;
    size_t storage_bytes = ash_buddy_storage_size(&config);
    void *storage = std::malloc(storage_bytes);
    if (storage == nullptr || ash_buddy_init(&bench_buddy, &config, storage, storage_bytes) != 0)
        std::abort();
    struct ash_page_source_config source = {};
    source.ops = &ops;
    source.base = reinterpret_cast<void *>(base);
    source.len_pages = region.len_pages;
    storage_bytes = ash_page_source_storage_size(&source);
    storage = std::malloc(storage_bytes);
    if (storage == nullptr ||
        ash_page_source_init(&bench_pages, &source, storage, storage_bytes) != 0)
        std::abort();
}

size_t bench_pages_held() {
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&bench_buddy, &stats);
    constexpr size_t map_entry = 2;
    return (stats.total_pages - stats.free_pages) * (ASH_PAGE_SIZE + map_entry);
}

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}
