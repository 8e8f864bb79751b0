/* SPDX-License-Identifier: MIT */
/*
 * The queue against a list that is kept sorted by insertion: the same order, ties included, of keys
 * that wrap, that move on, and that lie anywhere between equal and 2^62 apart. The sequence numbers
 * come to their end as often as somebody pushes them there.
 */
#include "choices.h"
#include "queue.h"

enum { SLOTS_MAX = 200 };
#define KEYS_APART (INT64_C(1) << 61)

struct world {
    struct choices *choices;
    struct ash_sched_queue *queue;
    uint64_t key[SLOTS_MAX]; /* by slot */
    uint32_t order[SLOTS_MAX];
    uint32_t count, slots;
    uint64_t origin; /* about which the keys lie */
    uint32_t bits;   /* and how far */
};

/* The place in the list, or count. */
static uint32_t place_of(const struct world *world, uint32_t slot) {
    uint32_t i = 0;
    while (i < world->count && world->order[i] != slot)
        i++;
    return i;
}

static void list_remove(struct world *world, uint32_t slot) {
    uint32_t i = place_of(world, slot);
    memmove(&world->order[i], &world->order[i + 1], (--world->count - i) * sizeof(uint32_t));
}

static void list_insert(struct world *world, uint32_t slot, uint64_t key) {
    uint32_t i = world->count++;
    for (; i != 0 && (int64_t)(key - world->key[world->order[i - 1]]) < 0; i--)
        world->order[i] = world->order[i - 1];
    world->order[i] = slot;
    world->key[slot] = key;
}

/* Up to 64 bits, from any kind of choices. */
static uint64_t pick_bits(struct world *world, uint32_t bits) {
    uint64_t value = 0;
    for (uint32_t have = 0; have < bits; have += 16)
        value = value << 16 | choose(world->choices, 65536);
    return bits == 0 ? 0 : value >> (-bits & 15);
}

static uint64_t pick_key(struct world *world) {
    uint64_t ahead = pick_bits(world, world->bits);
    if (choose(world->choices, 64) == 0) /* once in a while much farther */
        ahead = pick_bits(world, choose(world->choices, 62));
    return choose(world->choices, 4) == 0 ? world->origin - ahead : world->origin + ahead;
}

static uint32_t pick_slot(struct world *world) {
    return choose(world->choices, world->slots);
}

static void step_insert(struct world *world) {
    uint32_t slot = pick_slot(world);
    bool queued = place_of(world, slot) != world->count;
    CHECK_EQ(ash__sched_queue_has(world->queue, slot), queued);
    if (queued)
        return;
    uint64_t key = pick_key(world);
    list_insert(world, slot, key);
    ash__sched_queue_insert(world->queue, slot, key);
}

static void step_remove(struct world *world) {
    if (world->count == 0)
        return;
    uint32_t slot = world->order[choose(world->choices, world->count)];
    CHECK_EQ(ash__sched_queue_key(world->queue, slot), world->key[slot]);
    list_remove(world, slot);
    ash__sched_queue_remove(world->queue, slot);
}

/* The first one, or any, is queued anew: what ran is charged. */
static void step_requeue(struct world *world) {
    if (world->count == 0)
        return;
    bool first = choose(world->choices, 4) != 0;
    uint32_t old = world->order[first ? 0 : choose(world->choices, world->count)];
    uint32_t slot = pick_slot(world);
    if (choose(world->choices, 4) != 0 || place_of(world, slot) != world->count)
        slot = old;
    uint64_t key = first ? world->key[old] + pick_bits(world, world->bits) : pick_key(world);
    if ((int64_t)(key - world->origin) > KEYS_APART) /* all are to lie within 2^63 */
        world->origin = key - KEYS_APART;
    list_remove(world, old);
    list_insert(world, slot, key);
    ash__sched_queue_replace(world->queue, old, slot, key);
}

/* As time does; but no key may be left behind by more than 2^63. */
static void step_advance(struct world *world) {
    uint64_t by = pick_bits(world, choose(world->choices, 62));
    uint64_t oldest = world->count == 0 ? world->origin : world->key[world->order[0]];
    if ((int64_t)(world->origin + by - oldest) < KEYS_APART)
        world->origin += by;
    world->bits = choose(world->choices, 62);
}

static void step_use_up_sequence(struct world *world) {
    uint32_t left = choose(world->choices, 4);
    uint32_t sequence = ASH__SCHED_SEQUENCE_END - left;
    if (sequence > world->queue->sequence)
        world->queue->sequence = sequence;
}

static void check_min(struct world *world) {
    uint32_t slot = ash__sched_queue_first(world->queue);
    CHECK_EQ(slot, world->count == 0 ? ASH__SCHED_NO_SLOT : world->order[0]);
    if (world->count != 0)
        CHECK_EQ(ash__sched_queue_first_key(world->queue), world->key[slot]);
}

static void step(struct world *world) {
    uint32_t what = choose(world->choices, 256);
    if (what < 100)
        step_requeue(world);
    else if (what < 170)
        step_insert(world);
    else if (what < 240)
        step_remove(world);
    else if (what < 254)
        step_advance(world);
    else
        step_use_up_sequence(world);
    if (choose(world->choices, 8) != 0) /* who is first is asked for often, not always */
        check_min(world);
}

/* All that is left comes out in order. */
static void drain(struct world *world) {
    while (world->count != 0) {
        check_min(world);
        uint32_t slot = world->order[0];
        list_remove(world, slot);
        ash__sched_queue_remove(world->queue, slot);
    }
    check_min(world);
}

static void check_all(const struct world *world) {
    const char *broken = ash__sched_queue_check(world->queue);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
    CHECK_EQ(world->queue->length, world->count);
}

void fuzz_sched_queue(struct choices *choices) {
    static const uint64_t origins[] = {0, UINT64_MAX - 1000, (UINT64_C(1) << 32) - 100, INT64_MAX};
    struct world *world = test_alloc(sizeof(*world), 8);
    world->choices = choices;
    world->slots = 1 + choose(choices, choose(choices, 2) == 0 ? 4 : SLOTS_MAX);
    world->origin = origins[choose(choices, ASH_ARRAY_LEN(origins))];
    world->bits = choose(choices, 62);
    size_t bytes = ash__sched_queue_bytes(world->slots);
    world->queue = test_alloc(sizeof(*world->queue), 8);
    ash__sched_queue_init(world->queue, test_alloc(bytes, 64), world->slots);
    for (uint32_t steps = 0; choices_go_on(choices); steps++) {
        step(world);
        if (steps % 16 == 0)
            check_all(world);
    }
    check_all(world);
    drain(world);
    check_all(world);
}

TEST_CASE(sched_queue_fuzz, keeps_the_order_of_a_sorted_list) {
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct choices choices = choices_of_seed(test_seed() + seed, 4000);
        fuzz_sched_queue(&choices);
    }
}
