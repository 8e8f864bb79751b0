/* SPDX-License-Identifier: MIT */
/* refuse.c: what to say of a pointer that is not what it should be. Nothing here returns. */
#include "profiles.h"

/* more: what is known besides, on lines of its own. */
static __attribute__((noreturn, cold)) void refuse(struct ash_page_source *source, const char *name,
                                                   const void *pointer, const char *more) {
    const void *large = ash__source_large_around(source, pointer);
    if (large != NULL)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: inside the large block at %p: free that by ash_kfree of "
                  "its base%s",
                  pointer, name, large, more);
    const struct ash_slab_cache *owner =
        ash__source_cache(source, ash__source_entry(source, pointer));
    if (owner != NULL)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: in a slab of cache %s: free it there%s", pointer, name,
                  owner->name, more);
    ash_panic(__FILE__, __LINE__,
              "slab: free of %p to %s: foreign pointer: in no slab and no large block (never "
              "allocated, or its slab went back since)%s",
              pointer, name, more);
}

void ash__slab_refuse_with(struct ash_slab_cache *cache, const void *pointer, const char *more) {
    const struct ash__slab_store *store = &cache->slabs;
    if (ash__source_entry(store->source, pointer) != store->id)
        refuse(store->source, cache->name, pointer, more);
    const struct ash__slab *slab = ash__slab_of(store, pointer);
    uint32_t offset = (uint32_t)((uintptr_t)pointer & store->mask);
    uint32_t index = ash__slab_index(store, offset - store->first);
    const void *start = ash__slab_object(store, slab, index);
    if (offset < store->first)
        ash_panic(__FILE__, __LINE__, "slab: free of %p to %s: in the header of the slab at %p%s",
                  pointer, cache->name, (const void *)slab, more);
    if (index >= store->objects)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: behind the last object of the slab at %p%s", pointer,
                  cache->name, (const void *)slab, more);
    if (pointer != start)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: misaligned: %u bytes into the object at %p%s", pointer,
                  cache->name, (uint32_t)((uintptr_t)pointer - (uintptr_t)start), start, more);
    ash_panic(__FILE__, __LINE__, "slab: double free of %p to %s: the object is free already%s",
              pointer, cache->name, more);
}

void ash__slab_refuse_object(struct ash_slab_cache *cache, const void *pointer) {
    ash__slab_refuse_with(cache, pointer, "");
}

/* A state that neither an allocation nor a free would leave. */
static void require_known_state(struct ash_slab_cache *cache, const void *object, uint8_t state) {
    ASH_REQUIRE(state <= ASH__HARDENED_RESERVED,
                "slab: %p in %s: its state is 0x%02x: the header of the slab at %p was overwritten",
                object, cache->name, state, (void *)ash__slab_of(&cache->slabs, object));
}

void *ash__hardened_refuse_alloc(struct ash_slab_cache *cache, const void *object) {
    uint32_t index;
    if (ash__store_find(&cache->slabs, object, &index))
        require_known_state(cache, object, *ash__hardened_state(cache, object));
    ash_panic(__FILE__, __LINE__,
              "slab: %p in %s is to be handed out, and is out already: it was freed twice, on two "
              "CPUs at the same moment",
              object, cache->name);
}

void ash__hardened_refuse_free(struct ash_slab_cache *cache, const void *pointer) {
    uint32_t index;
    ash__slab_require_object(cache, pointer);
    if (ash__store_find(&cache->slabs, pointer, &index)) {
        uint8_t state = *ash__hardened_state(cache, pointer);
        require_known_state(cache, pointer, state);
        ASH_REQUIRE(state != ASH__HARDENED_RESERVED,
                    "slab: free of %p to %s: the object is set aside in a reserve, and was not "
                    "handed out",
                    pointer, cache->name);
    }
    ash__slab_refuse_object(cache, pointer);
}

void ash__slab_require_object(struct ash_slab_cache *cache, const void *pointer) {
    uint32_t index;
    if (ASH_UNLIKELY(!ash__store_find(&cache->slabs, pointer, &index)))
        ash__slab_refuse_object(cache, pointer);
}
