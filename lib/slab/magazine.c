/* SPDX-License-Identifier: MIT */
/*
 * magazine.c: layer 1: one CPU's two magazines, and the way from them to the layers below. Bonwick
 * and Adams 2001, 3.1: with a previous magazine beside the loaded one, which is full or empty, the
 * CPU comes to the depot once for a magazine's worth of calls at most.
 *
 * Each function works pinned, on this CPU's struct, and leaves for what may take long: slabs are
 * given back unpinned, as ash__deferred, and so are magazines made.
 *
 * Statistics read the counts meanwhile: so what moves between magazines, depot and slabs is counted
 * in both places for that time, never in none, where it would pass for objects in use.
 */
#include "profiles.h"

/* Memory of magazines */

struct ash__slab_magazine *ash__magazine_new(struct ash_slab_cache *cache, bool may_reclaim) {
    void *memory;
    if (ash__store_alloc(&cache->magazines, &memory, 1, may_reclaim) == 0)
        return NULL;
    struct ash__slab_magazine *magazine = memory;
    magazine->next = NULL;
    magazine->count = 0;
    magazine->padding = 0;
    return magazine;
}

uint32_t ash__magazine_delete(struct ash_slab_cache *cache, struct ash__slab_magazine *magazine) {
    struct ash_list surplus;
    void *memory = magazine;
    ash_list_init(&surplus);
    (void)ash__store_put(&cache->magazines, &memory, 1, &surplus);
    return ash__store_release(&cache->magazines, &surplus);
}

void ash__deferred_do(struct ash_slab_cache *cache, struct ash__deferred *deferred) {
    deferred->slabs += ash__store_release(&cache->slabs, &deferred->surplus);
    while (deferred->spent != NULL) {
        struct ash__slab_magazine *magazine = deferred->spent;
        deferred->spent = magazine->next;
        deferred->magazine_slabs += ash__magazine_delete(cache, magazine);
    }
}

void ash__deferred_report(struct ash_slab_cache *cache, const struct ash__deferred *deferred) {
    if (ASH_UNLIKELY(deferred->has_refused))
        ash__slab_refuse_object(cache, deferred->refused);
}

void ash__deferred_finish(struct ash_slab_cache *cache, struct ash__deferred *deferred) {
    ash__deferred_do(cache, deferred);
    ash__deferred_report(cache, deferred);
}

void ash__magazine_drain(struct ash_slab_cache *cache, struct ash__slab_magazine *magazine,
                         struct ash__deferred *deferred) {
    uint32_t done = 0, count = magazine->count;
    while (done < count) {
        done += ash__store_put(&cache->slabs, magazine->objects + done, count - done,
                               &deferred->surplus);
        if (ASH_LIKELY(done == count))
            break;
        if (!deferred->has_refused)
            deferred->refused = magazine->objects[done];
        deferred->has_refused = true;
        done++;
    }
    magazine->count = 0;
}

/* This CPU's two; pinned */

/* Makes a magazine, or none, the loaded one. */
static void set_loaded(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu,
                       struct ash__slab_magazine *magazine) {
    cpu->loaded = magazine;
    ash__cpu_set_count(cache, cpu, magazine == NULL ? 0 : magazine->count);
    uint32_t limit = magazine != NULL ? cache->capacity : 0;
    cpu->limit = cache->kind == ASH__SLAB_PLAIN ? limit : 0;
    cpu->room = cache->kind == ASH__SLAB_HARDENED ? limit : 0;
    cpu->kept_limit = limit;
}

static void set_previous(struct ash__slab_cpu *cpu, struct ash__slab_magazine *magazine) {
    cpu->previous = magazine;
    ash_store_relaxed(&cpu->previous_count, magazine == NULL ? 0 : magazine->count);
}

static void note_count(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu) {
    if (cpu->loaded != NULL)
        cpu->loaded->count = ash__cpu_count(cache, cpu);
}

static void swap(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu) {
    struct ash__slab_magazine *loaded = cpu->loaded;
    struct ash__slab_magazine *previous = cpu->previous;
    note_count(cache, cpu);
    set_previous(cpu, loaded);
    set_loaded(cache, cpu, previous);
}

/* The loaded magazine becomes the previous one, whose place is free. */
static void load(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu,
                 struct ash__slab_magazine *magazine) {
    struct ash__slab_magazine *loaded = cpu->loaded;
    note_count(cache, cpu);
    set_loaded(cache, cpu, magazine);
    set_previous(cpu, loaded);
    ash_store_relaxed(&cpu->exchanges, cpu->exchanges + 1);
}

static void *pop(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu) {
    uint32_t count = ash__cpu_count(cache, cpu) - 1;
    ash__cpu_set_count(cache, cpu, count);
    return cpu->loaded->objects[count];
}

static void push(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu, void *object) {
    uint32_t count = ash__cpu_count(cache, cpu);
    cpu->loaded->objects[count] = object;
    ash__cpu_set_count(cache, cpu, count + 1);
}

