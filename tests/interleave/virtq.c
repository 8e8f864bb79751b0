/* SPDX-License-Identifier: MIT */
/*
 * A producer, a reaper and a device on CPUs of their own, in any order of their steps: no request
 * is lost or doubled, no slot is taken before it is free, nobody sleeps for ever. Orders are drawn
 * by chance: those that wait have no last one.
 */
#include "explore.h"

#include <ashlar/error.h>

#include "virtq/ring_rig.h"

void interleave_point(void);
void interleave_relax(void);

enum { REQUESTS = 6, SLOTS = 2, LIES = 8, RUNS = 1500 };

enum state { FREE, GIVEN };

static struct {
    struct ring *ring;
    struct ash_virtq *queue;
    struct test_random random;
    uint32_t features;
    enum state state[SLOTS];
    uint32_t submitted, reaped, completed;
    uint32_t notified, interrupted;
    bool lies, is_broken; /* the device; the queue, which the reaper has seen */
} world;

static void setup(void) {
    ring_restart(world.ring, world.features);
    for (int slot; (slot = ash_virtq_next_aborted(world.queue)) >= 0;)
        ash_virtq_retire_aborted(world.queue, (uint32_t)slot);
    memset(world.state, 0, sizeof(world.state));
    world.submitted = world.reaped = world.completed = 0;
    world.notified = world.interrupted = 0;
    world.is_broken = false;
}

static void wait_for(uint32_t *flag) {
    while (!ash_load_acquire(flag) && !world.is_broken)
        interleave_relax();
    ash_store_relaxed(flag, 0u);
}

static void publish(void) {
    if (ash_virtq_publish(world.queue))
        ash_store_release(&world.notified, 1u);
}

static void produce(void) {
    for (uint32_t i = 0; i < REQUESTS; i++) {
        int slot;
        while ((slot = ash_virtq_free_slot(world.queue)) < 0 && !world.is_broken) {
            publish();
            interleave_relax();
        }
        if (world.is_broken)
            return;
        EXPLORE_CHECK(world.state[slot] == FREE);
        world.state[slot] = GIVEN;
        ring_submit_from(world.ring, i % 2);
        world.submitted++;
        if (i % 3 != 0)
            publish();
    }
    publish();
}

static void reap(void) {
    while (world.reaped != REQUESTS) {
        uint32_t len = 0;
        int slot = ash_virtq_next(world.queue, &len);
        if (slot == -ASH_EIO) {
            EXPLORE_CHECK(world.lies);
            world.is_broken = true;
            return;
        }
        if (slot == -ASH_EAGAIN) {
            if (ash_virtq_arm(world.queue, 1 + world.reaped % 2))
                wait_for(&world.interrupted);
            continue;
        }
        EXPLORE_CHECK(slot >= 0 && slot < SLOTS && world.state[slot] == GIVEN);
        EXPLORE_CHECK(len <= RING_WRITABLE_BYTES);
        EXPLORE_CHECK(world.queue->slots[slot].cookie == &world.queue->slots[slot]);
        world.state[slot] = FREE;
        world.reaped++;
        ash_virtq_retire(world.queue, (uint32_t)slot);
    }
}

static void complete_one(void) {
    struct ring_device *device = &world.ring->device;
    ring_slot_of(world.ring, &device->held[device->held_count - 1]);
    ring_device_complete(device, device->held_count - 1, RING_WRITABLE_BYTES);
    world.completed++;
    interleave_point();
    if (ring_device_wants_interrupt(device))
        ash_store_release(&world.interrupted, 1u);
}

static void be_a_device(void) {
    struct ring_device *device = &world.ring->device;
    while (world.completed != REQUESTS) {
        interleave_point();
        if (ring_device_fetch(device))
            continue;
        if (device->held_count != 0) {
            complete_one();
            continue;
        }
        ring_device_ask(device);
        interleave_point();
        if (ring_device_fetch(device))
            continue;
        wait_for(&world.notified);
        ring_device_ask_not(device);
    }
}

static void finish(void) {
    const char *broken = ash_virtq_check(world.queue);
    if (broken != NULL)
        explore_broke(__FILE__, __LINE__, broken);
    EXPLORE_CHECK(world.reaped == REQUESTS && ash_virtq_in_flight(world.queue) == 0);
}

static const struct ash_virtq_config shape = {.size = 4, .slots = SLOTS, .chain = 2};

static void make_world(uint32_t features, bool lies) {
    world.features = features;
    world.lies = lies;
    world.random = test_random_from(test_seed());
    world.ring = ring_new(&shape, features);
    world.queue = &world.ring->queue;
}

TEST_CASE(virtq_orders, producer_reaper_and_device_in_any_order_lose_nothing) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        make_world(features, false);
        explore(&(struct explore_scenario){.setup = setup,
                                           .bodies = {produce, reap, be_a_device},
                                           .finish = finish,
                                           .preemptions = 40,
                                           .random_runs = RUNS});
    }
}

/* Any place, and of a packed ring any flags, the reserved ones too. */
static void lie_about_events(struct ring_device *device) {
    uint16_t place = (uint16_t)test_random_u64(&world.random);
    if (device->packed)
        ring_device_put_event(device, place, (uint16_t)test_random_below(&world.random, 4));
    else
        ring_device_put_avail_event(device, place);
}

/* Lies, between any two of the driver's accesses: what was looked at changes at once. */
static void lie(void) {
    struct ring_device *device = &world.ring->device;
    for (uint32_t i = 0; i < LIES; i++) {
        uint16_t near = (uint16_t)test_random_below(&world.random, 3);
        uint32_t id = (uint32_t)test_random_below(&world.random, 6);
        uint32_t len = (uint32_t)test_random_below(&world.random, 2) * (RING_WRITABLE_BYTES + 1);
        uint32_t flags = test_random_chance(&world.random, 50) ? 0x8080 : 0;
        lie_about_events(device);
        if (world.queue->shape.packed) {
            ring_device_put_entry(device, near, (uint16_t)id, len, (uint16_t)flags);
        } else {
            ring_device_put_used(device, near, test_random_chance(&world.random, 90) ? id : ~id,
                                 len);
            interleave_point();
            ring_device_put_used_index(device, near);
        }
        interleave_point();
    }
    while (!world.is_broken && world.reaped != REQUESTS) { /* no more comes: let it end */
        if (!device->packed)
            ring_device_put_used_index(device, 0x7000);
        for (uint32_t at = 0; device->packed && at < shape.size; at++)
            ring_device_put_entry(device, at, 0xffff, 0,
                                  test_random_chance(&world.random, 50) ? 0x8080 : 0);
        ash_store_relaxed(&world.interrupted, 1u);
        interleave_relax();
    }
}

static void finish_lies(void) {
    const char *broken = ash_virtq_check(world.queue);
    if (broken != NULL && broken[1] <= '2')
        explore_broke(__FILE__, __LINE__, broken);
    EXPLORE_CHECK(ash_virtq_in_flight(world.queue) == world.submitted - world.reaped);
}

TEST_CASE(virtq_orders, lies_between_any_two_steps_bring_back_nothing_that_is_not_in_flight) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        make_world(features, true);
        explore(&(struct explore_scenario){.setup = setup,
                                           .bodies = {produce, reap, lie},
                                           .finish = finish_lies,
                                           .preemptions = 60,
                                           .random_runs = RUNS});
    }
}
