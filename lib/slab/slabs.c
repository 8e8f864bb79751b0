/* SPDX-License-Identifier: MIT */
/*
 * slabs.c: layer 3: objects by bitmap, in slabs that come and go.
 *
 * A slab is in one of four places, by its number of free objects:
 *
 *     active   objects are taken from it until it is full; at most one
 *     full     fewer than `relist` free objects, about 1/16; on no list but `all`. While the page
 *              source has nothing `relist` is 1
 *     partial  dense or sparse list; the next active one is taken from the dense list first, so
 *              that sparse slabs run empty and can go back
 *     empty    empty list, at most empty_max; the next one that runs empty goes back
 */
#include "slab_internal.h"

ASH_EVENT_DEFINE(event_refill, "slab.refill", "cache:x,objects");
ASH_EVENT_DEFINE(event_release, "slab.release", "cache:x,objects");

void ash__store_init(struct ash__slab_store *store, const struct ash__store_config *config) {
    *store = (struct ash__slab_store){
        .source = config->source,
        .empty_max = config->empty_max,
        .interrupts = config->interrupts,
        .init = config->init,
        .fini = config->fini,
        .context = config->context,
        .owner = config->owner,
    };
    ash_spin_init(&store->lock);
    ash_list_init(&store->dense);
    ash_list_init(&store->sparse);
    ash_list_init(&store->empty);
    ash_list_init(&store->all);
    ash__store_layout(store, config);
}

/* Slabs come and go; no lock held */

/* Undoes init on the first `count` objects. */
static void fini_objects(struct ash__slab_store *store, struct ash__slab *slab, uint32_t count) {
    for (uint32_t i = 0; store->fini != NULL && i < count; i++)
        store->fini(ash__slab_object(store, slab, i), store->context);
}

static bool init_objects(struct ash__slab_store *store, struct ash__slab *slab) {
    for (uint32_t i = 0; store->init != NULL && i < store->objects; i++) {
        if (store->init(ash__slab_object(store, slab, i), store->context) != 0) {
            fini_objects(store, slab, i);
            return false;
        }
    }
    return true;
}

static struct ash__slab *make_slab(struct ash__slab_store *store, bool may_reclaim) {
    struct ash__slab *slab = ash__source_alloc(store->source, store->order, may_reclaim);
    if (slab == NULL)
        return NULL;
    if (store->side != 0)
        __builtin_memset((char *)slab + store->side, 0, store->first - store->side);
    if (!init_objects(store, slab)) {
        ash__source_free(store->source, slab, store->order);
        return NULL;
    }
    uint32_t words = (store->objects + 63) / 64, rest = store->objects % 64;
    for (uint32_t w = 0; w < words; w++)
        slab->bitmap[w] = UINT64_MAX;
    if (rest != 0)
        slab->bitmap[words - 1] = UINT64_MAX >> (64 - rest);
    slab->summary = UINT64_MAX >> (64 - words);
    slab->free = store->objects;
    slab->padding = 0;
    ash_list_init(&slab->link);
    ash_list_init(&slab->all);
    slab->store = store;
    if (store->owner != NULL)
        ASH_EVENT(event_refill, (uintptr_t)store->owner, store->objects);
    return slab;
}

uint32_t ash__store_release(struct ash__slab_store *store, struct ash_list *surplus) {
    struct ash_list *node;
    uint32_t count = 0;
    while (ASH_UNLIKELY((node = ash_list_pop_front(surplus)) != NULL)) {
        struct ash__slab *slab = ASH_LIST_ENTRY(node, struct ash__slab, link);
        fini_objects(store, slab, store->objects);
        ash__source_free(store->source, slab, store->order);
        if (store->owner != NULL)
            ASH_EVENT(event_release, (uintptr_t)store->owner, store->objects);
        count++;
    }
    return count;
}

/* Lists; lock held. The counts of slabs and of objects that are out are read without it. */

static void attach(struct ash__slab_store *store, struct ash__slab *slab) {
    ash_list_push_back(&store->all, &slab->all);
    ash_store_relaxed(&store->slab_count, store->slab_count + 1);
    store->refills++;
    store->relist = ash__store_usual_relist(store);
    store->unlooked = 0;
    ash__source_mark(store->source, slab, store->order, (uint16_t)store->id);
}

/* Forgets an empty slab that is on no list but `all`; the caller releases it without the lock. */
static void detach(struct ash__slab_store *store, struct ash__slab *slab,
                   struct ash_list *surplus) {
    ash_list_remove(&slab->all);
    ash_store_relaxed(&store->slab_count, store->slab_count - 1);
    store->releases++;
    ash__source_mark(store->source, slab, store->order, 0);
    slab->store = NULL;
    ash_list_push_back(surplus, &slab->link);
}

/* Puts a slab that is on no list where its number of free objects says; an empty one too many on
 * *surplus. */
static void file_slab(struct ash__slab_store *store, struct ash__slab *slab,
                      struct ash_list *surplus) {
    if (slab->free == store->objects) {
        if (store->empties == store->empty_max) {
            detach(store, slab, surplus);
            return;
        }
        store->empties++;
        ash_list_push_front(&store->empty, &slab->link);
    } else if (slab->free > store->half) {
        ash_list_push_back(&store->sparse, &slab->link);
    } else if (slab->free >= store->relist) {
        ash_list_push_back(&store->dense, &slab->link);
    }
}