static void count_allocations(struct ash__slab_cpu *cpu, uint64_t count) {
    ash_store_relaxed(&cpu->allocations, cpu->allocations + count);
}

static void count_misses(struct ash__slab_cpu *cpu, uint64_t count) {
    ash_store_relaxed(&cpu->misses, cpu->misses + count);
}

static void flush_one(struct ash_slab_cache *cache, struct ash__slab_magazine *magazine,
                      enum ash__flush_to to, struct ash__deferred *deferred) {
    if (magazine == NULL)
        return;
    if (to == ASH__TO_DEPOT && ash__depot_put(&cache->depot, magazine))
        return;
    ash__magazine_drain(cache, magazine, deferred);
    if (!ash__depot_put(&cache->depot, magazine))
        ash__deferred_add_spent(deferred, magazine);
}

void ash__cpu_flush(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu, enum ash__flush_to to,
                    struct ash__deferred *deferred) {
    struct ash__slab_magazine *loaded = cpu->loaded, *previous = cpu->previous;
    note_count(cache, cpu);
    cpu->flush_done = ash_load_relaxed(&cache->flush_wanted);
    flush_one(cache, loaded, to, deferred);
    set_loaded(cache, cpu, NULL);
    flush_one(cache, previous, to, deferred);
    set_previous(cpu, NULL);
}

/* Every call that did not find its way through the loaded magazine. Its CPU's objects go to the
 * slabs if another CPU has found no memory meanwhile, or shrinks the cache. */
static inline struct ash__slab_cpu *begin(struct ash_slab_cache *cache, ash_irq_t *irq,
                                          struct ash__deferred *deferred) {
    struct ash__slab_cpu *cpu = ash__slab_enter(cache, irq);
    ash__deferred_init(deferred);
    if (ASH_UNLIKELY(cpu->flush_done != ash_load_relaxed(&cache->flush_wanted)))
        ash__cpu_flush(cache, cpu, ASH__TO_SLABS, deferred);
    return cpu;
}

static inline void end(struct ash_slab_cache *cache, ash_irq_t irq,
                       struct ash__deferred *deferred) {
    ash__slab_leave(cache, irq);
    ash__deferred_finish(cache, deferred);
}

/* Allocation */

/* What allocations are about to come from; hardened caches give no hint of the order. */
static void shuffle_loaded(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu) {
    if (cache->hardened.side != 0)
        ash__hardened_shuffle(cache, cpu->loaded->objects, ash__cpu_count(cache, cpu));
}

/* Loads a magazine with objects: the previous one, or one of the depot's. */
static bool load_whole(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu) {
    if (cpu->previous_count != 0) {
        swap(cache, cpu);
    } else {
        ash_store_relaxed(&cpu->previous_count, cache->capacity);
        struct ash__slab_magazine *full = ash__depot_take_full(&cache->depot, cpu->previous);
        if (full == NULL) {
            ash_store_relaxed(&cpu->previous_count, 0u);
            return false;
        }
        load(cache, cpu, full);
    }
    shuffle_loaded(cache, cpu);
    return true;
}

/* Fills the loaded magazine from the slabs that there are. */
static bool refill(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu) {
    if (cpu->loaded == NULL)
        set_loaded(cache, cpu, ash__depot_take_empty(&cache->depot, NULL));
    if (cpu->loaded == NULL)
        return false;
    ash__cpu_set_count(cache, cpu, cache->capacity);
    uint32_t count = ash__store_take(&cache->slabs, cpu->loaded->objects, cache->capacity);
    ash__cpu_set_count(cache, cpu, count);
    shuffle_loaded(cache, cpu);
    return count != 0;
}

/* Nothing in the magazines, the depot, the listed slabs; or no magazine. Unpinned. */
static __attribute__((noinline)) void *alloc_beyond(struct ash_slab_cache *cache) {
    void *object = NULL;
    ash_irq_t irq;
    bool found = ash__store_alloc(&cache->slabs, &object, 1, !cache->slabs.interrupts) == 1;
    struct ash__slab_cpu *cpu = ash__slab_enter(cache, &irq);
    if (!found && (ash__cpu_count(cache, cpu) != 0 || load_whole(cache, cpu))) {
        object = pop(cache, cpu); /* freed meanwhile */
        found = true;
    }
    bool bare = cpu->loaded == NULL && cpu->previous == NULL;
    ash__slab_leave(cache, irq);
    if (!found) {
        ash__slab_cache_note_failure(cache, 1);
        return NULL;
    }
    ash__slab_cache_note_peak(cache);
    /* The next call takes it out of the depot. The object came first: memory may be short. */
    struct ash__slab_magazine *magazine = bare ? ash__magazine_new(cache, false) : NULL;
    if (magazine != NULL && !ash__depot_put(&cache->depot, magazine))
        (void)ash__magazine_delete(cache, magazine);
    return object;
}

