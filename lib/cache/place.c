/* SPDX-License-Identifier: MIT */
/* place.c: where a block lies on the disk, as its space's map says: nothing of which is trusted. */
#include "cache_internal.h"

static bool is_sane(const struct ash_cache_map *map, uint32_t block_bytes) {
    uint64_t bytes = 0;
    if (map->extent_count > ASH_CACHE_EXTENTS_MAX)
        return false;
    for (uint32_t i = 0; i < map->extent_count; i++) {
        const struct ash_cache_extent *extent = &map->extents[i];
        if (extent->sectors == 0 || extent->sector > UINT64_MAX - extent->sectors)
            return false;
        bytes += (uint64_t)extent->sectors * ASH_CACHE_SECTOR_BYTES;
    }
    return map->extent_count == 0 || (bytes <= block_bytes && map->valid_bytes <= bytes);
}

/* Sectors that have nothing of the block are neither read nor written. */
static void shorten(struct ash_cache_map *map) {
    uint32_t sectors = map->valid_bytes / ASH_CACHE_SECTOR_BYTES +
                       (map->valid_bytes % ASH_CACHE_SECTOR_BYTES != 0);
    for (uint32_t i = 0; i < map->extent_count; i++) {
        struct ash_cache_extent *extent = &map->extents[i];
        if (extent->sectors > sectors)
            extent->sectors = sectors;
        sectors -= extent->sectors;
        if (extent->sectors == 0)
            map->extent_count = i;
    }
}

/* With nothing locked. */
static int ask_map(struct ash_cache *cache, const struct ash_cache_space *space, uint64_t index,
                   struct ash_cache_map *map) {
    *map = (struct ash_cache_map){.extent_count = 0};
    int error = space->map(space->context, index, map);
    if (error != 0)
        return ash__cache_error(error);
    return is_sane(map, 1u << cache->block_shift) ? 0 : -ASH_EINVAL;
}

/* What the disk does not have of the block: zeros in memory, and none of it written. */
static void trim(struct ash_cache *cache, uint32_t frame, enum ash_cache_op op,
                 const struct ash_cache_map *map) {
    uint32_t block_bytes = 1u << cache->block_shift;
    uint32_t keep = map->valid_bytes;
    if (op == ASH_CACHE_OP_READ) {
        uint32_t mapped = 0;
        for (uint32_t i = 0; i < map->extent_count; i++)
            mapped += map->extents[i].sectors * ASH_CACHE_SECTOR_BYTES;
        keep = mapped;
    }
    if (keep < block_bytes)
        __builtin_memset((char *)ash_cache_data(cache, frame) + keep, 0, block_bytes - keep);
}

/* Where the block in `frame` lies; the lock is let go to ask. */
int ash__cache_place(struct ash_cache *cache, ash_irq_t *irq, uint32_t frame, enum ash_cache_op op,
                     const struct ash_cache_space *space, uint64_t index,
                     struct ash_cache_map *map) {
    ash__cache_leave(cache, *irq);
    int error = ask_map(cache, space, index, map);
    if (error == 0 && map->extent_count == 0 && op == ASH_CACHE_OP_WRITE)
        error = -ASH_ENOSPC;
    if (error == 0) {
        shorten(map);
        trim(cache, frame, op, map);
    }
    *irq = ash__cache_enter(cache);
    return error;
}
