/* SPDX-License-Identifier: MIT */
/*
 * profiles.h: the two profiles that look at every pointer, hardened.c and debug.c, and what the
 * rest of the folder asks of them.
 */
#ifndef ASHLAR_SLAB_PROFILES_H
#define ASHLAR_SLAB_PROFILES_H

#include "slab_internal.h"

/* hardened.c */

/* Of an object, as far as its cache knows. The values of a header that was overwritten are others,
 * most likely. */
enum ash__hardened_state {
    ASH__HARDENED_FREE = 0,
    ASH__HARDENED_OUT,
    ASH__HARDENED_RESERVED, /* out, but in a reserve */
};

/* Asks the store for room for the states. */
void ash__hardened_shape(struct ash__store_config *store);

/* Needs the store. */
void ash__hardened_prepare(struct ash_slab_cache *cache, uint64_t seed);

void ash__hardened_shuffle(struct ash_slab_cache *cache, void **objects, uint32_t count);

/* The loaded magazine is empty; is full. Called unpinned. */
void *ash__hardened_alloc_slow(struct ash_slab_cache *cache) ASH_MUST_CHECK;
void ash__hardened_free_slow(struct ash_slab_cache *cache, void *object);

/* What is wrong with a pointer, or its state. They panic; not declared so, for a call that does not
 * return costs the hot functions a stack frame. */
void *ash__hardened_refuse_alloc(struct ash_slab_cache *cache, const void *object);
void ash__hardened_refuse_free(struct ash_slab_cache *cache, const void *pointer);

/* For caches with callbacks or masked interrupts: panics where the object is not free, or not out;
 * or marks it so. */
void ash__hardened_require_free(struct ash_slab_cache *cache, void *object);
void ash__hardened_require_out(struct ash_slab_cache *cache, void *object);

/* Of an object of a hardened cache. */
uint8_t *ash__hardened_state(const struct ash_slab_cache *cache, const void *object);

/* I20, while what is in magazines is marked in the bitmaps. */
const char *ash__hardened_check(struct ash_slab_cache *cache);

/* Both: a reserve takes an object that was allocated for it; hands it out. */
void ash__profile_reserve(struct ash_slab_cache *cache, void *object);
void ash__profile_hand_out(struct ash_slab_cache *cache, void *object, const void *site);

/* False: an object of the cache that is known to be in nobody's hands; a plain cache knows none. */
bool ash__profile_is_out(const struct ash_slab_cache *cache, const void *object);

/* debug.c */

/* What is painted where. None is an address that can be followed, none is text. */
enum {
    ASH__PAINT_NEW = 0xc5,  /* an object handed out, where init has made no state */
    ASH__PAINT_FREE = 0xdf, /* an object that is free */
    ASH__PAINT_ZONE = 0xed, /* red zones */
};

/* Bytes of a red zone: before the object; behind it at least as many. */
#define ASH__ZONE_BYTES 32u

enum ash__record_state {
    ASH__RECORD_FREE = 0, /* in its slab */
    ASH__RECORD_OUT,
    ASH__RECORD_QUARANTINED,
    ASH__RECORD_RESERVED, /* out, but in a reserve */
    ASH__RECORD_BUSY,     /* on its way from one to the other; whoever set it owns the object */
};

/* Who did something: a task's number, and calls, innermost first, as many as are not 0. */
struct ash__backtrace {
    uint64_t owner;
    uintptr_t sites[ASH_SLAB_SITES_MAX];
};

/* One for each object, in its slab's header, where no overflow of an object comes by first. */
struct ash__record {
    struct ash__backtrace alloc, free; /* the latest */
    void *next;                        /* in the quarantine: the object freed after this one */
    uint32_t allocations;              /* of this object, ever; stays at its largest value */
    uint8_t state;                     /* enum ash__record_state; under the store's lock */
    bool counted;                      /* by the walk that groups objects by holder */
};

/* Changes what the cache tells layer 3 of itself: size, header, init and fini. */
void ash__debug_prepare(struct ash_slab_cache *cache, const struct ash_slab_config *config,
                        struct ash__store_config *store);

/* site: where the caller of the library called it. */
void *ash__debug_alloc(struct ash_slab_cache *cache, const void *site) ASH_MUST_CHECK;
void ash__debug_free(struct ash_slab_cache *cache, void *object, const void *site);

/* Everything in the quarantine goes to the slabs; how many objects. Adds to *slabs how many slabs
 * went back. Unpinned, without a lock. */
uint32_t ash__debug_drain(struct ash_slab_cache *cache, uint32_t *slabs);

/* Behind this one in the quarantine. */
void *ash__debug_next(const struct ash_slab_cache *cache, const void *object);

/* A reserve takes an object that was allocated for it; hands it out again. */
void ash__debug_reserve(struct ash_slab_cache *cache, void *object);
void ash__debug_hand_out(struct ash_slab_cache *cache, void *object, const void *site);

bool ash__debug_is_out(const struct ash_slab_cache *cache, const void *object);

/* Where an object of a slab of the cache lies. */
struct ash__place {
    uint8_t *object;
    struct ash__record *record;
};
struct ash__place ash__debug_place(const struct ash_slab_cache *cache, const struct ash__slab *slab,
                                   uint32_t index);

/* False: at is the first byte that was written, counted from the object. */
bool ash__debug_zones_are_whole(const struct ash_slab_cache *cache, const struct ash__place *place,
                                int32_t *at);

/* A free object is as its free left it; false: at is the first byte that differs. */
bool ash__debug_is_untouched(const struct ash_slab_cache *cache, const struct ash__place *place,
                             uint32_t *at);

/* debug_audit.c; quiescent caches only */

/* The first broken invariant of those that DESIGN.md gives this profile, or NULL. */
const char *ash__debug_check(struct ash_slab_cache *cache);

/* Tells the trace of every holder of objects; for a fini that is refused. */
void ash__debug_report_leaks(struct ash_slab_cache *cache);

/* debug_report.c */

/* Panics unless the pointer is an object of the cache. */
void ash__debug_refuse_pointer(struct ash_slab_cache *cache, const void *pointer,
                               const struct ash__backtrace *now) __attribute__((noreturn, cold));

void ash__debug_refuse_double(struct ash_slab_cache *cache, const void *object,
                              const struct ash__record *record, const struct ash__backtrace *now)
    __attribute__((noreturn, cold));

/* at: first byte that differs, counted from the object. */
void ash__debug_report_overflow(struct ash_slab_cache *cache, const void *object,
                                const struct ash__record *record, int32_t at,
                                const struct ash__backtrace *now) __attribute__((noreturn, cold));
void ash__debug_report_use(struct ash_slab_cache *cache, const void *object,
                           const struct ash__record *record, uint32_t at, uint8_t expected,
                           const struct ash__backtrace *now) __attribute__((noreturn, cold));

#endif
