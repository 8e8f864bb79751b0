/* SPDX-License-Identifier: MIT */
/*
 * The ring of either format against a list of what was submitted. While the device is honest (the
 * naive one of tests/virtq, which fails the case when the driver breaks a rule) each notification,
 * completion and interrupt is known beforehand. Once it lies, anywhere in the memory that it
 * shares, all that is asked is: no completion of what is not in flight, none twice, no length
 * beyond what may be written, I1 and I2 whole; and a restart makes everything good again.
 */
#include "choices.h"
#include "virtq/ring_rig.h"

enum { SLOTS_MAX = 40, LIES_MAX = 4 };
enum state { FREE, QUEUED, PUBLISHED, ABORTED, STATES };

/* What the device has completed and the driver has not seen. */
struct completion {
    uint32_t slot, len;
};

struct world {
    struct choices *choices;
    struct ring *ring;
    struct ash_virtq *queue;
    enum state state[SLOTS_MAX];
    uint32_t token[SLOTS_MAX], old_token[SLOTS_MAX];
    uint32_t entries[SLOTS_MAX]; /* of a packed ring that the request takes */
    uint32_t count[STATES];
    bool is_honest;                           /* and as long as it is: */
    struct completion completions[SLOTS_MAX]; /* oldest first */
    uint32_t completion_count;
    uint64_t published; /* since the restart: requests, or entries of a packed ring */
    enum { NEVER, ALWAYS, AT } asks;
    uint64_t asked_at;   /* to be notified when this one is published */
    bool is_owed, quiet; /* an interrupt: one must come, none may come */
    uint32_t owed_after; /* so many completions */
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

static void set_state(struct world *world, uint32_t slot, enum state state) {
    world->count[world->state[slot]]--;
    world->count[state]++;
    world->state[slot] = state;
}

static bool is_broken(const struct world *world) {
    return world->queue->fault != ASH_VIRTQ_OK;
}

/* Restart */

static void note_restart(struct world *world) {
    for (uint32_t slot = 0; slot < world->ring->config.slots; slot++) {
        if (world->state[slot] != FREE)
            set_state(world, slot, ABORTED);
    }
    world->is_honest = world->quiet = true;
    world->is_owed = false;
    world->completion_count = 0;
    /* Zeroes ask for the first request of a split ring, and are ENABLE in a packed one. */
    world->asks = world->queue->event_idx && !world->queue->shape.packed ? AT : ALWAYS;
    world->published = world->asked_at = 0;
}

static void step_restart(struct world *world) {
    ring_restart(world->ring, pick(world, RING_FEATURES_END));
    note_restart(world);
}

static void begin(struct world *world, struct choices *choices) {
    world->choices = choices;
    struct ash_virtq_config config = {.size = 1u << pick(world, 7)};
    config.chain = 1 + pick(world, (uint32_t)ash_min_u64(config.size, 6));
    if (pick(world, 3) != 0)
        config.table = 1 + pick(world, (uint32_t)ash_min_u64(config.size, 8));
    if (ash_virtq_slots_max(&config) == 0)
        config.table = 0;
    config.slots = 1 + pick(world, (uint32_t)ash_min_u64(ash_virtq_slots_max(&config), SLOTS_MAX));
    world->ring = ring_new(&config, pick(world, RING_FEATURES_END));
    world->queue = &world->ring->queue;
    world->count[FREE] = config.slots;
    note_restart(world);
}

/* The producer */

/* A shape that a request may have: where its chain begins, or the entries of its table less 1
 * behind that. */
static uint32_t pick_shape(struct world *world) {
    return pick(world, world->ring->config.chain + world->ring->config.table);
}

static uint32_t entries_of(const struct world *world, uint32_t shape) {
    return shape < world->ring->config.chain ? world->ring->config.chain - shape : 1;
}

static void step_submit(struct world *world) {
    uint32_t chain = world->ring->config.chain, shape = pick_shape(world);
    if (world->count[FREE] == 0) {
        CHECK_EQ(ash_virtq_free_slot(world->queue), -ASH_EAGAIN);
        return;
    }
    uint32_t token = shape < chain ? ring_submit_from(world->ring, shape)
                                   : ring_submit_table(world->ring, shape - chain + 1);
    uint32_t slot = token & 0xffff;
    CHECK(slot < world->ring->config.slots && world->state[slot] == FREE);
    world->old_token[slot] = world->token[slot];
    world->token[slot] = token;
    world->entries[slot] = entries_of(world, shape);
    set_state(world, slot, QUEUED);
}

static void step_aborted(struct world *world) {
    int aborted = ash_virtq_next_aborted(world->queue);
    if (world->count[ABORTED] == 0) {
        CHECK_EQ(aborted, -ASH_EAGAIN);
        return;
    }
    CHECK(aborted >= 0 && world->state[aborted] == ABORTED);
    uint32_t slot = (uint32_t)aborted, chain = world->ring->config.chain;
    if (pick(world, 2) == 0 || is_broken(world)) {
        ash_virtq_retire_aborted(world->queue, slot);
        set_state(world, slot, FREE);
        return;
    }
    uint32_t shape = pick_shape(world);
    if (shape < chain) {
        ring_describe(world->ring, slot, shape);
        ash_virtq_resubmit(world->queue, slot, shape);
    } else {
        ring_describe_table(world->ring, slot, shape - chain + 1);
        ash_virtq_resubmit_table(world->queue, slot, shape - chain + 1);
    }
    world->entries[slot] = entries_of(world, shape);
    set_state(world, slot, QUEUED);
}

/* Is what the device asked for in [from, to)? Places come again. */
static bool is_asked(const struct world *world, uint64_t from, uint64_t to) {
    uint64_t period = world->queue->shape.packed ? 2 * (uint64_t)world->queue->size : 1 << 16;
    for (uint64_t at = from; at < to; at++) {
        if (at % period == world->asked_at % period)
            return true;
    }
    return false;
}

static void step_publish(struct world *world) {
    uint64_t from = world->published;
    if (is_broken(world)) {
        CHECK(!ash_virtq_publish(world->queue));
        return;
    }
    for (uint32_t slot = 0; slot < world->ring->config.slots; slot++) {
        if (world->state[slot] != QUEUED)
            continue;
        world->published += world->queue->shape.packed ? world->entries[slot] : 1;
        set_state(world, slot, PUBLISHED);
    }
    bool notified = ash_virtq_publish(world->queue);
    if (world->is_honest)
        CHECK_EQ(notified, world->published != from &&
                               (world->asks == ALWAYS ||
                                (world->asks == AT && is_asked(world, from, world->published))));
}

/* The reaper */

static void reap_lies(struct world *world) {
    uint32_t len = 0;
    int slot = ash_virtq_next(world->queue, &len);
    if (slot < 0) {
        CHECK_EQ(slot, is_broken(world) ? -ASH_EIO : -ASH_EAGAIN);
        return;
    }
    CHECK((uint32_t)slot < world->ring->config.slots && world->state[slot] == PUBLISHED);
    CHECK(len <= RING_WRITABLE_BYTES);
    ash_virtq_retire(world->queue, (uint32_t)slot);
    set_state(world, (uint32_t)slot, FREE);
}

static void reap_honest(struct world *world) {
    uint32_t len = 0;
    int slot = ash_virtq_next(world->queue, &len);
    if (is_broken(world) || world->completion_count == 0) {
        CHECK_EQ(slot, is_broken(world) ? -ASH_EIO : -ASH_EAGAIN);
        return;
    }
    CHECK_EQ(slot, (int)world->completions[0].slot);
    CHECK_EQ(len, world->completions[0].len);
    CHECK(world->queue->slots[slot].cookie == &world->queue->slots[slot]);
    ash_virtq_retire(world->queue, (uint32_t)slot);
    set_state(world, (uint32_t)slot, FREE);
    memmove(world->completions, world->completions + 1,
            --world->completion_count * sizeof(struct completion));
}

static void step_reap(struct world *world) {
    for (uint32_t count = 1 + pick(world, 4); count != 0; count--) {
        if (world->is_honest)
            reap_honest(world);
        else
            reap_lies(world);
    }
}

/* In a packed ring the n-th is only known where all requests take as many entries. */
static bool is_uniform(const struct world *world) {
    return !world->queue->shape.packed || (world->ring->config.chain == 1);
}

static void step_arm(struct world *world) {
    uint32_t in_flight = world->count[PUBLISHED], wish = pick(world, 6);
    uint32_t nth = (uint32_t)ash_min_u64(wish, in_flight), done = world->completion_count;
    bool armed = ash_virtq_arm(world->queue, wish);
    nth = nth == 0 ? 1 : nth;
    if (!world->is_honest)
        return;
    CHECK_EQ(armed, !is_broken(world) && world->count[ABORTED] == 0 &&
                        (world->queue->shape.packed ? done == 0 : done < nth));
    if (is_broken(world) || world->count[ABORTED] != 0)
        return;
    world->quiet = false;
    world->is_owed = armed;
    if (!world->queue->event_idx)
        nth = done + 1;
    else if (nth != 1 && !is_uniform(world))
        nth = in_flight;
    world->owed_after = nth - done;
}

static void step_disarm(struct world *world) {
    ash_virtq_disarm(world->queue);
    world->is_owed = false;
    world->quiet = world->ring->device.unsignalled == 0;
}

/* The honest device */

static void step_fetch(struct world *world) {
    struct ring_device *device = &world->ring->device;
    uint32_t waiting = world->count[PUBLISHED] - device->held_count - world->completion_count;
    if (!world->is_honest)
        return;
    CHECK_EQ(ring_device_fetch(device), waiting != 0);
    if (waiting != 0) {
        uint32_t slot = ring_slot_of(world->ring, &device->held[device->held_count - 1]);
        CHECK(world->state[slot] == PUBLISHED);
    }
}

static void signal(struct world *world) {
    bool wants = ring_device_wants_interrupt(&world->ring->device);
    CHECK(!wants || !world->quiet);
    if (wants)
        world->is_owed = false;
}

static void step_complete(struct world *world) {
    struct ring_device *device = &world->ring->device;
    if (!world->is_honest || device->held_count == 0)
        return;
    uint32_t index = pick(world, device->held_count);
    struct completion completion = {ring_slot_of(world->ring, &device->held[index]),
                                    pick(world, RING_WRITABLE_BYTES + 1)};
    world->completions[world->completion_count++] = completion;
    ring_device_complete(device, index, completion.len);
    bool must = world->is_owed && --world->owed_after == 0;
    if (must || pick(world, 2) != 0)
        signal(world);
    CHECK(!must || !world->is_owed);
}

static void step_ask(struct world *world) {
    struct ring_device *device = &world->ring->device;
    if (!world->is_honest)
        return;
    if (pick(world, 4) == 0) {
        ring_device_ask_not(device);
        world->asks = NEVER;
        return;
    }
    ring_device_ask(device);
    world->asks = world->queue->event_idx ? AT : ALWAYS;
    world->asked_at = device->avail_next;
    if (world->queue->shape.packed)
        world->asked_at += device->avail_wrap ? 0 : device->size;
}

/* The lying device */

static void lie_split(struct world *world) {
    struct ring_device *device = &world->ring->device;
    uint16_t near = (uint16_t)(world->queue->used_next + pick(world, 4));
    if (pick(world, 2) != 0)
        ring_device_put_used_index(device, near);
    else
        ring_device_put_used(device, near, pick(world, 2 * device->size),
                             pick(world, 64) == 0 ? UINT32_MAX
                                                  : pick(world, RING_WRITABLE_BYTES + 2));
}

static void lie_packed(struct world *world) {
    struct ring_device *device = &world->ring->device;
    uint32_t near = (world->queue->used_position + pick(world, 2)) % device->size;
    ring_device_put_entry(device, near, (uint16_t)pick(world, world->ring->config.slots + 1),
                          pick(world, RING_WRITABLE_BYTES + 2),
                          (uint16_t)(pick(world, 2) * 0x80 + pick(world, 2) * 0x8000));
}

static void step_lie(struct world *world) {
    struct ring_device *device = &world->ring->device;
    world->is_honest = false;
    for (uint32_t lies = 1 + pick(world, LIES_MAX); lies != 0; lies--) {
        if (pick(world, 4) == 0)
            ring_device_put(device, device->base + 2 * pick(world, (uint32_t)device->bytes / 2), 2,
                            pick(world, 1 << 16));
        else if (world->queue->shape.packed)
            lie_packed(world);
        else
            lie_split(world);
    }
}

/* All of it */

static void audit(struct world *world) {
    const char *broken = ash_virtq_check(world->queue);
    if (broken != NULL && (world->is_honest || broken[1] <= '2'))
        test_fail(__FILE__, __LINE__, "%s", broken);
    CHECK_EQ(ash_virtq_in_flight(world->queue), world->ring->config.slots - world->count[FREE]);
    for (uint32_t slot = 0; slot < world->ring->config.slots; slot++) {
        bool is_pending = world->state[slot] != FREE;
        CHECK_EQ(ash_virtq_pending(world->queue, world->token[slot] | slot), is_pending);
        CHECK(world->old_token[slot] == world->token[slot] ||
              !ash_virtq_pending(world->queue, world->old_token[slot] | slot));
    }
}

static void step(struct world *world) {
    static void (*const steps[])(struct world *) = {
        step_submit, step_submit,   step_submit,   step_publish, step_publish,  step_fetch,
        step_fetch,  step_complete, step_complete, step_reap,    step_complete, step_fetch,
        step_reap,   step_arm,      step_ask,      step_aborted,
    };
    uint32_t kind = pick(world, 256);
    bool is_well = world->is_honest && !is_broken(world);
    if (kind < (is_well ? 2 : 20))
        step_restart(world);
    else if (world->is_honest ? kind == 20 : kind < 80)
        step_lie(world);
    else if (kind < 28)
        step_disarm(world);
    else if (kind == 80)
        ash_virtq_break(world->queue, ASH_VIRTQ_FAULT_TIMEOUT);
    else
        steps[kind % ASH_ARRAY_LEN(steps)](world);
}

static void end(struct world *world) {
    if (!world->is_honest || is_broken(world))
        step_restart(world);
    while (world->count[ABORTED] != 0)
        step_aborted(world);
    step_publish(world);
    for (uint32_t rounds = 0; world->count[PUBLISHED] != 0; rounds++) {
        CHECK(rounds < 3 * SLOTS_MAX);
        step_fetch(world);
        step_complete(world);
        step_reap(world);
    }
    audit(world);
    CHECK_EQ(ash_virtq_in_flight(world->queue), 0);
}

void fuzz_virtq(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 64);
    begin(world, choices);
    while (choices_go_on(choices)) {
        step(world);
        audit(world);
    }
    end(world);
}

TEST_CASE(virtq_fuzz, random_calls_of_both_sides_match_a_list_of_requests) {
    for (uint64_t round = 0; round < 100; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 500);
        fuzz_virtq(&choices);
    }
}
