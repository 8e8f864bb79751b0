/* SPDX-License-Identifier: MIT */
/*
 * No wake-up, no kick and no data are lost: every interleaving of a driver and a device at small
 * depth, in both formats, over memory that is late (late_memory.h). And the other way round: each
 * barrier of the ring is taken out, and what is lost without it is found, or nothing is.
 */
#include "virtq/late_memory.h"

#include <ashlar/error.h>

enum { SIZE_MAX_HERE = 4, REQUESTS_MAX = 8, NOBODY = 0xff, SPINS_MAX = 12 };

/* 2.7.5, 2.7.7, 2.8.1, 2.8.10 */
enum { F_AVAIL = 0x80, F_USED = 0x8000, NO_INTERRUPT = 1, NO_NOTIFY = 1 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };

enum state { RUN, ASK, ASK_FLAGS, LOOK_AGAIN, ASLEEP };

/* What is played. Requests are one descriptor each. */
struct scenario {
    uint32_t size, rounds, batch; /* each round publishes a batch */
    bool device_fetches;          /* false: it knows them all from the start, and completes */
    bool device_completes;        /* false: it only fetches */
    uint32_t wish;                /* what the driver arms for */
};

static struct {
    const struct scenario *scenario;
    struct ash_virtq queue;
    uint32_t driver_at, device_at; /* the areas' offsets */
    uint32_t submitted, reaped;
    uint8_t request_of[SIZE_MAX_HERE]; /* by slot, or NOBODY */
    bool garbled;                      /* somebody saw what nobody meant */
    /* The device: how many it has fetched, completed, and looked at for an interrupt. */
    uint32_t fetched, completed, signalled;
    struct {
        uint16_t id;
        uint8_t request;
    } held[REQUESTS_MAX];
    uint32_t held_count;
    enum state state;
    bool knows_flags; /* of the driver's event structure; the offset is next */
    uint32_t event_flags;
    bool interrupt, notified;
} model;

/* The device. Entry n of a ring of one-descriptor requests: */
static bool is_even_lap(uint32_t n) {
    return n / model.queue.size % 2 == 0;
}

static uint32_t entry_at(uint32_t n) {
    return n % model.queue.size * (uint32_t)sizeof(struct ash_virtq_desc);
}

static uint64_t address_of(uint32_t request) {
    return 0x1000 + request;
}

static void complete(void) {
    /* The last one first: so that no stale entry looks like a good one. */
    uint16_t id = model.held[--model.held_count].id;
    uint32_t len = 1u + model.held[model.held_count].request, n = model.completed++;
    if (model.queue.shape.packed) {
        device_puts(entry_at(n) + 12, id, 2);
        device_puts(entry_at(n) + 8, len, 4);
        device_puts(entry_at(n) + 14, is_even_lap(n) ? F_AVAIL | F_USED : 0, 2);
    } else {
        uint32_t entry = model.device_at + 4 + n % model.queue.size * 8;
        device_puts(entry, id, 4);
        device_puts(entry + 4, len, 4);
        device_puts(model.device_at + 2, n + 1, 2);
    }
}

static bool split_wants(void) {
    if (!model.queue.event_idx)
        return (device_gets(model.driver_at, 2) & NO_INTERRUPT) == 0;
    uint32_t event = device_gets(model.driver_at + 4 + 2 * model.queue.size, 2);
    return event >= model.signalled && event < model.completed;
}

static bool packed_wants(void) {
    uint32_t event = device_gets(model.driver_at, 2);
    for (uint32_t n = model.signalled; n < model.completed; n++) {
        if (n % model.queue.size == (event & 0x7fff) && is_even_lap(n) == event >> 15)
            return true;
    }
    return false;
}

/* Looks at what the driver wants. In a packed ring first the flags, then the offset. */
static void signal(void) {
    bool wants;
    if (!model.queue.shape.packed) {
        wants = split_wants();
    } else if (!model.knows_flags) {
        model.event_flags = device_gets(model.driver_at + 2, 2);
        wants = model.event_flags == EVENT_ENABLE;
        model.knows_flags = model.event_flags == EVENT_DESC;
        if (model.knows_flags)
            return;
    } else {
        model.knows_flags = false;
        wants = packed_wants();
    }
    model.interrupt = model.interrupt || wants;
    model.signalled = model.completed;
}

