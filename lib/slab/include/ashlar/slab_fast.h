/* SPDX-License-Identifier: MIT */
/*
 * slab_fast.h: the private half of <ashlar/slab.h>: how a cache lies in memory, and the two fast
 * paths that are compiled into the caller. Include slab.h instead.
 *
 *     cpus[n]: loaded ──> [ object object object . . ]      layer 1: this CPU's, no lock
 *              previous ─> [ object object object object ]
 *     depot:   full ────> [ ... ] ─> [ ... ]                layer 2: whole magazines, own lock
 *              empty ───> [ . . ]
 *     slabs:   active, dense, sparse, empty lists           layer 3: objects by bitmap, own lock
 *     magazines: a layer 3 of its own: the memory of the magazines
 */
#ifndef ASHLAR_SLAB_FAST_H
#define ASHLAR_SLAB_FAST_H

#include <ashlar/base.h>
#include <ashlar/list.h>
#include <ashlar/page_source.h>
#include <ashlar/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_SLAB_MAGAZINE_MAX 510u /* objects of a magazine, at most */

struct ash__slab;
struct ash_slab_trace;

/* A stack of free objects. */
struct ash__slab_magazine {
    struct ash__slab_magazine *next; /* in the depot */
    uint32_t count;                  /* while it is in no CPU's hands */
    uint32_t padding;
    void *objects[ASH_SLAB_MAGAZINE_MAX]; /* memory is there for the cache's capacity only */
};

/* One CPU's, touched by that CPU alone while it is pinned; others read the counts. Two lines apart
 * from the next CPU's: many processors fetch lines in pairs. */
struct ash__slab_cpu {
    struct ash__slab_magazine *loaded; /* or NULL */
    uint32_t count; /* objects in it, of a plain cache; else 0: the fast path is closed */
    uint32_t limit; /* its capacity, likewise */
    uint64_t allocations;
    struct ash__slab_magazine *previous; /* or NULL */
    uint32_t previous_count;
    uint32_t held;       /* `count` of a hardened cache without callbacks: hardened_fast.h */
    uint64_t misses;     /* allocations that found nothing in these two magazines */
    uint64_t exchanges;  /* of magazines with the depot */
    uint32_t flush_done; /* the cache's flush_wanted when these were last flushed */
    uint32_t room;       /* and its `limit` */
    uint32_t kept;       /* `count` of all others: callbacks, masked interrupts, debug */
    uint32_t kept_limit; /* the capacity of what is loaded, in a cache of any kind */
    uint8_t apart[ASH_PORT_CACHE_LINE - 8];
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

/* Magazines at rest. */
struct ash__slab_depot {
    struct ash_spinlock lock; /* protects all of it */
    uint32_t full_count, empty_count;
    uint32_t arrivals;                       /* of full ones, ever */
    struct ash__slab_magazine *full, *empty; /* the latest first */
    uint32_t full_least, empty_least;        /* since the last reap: what nobody needed */
    uint32_t full_max;                       /* twice that for both together */
    uint32_t objects;                        /* in the full ones */
    bool interrupts;                         /* mask them while the lock is held */
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

/* Slabs of equal objects. */
struct ash__slab_store {
    struct ash_spinlock lock; /* protects all up to `source`, and the headers of all slabs */
    uint32_t out;             /* objects taken */
    uint32_t slab_count;
    uint32_t empties;  /* on the empty list */
    uint32_t holder;   /* the CPU that took the lock last */
    uint32_t arrivals; /* of batches of objects that were freed, ever */
    uint32_t relist;   /* free objects at which a slab that was full is listed again: 1/16, or 1
                          while the page source has nothing */
    uint32_t unlooked; /* the first slabs of `all`, not yet listed by the latter rule */
    struct ash__slab
        *active;            /* where objects are taken from; on none of the three lists; or NULL */
    struct ash_list dense;  /* at least half used, `relist` objects free when they came here */
    struct ash_list sparse; /* less than half used, not empty */
    struct ash_list empty;
    struct ash_list all; /* every slab, full ones and the active one too */
    uint64_t refills, releases;

