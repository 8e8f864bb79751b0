/* SPDX-License-Identifier: MIT */
/* guarded.c: caches whose every allocation and free runs a callback, or masks interrupts. */
#include "slab_internal.h"

void *ash__guarded_alloc(struct ash_slab_cache *cache) {
    void *object = ash__magazine_alloc(cache);
    if (object == NULL || cache->construct == NULL)
        return object;
    if (ASH_LIKELY(cache->construct(object, cache->context) == 0))
        return object;
    ash__magazine_free(cache, object);
    ash_fetch_add(&cache->failures, UINT64_C(1));
    ash_fetch_add(&cache->undelivered, UINT64_C(1));
    return NULL;
}

/* destruct must not be handed just any pointer. */
void ash__guarded_free(struct ash_slab_cache *cache, void *object) {
    if (cache->destruct != NULL) {
        if (ASH_ENABLED(ASH_CHECKS >= 1))
            ash__slab_require_object(cache, object);
        cache->destruct(object, cache->context);
    }
    ash__magazine_free(cache, object);
}