static bool is_available(void) {
    uint32_t n = model.fetched;
    if (!model.queue.shape.packed)
        return device_gets(model.driver_at + 2, 2) != n;
    uint32_t flags = device_gets(entry_at(n) + 14, 2) & (F_AVAIL | F_USED);
    return flags == (is_even_lap(n) ? F_AVAIL : F_USED);
}

static void fetch(void) {
    uint32_t n = model.fetched++, entry = entry_at(n);
    uint16_t id = (uint16_t)device_gets(model.driver_at + 4 + n % model.queue.size * 2, 2);
    if (model.queue.shape.packed)
        id = (uint16_t)device_gets(entry + 12, 2);
    else
        entry = id % model.queue.size * (uint32_t)sizeof(struct ash_virtq_desc);
    model.garbled = model.garbled || id >= model.queue.size ||
                    device_gets(entry, 4) != address_of(n) || model.request_of[id] != n;
    model.held[model.held_count].id = id;
    model.held[model.held_count++].request = (uint8_t)n;
}

static void ask_for_notification(void) {
    bool event_idx = model.queue.event_idx;
    if (!model.queue.shape.packed) {
        device_puts(event_idx ? model.device_at + 4 + model.queue.size * 8 : model.device_at,
                    event_idx ? model.fetched : 0, 2);
    } else if (model.state == ASK && event_idx) {
        uint32_t lap = is_even_lap(model.fetched) ? 1u << 15 : 0;
        device_puts(model.device_at, model.fetched % model.queue.size | lap, 2);
        model.state = ASK_FLAGS;
        return;
    } else {
        device_puts(model.device_at + 2, event_idx ? EVENT_DESC : EVENT_ENABLE, 2);
    }
    model.state = LOOK_AGAIN;
}

static void wake(void) {
    model.notified = false;
    model.state = RUN;
    if (model.queue.shape.packed)
        device_puts(model.device_at + 2, EVENT_DISABLE, 2);
    else if (!model.queue.event_idx)
        device_puts(model.device_at, NO_NOTIFY, 2);
}

/* Takes what is available; else asks to be notified, looks again, sleeps. */
static void fetching_step(void) {
    if (model.state == ASLEEP) {
        wake();
        return;
    }
    if (model.state == ASK || model.state == ASK_FLAGS) {
        ask_for_notification();
        return;
    }
    bool is_there = is_available();
    if (is_there)
        fetch();
    model.state = is_there ? RUN : model.state == RUN ? ASK : ASLEEP;
}

static bool may_complete(void) {
    return model.scenario->device_completes && model.held_count != 0;
}

static bool device_can_step(void) {
    return may_complete() || model.signalled != model.completed ||
           (model.scenario->device_fetches && (model.state != ASLEEP || model.notified));
}

static void device_step(void) {
    bool unsignalled = model.signalled != model.completed;
    if (!model.knows_flags && may_complete() && (!unsignalled || choose(2) != 0))
        complete();
    else if (unsignalled)
        signal();
    else
        fetching_step();
}

/* The driver */

static void submit(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        int slot = ash_virtq_free_slot(&model.queue);
        CHECK(slot >= 0);
        model.request_of[slot] = (uint8_t)model.submitted;
        ash_virtq_describe(&model.queue, (uint32_t)slot, 0, address_of(model.submitted++), 100,
                           true);
        (void)ash_virtq_submit(&model.queue, (uint32_t)slot, 0, 100, NULL);
    }
}

/* All that is there; false: the queue is broken. */
static bool reaps(void) {
    uint32_t len = 0;
    int slot;
    while ((slot = ash_virtq_next(&model.queue, &len)) >= 0) {
        model.garbled = model.garbled || model.request_of[slot] + 1u != len;
        model.request_of[slot] = NOBODY;
        ash_virtq_retire(&model.queue, (uint32_t)slot);
        model.reaped++;
    }
    return slot == -ASH_EAGAIN;
}

/* The loop of virtio_blk.h's head, until all are back; false: asleep for ever, or the like. */
static bool waits_for_all(void) {
    for (uint32_t spins = 0; spins < SPINS_MAX; spins++) {
        if (!reaps())
            return false;
        if (model.reaped == model.submitted)
            return true;
        if (!ash_virtq_arm(&model.queue, model.scenario->wish))
            continue;
        while (!model.interrupt) {
            if (!device_can_step())
                return false;
            device_step();
        }
        model.interrupt = false;
    }
    return false;
}

