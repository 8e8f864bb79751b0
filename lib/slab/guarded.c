/* SPDX-License-Identifier: MIT */
/* guarded.c: caches whose every allocation and free runs a callback, or masks interrupts. */
#include "profiles.h"

void *ash__guarded_alloc(struct ash_slab_cache *cache) {
    void *object = ash__magazine_alloc(cache);
    bool is_hardened = cache->hardened.side != 0;
    if (object != NULL && is_hardened)
        ash__hardened_mark_out(cache, object);
    if (object == NULL || cache->construct == NULL)
        return object;
    if (ASH_LIKELY(cache->construct(object, cache->context) == 0))
        return object;
    if (is_hardened)
        ash__hardened_mark_free(cache, object);
    ash__magazine_free(cache, object);
    ash_fetch_add(&cache->failures, UINT64_C(1));
    ash_fetch_add(&cache->undelivered, UINT64_C(1));
    return NULL;
}

/* destruct must not be handed just any pointer. */
void ash__guarded_free(struct ash_slab_cache *cache, void *object) {
    if (cache->hardened.side != 0)
        ash__hardened_mark_free(cache, object);
    else if (cache->destruct != NULL && ASH_ENABLED(ASH_CHECKS >= 1))
        ash__slab_require_object(cache, object);
    if (cache->destruct != NULL)
        cache->destruct(object, cache->context);
    ash__magazine_free(cache, object);
}
