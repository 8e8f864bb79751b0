/* SPDX-License-Identifier: MIT */
/*
 * slab_internal.h: what the files of this folder share. By layer, from the page source up; each
 * layer calls only those above it here.
 */
#ifndef ASHLAR_SLAB_INTERNAL_H
#define ASHLAR_SLAB_INTERNAL_H

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/heap.h>

/* What several CPUs share, or one CPU and its handlers */

/* On this CPU until the end, its handlers kept out where interrupts are to be masked. */
static inline ash_irq_t ash__enter(bool interrupts, uint32_t *cpu) {
    ash_irq_t irq = interrupts ? ash_port_irq_save() : (ash_irq_t)0;
    ash_port_pin(cpu);
    return irq;
}

static inline void ash__leave(bool interrupts, ash_irq_t irq) {
    ash_port_unpin();
    if (interrupts)
        ash_port_irq_restore(irq);
}

/* A holder that is replaced on its CPU would leave the others spinning for a whole time slice:
 * hence the pin. */
static inline ash_irq_t ash__lock(struct ash_spinlock *lock, bool interrupts, uint32_t *cpu) {
    ash_irq_t irq = ash__enter(interrupts, cpu);
    ash_spin_lock(lock);
    return irq;
}

static inline void ash__unlock(struct ash_spinlock *lock, bool interrupts, ash_irq_t irq) {
    ash_spin_unlock(lock);
    ash__leave(interrupts, irq);
}

/* page_source.c: the page map and the numbers of caches */

/*
 * A page map's entry: 0, a cache's number, or, for the head of a large block,
 * ASH__SOURCE_LARGE | tag << ASH__SOURCE_TAG_SHIFT | order. The tag says which heap it belongs to;
 * the entries of its other pages are 0, so that making and dropping a block costs the same at every
 * size.
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

/* Numbers in a row for `count` caches that have none, the first to *first_id; -ASH_ENOSPC. */
int ash__source_register(struct ash_page_source *source, struct ash_slab_cache *caches,
                         uint32_t count, uint32_t *first_id);
void ash__source_unregister(struct ash_page_source *source, struct ash_slab_cache *cache);

/* No reclaim works on the cache from here on; close waits until none does. */
void ash__source_close(struct ash_page_source *source, struct ash_slab_cache *cache);
void ash__source_open(struct ash_page_source *source, struct ash_slab_cache *cache);

/* The cache with that number, or NULL; it may go at any time. */
struct ash_slab_cache *ash__source_cache(struct ash_page_source *source, uint32_t id);

/* 2^order pages, or NULL; when none is left the caches are asked to give some back, unless the
 * caller cannot wait for that. Without a lock. */
void *ash__source_alloc(struct ash_page_source *source, uint32_t order, bool may_reclaim);
void ash__source_free(struct ash_page_source *source, void *block, uint32_t order);

/* Enters the pages of a block in the map: a cache's number, 0 when it goes back. The store's lock
 * orders this against a free's look at the map. */
void ash__source_mark(struct ash_page_source *source, const void *base, uint32_t order,
                      uint16_t entry);

/* The same for a large block, in its first page alone; ash__source_mark of that one page takes it
 * away. tag: below ASH__SOURCE_TAGS. */
void ash__source_mark_large(struct ash_page_source *source, const void *base, uint32_t order,
                            uint32_t tag);

/* The head of the large block that the pointer is in, or NULL. O(log pages); for messages. */
const void *ash__source_large_around(const struct ash_page_source *source, const void *pointer);

/* slabs.c, layout.c: layer 3, slabs of equal objects */

/* The largest slab is one page or more, and 2^16 bytes, the bound of ash__slab_index; in the
 * smallest, a page, lie at least four of the default magazines. */
_Static_assert(ASH_PAGE_SHIFT >= 12 && ASH_PAGE_SIZE <= ASH_SLAB_BYTES_MAX,
               "lib/slab is for pages of 4 to 64 KiB");
_Static_assert(ASH_SLAB_BYTES_MAX == 1u << 16, "ash__slab_index is exact for offsets below 2^16");

