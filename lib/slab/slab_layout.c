/* SPDX-License-Identifier: MIT */
/* slab_layout.c: how large a slab is and where its objects lie. */
#include "slab_internal.h"

/* Objects that fit behind the header and a bitmap with a bit for each of them. */
static uint32_t objects_in(uint32_t slab_bytes, uint32_t stride, uint32_t align, uint32_t *first) {
    uint32_t count = (slab_bytes - (uint32_t)sizeof(struct ash__slab)) / stride;
    if (count > OBJECTS_MAX)
        count = OBJECTS_MAX;
    for (;; count--) {
        uint32_t words = (count + 63) / 64;
        uint32_t header = (uint32_t)sizeof(struct ash__slab) + words * (uint32_t)sizeof(uint64_t);
        *first = (uint32_t)ash_align_up(header, align);
        if (*first + count * stride <= slab_bytes)
            return count;
    }
}

/* True where a slab of this order wastes at most 1/8 of itself. */
static bool fits(struct ash_slab_cache *cache, uint32_t order) {
    uint32_t slab_bytes = (uint32_t)ASH_PAGE_SIZE << order;
    if (cache->stride > slab_bytes - sizeof(struct ash__slab))
        return false;
    cache->order = order;
    cache->mask = slab_bytes - 1;
    cache->objects =
        objects_in(slab_bytes, cache->stride, (uint32_t)cache->config.align_bytes, &cache->first);
    return slab_bytes - cache->objects * cache->stride <= slab_bytes / 8;
}

/*
 * The order wished for, else the next larger one that fits, else (objects of 8 bytes in 64 KiB,
 * more than the summary can cover) the next smaller. The largest order fits every stride from 16
 * bytes up, so the search ends; the tests try every size at every alignment.
 */
void ash__slab_layout(struct ash_slab_cache *cache) {
    const uint32_t order_max = ash_log2_floor(ASH_SLAB_BYTES_MAX / ASH_PAGE_SIZE);
    uint32_t wish = ash_log2_floor(cache->config.slab_bytes / ASH_PAGE_SIZE);
    cache->stride = (uint32_t)ash_align_up(cache->config.size_bytes, cache->config.align_bytes);
    uint32_t order = wish;
    while (order <= order_max && !fits(cache, order))
        order++;
    for (order = order <= order_max ? order : wish; !fits(cache, order); order--)
        ;
    cache->half = cache->objects / 2;
    cache->relist = cache->objects / 16 + 1;
    cache->reciprocal = (uint32_t)(((UINT64_C(1) << 32) + cache->stride - 1) / cache->stride);
}