static bool runs_well(void) {
    const struct scenario *scenario = model.scenario;
    if (!scenario->device_fetches) { /* it has them all */
        late.driver_runs = false;
        submit(scenario->batch);
        (void)!ash_virtq_publish(&model.queue);
        late_start(late.own);
        while (model.fetched != scenario->batch)
            fetch();
        late.driver_runs = true;
        return waits_for_all() && !model.garbled;
    }
    for (uint32_t round = 0; round < scenario->rounds; round++) {
        submit(scenario->batch);
        if (ash_virtq_publish(&model.queue))
            model.notified = true;
        if (scenario->device_completes && !waits_for_all())
            return false;
    }
    while (device_can_step())
        device_step();
    return model.fetched == model.submitted && !model.garbled;
}

/* Another run from the start. */
static bool play(void *storage, size_t storage_bytes, const struct ash_virtq_dma *dma,
                 uint32_t features) {
    const struct ash_virtq_config config = {model.scenario->size, model.scenario->size, 1, 0};
    const struct scenario *scenario = model.scenario;
    late.driver_runs = false;
    memset(&model, 0, sizeof(model));
    model.scenario = scenario;
    CHECK_EQ(ash_virtq_init(&model.queue, &config, storage, storage_bytes, dma), 0);
    ash_virtq_restart(&model.queue, features);
    model.driver_at = (uint32_t)(ash_virtq_driver_area(&model.queue).address - dma->address);
    model.device_at = (uint32_t)(ash_virtq_device_area(&model.queue).address - dma->address);
    late_start(dma->pointer);
    late.driver_runs = true;
    return runs_well();
}

struct tally {
    uint32_t runs, bad;
    bool is_whole; /* all runs were seen */
};

/* Runs from the first list of choices on: to the last one, or the first bad one, or so many. */
static struct tally play_in_order(void *storage, size_t storage_bytes,
                                  const struct ash_virtq_dma *dma, uint32_t features,
                                  uint32_t runs_max) {
    struct tally tally = {0};
    late.planned = 0;
    late.by_chance = false;
    while (tally.bad == 0 && tally.runs < runs_max && !tally.is_whole) {
        tally.runs++;
        tally.bad += !play(storage, storage_bytes, dma, features);
        tally.is_whole = !next_run();
    }
    return tally;
}

/* The scenario whole, if it is small enough; else its beginning, and as many runs by chance. */
static struct tally play_all(const struct scenario *scenario, bool weak, uint32_t features,
                             uint32_t runs_max) {
    const struct ash_virtq_config config = {SIZE_MAX_HERE, SIZE_MAX_HERE, 1, 0};
    static uint64_t storage[128] __attribute__((aligned(ASH_VIRTQ_STORAGE_ALIGN)));
    static uint8_t shared[LATE_BYTES] __attribute__((aligned(ASH_VIRTQ_STORAGE_ALIGN)));
    const struct ash_virtq_dma dma = {shared, sizeof(shared), 1 << 20};
    CHECK(ash_virtq_storage_size(&config) <= sizeof(storage));
    CHECK(ash_virtq_dma_size(&config) <= sizeof(shared));
    late.weak = weak;
    late.device_can_step = device_can_step;
    late.device_step = device_step;
    model.scenario = scenario;
    struct tally tally = play_in_order(storage, sizeof(storage), &dma, features, runs_max);
    late.by_chance = true;
    late.random = test_random_from(test_seed() + features);
    for (uint32_t i = 0; i < runs_max && tally.bad == 0 && !tally.is_whole; i++) {
        tally.runs++;
        tally.bad += !play(storage, sizeof(storage), &dma, features);
    }
    return tally;
}

/* The scenarios from `first` to `last`, in both formats, with EVENT_IDX and without. */
enum { KICKS = 0, KICKS_END = 2, WAKE_UPS = 2, WAKE_UPS_END = 5, CYCLES = 5, CYCLES_END = 9 };
static const struct scenario scenarios[] = {
    {.size = 4, .rounds = 2, .batch = 1, .device_fetches = true},
    {.size = 4, .rounds = 1, .batch = 2, .device_fetches = true},
    {.size = 4, .batch = 1, .device_completes = true, .wish = 1},
    {.size = 4, .batch = 2, .device_completes = true, .wish = 1},
    {.size = 4, .batch = 2, .device_completes = true, .wish = 2},
    {1, 1, 1, .device_fetches = true, .device_completes = true, .wish = 1},
    {1, 3, 1, .device_fetches = true, .device_completes = true, .wish = 1},
    {2, 3, 2, .device_fetches = true, .device_completes = true, .wish = 1},
    {4, 2, 3, .device_fetches = true, .device_completes = true, .wish = 2},
};

