/* SPDX-License-Identifier: MIT */
/*
 * depot.c: layer 2: whole magazines between CPUs. Bonwick and Adams 2001, 3: what one CPU has freed
 * another takes over by exchanging two pointers; the objects are not touched.
 *
 * The lock is held for some ten instructions, and no other is taken meanwhile.
 */
#include "slab_internal.h"

static ash_irq_t lock_depot(struct ash__slab_depot *depot) {
    uint32_t cpu;
    return ash__lock(&depot->lock, depot->interrupts, &cpu);
}

static void unlock_depot(struct ash__slab_depot *depot, ash_irq_t irq) {
    ash__unlock(&depot->lock, depot->interrupts, irq);
}

void ash__depot_init(struct ash__slab_depot *depot, uint32_t full_max, bool interrupts) {
    *depot = (struct ash__slab_depot){.full_max = full_max, .interrupts = interrupts};
    ash_spin_init(&depot->lock);
}

/* Both stacks; lock held. Counts are stored for readers without the lock. */

static struct ash__slab_magazine *pop(struct ash__slab_magazine **top, uint32_t *count,
                                      uint32_t *least) {
    struct ash__slab_magazine *magazine = *top;
    if (magazine == NULL)
        return NULL;
    *top = magazine->next;
    ash_store_relaxed(count, *count - 1);
    if (*count < *least)
        *least = *count;
    return magazine;
}

static void push(struct ash__slab_magazine **top, uint32_t *count,
                 struct ash__slab_magazine *magazine) {
    magazine->next = *top;
    *top = magazine;
    ash_store_relaxed(count, *count + 1);
}

static struct ash__slab_magazine *pop_full(struct ash__slab_depot *depot) {
    struct ash__slab_magazine *full = pop(&depot->full, &depot->full_count, &depot->full_least);
    if (full != NULL)
        ash_store_relaxed(&depot->objects, depot->objects - full->count);
    return full;
}

static void push_full(struct ash__slab_depot *depot, struct ash__slab_magazine *full) {
    push(&depot->full, &depot->full_count, full);
    ash_store_relaxed(&depot->arrivals, depot->arrivals + 1);
    ash_store_relaxed(&depot->objects, depot->objects + full->count);
}

static struct ash__slab_magazine *pop_empty(struct ash__slab_depot *depot) {
    return pop(&depot->empty, &depot->empty_count, &depot->empty_least);
}

struct ash__slab_magazine *ash__depot_take_full(struct ash__slab_depot *depot,
                                                struct ash__slab_magazine *spare) {
    if (ash_load_relaxed(&depot->full_count) == 0)
        return NULL;
    ash_irq_t irq = lock_depot(depot);
    struct ash__slab_magazine *full = pop_full(depot);
    if (full != NULL && spare != NULL)
        push(&depot->empty, &depot->empty_count, spare);
    unlock_depot(depot, irq);
    return full;
}

struct ash__slab_magazine *ash__depot_take_empty(struct ash__slab_depot *depot,
                                                 struct ash__slab_magazine *full) {
    struct ash__slab_magazine *empty = NULL;
    ash_irq_t irq = lock_depot(depot);
    if (full == NULL || depot->full_count < depot->full_max)
        empty = pop_empty(depot);
    if (empty != NULL && full != NULL)
        push_full(depot, full);
    unlock_depot(depot, irq);
    return empty;
}

bool ash__depot_put(struct ash__slab_depot *depot, struct ash__slab_magazine *magazine) {
    ash_irq_t irq = lock_depot(depot);
    bool room = depot->full_count + depot->empty_count < 2 * depot->full_max &&
                (magazine->count == 0 || depot->full_count < depot->full_max);
    if (room && magazine->count != 0)
        push_full(depot, magazine);
    else if (room)
        push(&depot->empty, &depot->empty_count, magazine);
    unlock_depot(depot, irq);
    return room;
}

bool ash__depot_is_full(struct ash__slab_depot *depot) {
    return ash_load_relaxed(&depot->full_count) >= depot->full_max;
}

struct ash__slab_magazine *ash__depot_empty_out(struct ash__slab_depot *depot, bool idle) {
    struct ash__slab_magazine *chain = NULL, *magazine;
    ash_irq_t irq = lock_depot(depot);
    uint32_t full = idle ? depot->full_least : depot->full_count;
    uint32_t empty = idle ? depot->empty_least : depot->empty_count;
    for (; full != 0 && (magazine = pop_full(depot)) != NULL; full--) {
        magazine->next = chain;
        chain = magazine;
    }
    for (; empty != 0 && (magazine = pop_empty(depot)) != NULL; empty--) {
        magazine->next = chain;
        chain = magazine;
    }
    depot->full_least = depot->full_count;
    depot->empty_least = depot->empty_count;
    unlock_depot(depot, irq);
    return chain;
}