/* Objects of a slab: the summary has one bit for each 64 of them. */
#define OBJECTS_MAX 4096u

/* At the base of every slab. All but `store` under the store's lock. */
struct ash__slab {
    struct ash__slab_store *store; /* NULL once the slab is on its way back to the page source */
    uint64_t summary;              /* bit w: bitmap[w] is not 0 */
    uint32_t free;                 /* bits set in the bitmap */
    uint32_t padding;
    struct ash_list link; /* on the store's dense, sparse or empty list; detached: active or full */
    struct ash_list all;
    uint64_t bitmap[]; /* bit i of word w: object 64 w + i is free */
};

struct ash__store_config {
    struct ash_page_source *source;
    size_t size_bytes, align_bytes, slab_bytes; /* valid */
    uint32_t empty_max;
    uint32_t side_bytes; /* for each object, behind the bitmap: a profile's notes */
    bool to_the_end;     /* the last object ends where the slab does; see layout.c */
    uint32_t lead_bytes; /* before object 0, at least */
    bool interrupts;
    int (*init)(void *object, void *context);
    void (*fini)(void *object, void *context);
    void *context;
    const void *owner;
};

/* Empty; takes no page. Its number in the page map is 0 until the owner sets it. */
void ash__store_init(struct ash__slab_store *store, const struct ash__store_config *config);

/* Sets order, stride, first, objects, half, relist, reciprocal, side, mask. */
void ash__store_layout(struct ash__slab_store *store, const struct ash__store_config *config);

/* Takes up to `count` objects from the listed slabs, under one lock; how many. */
uint32_t ash__store_take(struct ash__slab_store *store, void **objects, uint32_t count);

/* The same, and makes slabs as long as objects are wanting; the last ones of slabs as good as full
 * are found when no slab can be made. Without a lock, unpinned. */
uint32_t ash__store_alloc(struct ash__slab_store *store, void **objects, uint32_t count,
                          bool may_reclaim);

/*
 * Takes objects back, under one lock, until one of them is not an object of the store that is out:
 * how many. Slabs that are empty and too many are appended to *surplus.
 */
uint32_t ash__store_put(struct ash__slab_store *store, void *const *objects, uint32_t count,
                        struct ash_list *surplus);

/* Gives the slabs of a list back to the page source; how many. Without a lock, unpinned. */
uint32_t ash__store_release(struct ash__slab_store *store, struct ash_list *surplus);

/* Gives every empty slab back; how many. */
uint32_t ash__store_shrink(struct ash__slab_store *store);

/* The first broken invariant I1..I6, or NULL. */
const char *ash__store_check(struct ash__slab_store *store);

static inline ash_irq_t ash__store_lock(struct ash__slab_store *store) {
    uint32_t cpu;
    ash_irq_t irq = ash__lock(&store->lock, store->interrupts, &cpu);
    store->holder = cpu;
    return irq;
}

static inline void ash__store_unlock(struct ash__slab_store *store, ash_irq_t irq) {
    ash__unlock(&store->lock, store->interrupts, irq);
}

/* What is as good as full is on no list: else each free at random would be a change of list. */
static inline uint32_t ash__store_usual_relist(const struct ash__slab_store *store) {
    return store->objects / 16 + 1;
}

static inline struct ash__slab *ash__slab_of(const struct ash__slab_store *store,
                                             const void *pointer) {
    return (struct ash__slab *)((uintptr_t)pointer & ~(uintptr_t)store->mask);
}

/*
 * Index of the object at `offset` bytes behind object 0, rounded down. Exact for every offset below
 * 2^16: reciprocal = (2^32 + e) / stride with e < stride <= 2^15 (a debug cache's, with zones and a
 * copy; else 2^13), so the error, offset * e / stride / 2^32, is below 2^16 / 2^32, and the
 * fraction of offset / stride is at most 1 - 2^-15. An offset that wrapped below 0 (a pointer into
 * the header) gives an index of at least 2^16, more than a slab has objects.
 */
