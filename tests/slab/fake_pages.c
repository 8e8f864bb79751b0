/* SPDX-License-Identifier: MIT */
#include "fake_pages.h"

#include "harness/asan.h"
#include "harness/test.h"

#include <ashlar/bits.h>
#include <ashlar/check.h>

static void watch(struct fake_pages *pages) {
    if (pages->watched == NULL)
        return;
    if (ash_spin_trylock(pages->watched))
        ash_spin_unlock(pages->watched);
    else
        pages->watched_was_held = true;
}

static bool is_free(const struct fake_pages *pages, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (pages->frames[first + i].used)
            return false;
    }
    return true;
}

static void mark(struct fake_pages *pages, uint32_t first, uint32_t order, bool used) {
    for (uint32_t i = 0; i < 1u << order; i++)
        pages->frames[first + i] =
            (struct fake_frame){.first = first, .order = (uint8_t)order, .used = used};
}

/* The first fit. */
static void *alloc_locked(struct fake_pages *pages, uint32_t order) {
    uint64_t call = ++pages->calls;
    if (pages->fail_at != 0 && call >= pages->fail_at && call - pages->fail_at < pages->fail_count)
        return NULL;
    if (order >= 32)
        return NULL;
    uint32_t count = 1u << order;
    for (uint32_t first = 0; first < pages->pages && count <= pages->pages - first;
         first += count) {
        if (is_free(pages, first, count)) {
            mark(pages, first, order, true);
            pages->used += count;
            return pages->base + first * ASH_PAGE_SIZE;
        }
    }
    return NULL;
}

static void *fake_alloc(void *context, uint32_t order) {
    struct fake_pages *pages = context;
    watch(pages);
    ash_spin_lock(&pages->lock);
    char *base = alloc_locked(pages, order);
    pages->refused += base == NULL;
    ash_spin_unlock(&pages->lock);
    void (*meanwhile)(void *) = ash_exchange(&pages->meanwhile, NULL);
    if (meanwhile != NULL)
        meanwhile(pages->meanwhile_context);
    if (base == NULL)
        return NULL;
    test_permit(base, ASH_PAGE_SIZE << order);
    memset(base, 0xa5, ASH_PAGE_SIZE << order);
    return base + pages->offset_bytes;
}

static void fake_free(void *context, void *base, uint32_t order) {
    struct fake_pages *pages = context;
    watch(pages);
    size_t offset = (size_t)((char *)base - pages->base);
    uint32_t first = (uint32_t)(offset / ASH_PAGE_SIZE);
    ASH_REQUIRE(offset % ASH_PAGE_SIZE == 0 && first < pages->pages && pages->frames[first].used &&
                    pages->frames[first].first == first && pages->frames[first].order == order,
                "fake pages: free of %p, order %u: not a block", base, order);
    memset(base, 0x5a, ASH_PAGE_SIZE << order);
    test_forbid(base, ASH_PAGE_SIZE << order);
    ash_spin_lock(&pages->lock);
    mark(pages, first, order, false);
    pages->used -= 1u << order;
    ash_spin_unlock(&pages->lock);
}

struct fake_pages *fake_pages_new(uint32_t pages) {
    static const struct ash_page_source_ops ops = {.alloc = fake_alloc, .free = fake_free};
    struct fake_pages *fake = test_alloc(sizeof(*fake), 64);
    ash_spin_init(&fake->lock);
    fake->pages = pages;
    fake->frames = test_alloc(pages * sizeof(struct fake_frame), 8);
    size_t largest = ASH_PAGE_SIZE << ash_log2_floor(pages);
    fake->base = test_alloc(pages * ASH_PAGE_SIZE, ash_max_u64(largest, ASH_SLAB_BYTES_MAX));
    test_forbid(fake->base, pages * ASH_PAGE_SIZE);
    const struct ash_page_source_config config = {
        .ops = &ops, .context = fake, .base = fake->base, .len_pages = pages};
    size_t bytes = ash_page_source_storage_size(&config);
    void *storage = test_alloc(bytes, ASH_PAGE_SOURCE_STORAGE_ALIGN);
    CHECK_EQ(ash_page_source_init(&fake->source, &config, storage, bytes), 0);
    return fake;
}

void *fake_pages_alloc(struct fake_pages *pages, uint32_t order) {
    void *base = fake_alloc(pages, order);
    CHECK(base != NULL);
    return base;
}
