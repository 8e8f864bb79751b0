/* SPDX-License-Identifier: MIT */
/*
 * slab_trace.h: what the debug profile of <ashlar/slab.h> asks about its callers, and who holds a
 * cache's objects.
 *
 *     slab: double free of 0x7f31c8012340 to task: the object is free already
 *       allocated by owner 7 at 0x401a2c 0x4019f0
 *       freed by owner 9 at 0x401b10
 *       now by owner 7 at 0x401c44
 *
 * Rules
 *  - The callbacks are called without a lock, from the context of the allocation or free. They may
 *    use other caches, not this one.
 *  - Without them, or where stack returns 0, the call site is where the caller called the function
 *    of slab.h or heap.h.
 */
#ifndef ASHLAR_SLAB_TRACE_H
#define ASHLAR_SLAB_TRACE_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ash_slab_cache;

/* Limits */
#define ASH_SLAB_SITES_MAX            4u                  /* calls that are noted of a stack */
#define ASH_SLAB_QUARANTINE_DEFAULT   128u                /* objects */
#define ASH_SLAB_QUARANTINE_BYTES_MAX (UINT32_C(1) << 20) /* of one cache, red zones included */

/* All objects of a cache that were allocated by the same owner through the same calls. */
struct ash_slab_holder {
    const char *cache;
    void *object;     /* one of them */
    uint32_t objects; /* 1 or more; those set aside in a reserve too */
    uint64_t owner;
    uintptr_t sites[ASH_SLAB_SITES_MAX]; /* innermost first; 0 behind the last */
};

/* Any of these may be NULL. */
struct ash_slab_trace {
    /* Who runs: a task's number, say. */
    uint64_t (*owner)(void *context);

    /* Stores up to `max` return addresses, innermost first, and returns how many. */
    uint32_t (*stack)(void *context, uintptr_t *sites, uint32_t max);

    /* Told of each holder by an ash_slab_cache_fini that returns -ASH_EBUSY. */
    void (*leak)(void *context, const struct ash_slab_holder *holder);

    void *context; /* passed through */
};

/*
 * Calls visit once for each holder of a debug cache's objects, and returns how many there were; 0
 * for caches without that profile. Nobody may use the cache meanwhile. O(objects of all slabs *
 * holders).
 */
uint32_t ash_slab_for_each_holder(struct ash_slab_cache *cache,
                                  void (*visit)(void *context,
                                                const struct ash_slab_holder *holder),
                                  void *context);

#ifdef __cplusplus
}
#endif

#endif