static inline uint32_t ash__slab_index(const struct ash__slab_store *store, uint32_t offset) {
    return (uint32_t)((uint64_t)offset * store->reciprocal >> 32);
}

static inline char *ash__slab_object(const struct ash__slab_store *store,
                                     const struct ash__slab *slab, uint32_t index) {
    return (char *)(uintptr_t)slab + store->first + (size_t)index * store->stride;
}

/* The number in its slab of an object of the store; false for a pointer that is none. Asks the map
 * and the layout, and reads nothing at the pointer. */
static inline bool ash__store_find(const struct ash__slab_store *store, const void *pointer,
                                   uint32_t *index) {
    uint32_t offset = (uint32_t)((uintptr_t)pointer & store->mask) - store->first;
    *index = ash__slab_index(store, offset);
    return ash__source_entry(store->source, pointer) == store->id && *index < store->objects &&
           *index * store->stride == offset;
}

/* depot.c: layer 2, whole magazines */

void ash__depot_init(struct ash__slab_depot *depot, uint32_t full_max, bool interrupts);

/* A magazine with objects, in exchange for `spare`, empty or NULL; NULL: none, and `spare` stays
 * the caller's. */
struct ash__slab_magazine *ash__depot_take_full(struct ash__slab_depot *depot,
                                                struct ash__slab_magazine *spare);

/* An empty magazine, in exchange for `full`, or NULL; NULL: there is none, or no room for `full`,
 * which stays the caller's. */
struct ash__slab_magazine *ash__depot_take_empty(struct ash__slab_depot *depot,
                                                 struct ash__slab_magazine *full);

/* False: no room for it; it stays the caller's. */
bool ash__depot_put(struct ash__slab_depot *depot, struct ash__slab_magazine *magazine);
bool ash__depot_is_full(struct ash__slab_depot *depot);

/* All magazines, as a chain; or as many as have lain unused since the last call with `idle`. */
struct ash__slab_magazine *ash__depot_empty_out(struct ash__slab_depot *depot, bool idle);

/* magazine.c: layer 1, one CPU's two magazines */

/* Work that is deferred until the CPU is left and no lock is held. */
struct ash__deferred {
    struct ash_list surplus;          /* slabs to give back */
    struct ash__slab_magazine *spent; /* empty magazines to give back */
    void *refused;                    /* a pointer that is no object that is out */
    bool has_refused;
    uint32_t slabs, magazine_slabs; /* given back, so far */
};

static inline void ash__deferred_init(struct ash__deferred *deferred) {
    ash_list_init(&deferred->surplus);
    deferred->spent = NULL;
    deferred->refused = NULL;
    deferred->has_refused = false;
    deferred->slabs = 0;
    deferred->magazine_slabs = 0;
}

static inline void ash__deferred_add_spent(struct ash__deferred *deferred,
                                           struct ash__slab_magazine *magazine) {
    magazine->next = deferred->spent;
    deferred->spent = magazine;
}

/* Does the work, but for the refused pointer; report panics if there is one; finish is both. */
void ash__deferred_do(struct ash_slab_cache *cache, struct ash__deferred *deferred);
void ash__deferred_report(struct ash_slab_cache *cache, const struct ash__deferred *deferred);
void ash__deferred_finish(struct ash_slab_cache *cache, struct ash__deferred *deferred);

static inline struct ash__slab_cpu *ash__slab_enter(struct ash_slab_cache *cache, ash_irq_t *irq) {
    uint32_t index;
    *irq = ash__enter(cache->slabs.interrupts, &index);
    return &cache->cpus[index];
}

static inline void ash__slab_leave(struct ash_slab_cache *cache, ash_irq_t irq) {
    ash__leave(cache->slabs.interrupts, irq);
}

/* Objects in the loaded magazine: of the three counts the one of the cache's kind, so that each
 * path is closed to the caches that it is not for. */
static inline const uint32_t *ash__cpu_counter(const struct ash_slab_cache *cache,
                                               const struct ash__slab_cpu *cpu) {
    if (cache->kind == ASH__SLAB_PLAIN)
        return &cpu->count;
    return cache->kind == ASH__SLAB_HARDENED ? &cpu->held : &cpu->kept;
}

