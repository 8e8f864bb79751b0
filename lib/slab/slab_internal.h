/* SPDX-License-Identifier: MIT */
/*
 * slab_internal.h: the slab header and what the files of this folder share.
 */
#ifndef ASHLAR_SLAB_INTERNAL_H
#define ASHLAR_SLAB_INTERNAL_H

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/slab.h>

/* Objects of a slab: the summary has one bit for each 64 of them. */
#define OBJECTS_MAX 4096u

/*
 * A page map's entry: 0, a cache's number, or LARGE | tag << TAG_SHIFT | order for the head of a
 * large block. Its tag says which heap it belongs to; its other pages' entries are 0, so that
 * making and dropping a block costs the same at every size.
 */
#define ASH__SOURCE_LARGE     0x8000u
#define ASH__SOURCE_TAG_SHIFT 6u
#define ASH__SOURCE_TAGS      512u

static inline bool ash__source_is_large(uint16_t entry) {
    return (entry & ASH__SOURCE_LARGE) != 0;
}

static inline uint32_t ash__source_order(uint16_t entry) {
    return entry % (1u << ASH__SOURCE_TAG_SHIFT);
}

static inline uint32_t ash__source_tag(uint16_t entry) {
    return (uint32_t)entry >> ASH__SOURCE_TAG_SHIFT & (ASH__SOURCE_TAGS - 1);
}

/* At the base of every slab. All but `cache` under the cache's lock. */
struct ash__slab {
    struct ash_slab_cache *cache; /* NULL once the slab is on its way back to the page source */
    uint64_t summary;             /* bit w: bitmap[w] is not 0 */
    uint32_t free;                /* bits set in the bitmap */
    uint32_t padding;
    struct ash_list link; /* on the cache's dense, sparse or empty list; detached: active or full */
    struct ash_list all;
    uint64_t bitmap[]; /* bit i of word w: object 64 w + i is free */
};

/*
 * A context that holds the lock and is replaced on its CPU would leave the others spinning for a
 * whole time slice: hence the pin. What is per CPU (magazines) belongs between pin and lock.
 */
static inline void ash__slab_lock(struct ash_slab_cache *cache) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_spin_lock(&cache->lock);
}

static inline void ash__slab_unlock(struct ash_slab_cache *cache) {
    ash_spin_unlock(&cache->lock);
    ash_port_unpin();
}

static inline struct ash__slab *ash__slab_of(const struct ash_slab_cache *cache,
                                             const void *pointer) {
    return (struct ash__slab *)((uintptr_t)pointer & ~(uintptr_t)cache->mask);
}

/*
 * Index of the object at `offset` bytes behind object 0, rounded down. Exact for every offset below
 * 2^16: reciprocal = (2^32 + e) / stride with e < stride <= 2^13, so the error, offset * e / stride
 * / 2^32, is below 2^16 / 2^32, and the fraction of offset / stride is at most 1 - 2^-13. An offset
 * that wrapped below 0 (a pointer into the header) gives an index of at least 2^18.
 */
static inline uint32_t ash__slab_index(const struct ash_slab_cache *cache, uint32_t offset) {
    return (uint32_t)((uint64_t)offset * cache->reciprocal >> 32);
}

static inline char *ash__slab_object(const struct ash_slab_cache *cache,
                                     const struct ash__slab *slab, uint32_t index) {
    return (char *)(uintptr_t)slab + cache->first + (size_t)index * cache->stride;
}

/* Sets order, stride, first, objects, half, relist, reciprocal, mask from the configuration. */
void ash__slab_layout(struct ash_slab_cache *cache);

/* Makes a cache that has no number yet, and so no slab: ash__source_register gives it one. */
int ash__slab_cache_prepare(struct ash_slab_cache *cache, const struct ash_slab_config *config);

/* Panics, as a free would, unless the pointer is an object of the cache that is out. */
void ash__slab_require_out(struct ash_slab_cache *cache, const void *object);

/* What a pointer is that is in no slab of the cache or heap with that name. */
void ash__slab_refuse(struct ash_page_source *source, const char *name, const void *pointer)
    __attribute__((noreturn, cold));

/* Numbers in a row for `count` caches that have none, the first to *first_id; -ASH_ENOSPC. */
int ash__source_register(struct ash_page_source *source, struct ash_slab_cache *caches,
                         uint32_t count, uint32_t *first_id);

/* Waits until no reclaim works on the cache. It has no slab any more. */
void ash__source_unregister(struct ash_page_source *source, struct ash_slab_cache *cache);

/* The cache with that number, or NULL; it may go at any time. */
struct ash_slab_cache *ash__source_cache(struct ash_page_source *source, uint32_t id);

/* 2^order pages, or NULL; when none is left the other caches are asked to give some back, unless
 * the caller cannot wait for that. Without a lock. */
void *ash__source_alloc(struct ash_page_source *source, uint32_t order, bool may_reclaim);
void ash__source_free(struct ash_page_source *source, void *block, uint32_t order);

/* Enters the pages of a block in the map: a cache's number, 0 when it goes back. The cache's lock
 * orders this against a free's look at the map. */
void ash__source_mark(struct ash_page_source *source, const void *base, uint32_t order,
                      uint16_t entry);

/* The same for a large block, in its first page alone. tag: below ASH__SOURCE_TAGS. */
void ash__source_mark_large(struct ash_page_source *source, const void *base, uint32_t order,
                            uint32_t tag);

/* Takes the mark away, if it still is `entry`: of several at the same time one succeeds. */
bool ash__source_unmark_large(struct ash_page_source *source, const void *base, uint16_t entry);

/* The head of the large block that the pointer is in, or NULL. O(log pages); for messages. */
const void *ash__source_large_around(const struct ash_page_source *source, const void *pointer);

#endif
