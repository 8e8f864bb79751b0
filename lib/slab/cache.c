/* SPDX-License-Identifier: MIT */
/* cache.c: caches: their life, the out-of-line calls, and what gives memory back. */
#include "hardened_fast.h"

/* Life */

enum { FLAGS_KNOWN = ASH_SLAB_HARDENED | ASH_SLAB_DEBUG | ASH_SLAB_INTERRUPTS };

static bool config_is_valid(const struct ash_slab_config *config) {
    return config->name != NULL && config->size_bytes >= 1 &&
           config->size_bytes <= ASH_SLAB_SIZE_MAX && ash_is_pow2(config->align_bytes) &&
           config->align_bytes <= ASH_SLAB_ALIGN_MAX && ash_is_pow2(config->slab_bytes) &&
           config->slab_bytes >= ASH_PAGE_SIZE && config->slab_bytes <= ASH_SLAB_BYTES_MAX &&
           config->empty_max <= ASH_SLAB_EMPTY_MAX_LIMIT &&
           config->magazine_objects <= ASH_SLAB_MAGAZINE_MAX &&
           config->depot_magazines <= ASH_SLAB_DEPOT_MAX &&
           (config->flags & ~(uint32_t)FLAGS_KNOWN) == 0 && config->source != NULL;
}

/*
 * Larger: fewer exchanges, and a queue between two CPUs is cheaper. Smaller: fewer objects lie idle
 * in two magazines a CPU. With the 16 bytes of head a magazine is a whole number of lines, so that
 * those of two CPUs share none, and 4, 7, 15 or 31 of them fill a page but for its header.
 */
static uint32_t capacity_for(uint32_t stride) {
    if (stride <= 256)
        return 118;
    if (stride <= 1024)
        return 62;
    return stride <= 2048 ? 30 : 14;
}

static void init_stores(struct ash_slab_cache *cache, const struct ash_slab_config *config) {
    struct ash__store_config slabs = {
        .source = config->source,
        .size_bytes = config->size_bytes,
        .align_bytes = config->align_bytes,
        .slab_bytes = config->slab_bytes,
        .empty_max = config->empty_max,
        .interrupts = (config->flags & ASH_SLAB_INTERRUPTS) != 0,
        .init = config->init,
        .fini = config->fini,
        .context = config->context,
        .owner = cache,
    };
    if (cache->kind == ASH__SLAB_DEBUG)
        ash__debug_prepare(cache, config, &slabs);
    else if ((config->flags & ASH_SLAB_HARDENED) != 0)
        ash__hardened_shape(&slabs);
    ash__store_init(&cache->slabs, &slabs);
    cache->capacity = config->magazine_objects != 0 ? config->magazine_objects
                                                    : capacity_for(cache->slabs.stride);
    const struct ash__store_config magazines = {
        .source = config->source,
        .size_bytes =
            offsetof(struct ash__slab_magazine, objects) + cache->capacity * sizeof(void *),
        .align_bytes = ASH_PORT_CACHE_LINE,
        .slab_bytes = ASH_PAGE_SIZE,
        .interrupts = slabs.interrupts,
    };
    ash__store_init(&cache->magazines, &magazines);
}

static uint32_t kind_of(const struct ash_slab_config *config) {
    if ((config->flags & ASH_SLAB_DEBUG) != 0)
        return ASH__SLAB_DEBUG;
    if (config->construct != NULL || config->destruct != NULL ||
        (config->flags & ASH_SLAB_INTERRUPTS) != 0)
        return ASH__SLAB_GUARDED;
    return (config->flags & ASH_SLAB_HARDENED) != 0 ? ASH__SLAB_HARDENED : ASH__SLAB_PLAIN;
}

