/* SPDX-License-Identifier: MIT */
/*
 * debug.c: the debug profile. Every object lies between red zones, a free one is painted and stays
 * out of use for a while, and a record in the slab's header says who allocated and who freed it.
 *
 *     slab: header | bitmap | records | zone |object 0| zone ... zone |object 1| zone ...
 *                                            ^ first                   ^ first + stride
 *
 *     with init, whose state must survive a free, nothing can be painted: the free object is
 *     compared with a copy instead:   |object 0| zone | copy | zone |object 1| ...
 *
 *     free -> quarantine, first in, first out -> slab -> alloc
 *       paints                            looks      looks
 */
#include "profiles.h"

/* Layout */

struct ash__place ash__debug_place(const struct ash_slab_cache *cache, const struct ash__slab *slab,
                                   uint32_t index) {
    char *records = (char *)(uintptr_t)slab + cache->slabs.side;
    return (struct ash__place){
        .object = (uint8_t *)ash__slab_object(&cache->slabs, slab, index),
        .record = (struct ash__record *)(void *)records + index,
    };
}

/* The place of an object of the cache. */
static struct ash__place place_of(const struct ash_slab_cache *cache, const void *object) {
    struct ash__slab *slab = ash__slab_of(&cache->slabs, object);
    uint32_t offset = (uint32_t)((uintptr_t)object - (uintptr_t)slab) - cache->slabs.first;
    return ash__debug_place(cache, slab, ash__slab_index(&cache->slabs, offset));
}

/* The copy that a free object is compared with ends where the next object's zone begins. */
static uint32_t copy_offset(const struct ash_slab_cache *cache) {
    return cache->slabs.stride - ASH__ZONE_BYTES - cache->size_bytes;
}

/* Where the zone behind the object ends. */
static uint32_t zone_end(const struct ash_slab_cache *cache) {
    return cache->debug.init != NULL ? copy_offset(cache) : cache->slabs.stride - ASH__ZONE_BYTES;
}

/* Paint */

static void paint_zones(const struct ash_slab_cache *cache, const struct ash__place *place) {
    __builtin_memset(place->object - ASH__ZONE_BYTES, ASH__PAINT_ZONE, ASH__ZONE_BYTES);
    __builtin_memset(place->object + cache->size_bytes, ASH__PAINT_ZONE,
                     zone_end(cache) - cache->size_bytes);
}

/* What a free object will be compared with. */
static void paint_free(const struct ash_slab_cache *cache, const struct ash__place *place) {
    if (cache->debug.init != NULL)
        __builtin_memcpy(place->object + copy_offset(cache), place->object, cache->size_bytes);
    else
        __builtin_memset(place->object, ASH__PAINT_FREE, cache->size_bytes);
}

/* The first of `count` bytes that is not `paint`, or count. */
static uint32_t first_unlike(const uint8_t *bytes, uint32_t count, uint8_t paint) {
    uint32_t at = 0;
    while (at < count && bytes[at] == paint)
        at++;
    return at;
}

bool ash__debug_zones_are_whole(const struct ash_slab_cache *cache, const struct ash__place *place,
                                int32_t *at) {
    uint32_t behind = zone_end(cache) - cache->size_bytes;
    uint32_t unlike = first_unlike(place->object + cache->size_bytes, behind, ASH__PAINT_ZONE);
    if (unlike != behind) {
        *at = (int32_t)(cache->size_bytes + unlike);
        return false;
    }
    unlike = first_unlike(place->object - ASH__ZONE_BYTES, ASH__ZONE_BYTES, ASH__PAINT_ZONE);
    *at = (int32_t)unlike - (int32_t)ASH__ZONE_BYTES;
    return unlike == ASH__ZONE_BYTES;
}

static uint8_t expected_at(const struct ash_slab_cache *cache, const struct ash__place *place,
                           uint32_t at) {
    return cache->debug.init != NULL ? place->object[copy_offset(cache) + at]
                                     : (uint8_t)ASH__PAINT_FREE;
}

/* A free object is as its free left it. */
bool ash__debug_is_untouched(const struct ash_slab_cache *cache, const struct ash__place *place,
                             uint32_t *at) {
    for (*at = 0; *at < cache->size_bytes; ++*at) {
        if (place->object[*at] != expected_at(cache, place, *at))
            return false;
    }
    return true;
}

static void require_zones(struct ash_slab_cache *cache, const struct ash__place *place,
                          const struct ash__backtrace *now) {
    int32_t at;
    if (!ash__debug_zones_are_whole(cache, place, &at))
        ash__debug_report_overflow(cache, place->object, place->record, at, now);
}

static void require_untouched(struct ash_slab_cache *cache, const struct ash__place *place,
                              const struct ash__backtrace *now) {
    uint32_t at;
    if (!ash__debug_is_untouched(cache, place, &at))
        ash__debug_report_use(cache, place->object, place->record, at,
                              expected_at(cache, place, at), now);
    require_zones(cache, place, now);
}

