/* SPDX-License-Identifier: MIT */
/*
 * stats.c: what the layers have counted, summed when somebody asks. Counts of other CPUs are read
 * while these go on: each is true at some moment of the call, their sum nearly so.
 */
#include "slab_internal.h"

static uint32_t cpu_objects(const struct ash_slab_cache *cache, const struct ash__slab_cpu *cpu) {
    return ash__cpu_count(cache, cpu) + ash_load_relaxed(&cpu->previous_count);
}

/* Free objects in magazines and the quarantine. */
static uint32_t cached_objects(struct ash_slab_cache *cache) {
    uint32_t objects =
        ash_load_relaxed(&cache->depot.objects) + ash_load_relaxed(&cache->debug.quarantined);
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++)
        objects += cpu_objects(cache, &cache->cpus[i]);
    return objects;
}

uint32_t ash__slab_cache_used(struct ash_slab_cache *cache) {
    uint32_t out = ash_load_relaxed(&cache->slabs.out), cached = cached_objects(cache);
    return out > cached ? out - cached : 0;
}

/* A sum that a magazine slipped through, from a count not yet read to one read already, is too
 * high, and would stay the peak for ever: so what would raise it is summed twice, and the smaller
 * one counts. A magazine each time could deceive it still. */
void ash__slab_cache_note_peak(struct ash_slab_cache *cache) {
    uint32_t used = ash__slab_cache_used(cache), peak = ash_load_relaxed(&cache->peak);
    if (ASH_LIKELY(used <= peak))
        return;
    used = (uint32_t)ash_min_u64(used, ash__slab_cache_used(cache));
    while (used > peak && !ash_compare_exchange(&cache->peak, &peak, used)) {}
}

void ash__slab_cache_note_failure(struct ash_slab_cache *cache, uint32_t objects) {
    ash_fetch_add(&cache->failures, UINT64_C(1));
    ash_fetch_add(&cache->undelivered, (uint64_t)objects);
    ash_fetch_add(&cache->flush_wanted, 1u);
}

void ash_slab_cache_get_cpu_stats(struct ash_slab_cache *cache, uint32_t index,
                                  struct ash_slab_cpu_stats *stats) {
    *stats = (struct ash_slab_cpu_stats){0};
    if (index >= ASH_PORT_CPUS_MAX)
        return;
    const struct ash__slab_cpu *cpu = &cache->cpus[index];
    stats->allocations = ash_load_relaxed(&cpu->allocations);
    uint64_t misses = ash_load_relaxed(&cpu->misses);
    stats->hits = stats->allocations > misses ? stats->allocations - misses : 0;
    stats->exchanges = ash_load_relaxed(&cpu->exchanges);
    stats->cached = cpu_objects(cache, cpu);
}

static void add_cpus(struct ash_slab_cache *cache, struct ash_slab_stats *stats) {
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++) {
        struct ash_slab_cpu_stats cpu;
        ash_slab_cache_get_cpu_stats(cache, i, &cpu);
        stats->allocations += cpu.allocations;
        stats->hits += cpu.hits;
        stats->exchanges += cpu.exchanges;
    }
    uint64_t undelivered = ash_load_relaxed(&cache->undelivered);
    stats->allocations -= ash_min_u64(undelivered, stats->allocations);
    stats->hits = ash_min_u64(stats->hits, stats->allocations); /* some of them undelivered */
    stats->frees = stats->allocations - ash_min_u64(stats->used, stats->allocations);
}

void ash_slab_cache_get_stats(struct ash_slab_cache *cache, struct ash_slab_stats *stats) {
    const struct ash__slab_store *slabs = &cache->slabs;
    ash__slab_cache_note_peak(cache);
    *stats = (struct ash_slab_stats){
        .name = cache->name,
        .size_bytes = cache->size_bytes,
        .stride_bytes = slabs->stride,
        .slab_bytes = (uint32_t)(slabs->mask + 1),
        .objects_per_slab = slabs->objects,
        .first_bytes = slabs->first,
        .waste_bytes = (uint32_t)(slabs->mask + 1) - slabs->objects * slabs->stride,
        .flags = cache->flags,
        .magazine_objects = cache->capacity,
        .used = ash__slab_cache_used(cache),
        .peak = ash_load_relaxed(&cache->peak),
        .cached = cached_objects(cache),
        .failures = ash_load_relaxed(&cache->failures),
        .magazine_bytes =
            (uint64_t)ash_load_relaxed(&cache->magazines.slab_count) * (cache->magazines.mask + 1),
    };
    ash_irq_t irq = ash__store_lock(&cache->slabs);
    stats->slabs = slabs->slab_count;
    stats->empties = slabs->empties;
    stats->refills = slabs->refills;
    stats->releases = slabs->releases;
    ash__store_unlock(&cache->slabs, irq);
    add_cpus(cache, stats);
}
