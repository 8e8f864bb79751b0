/* SPDX-License-Identifier: MIT */
/*
 * slab_internal.h: the slab header and what slab.c, slab_check.c and heap.c share.
 */
#ifndef ASHLAR_SLAB_INTERNAL_H
#define ASHLAR_SLAB_INTERNAL_H

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/slab.h>

/* Objects of a slab: the summary has one bit for each 64 of them. */
#define OBJECTS_MAX 4096u

/* In the table of known slabs: no slab's base, not even that of a pointer into page 0. */
#define NOT_KNOWN ((uintptr_t)1)

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

/* The base's entry in the table of known slabs. */
static inline uintptr_t *ash__slab_known(struct ash_slab_cache *cache,
                                         const struct ash__slab *slab) {
    return &cache->known[((uintptr_t)slab >> (ASH_PAGE_SHIFT + cache->order)) % ASH_SLAB_KNOWN];
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

/* Frees an object of a slab that was the cache's when its header was last looked at, without the
 * lock. */
void ash__slab_free_in(struct ash_slab_cache *cache, struct ash__slab *slab, void *object);

/*
 * Frees an object whose slab is in the cache's table of known slabs, checked as ever; false: the
 * slab is not in it, and nothing has been read through the pointer. So the caller may guess the
 * cache.
 */
bool ash__slab_free_known(struct ash_slab_cache *cache, void *object);

/* Panics, as a free would, unless the pointer is an object of the slab that is out. */
void ash__slab_require_out(struct ash_slab_cache *cache, struct ash__slab *slab,
                           const void *object);

/* What a pointer is that is not an object of the cache; block is NULL where it is in none. */
void ash__slab_refuse(const char *cache_name, const void *pointer,
                      const struct ash_page_block *block) __attribute__((noreturn, cold));

#endif