/* Slabs: layer 3 calls these in place of the cache's own init and fini */

static int init_object(void *object, void *context) {
    struct ash_slab_cache *cache = context;
    struct ash__place place = place_of(cache, object);
    int error = cache->debug.init != NULL ? cache->debug.init(object, cache->context) : 0;
    if (error != 0)
        return error;
    *place.record = (struct ash__record){.state = ASH__RECORD_FREE};
    paint_zones(cache, &place);
    paint_free(cache, &place);
    return 0;
}

static void fini_object(void *object, void *context) {
    struct ash_slab_cache *cache = context;
    struct ash__place place = place_of(cache, object);
    require_untouched(cache, &place, NULL);
    if (cache->debug.fini != NULL)
        cache->debug.fini(object, cache->context);
}

void ash__debug_prepare(struct ash_slab_cache *cache, const struct ash_slab_config *config,
                        struct ash__store_config *store) {
    uint32_t most =
        config->quarantine_objects != 0 ? config->quarantine_objects : ASH_SLAB_QUARANTINE_DEFAULT;
    store->size_bytes = config->size_bytes + 2 * (size_t)ASH__ZONE_BYTES;
    if (config->init != NULL)
        store->size_bytes += config->size_bytes;
    store->lead_bytes = ASH__ZONE_BYTES;
    store->side_bytes = sizeof(struct ash__record);
    store->init = init_object;
    store->fini = fini_object;
    store->context = cache;
    uint32_t fit = ASH_SLAB_QUARANTINE_BYTES_MAX / (uint32_t)store->size_bytes;
    cache->debug = (struct ash__slab_debug){
        .init = config->init,
        .fini = config->fini,
        .quarantine_max = most < fit ? most : fit,
    };
}

/* Trails */

static struct ash__backtrace backtrace_from(const struct ash_slab_cache *cache, const void *site) {
    const struct ash_slab_trace *trace = cache->trace;
    struct ash__backtrace backtrace = {.owner = 0};
    uint32_t count = 0;
    if (trace != NULL && trace->owner != NULL)
        backtrace.owner = trace->owner(trace->context);
    if (trace != NULL && trace->stack != NULL)
        count = trace->stack(trace->context, backtrace.sites, ASH_SLAB_SITES_MAX);
    for (uint32_t i = count; i < ASH_SLAB_SITES_MAX; i++)
        backtrace.sites[i] = 0;
    if (count == 0)
        backtrace.sites[0] = (uintptr_t)site;
    return backtrace;
}

/* The quarantine, a list through the records; store's lock held */

static void push_locked(struct ash_slab_cache *cache, const struct ash__place *place) {
    struct ash__slab_debug *debug = &cache->debug;
    place->record->state = ASH__RECORD_QUARANTINED;
    place->record->next = NULL;
    if (debug->quarantined == 0)
        debug->oldest = place->object;
    else
        place_of(cache, debug->latest).record->next = place->object;
    debug->latest = place->object;
    ash_store_relaxed(&debug->quarantined, debug->quarantined + 1);
    ash_store_relaxed(&cache->slabs.arrivals, cache->slabs.arrivals + 1);
}

/* The oldest, if more than `most` are in it; its state is then the caller's affair. */
static void *pop_locked(struct ash_slab_cache *cache, uint32_t most) {
    struct ash__slab_debug *debug = &cache->debug;
    if (debug->quarantined <= most)
        return NULL;
    struct ash__record *record = place_of(cache, debug->oldest).record;
    void *object = debug->oldest;
    debug->oldest = record->next;
    record->state = ASH__RECORD_BUSY;
    ash_store_relaxed(&debug->quarantined, debug->quarantined - 1);
    return object;
}

/* Back to its slab; looked at before, for it may not be allocated again soon. How many slabs went
 * back for it. */
static uint32_t give_back(struct ash_slab_cache *cache, void *object,
                          const struct ash__backtrace *now) {
    struct ash__place place = place_of(cache, object);
    struct ash_list surplus;
    ash_list_init(&surplus);
    require_untouched(cache, &place, now);
    ash_store_relaxed(&place.record->state, (uint8_t)ASH__RECORD_FREE);
    uint32_t put = ash__store_put(&cache->slabs, &object, 1, &surplus);
    ASH_REQUIRE(put == 1,
                "slab: %p in %s left the quarantine, and its slab's bitmap says that it is free: "
                "the slab's header was overwritten",
                object, cache->name);
    return ash__store_release(&cache->slabs, &surplus);
}

void *ash__debug_next(const struct ash_slab_cache *cache, const void *object) {
    return place_of(cache, object).record->next;
}