void *ash__magazine_alloc(struct ash_slab_cache *cache) {
    struct ash__deferred deferred;
    ash_irq_t irq;
    void *object = NULL;
    struct ash__slab_cpu *cpu = begin(cache, &irq, &deferred);
    count_allocations(cpu, 1);
    bool found = ash__cpu_count(cache, cpu) != 0, refilled = false;
    if (!found) {
        count_misses(cpu, cpu->previous_count == 0);
        found = load_whole(cache, cpu);
        if (!found)
            found = refilled = refill(cache, cpu);
    }
    if (found)
        object = pop(cache, cpu);
    end(cache, irq, &deferred);
    if (refilled)
        ash__slab_cache_note_peak(cache);
    return found ? object : alloc_beyond(cache);
}

uint32_t ash__magazine_alloc_bulk(struct ash_slab_cache *cache, void **objects, uint32_t count) {
    struct ash__deferred deferred;
    ash_irq_t irq;
    uint32_t done = 0;
    struct ash__slab_cpu *cpu = begin(cache, &irq, &deferred);
    while (done < count) {
        uint32_t held = ash__cpu_count(cache, cpu);
        uint32_t part = held < count - done ? held : count - done;
        if (held == 0) {
            /* A rest that fills no magazine takes its neighbours along for the next call. */
            if (load_whole(cache, cpu) || (count - done < cache->capacity && refill(cache, cpu)))
                continue;
            break;
        }
        ash__cpu_set_count(cache, cpu, held - part);
        __builtin_memcpy(objects + done, cpu->loaded->objects + held - part, part * sizeof(void *));
        done += part;
    }
    count_allocations(cpu, count);
    count_misses(cpu, count - done);
    end(cache, irq, &deferred);
    if (ASH_LIKELY(done == count))
        return count;
    done += ash__store_alloc(&cache->slabs, objects + done, count - done, !cache->slabs.interrupts);
    ash__slab_cache_note_peak(cache);
    return done;
}

/* Free */

/* Makes the loaded magazine one with room; false: that takes a magazine more. */
static bool make_room(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu,
                      struct ash__deferred *deferred) {
    if (cpu->loaded != NULL && ash__cpu_count(cache, cpu) < cache->capacity)
        return true;
    if (cpu->previous != NULL && cpu->previous_count < cache->capacity) {
        swap(cache, cpu);
        return true;
    }
    struct ash__slab_magazine *empty = ash__depot_take_empty(&cache->depot, cpu->previous);
    if (empty != NULL) {
        load(cache, cpu, empty);
        return true;
    }
    if (cpu->previous == NULL || !ash__depot_is_full(&cache->depot))
        return false;
    ash__magazine_drain(cache, cpu->previous, deferred);
    set_previous(cpu, cpu->previous);
    swap(cache, cpu);
    return true;
}

/* No magazine with room and no memory for one: the loaded one's objects go to the slabs, or the
 * object itself where none is loaded. */
static void free_without_room(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu, void *object,
                              struct ash__deferred *deferred) {
    if (cpu->loaded != NULL) {
        note_count(cache, cpu);
        ash__magazine_drain(cache, cpu->loaded, deferred);
        set_loaded(cache, cpu, cpu->loaded);
        push(cache, cpu, object);
    } else if (ash__store_put(&cache->slabs, &object, 1, &deferred->surplus) == 0) {
        deferred->refused = object;
        deferred->has_refused = true;
    }
}

void ash__magazine_free(struct ash_slab_cache *cache, void *object) {
    struct ash__deferred deferred;
    ash_irq_t irq;
    struct ash__slab_cpu *cpu = begin(cache, &irq, &deferred);
    if (!make_room(cache, cpu, &deferred)) {
        ash__slab_leave(cache, irq);
        struct ash__slab_magazine *magazine = ash__magazine_new(cache, false);
        if (magazine != NULL && !ash__depot_put(&cache->depot, magazine))
            ash__deferred_add_spent(&deferred, magazine);
        cpu = ash__slab_enter(cache, &irq); /* another CPU's, perhaps */
    }
    if (make_room(cache, cpu, &deferred))
        push(cache, cpu, object);
    else
        free_without_room(cache, cpu, object, &deferred);
    end(cache, irq, &deferred);
}

void ash__magazine_free_bulk(struct ash_slab_cache *cache, void *const *objects, uint32_t count) {
    struct ash__deferred deferred;
    ash_irq_t irq;
    uint32_t done = 0;
    struct ash__slab_cpu *cpu = begin(cache, &irq, &deferred);
    while (done < count && make_room(cache, cpu, &deferred)) {
        uint32_t held = ash__cpu_count(cache, cpu), room = cache->capacity - held;
        uint32_t part = room < count - done ? room : count - done;
        __builtin_memcpy(cpu->loaded->objects + held, objects + done, part * sizeof(void *));
        ash__cpu_set_count(cache, cpu, held + part);
        done += part;
    }
    end(cache, irq, &deferred);
    for (; done < count; done++)
        ash__magazine_free(cache, objects[done]);
}