    /* Constant after init. */
    struct ash_page_source *source;
    uint32_t id;         /* in the page map; 0: the pages look like nobody's */
    uint32_t order;      /* slab bytes = ASH_PAGE_SIZE << order */
    uint64_t mask;       /* slab bytes - 1 */
    uint32_t stride;     /* bytes from one object to the next */
    uint32_t first;      /* offset of object 0 */
    uint32_t objects;    /* per slab */
    uint32_t half;       /* free objects above which a slab is sparse */
    uint32_t reciprocal; /* ceil(2^32 / stride): offset * reciprocal >> 32 is offset / stride */
    uint32_t side;       /* offset of the side bytes; 0: there are none */
    uint32_t empty_max;
    bool interrupts; /* mask them while the lock is held */
    int (*init)(void *object, void *context);
    void (*fini)(void *object, void *context);
    void *context;
    const void *owner; /* whom events name; NULL: no events */
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

/* What a cache's allocations and frees pass through beyond the magazines. */
enum ash__slab_kind {
    ASH__SLAB_PLAIN,   /* nothing: the fast path is open */
    ASH__SLAB_GUARDED, /* construct, destruct, masked interrupts; hardened ones too */
    ASH__SLAB_HARDENED,
    ASH__SLAB_DEBUG,
};

/* All that a hardened cache's free looks at before it looks at a slab; constant. */
struct ash__slab_hardened {
    const uint16_t *map; /* the page source's, and its range */
    uintptr_t base;
    uint64_t len_pages;
    uintptr_t base_mask; /* a pointer to its slab's base */
    uint32_t id;
    uint32_t objects;
    uint32_t multiplier; /* a pointer to its object's number: hardened_fast.h */
    uint64_t side;       /* offset of the states in a slab; 0: the cache is not hardened */
};

struct ash__slab_debug {
    uint32_t quarantined; /* objects; under the store's lock, as the ends of the list are */
    uint32_t quarantine_max;
    void *oldest, *latest;
    int (*init)(void *object, void *context); /* the cache's own: the store has debug.c's */
    void (*fini)(void *object, void *context);
};

struct ash_slab_cache {
    struct ash__slab_cpu cpus[ASH_PORT_CPUS_MAX];
    struct ash__slab_depot depot;
    struct ash__slab_store slabs, magazines;
    uint32_t flush_wanted; /* raised: each CPU gives its magazines back at its next slow path */
    uint32_t peak;
    uint64_t failures;
    uint64_t
        undelivered;   /* objects that are counted as allocated but were not, for lack of memory */
    uint32_t visitors; /* reclaims that work on it; under the page source's lock */
    bool closed;       /* no reclaim may begin to; likewise */
    uint64_t shuffle_state;
    struct ash__slab_debug debug;

    /* Constant after init. */
    struct ash__slab_hardened hardened __attribute__((aligned(ASH_PORT_CACHE_LINE)));
    uint32_t kind;     /* enum ash__slab_kind */
    uint32_t capacity; /* objects of a magazine */
    uint32_t flags;
    uint32_t size_bytes;
    const char *name;
    int (*construct)(void *object, void *context);
    void (*destruct)(void *object, void *context);
    void *context;
    const struct ash_slab_trace *trace;
};

/* Whatever the fast path cannot do. Called unpinned. site: whom a debug cache names as the caller;
 * NULL: where this call returns to. */
void *ash__slab_alloc_slow(struct ash_slab_cache *cache, const void *site) ASH_MUST_CHECK;
void ash__slab_free_slow(struct ash_slab_cache *cache, void *object, const void *site);

/* Two loads, two counts, one branch. Relaxed stores, since statistics read the counts from other
 * CPUs; they cost what plain ones do. Called pinned, return unpinned. */
static inline void *ash__slab_pop(struct ash__slab_cpu *cpu) {
    uint32_t count = cpu->count - 1;
    ash_store_relaxed(&cpu->count, count);
    ash_count_relaxed(&cpu->allocations);
    void *object = cpu->loaded->objects[count];
    ash_port_unpin();
    return object;
}

static inline void ash__slab_push(struct ash__slab_cpu *cpu, void *object) {
    uint32_t count = cpu->count;
    cpu->loaded->objects[count] = object;
    ash_store_relaxed(&cpu->count, count + 1);
    ash_port_unpin();
}

/* The slow path is a tail call: no frame is built. */
static inline ASH_MUST_CHECK void *ash__slab_alloc_fast(struct ash_slab_cache *cache,
                                                        const void *site) {
    uint32_t index;
    ash_port_pin(&index);
    struct ash__slab_cpu *cpu = &cache->cpus[index];
    if (ASH_LIKELY(cpu->count != 0))
        return ash__slab_pop(cpu);
    ash_port_unpin();
    return ash__slab_alloc_slow(cache, site);
}

/* Called pinned, with this CPU's line of the cache; unpins. */
static inline void ash__slab_free_pinned(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu,
                                         void *object, const void *site) {
    if (ASH_LIKELY(cpu->count != cpu->limit)) {
        ash__slab_push(cpu, object);
        return;
    }
    ash_port_unpin();
    ash__slab_free_slow(cache, object, site);
}

static inline void ash__slab_free_fast(struct ash_slab_cache *cache, void *object,
                                       const void *site) {
    uint32_t index;
    ash_port_pin(&index);
    ash__slab_free_pinned(cache, &cache->cpus[index], object, site);
}

static inline ASH_MUST_CHECK void *ash_slab_alloc_inline(struct ash_slab_cache *cache) {
    return ash__slab_alloc_fast(cache, NULL);
}

static inline void ash_slab_free_inline(struct ash_slab_cache *cache, void *object) {
    ash__slab_free_fast(cache, object, NULL);
}

#ifdef __cplusplus
}
#endif

#endif