uint32_t ash__debug_drain(struct ash_slab_cache *cache, uint32_t *slabs) {
    for (uint32_t drained = 0;; drained++) {
        ash_irq_t irq = ash__store_lock(&cache->slabs);
        void *object = pop_locked(cache, 0);
        ash__store_unlock(&cache->slabs, irq);
        if (object == NULL)
            return drained;
        *slabs += give_back(cache, object, NULL);
    }
}

/* Allocation and free */

/* An object of a slab, of one that can be made, or of the quarantine: in that order, so that no
 * memory is refused while a free object is kept. */
static void *take(struct ash_slab_cache *cache) {
    void *object;
    uint32_t slabs = 0;
    bool may_reclaim = (cache->flags & ASH_SLAB_INTERRUPTS) == 0;
    if (ash__store_alloc(&cache->slabs, &object, 1, may_reclaim) == 1)
        return object;
    return ash__debug_drain(cache, &slabs) != 0 &&
                   ash__store_alloc(&cache->slabs, &object, 1, false) == 1
               ? object
               : NULL;
}

/* As every call is counted; one that gets nothing is noted as a failure besides. */
static void count_call(struct ash_slab_cache *cache) {
    ash_irq_t irq;
    struct ash__slab_cpu *cpu = ash__slab_enter(cache, &irq);
    ash_count_relaxed(&cpu->allocations);
    ash_store_relaxed(&cpu->misses, cpu->misses + 1);
    ash__slab_leave(cache, irq);
}

void *ash__debug_alloc(struct ash_slab_cache *cache, const void *site) {
    struct ash__backtrace now = backtrace_from(cache, site);
    count_call(cache);
    void *object = take(cache);
    if (object == NULL) {
        ash__slab_cache_note_failure(cache, 1);
        return NULL;
    }
    struct ash__place place = place_of(cache, object);
    require_untouched(cache, &place, &now);
    if (cache->debug.init == NULL)
        __builtin_memset(object, ASH__PAINT_NEW, cache->size_bytes);
    if (cache->construct != NULL && cache->construct(object, cache->context) != 0) {
        paint_free(cache, &place);
        (void)give_back(cache, object, &now);
        ash_fetch_add(&cache->failures, UINT64_C(1));
        ash_fetch_add(&cache->undelivered, UINT64_C(1));
        return NULL;
    }
    place.record->alloc = now;
    if (place.record->allocations != UINT32_MAX)
        place.record->allocations++;
    ash_store_relaxed(&place.record->state, (uint8_t)ASH__RECORD_OUT);
    ash__slab_cache_note_peak(cache);
    return object;
}

/* Who sees it out first may free it; of two CPUs that free it at once, one. */
static bool claim(struct ash_slab_cache *cache, const struct ash__place *place) {
    ash_irq_t irq = ash__store_lock(&cache->slabs);
    bool is_out = place->record->state == ASH__RECORD_OUT;
    if (is_out)
        place->record->state = ASH__RECORD_BUSY;
    ash__store_unlock(&cache->slabs, irq);
    return is_out;
}

void ash__debug_free(struct ash_slab_cache *cache, void *object, const void *site) {
    struct ash__backtrace now = backtrace_from(cache, site);
    uint32_t index;
    if (!ash__store_find(&cache->slabs, object, &index))
        ash__debug_refuse_pointer(cache, object, &now);
    struct ash__place place = ash__debug_place(cache, ash__slab_of(&cache->slabs, object), index);
    if (ash_load_relaxed(&place.record->state) == ASH__RECORD_OUT)
        require_zones(cache, &place, &now);
    if (!claim(cache, &place))
        ash__debug_refuse_double(cache, object, place.record, &now);
    if (cache->destruct != NULL)
        cache->destruct(object, cache->context);
    place.record->free = now;
    paint_free(cache, &place);
    ash_irq_t irq = ash__store_lock(&cache->slabs);
    push_locked(cache, &place);
    void *oldest = pop_locked(cache, cache->debug.quarantine_max);
    ash__store_unlock(&cache->slabs, irq);
    if (oldest != NULL)
        (void)give_back(cache, oldest, &now);
}

/* Reserves */

void ash__debug_reserve(struct ash_slab_cache *cache, void *object) {
    struct ash__place place = place_of(cache, object);
    ash_store_relaxed(&place.record->state, (uint8_t)ASH__RECORD_RESERVED);
}

void ash__debug_hand_out(struct ash_slab_cache *cache, void *object, const void *site) {
    struct ash__place place = place_of(cache, object);
    place.record->alloc = backtrace_from(cache, site);
    ash_store_relaxed(&place.record->state, (uint8_t)ASH__RECORD_OUT);
}

bool ash__debug_is_out(const struct ash_slab_cache *cache, const void *object) {
    return ash_load_relaxed(&place_of(cache, object).record->state) == ASH__RECORD_OUT;
}