static inline uint32_t ash__cpu_count(const struct ash_slab_cache *cache,
                                      const struct ash__slab_cpu *cpu) {
    return ash_load_relaxed(ash__cpu_counter(cache, cpu));
}

static inline void ash__cpu_set_count(const struct ash_slab_cache *cache, struct ash__slab_cpu *cpu,
                                      uint32_t count) {
    ash_store_relaxed((uint32_t *)(uintptr_t)ash__cpu_counter(cache, cpu), count);
}

/* One object from this CPU's magazines, the depot, the slabs, the page source: in that order. */
void *ash__magazine_alloc(struct ash_slab_cache *cache);
void ash__magazine_free(struct ash_slab_cache *cache, void *object);

/* How many of `count` objects there were. */
uint32_t ash__magazine_alloc_bulk(struct ash_slab_cache *cache, void **objects, uint32_t count);
void ash__magazine_free_bulk(struct ash_slab_cache *cache, void *const *objects, uint32_t count);

/* Empties both magazines of a CPU. */
enum ash__flush_to {
    ASH__TO_DEPOT, /* as far as there is room */
    ASH__TO_SLABS,
};
void ash__cpu_flush(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu, enum ash__flush_to to,
                    struct ash__deferred *deferred);

/* Memory for a magazine, or NULL; and back, which returns how many slabs of magazines went with it.
 * Both unpinned. */
struct ash__slab_magazine *ash__magazine_new(struct ash_slab_cache *cache, bool may_reclaim);
uint32_t ash__magazine_delete(struct ash_slab_cache *cache, struct ash__slab_magazine *magazine);

/* Objects of the magazine into the slabs; what is refused is dropped, the first of it noted. */
void ash__magazine_drain(struct ash_slab_cache *cache, struct ash__slab_magazine *magazine,
                         struct ash__deferred *deferred);

/* cache.c, guarded.c, refuse.c: the whole */

/* Makes a cache that has no number yet, and so no slab: ash__source_register gives it one. */
int ash__slab_cache_prepare(struct ash_slab_cache *cache, const struct ash_slab_config *config);

/* As ash_slab_cache_shrink; how many pages, those of magazines too. `deferred` tells then how many
 * slabs of objects, and what was refused. */
uint64_t ash__slab_cache_give_back(struct ash_slab_cache *cache, struct ash__deferred *deferred);

/* Takes everything from a closed cache that is free, wherever it is. False: something is out, or
 * was freed wrongly. */
bool ash__slab_cache_empty(struct ash_slab_cache *cache, struct ash__deferred *deferred);

/* Objects out, now. */
uint32_t ash__slab_cache_used(struct ash_slab_cache *cache);
void ash__slab_cache_note_peak(struct ash_slab_cache *cache);

/* An allocation of `objects` objects finds none; the other CPUs are asked for what they hold. */
void ash__slab_cache_note_failure(struct ash_slab_cache *cache, uint32_t objects);

/* Marks in the bitmaps what lies in magazines, so that a bit is set exactly where an object is not
 * out; false: one of them is no object, or free already. ash__slab_cache_unmark_cached
 * takes the marks away. Quiescent. */
bool ash__slab_cache_mark_cached(struct ash_slab_cache *cache, uint32_t *marked);
void ash__slab_cache_unmark_cached(struct ash_slab_cache *cache, uint32_t marked);

/* Allocation and free of a cache that is not plain. */
void *ash__guarded_alloc(struct ash_slab_cache *cache);
void ash__guarded_free(struct ash_slab_cache *cache, void *object);

/* Panics, saying what it is, unless the pointer is where an object of the cache lies. */
void ash__slab_require_object(struct ash_slab_cache *cache, const void *pointer);

/* A pointer that is not an object of the cache that is out. */
void ash__slab_refuse_object(struct ash_slab_cache *cache, const void *pointer)
    __attribute__((noreturn, cold));
void ash__slab_refuse_with(struct ash_slab_cache *cache, const void *pointer, const char *more)
    __attribute__((noreturn, cold));

#endif
