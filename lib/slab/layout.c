/* SPDX-License-Identifier: MIT */
/* layout.c: how large a slab is and where its objects lie. */
#include "slab_internal.h"

/* What object 0 is aligned to: the configuration's wish, and as much as the stride allows up to a
 * cache line, so that no object lies on more lines than it must. */
static uint32_t align_of(uint32_t stride, size_t wish) {
    uint32_t natural = stride & (0 - stride);
    uint32_t most = natural < ASH_PORT_CACHE_LINE ? natural : ASH_PORT_CACHE_LINE;
    return most > wish ? most : (uint32_t)wish;
}

/*
 * Where the side bytes begin, in a slab with so many objects: behind the bitmap. Where objects lie
 * against the slab's end (hardened_fast.h), a little further: the offset modulo 32 says how far the
 * number of an object is to be rotated, 32 - log2 of the slab's bytes + of the stride's power of
 * two, which is 1..31: the least slab has 2^12 bytes, the largest 2^16, and every slab has two
 * strides' room. One byte is kept for the number 0 then.
 */
static uint32_t side_of(const struct ash__slab_store *store, uint32_t slab_bytes,
                        const struct ash__store_config *config, uint32_t objects) {
    uint32_t side = (uint32_t)sizeof(struct ash__slab) + (objects + 63) / 64 * 8;
    if (!config->to_the_end)
        return side;
    uint32_t rotation = 32 - ash_log2_floor(slab_bytes) + ash_ctz64(store->stride);
    return side + (rotation - side) % 32;
}

/* Objects that fit behind the header, a bitmap with a bit and side bytes for each, and the lead. */
static uint32_t objects_in(const struct ash__slab_store *store, uint32_t slab_bytes,
                           const struct ash__store_config *config, uint32_t *first) {
    uint32_t align = align_of(store->stride, config->align_bytes);
    uint32_t rest = slab_bytes - (uint32_t)sizeof(struct ash__slab);
    uint32_t count = rest / (store->stride + config->side_bytes);
    if (count > OBJECTS_MAX)
        count = OBJECTS_MAX;
    for (;; count--) {
        uint32_t header = side_of(store, slab_bytes, config, count) + count * config->side_bytes +
                          config->to_the_end + config->lead_bytes;
        *first = (uint32_t)ash_align_up(header, align);
        if (*first + count * store->stride > slab_bytes)
            continue;
        if (config->to_the_end)
            *first = slab_bytes - count * store->stride;
        return count;
    }
}

/* True where a slab of this order wastes at most 1/8 of itself. */
static bool fits(struct ash__slab_store *store, const struct ash__store_config *config,
                 uint32_t order) {
    uint32_t slab_bytes = (uint32_t)ASH_PAGE_SIZE << order;
    if (store->stride > slab_bytes - sizeof(struct ash__slab))
        return false;
    store->order = order;
    store->mask = slab_bytes - 1;
    store->objects = objects_in(store, slab_bytes, config, &store->first);
    uint32_t each = store->stride + config->side_bytes;
    return slab_bytes - store->objects * each <= slab_bytes / 8;
}

/*
 * The order wished for, else the next larger one that fits, else (objects of 8 bytes in 64 KiB,
 * more than the summary can cover) the next smaller. The largest order fits every stride from 16
 * bytes up, so the search ends; the tests try every size at every alignment. What fits nowhere has
 * the largest order, which holds one at least: red zones of large objects with a large alignment,
 * and objects of 8 bytes where a page is 64 KiB.
 */
void ash__store_layout(struct ash__slab_store *store, const struct ash__store_config *config) {
    const uint32_t order_max = ash_log2_floor(ASH_SLAB_BYTES_MAX / ASH_PAGE_SIZE);
    uint32_t wish = ash_log2_floor(config->slab_bytes / ASH_PAGE_SIZE);
    store->stride = (uint32_t)ash_align_up(config->size_bytes, config->align_bytes);
    uint32_t order = wish;
    while (order <= order_max && !fits(store, config, order))
        order++;
    for (order = order <= order_max ? order : wish; !fits(store, config, order); order--) {
        if (config->lead_bytes != 0 || order == 0) {
            (void)fits(store, config, order_max);
            break;
        }
    }
    store->half = store->objects / 2;
    store->relist = ash__store_usual_relist(store);
    store->reciprocal = (uint32_t)(((UINT64_C(1) << 32) + store->stride - 1) / store->stride);
    store->side = config->side_bytes == 0 ? 0
                                          : side_of(store, (uint32_t)ASH_PAGE_SIZE << store->order,
                                                    config, store->objects);
}