/* A slab with free objects, made active; NULL: none is listed. */
static struct ash__slab *choose_active(struct ash__slab_store *store) {
    struct ash_list *node;
    if (store->active != NULL && store->active->summary != 0)
        return store->active;
    if ((node = ash_list_pop_front(&store->dense)) == NULL &&
        (node = ash_list_pop_front(&store->sparse)) == NULL) {
        if ((node = ash_list_pop_front(&store->empty)) == NULL)
            return NULL;
        store->empties--;
    }
    store->active = ASH_LIST_ENTRY(node, struct ash__slab, link);
    return store->active;
}

/* Slabs that are looked at before the lock is given back. */
enum { LOOK_MAX = 32 };

/*
 * The page source has nothing left: whatever slab has a free object is listed, a piece of `all` at
 * a time, and so is from here on each slab that gets one, until a slab can be made again. So no
 * allocation has to look for such a slab: there may be thousands.
 */
static void list_nearly_full(struct ash__slab_store *store) {
    if (store->relist != 1) {
        store->relist = 1;
        store->unlooked = store->slab_count * store->objects == store->out ? 0 : store->slab_count;
    }
    for (uint32_t i = 0; i < LOOK_MAX && store->unlooked != 0; i++, store->unlooked--) {
        struct ash_list *node = ash_list_pop_front(&store->all);
        if (node == NULL)
            continue; /* others have given slabs back meanwhile */
        ash_list_push_back(&store->all, node);
        struct ash__slab *slab = ASH_LIST_ENTRY(node, struct ash__slab, all);
        if (slab != store->active && slab->free != 0 && !ash_list_is_linked(&slab->link))
            ash_list_push_back(&store->dense, &slab->link);
    }
}

/* Take */

static inline uint32_t lowest_bit(uint64_t bits) {
    if (bits == 0)
        __builtin_unreachable();
    return ash_ctz64(bits);
}

/*
 * The word of a bitmap where a CPU begins to take; the one that holds the lock. Multiples of the
 * golden ratio lie apart for any number of CPUs. Were the batches of two CPUs neighbours, each
 * one's prefetches would run across the ends of its own into the lines that the other one writes.
 */
static uint32_t first_word(const struct ash__slab_store *store) {
    uint32_t fraction = store->holder * UINT32_C(0x9e3779b9); /* of 2^32 */
    return (uint32_t)((uint64_t)fraction * ((store->objects + 63) / 64) >> 32);
}

/* Up to `count` objects of one slab that has some, the lowest first behind this CPU's first word,
 * then those before it. Lock held. */
static uint32_t take_from(struct ash__slab_store *store, struct ash__slab *slab, void **objects,
                          uint32_t count) {
    uint64_t behind = UINT64_MAX << first_word(store);
    uint32_t taken = 0;
    while (taken < count && slab->summary != 0) {
        uint64_t words = slab->summary & behind;
        uint32_t word = lowest_bit(words != 0 ? words : slab->summary);
        uint64_t bits = slab->bitmap[word];
        do {
            objects[taken++] = ash__slab_object(store, slab, word * 64 + lowest_bit(bits));
            bits &= bits - 1;
        } while (bits != 0 && taken < count);
        slab->bitmap[word] = bits;
        slab->summary ^= (uint64_t)(bits == 0) << word;
    }
    slab->free -= taken;
    ash_store_relaxed(&store->out, store->out + taken);
    return taken;
}

static uint32_t take_listed(struct ash__slab_store *store, void **objects, uint32_t count) {
    uint32_t taken = 0;
    while (taken < count) {
        struct ash__slab *slab = choose_active(store);
        if (slab == NULL)
            break;
        taken += take_from(store, slab, objects + taken, count - taken);
    }
    return taken;
}

/* What there is in slabs as good as full. Without a lock. */
static uint32_t take_nearly_full(struct ash__slab_store *store, void **objects, uint32_t count) {
    uint32_t taken;
    bool has_more;
    do {
        ash_irq_t irq = ash__store_lock(store);
        list_nearly_full(store);
        taken = take_listed(store, objects, count);
        has_more = store->unlooked != 0;
        ash__store_unlock(store, irq);
    } while (taken == 0 && has_more);
    return taken;
}

uint32_t ash__store_take(struct ash__slab_store *store, void **objects, uint32_t count) {
    ash_irq_t irq = ash__store_lock(store);
    uint32_t taken = take_listed(store, objects, count);
    ash__store_unlock(store, irq);
    return taken;
}

/* Makes a slab, if it can, and takes what there is then: others may have given back, or made slabs
 * of their own, meanwhile. 0: nothing is free. */
