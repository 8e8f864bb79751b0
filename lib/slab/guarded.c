/* SPDX-License-Identifier: MIT */
/* guarded.c: caches whose every allocation and free runs a callback, or masks interrupts. */
#include "profiles.h"

/* What the plain fast path does, with interrupts masked where the cache says so. False: the loaded
 * magazine is empty. */
static bool pop(struct ash_slab_cache *cache, void **object) {
    ash_irq_t irq;
    struct ash__slab_cpu *cpu = ash__slab_enter(cache, &irq);
    uint32_t kept = cpu->kept;
    if (ASH_LIKELY(kept != 0)) {
        *object = cpu->loaded->objects[kept - 1];
        ash_store_relaxed(&cpu->kept, kept - 1);
        ash_count_relaxed(&cpu->allocations);
    }
    ash__slab_leave(cache, irq);
    return kept != 0;
}

/* False: there is no room in it. */
static bool push(struct ash_slab_cache *cache, void *object) {
    ash_irq_t irq;
    struct ash__slab_cpu *cpu = ash__slab_enter(cache, &irq);
    uint32_t kept = cpu->kept;
    bool has_room = kept != cpu->kept_limit;
    if (ASH_LIKELY(has_room)) {
        cpu->loaded->objects[kept] = object;
        ash_store_relaxed(&cpu->kept, kept + 1);
    }
    ash__slab_leave(cache, irq);
    return has_room;
}

void *ash__guarded_alloc(struct ash_slab_cache *cache) {
    void *object;
    if (!pop(cache, &object))
        object = ash__magazine_alloc(cache);
    bool is_hardened = cache->hardened.side != 0;
    if (object != NULL && is_hardened)
        ash__hardened_require_free(cache, object);
    if (object == NULL || cache->construct == NULL)
        return object;
    if (ASH_LIKELY(cache->construct(object, cache->context) == 0))
        return object;
    if (is_hardened)
        ash__hardened_require_out(cache, object);
    ash__magazine_free(cache, object);
    ash_fetch_add(&cache->failures, UINT64_C(1));
    ash_fetch_add(&cache->undelivered, UINT64_C(1));
    return NULL;
}

/* destruct must not be handed just any pointer. */
void ash__guarded_free(struct ash_slab_cache *cache, void *object) {
    if (cache->hardened.side != 0)
        ash__hardened_require_out(cache, object);
    else if (cache->destruct != NULL && ASH_ENABLED(ASH_CHECKS >= 1))
        ash__slab_require_object(cache, object);
    if (cache->destruct != NULL)
        cache->destruct(object, cache->context);
    if (!push(cache, object))
        ash__magazine_free(cache, object);
}
