/* SPDX-License-Identifier: MIT */
/* refuse.c: what to say of a pointer that is not what it should be. Nothing here returns. */
#include "slab_internal.h"

void ash__slab_refuse(struct ash_page_source *source, const char *name, const void *pointer) {
    const void *large = ash__source_large_around(source, pointer);
    if (large != NULL)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: inside the large block at %p: free that by ash_kfree of "
                  "its base",
                  pointer, name, large);
    const struct ash_slab_cache *owner =
        ash__source_cache(source, ash__source_entry(source, pointer));
    if (owner != NULL)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: in a slab of cache %s: free it there", pointer, name,
                  owner->name);
    ash_panic(__FILE__, __LINE__,
              "slab: free of %p to %s: foreign pointer: in no slab and no large block (never "
              "allocated, or its slab went back since)",
              pointer, name);
}

void ash__slab_refuse_object(struct ash_slab_cache *cache, const void *pointer) {
    const struct ash__slab_store *store = &cache->slabs;
    if (ash__source_entry(store->source, pointer) != store->id)
        ash__slab_refuse(store->source, cache->name, pointer);
    const struct ash__slab *slab = ash__slab_of(store, pointer);
    uint32_t offset = (uint32_t)((uintptr_t)pointer & store->mask);
    uint32_t index = ash__slab_index(store, offset - store->first);
    const void *start = ash__slab_object(store, slab, index);
    if (offset < store->first)
        ash_panic(__FILE__, __LINE__, "slab: free of %p to %s: in the header of the slab at %p",
                  pointer, cache->name, (const void *)slab);
    if (index >= store->objects)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: behind the last object of the slab at %p", pointer,
                  cache->name, (const void *)slab);
    if (pointer != start)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: misaligned: %u bytes into the object at %p", pointer,
                  cache->name, (uint32_t)((uintptr_t)pointer - (uintptr_t)start), start);
    ash_panic(__FILE__, __LINE__, "slab: double free of %p to %s: the object is free already",
              pointer, cache->name);
}

void ash__slab_require_object(struct ash_slab_cache *cache, const void *pointer) {
    uint32_t index;
    if (ASH_UNLIKELY(!ash__store_find(&cache->slabs, pointer, &index)))
        ash__slab_refuse_object(cache, pointer);
}
