/* SPDX-License-Identifier: MIT */
/* debug_audit.c: walks over all records of a debug cache: who holds what, and is it whole? */
#include "profiles.h"

/* Walks */

typedef const char *(*visit_fn)(struct ash_slab_cache *cache, const struct ash__place *place,
                                bool is_free, void *context);

/* Every object there is, until visit returns something. is_free: says its slab's bitmap. */
static const char *each_object(struct ash_slab_cache *cache, visit_fn visit, void *context) {
    struct ash_list *node;
    ash_list_for_each (node, &cache->slabs.all) {
        const struct ash__slab *slab = ASH_LIST_ENTRY(node, struct ash__slab, all);
        for (uint32_t i = 0; i < cache->slabs.objects; i++) {
            struct ash__place place = ash__debug_place(cache, slab, i);
            bool is_free = (slab->bitmap[i / 64] >> i % 64 & 1) != 0;
            const char *said = visit(cache, &place, is_free, context);
            if (said != NULL)
                return said;
        }
    }
    return NULL;
}

/* Holders */

static bool is_held(const struct ash__record *record) {
    return record->state == ASH__RECORD_OUT || record->state == ASH__RECORD_RESERVED;
}

static bool is_of(const struct ash__record *record, const struct ash_slab_holder *holder) {
    bool same = record->alloc.owner == holder->owner;
    for (uint32_t i = 0; i < ASH_SLAB_SITES_MAX; i++)
        same = same && record->alloc.sites[i] == holder->sites[i];
    return same;
}

/* The first object that nobody has counted begins a holder; those with its backtrace join it. */
static const char *join(struct ash_slab_cache *cache, const struct ash__place *place, bool is_free,
                        void *context) {
    struct ash_slab_holder *holder = context;
    struct ash__record *record = place->record;
    (void)cache, (void)is_free;
    if (!is_held(record) || record->counted || (holder->objects != 0 && !is_of(record, holder)))
        return NULL;
    if (holder->objects++ == 0) {
        holder->object = place->object;
        holder->owner = record->alloc.owner;
        __builtin_memcpy(holder->sites, record->alloc.sites, sizeof(holder->sites));
    }
    record->counted = true;
    return NULL;
}

static const char *forget(struct ash_slab_cache *cache, const struct ash__place *place,
                          bool is_free, void *context) {
    (void)cache, (void)is_free, (void)context;
    place->record->counted = false;
    return NULL;
}

uint32_t ash_slab_for_each_holder(struct ash_slab_cache *cache,
                                  void (*visit)(void *context,
                                                const struct ash_slab_holder *holder),
                                  void *context) {
    if (cache->kind != ASH__SLAB_DEBUG)
        return 0;
    (void)each_object(cache, forget, NULL);
    for (uint32_t holders = 0;; holders++) {
        struct ash_slab_holder holder = {.cache = cache->name};
        (void)each_object(cache, join, &holder);
        if (holder.objects == 0)
            return holders;
        visit(context, &holder);
    }
}

void ash__debug_report_leaks(struct ash_slab_cache *cache) {
    const struct ash_slab_trace *trace = cache->trace;
    if (trace != NULL && trace->leak != NULL)
        ash_slab_for_each_holder(cache, trace->leak, trace->context);
}

/* The audit */

struct census {
    uint32_t quarantined;
};

static const char *check_object(struct ash_slab_cache *cache, const struct ash__place *place,
                                bool is_free, void *context) {
    struct census *census = context;
    uint8_t state = place->record->state;
    uint32_t at;
    int32_t zone_at;
    if ((state == ASH__RECORD_FREE) != is_free)
        return "I21: a record says that an object is free, and its slab that it is not; or the "
               "other way round";
    if (state > ASH__RECORD_RESERVED)
        return "I21: an object is neither free nor out, nor in the quarantine or a reserve";
    census->quarantined += state == ASH__RECORD_QUARANTINED;
    if (!ash__debug_zones_are_whole(cache, place, &zone_at))
        return "I23: a red zone was written to";
    if ((is_free || state == ASH__RECORD_QUARANTINED) &&
        !ash__debug_is_untouched(cache, place, &at))
        return "I24: a free object was written to";
    return NULL;
}

/* The list leads from the oldest to the latest, over quarantined objects alone. */
static const char *check_quarantine(struct ash_slab_cache *cache, uint32_t quarantined) {
    const struct ash__slab_debug *debug = &cache->debug;
    void *object = debug->oldest, *latest = NULL;
    if (debug->quarantined != quarantined || debug->quarantined > debug->quarantine_max)
        return "I22: the quarantine's count is wrong, or above its limit";
    for (uint32_t i = 0; i < quarantined; i++) {
        uint32_t index;
        if (!ash__store_find(&cache->slabs, object, &index))
            return "I22: the quarantine lists what is no object";
        const struct ash__record *record =
            ash__debug_place(cache, ash__slab_of(&cache->slabs, object), index).record;
        if (record->state != ASH__RECORD_QUARANTINED)
            return "I22: the quarantine lists an object that is not in it";
        latest = object;
        object = record->next;
    }
    return quarantined == 0 || (latest == debug->latest && object == NULL)
               ? NULL
               : "I22: the quarantine's list is longer or shorter than its count";
}

const char *ash__debug_check(struct ash_slab_cache *cache) {
    struct census census = {0};
    const char *broken = each_object(cache, check_object, &census);
    return broken != NULL ? broken : check_quarantine(cache, census.quarantined);
}
