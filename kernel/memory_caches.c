/* SPDX-License-Identifier: MIT */
/* memory_caches.c: see memory.h. The slab caches of the kernel: its heap's, and those of its own
 * objects. */
#include "memory.h"

#include <ashlar/check.h>

static void *cache_alloc(void *context, size_t size_bytes) {
    struct memory_cache *cache = context;
    ASH_REQUIRE(size_bytes <= cache->size_bytes, "memory: %zu bytes from the cache %s of %zu",
                size_bytes, cache->name, cache->size_bytes);
    return ash_slab_alloc(&cache->slabs);
}

static void cache_free(void *context, void *pointer) {
    struct memory_cache *cache = context;
    if (pointer != NULL)
        ash_slab_free(&cache->slabs, pointer);
}

/* What fills lines of the cache begins at one. */
static size_t align_of(size_t size_bytes) {
    return ash_is_aligned(size_bytes, ASH_PORT_CACHE_LINE) ? ASH_PORT_CACHE_LINE : 16;
}

int memory_cache_init(struct memory_cache *cache, struct kernel_memory *memory, const char *name,
                      size_t size_bytes) {
    const struct ash_slab_config config = {.name = name,
                                           .size_bytes = size_bytes,
                                           .align_bytes = align_of(size_bytes),
                                           .flags = memory->profile.flags,
                                           .seed = memory->profile.seed,
                                           .trace = &memory_trace,
                                           .source = &memory->source};
    int error = ash_slab_cache_init(&cache->slabs, &config);
    if (error != 0)
        return error;
    cache->name = name;
    cache->size_bytes = size_bytes;
    cache->allocator = (struct allocator){cache_alloc, cache_free, cache};
    cache->next = ash_load_relaxed(&memory->caches);
    while (!ash_compare_exchange(&memory->caches, &cache->next, cache)) {}
    return 0;
}

struct ash_slab_cache *memory_slab_cache(struct kernel_memory *memory, uint32_t index) {
    uint32_t classes = 0;
    while (ash_heap_cache(&memory->heap, classes) != NULL)
        classes++;
    if (index < classes)
        return ash_heap_cache(&memory->heap, index);
    struct memory_cache *cache = ash_load_acquire(&memory->caches);
    for (uint32_t i = classes; i < index && cache != NULL; i++)
        cache = cache->next;
    return cache == NULL ? NULL : &cache->slabs;
}

void memory_idle(struct kernel_memory *memory) {
    struct ash_slab_cache *cache;
    for (uint32_t i = 0; (cache = memory_slab_cache(memory, i)) != NULL; i++) {
        ash_slab_cache_flush(cache);
        (void)ash_slab_cache_reap(cache);
    }
    memory_relieve(memory);
    ash_buddy_drain(&memory->buddy);
}

const char *memory_caches_check(struct kernel_memory *memory) {
    const char *broken = ash_heap_check(&memory->heap);
    for (struct memory_cache *cache = ash_load_acquire(&memory->caches);
         cache != NULL && broken == NULL; cache = cache->next)
        broken = ash_slab_cache_check(&cache->slabs);
    return broken;
}