int ash__slab_cache_prepare(struct ash_slab_cache *cache, const struct ash_slab_config *config) {
    if (config == NULL)
        return -ASH_EINVAL;
    struct ash_slab_config chosen = *config;
    if (chosen.align_bytes == 0)
        chosen.align_bytes = ASH_SLAB_ALIGN_MIN;
    if (chosen.slab_bytes == 0)
        chosen.slab_bytes = ASH_SLAB_BYTES_DEFAULT;
    if (chosen.depot_magazines == 0)
        chosen.depot_magazines = 2 * ASH_PORT_CPUS_MAX;
    if (!config_is_valid(&chosen))
        return -ASH_EINVAL;
    if (chosen.align_bytes < ASH_SLAB_ALIGN_MIN)
        chosen.align_bytes = ASH_SLAB_ALIGN_MIN;
    *cache = (struct ash_slab_cache){
        .kind = kind_of(&chosen),
        .flags = chosen.flags,
        .size_bytes = (uint32_t)chosen.size_bytes,
        .name = chosen.name,
        .construct = chosen.construct,
        .destruct = chosen.destruct,
        .context = chosen.context,
        .trace = chosen.trace,
    };
    init_stores(cache, &chosen);
    if (cache->kind != ASH__SLAB_DEBUG && (chosen.flags & ASH_SLAB_HARDENED) != 0)
        ash__hardened_prepare(cache, chosen.seed);
    ash__depot_init(&cache->depot, chosen.depot_magazines, cache->slabs.interrupts);
    return 0;
}

int ash_slab_cache_init(struct ash_slab_cache *cache, const struct ash_slab_config *config) {
    uint32_t id;
    int error = ash__slab_cache_prepare(cache, config);
    return error != 0 ? error : ash__source_register(config->source, cache, 1, &id);
}

bool ash__slab_cache_empty(struct ash_slab_cache *cache, struct ash__deferred *deferred) {
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++) {
        ash__cpu_flush(cache, &cache->cpus[i], ASH__TO_SLABS, deferred);
        ash__deferred_do(cache, deferred);
    }
    (void)ash__slab_cache_give_back(cache, deferred);
    if (cache->slabs.out != 0 || cache->magazines.out != 0 || deferred->has_refused)
        return false;
    ASH_ASSERT(cache->slabs.slab_count == 0 && cache->magazines.slab_count == 0);
    return true;
}

/* Open again before anything is said: whoever goes on after a panic finds a whole cache. */
int ash_slab_cache_fini(struct ash_slab_cache *cache) {
    struct ash_page_source *source = cache->slabs.source;
    struct ash__deferred deferred;
    ash__deferred_init(&deferred);
    ash__source_close(source, cache);
    if (ash__slab_cache_empty(cache, &deferred)) {
        ash__source_unregister(source, cache);
        return 0;
    }
    ash__source_open(source, cache);
    ash__deferred_report(cache, &deferred);
    if (cache->kind == ASH__SLAB_DEBUG)
        ash__debug_report_leaks(cache);
    return -ASH_EBUSY;
}

/* Allocation and free. What a cache's kind asks for beyond the magazines is decided here. */

static __attribute__((noinline)) void *alloc_by_kind(struct ash_slab_cache *cache,
                                                     const void *site) {
    if (ASH_LIKELY(cache->kind == ASH__SLAB_PLAIN))
        return ash__magazine_alloc(cache);
    if (cache->kind == ASH__SLAB_HARDENED)
        return ash__hardened_alloc_slow(cache);
    if (cache->kind == ASH__SLAB_DEBUG)
        return ash__debug_alloc(cache, site);
    return ash__guarded_alloc(cache);
}

static __attribute__((noinline)) void free_by_kind(struct ash_slab_cache *cache, void *object,
                                                   const void *site) {
    if (ASH_LIKELY(cache->kind == ASH__SLAB_PLAIN))
        ash__magazine_free(cache, object);
    else if (cache->kind == ASH__SLAB_HARDENED)
        ash__hardened_free_slow(cache, object);
    else if (cache->kind == ASH__SLAB_DEBUG)
        ash__debug_free(cache, object, site);
    else
        ash__guarded_free(cache, object);
}

void *ash__slab_alloc_slow(struct ash_slab_cache *cache, const void *site) {
    uint32_t index;
    ash_port_pin(&index);
    struct ash__slab_cpu *cpu = &cache->cpus[index];
    if (ASH_LIKELY(cpu->held != 0))
        return ash__hardened_pop(cache, cpu);
    ash_port_unpin();
    return alloc_by_kind(cache, site != NULL ? site : __builtin_return_address(0));
}

void ash__slab_free_slow(struct ash_slab_cache *cache, void *object, const void *site) {
    uint32_t index;
    ash_port_pin(&index);
    struct ash__slab_cpu *cpu = &cache->cpus[index];
    if (ASH_LIKELY(cpu->held != cpu->room)) {
        ash__hardened_push(cache, cpu, object);
        return;
    }
    ash_port_unpin();
    free_by_kind(cache, object, site != NULL ? site : __builtin_return_address(0));
}