static void check_all(uint32_t first, uint32_t end, bool weak, uint32_t runs_max, bool whole) {
    late.without_count = 0;
    for (uint32_t i = first * 4; i < end * 4; i++) {
        struct tally tally = play_all(&scenarios[i / 4], weak, i % 4, runs_max);
        if (tally.bad != 0 || (whole && !tally.is_whole))
            test_fail(__FILE__, __LINE__, "scenario %u, features %u: %u of %u runs are bad%s",
                      i / 4, i % 4, tally.bad, tally.runs, tally.is_whole ? "" : ", not whole");
    }
}

TEST_CASE(virtq_wakeup, sleeping_device_is_notified_in_every_interleaving) {
    check_all(KICKS, KICKS_END, false, 100000, true);
}

TEST_CASE(virtq_wakeup, armed_driver_is_woken_in_every_interleaving) {
    check_all(WAKE_UPS, WAKE_UPS_END, false, 100000, true);
}

TEST_CASE(virtq_wakeup, nothing_is_lost_where_stores_and_loads_are_out_of_order) {
    check_all(KICKS, WAKE_UPS_END, true, 20000, false);
}

TEST_CASE(virtq_wakeup, nothing_is_lost_over_laps_of_submitting_and_sleeping) {
    check_all(CYCLES, CYCLES_END, false, 1000, false);
    check_all(CYCLES, CYCLES_END, true, 1500, false);
}

/* Barriers */

enum { BARRIERS_MAX = 2 };

struct missing {
    struct late_site sites[BARRIERS_MAX];
    bool packed;
};

static uint32_t bad_without(const struct missing *missing, bool weak, uint32_t runs_max) {
    uint32_t bad = 0;
    late.skipped = 0;
    late.without = missing->sites;
    late.without_count = missing->sites[1].function == NULL ? 1 : 2;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(scenarios); i++) {
        for (uint32_t events = 0; events < 2; events++)
            bad += play_all(&scenarios[i], weak, events | (missing->packed ? ASH_VIRTQ_PACKED : 0),
                            runs_max)
                       .bad;
    }
    CHECK(late.skipped != 0);
    return bad;
}

static const struct missing full_barriers[] = {
    {{{MB, "ash__virtq_publish_split"}}, false},
    {{{MB, "ash__virtq_publish_packed"}}, true},
    {{{MB, "arm_split"}}, false},
    {{{MB, "arm_packed"}}, true},
};

TEST_CASE(virtq_wakeup, each_full_barrier_is_needed_even_where_stores_stay_in_order) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(full_barriers); i++) {
        CHECK(bad_without(&full_barriers[i], false, 1000) != 0);
        CHECK(bad_without(&full_barriers[i], true, 1000) != 0);
    }
}

/* The barrier for the device's sake and the ordered access for the CPU's: either is enough here,
 * where both look at the same memory. A port on which they do not may not count on one. */
static const struct missing pairs[] = {
    {{{WMB, "ash__virtq_publish_split"}, {RELEASE, "ash__virtq_publish_split"}}, false},
    {{{WMB, "ash__virtq_publish_packed"}, {RELEASE, "ash__virtq_publish_packed"}}, true},
    {{{ACQUIRE, "ash__virtq_look"}, {RMB, "ash__virtq_look"}}, false},
    {{{ACQUIRE, "ash__virtq_is_used"}, {RMB, "ash__virtq_next_packed"}}, true},
};

TEST_CASE(virtq_wakeup, each_pair_of_ordered_access_and_barrier_is_needed_and_one_of_it_enough) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(pairs); i++) {
        CHECK(bad_without(&pairs[i], true, 1000) != 0);
        CHECK_EQ(bad_without(&pairs[i], false, 100), 0);
        for (uint32_t one = 0; one < BARRIERS_MAX; one++) {
            const struct missing alone = {{pairs[i].sites[one]}, pairs[i].packed};
            CHECK_EQ(bad_without(&alone, true, 500), 0);
        }
    }
}

/* A device that sees the new flags beside the old offset, or the reverse, finds its answer in the
 * driver's second look: the full barrier is behind both. */
TEST_CASE(virtq_wakeup, order_of_the_two_words_of_a_packed_event_does_not_matter) {
    const struct missing order = {{{WMB, "arm_packed"}}, true};
    CHECK_EQ(bad_without(&order, true, 1500), 0);
}