static uint32_t grow(struct ash__slab_store *store, void **objects, uint32_t count,
                     bool may_reclaim) {
    struct ash_list surplus;
    ash_list_init(&surplus);
    /* What other CPUs make meanwhile is far from the other half of 2^32. */
    bool may_grow = (uint64_t)(ash_load_relaxed(&store->slab_count) + 1) * store->objects <=
                    ASH_SLAB_OBJECTS_MAX;
    struct ash__slab *fresh = may_grow ? make_slab(store, may_reclaim) : NULL;
    ash_irq_t irq = ash__store_lock(store);
    if (fresh != NULL) {
        struct ash__slab *before = store->active;
        attach(store, fresh);
        store->active = fresh;
        if (before != NULL)
            file_slab(store, before, &surplus);
    }
    uint32_t taken = take_listed(store, objects, count);
    ash__store_unlock(store, irq);
    (void)ash__store_release(store, &surplus);
    return taken != 0 ? taken : take_nearly_full(store, objects, count);
}

uint32_t ash__store_alloc(struct ash__slab_store *store, void **objects, uint32_t count,
                          bool may_reclaim) {
    uint32_t taken = ash__store_take(store, objects, count);
    while (taken < count) {
        uint32_t more = grow(store, objects + taken, count - taken, may_reclaim);
        if (more == 0)
            break;
        taken += more;
    }
    return taken;
}

/* Put */

/* A slab that is not active has one free object more: it is to be listed again, sparse, or
 * empty. */
static void refile(struct ash__slab_store *store, struct ash__slab *slab,
                   struct ash_list *surplus) {
    ash_list_remove(&slab->link);
    file_slab(store, slab, surplus);
}

/* False: the object is free already. Lock held. */
static inline bool put_one(struct ash__slab_store *store, void *object, uint32_t index,
                           struct ash_list *surplus) {
    struct ash__slab *slab = ash__slab_of(store, object);
    uint32_t word = index / 64;
    uint64_t bit = UINT64_C(1) << index % 64;
    if (ASH_ENABLED(ASH_CHECKS >= 1) && ASH_UNLIKELY((slab->bitmap[word] & bit) != 0))
        return false;
    slab->bitmap[word] |= bit;
    slab->summary |= UINT64_C(1) << word;
    uint32_t free = ++slab->free;
    if (slab != store->active &&
        ASH_UNLIKELY(free == store->relist || free == store->half + 1 || free == store->objects))
        refile(store, slab, surplus);
    return true;
}

/* Objects whose headers are fetched while the ones before them are put: slabs aligned to 32 KiB
 * share few sets of a cache, so more of them would push each other out. */
enum { LOOK_AHEAD = 8 };

/* Checks objects in front of their turn, without a look at their slabs, and has these fetched; how
 * many are good. */
static uint32_t look_ahead(struct ash__slab_store *store, void *const *objects, uint32_t count,
                           uint32_t *indices) {
    for (uint32_t i = 0; i < count; i++) {
        if (!ash__store_find(store, objects[i], &indices[i]) && ASH_ENABLED(ASH_CHECKS >= 1))
            return i;
        struct ash__slab *slab = ash__slab_of(store, objects[i]);
        __builtin_prefetch(slab, 1);
        __builtin_prefetch(&slab->bitmap[indices[i] / 64], 1);
    }
    return count;
}

uint32_t ash__store_put(struct ash__slab_store *store, void *const *objects, uint32_t count,
                        struct ash_list *surplus) {
    uint32_t done = 0, good = 0, put = 0;
    ash_irq_t irq = ash__store_lock(store);
    while (done < count && put == good) {
        uint32_t indices[LOOK_AHEAD];
        uint32_t ahead = count - done < LOOK_AHEAD ? count - done : LOOK_AHEAD;
        good = look_ahead(store, objects + done, ahead, indices);
        for (put = 0; put < good; put++) {
            if (!put_one(store, objects[done + put], indices[put], surplus))
                break;
        }
        done += put;
        if (good < ahead)
            break;
    }
    ash_store_relaxed(&store->out, store->out - done);
    ash_store_relaxed(&store->arrivals, store->arrivals + 1);
    ash__store_unlock(store, irq);
    return done;
}

/* Shrink */

/* Takes one empty slab out of the store. Lock held. */
static bool detach_empty(struct ash__slab_store *store, struct ash_list *surplus) {
    struct ash__slab *slab = store->active;
    if (slab != NULL && slab->free == store->objects) {
        store->active = NULL;
        detach(store, slab, surplus);
        return true;
    }
    struct ash_list *node = ash_list_pop_front(&store->empty);
    if (node == NULL)
        return false;
    store->empties--;
    detach(store, ASH_LIST_ENTRY(node, struct ash__slab, link), surplus);
    return true;
}

/* One slab at a time: the lock is not held while the page source works. No more than there were at
 * the start, so that it ends though others go on freeing. */
uint32_t ash__store_shrink(struct ash__slab_store *store) {
    uint32_t released = 0, limit = ash_load_relaxed(&store->slab_count);
    struct ash_list surplus;
    ash_list_init(&surplus);
    for (; released < limit; released++) {
        ash_irq_t irq = ash__store_lock(store);
        bool found = detach_empty(store, &surplus);
        ash__store_unlock(store, irq);
        if (!found)
            break;
        (void)ash__store_release(store, &surplus);
    }
    return released;
}