/* What the inline forms do; but a hardened cache is not left and entered once more. */
ASH_HOT_ENTRY void *ash_slab_alloc(struct ash_slab_cache *cache) {
    uint32_t index;
    ash_port_pin(&index);
    struct ash__slab_cpu *cpu = &cache->cpus[index];
    if (ASH_LIKELY(cpu->count != 0))
        return ash__slab_pop(cpu);
    if (ASH_LIKELY(cpu->held != 0))
        return ash__hardened_pop(cache, cpu);
    ash_port_unpin();
    return alloc_by_kind(cache, __builtin_return_address(0));
}

ASH_HOT_ENTRY void ash_slab_free(struct ash_slab_cache *cache, void *object) {
    uint32_t index;
    ash_port_pin(&index);
    struct ash__slab_cpu *cpu = &cache->cpus[index];
    if (ASH_LIKELY(cpu->count != cpu->limit)) {
        ash__slab_push(cpu, object);
        return;
    }
    if (ASH_LIKELY(cpu->held != cpu->room)) {
        ash__hardened_push(cache, cpu, object);
        return;
    }
    ash_port_unpin();
    free_by_kind(cache, object, __builtin_return_address(0));
}

/* Giving back */

void ash_slab_cache_flush(struct ash_slab_cache *cache) {
    struct ash__deferred deferred;
    ash_irq_t irq;
    ash__deferred_init(&deferred);
    ash__cpu_flush(cache, ash__slab_enter(cache, &irq), ASH__TO_DEPOT, &deferred);
    ash__slab_leave(cache, irq);
    ash__deferred_finish(cache, &deferred);
}

/* The objects of a chain of magazines go to the slabs, and the magazines back. */
static void dissolve(struct ash_slab_cache *cache, struct ash__slab_magazine *chain,
                     struct ash__deferred *deferred) {
    while (chain != NULL) {
        struct ash__slab_magazine *magazine = chain;
        chain = magazine->next;
        ash__magazine_drain(cache, magazine, deferred);
        ash__deferred_add_spent(deferred, magazine);
    }
    ash__deferred_do(cache, deferred);
}

/* Gives all empty slabs back; how many pages those are, with what went back before. Slabs
 * stay where a pointer was refused: what is said of it may depend on them. */
static uint64_t shrink_stores(struct ash_slab_cache *cache, struct ash__deferred *deferred) {
    deferred->magazine_slabs += ash__store_shrink(&cache->magazines);
    if (ASH_LIKELY(!deferred->has_refused))
        deferred->slabs += ash__store_shrink(&cache->slabs);
    return ((uint64_t)deferred->slabs << cache->slabs.order) +
           ((uint64_t)deferred->magazine_slabs << cache->magazines.order);
}

uint64_t ash__slab_cache_give_back(struct ash_slab_cache *cache, struct ash__deferred *deferred) {
    ash_irq_t irq;
    ash_fetch_add(&cache->flush_wanted, 1u);
    ash__cpu_flush(cache, ash__slab_enter(cache, &irq), ASH__TO_SLABS, deferred);
    ash__slab_leave(cache, irq);
    dissolve(cache, ash__depot_empty_out(&cache->depot, false), deferred);
    if (cache->kind == ASH__SLAB_DEBUG)
        (void)ash__debug_drain(cache, &deferred->slabs);
    return shrink_stores(cache, deferred);
}

uint32_t ash_slab_cache_shrink(struct ash_slab_cache *cache) {
    struct ash__deferred deferred;
    ash__deferred_init(&deferred);
    (void)ash__slab_cache_give_back(cache, &deferred);
    ash__deferred_report(cache, &deferred);
    return deferred.slabs;
}

uint32_t ash_slab_cache_reap(struct ash_slab_cache *cache) {
    struct ash__deferred deferred;
    ash__deferred_init(&deferred);
    dissolve(cache, ash__depot_empty_out(&cache->depot, true), &deferred);
    (void)shrink_stores(cache, &deferred);
    ash__deferred_report(cache, &deferred);
    return deferred.slabs;
}
