/* SPDX-License-Identifier: MIT */
/* Cases of the tracer's rings: what is written comes back, and what does not is counted. */
#include "harness/test.h"

#include "trace_internal.h"

#include "platform.h"

enum { COUNT = ASH_TRACE_EVENTS_MIN };

static struct ash_trace_ring ring;

static struct ash_trace_record *storage(uint32_t count) {
    return test_alloc(count * sizeof(struct ash_trace_record), sizeof(struct ash_trace_record));
}

static void start(enum ash_trace_mode mode) {
    CHECK_EQ(ash_trace_init(&ring, storage(COUNT), COUNT, mode), 0);
}

static void write_many(uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++)
        ash_trace_write(&ring, (uint32_t)(1 + i % ASH_TRACE_ID_MAX), i, ~i);
}

/* Reads all that is there: the numbers `from` on, the rest lost at the beginning. */
static void check_holds(uint64_t from, uint64_t to) {
    struct ash_trace_record record;
    uint64_t cursor = 0;
    for (uint64_t i = from; i < to; i++) {
        CHECK(ash_trace_read(&ring, &cursor, &record));
        CHECK_EQ(record.a, i);
        CHECK_EQ(record.b, ~i);
        CHECK_EQ(ash_trace_id(&record), 1 + i % ASH_TRACE_ID_MAX);
    }
    CHECK(!ash_trace_read(&ring, &cursor, &record));
    CHECK(ash_trace_check(&ring) == NULL);
}

static void check_counts(uint64_t emitted, uint64_t overwritten, uint64_t dropped) {
    struct ash_trace_counts counts;
    ash_trace_count(&ring, &counts);
    CHECK_EQ(counts.emitted, emitted);
    CHECK_EQ(counts.overwritten, overwritten);
    CHECK_EQ(counts.dropped, dropped);
}

TEST_CASE(trace, init_refuses_sizes_and_places_that_do_not_fit) {
    static const uint32_t bad[] = {
        0, 1, COUNT - 1, COUNT / 2, COUNT + 1, COUNT * 3, 2 * ASH_TRACE_EVENTS_MAX, UINT32_MAX};
    struct ash_trace_record *records = storage(2 * COUNT);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++)
        CHECK_EQ(ash_trace_init(&ring, records, bad[i], ASH_TRACE_STOP), -ASH_EINVAL);
    void *crooked = (char *)records + 16;
    CHECK_EQ(ash_trace_init(&ring, crooked, COUNT, ASH_TRACE_STOP), -ASH_EINVAL);
    CHECK_EQ(ash_trace_init(&ring, NULL, COUNT, ASH_TRACE_STOP), -ASH_EINVAL);
    CHECK_EQ(ash_trace_init(&ring, records, COUNT, (enum ash_trace_mode)2), -ASH_EINVAL);
}

TEST_CASE(trace, empty_ring_has_nothing_to_read) {
    start(ASH_TRACE_OVERWRITE);
    check_holds(0, 0);
    check_counts(0, 0, 0);
}

TEST_CASE(trace, records_come_back_in_order) {
    start(ASH_TRACE_OVERWRITE);
    write_many(0, COUNT);
    check_holds(0, COUNT);
    check_counts(COUNT, 0, 0);
}

TEST_CASE(trace, flight_recorder_keeps_the_newest) {
    start(ASH_TRACE_OVERWRITE);
    write_many(0, 3 * COUNT + 5);
    check_holds(2 * COUNT + 5, 3 * COUNT + 5);
    check_counts(3 * COUNT + 5, 2 * COUNT + 5, 0);
}

TEST_CASE(trace, full_ring_that_stops_keeps_the_oldest) {
    start(ASH_TRACE_STOP);
    write_many(0, 3 * COUNT + 5);
    check_holds(0, COUNT);
    check_counts(3 * COUNT + 5, 0, 2 * COUNT + 5);
}

TEST_CASE(trace, reset_forgets_records_and_counts_and_keeps_the_task) {
    start(ASH_TRACE_STOP);
    ash_trace_set_task(&ring, 77);
    write_many(0, COUNT + 1);
    ash_trace_reset(&ring);
    check_holds(0, 0);
    check_counts(0, 0, 0);
    write_many(5, 6);
    check_holds(5, 6);
    CHECK_EQ(ash_trace_task(&ring.records[1]), 77);
}

TEST_CASE(trace, cursor_goes_on_where_it_was_and_passes_over_what_is_lost) {
    struct ash_trace_record record;
    uint64_t cursor = 0;
    start(ASH_TRACE_OVERWRITE);
    CHECK(!ash_trace_read(&ring, &cursor, &record));
    CHECK_EQ(cursor, 1);
    write_many(0, 1);
    CHECK(ash_trace_read(&ring, &cursor, &record));
    CHECK_EQ(cursor, 2);
    write_many(1, COUNT + 10);
    CHECK(ash_trace_read(&ring, &cursor, &record));
    CHECK_EQ(record.a, 10); /* sequence number 11; 2 to 10 are gone */
    CHECK_EQ(cursor, 12);
}

TEST_CASE(trace, record_says_whose_it_is) {
    struct ash_trace_record record;
    uint64_t cursor = 0;
    start(ASH_TRACE_OVERWRITE);
    ash_trace_set_task(&ring, ASH_TRACE_TASK_MAX);
    for (uint32_t depth = 0; depth <= 5; depth++) {
        ash_trace_write(&ring, ASH_TRACE_ID_MAX, depth, 0);
        CHECK(ash_trace_read(&ring, &cursor, &record));
        CHECK_EQ(ash_trace_depth(&record), ash_min_u64(depth, ASH_TRACE_DEPTH_MAX));
        CHECK_EQ(ash_trace_task(&record), ASH_TRACE_TASK_MAX);
        CHECK_EQ(ash_trace_id(&record), ASH_TRACE_ID_MAX);
        CHECK(ash_trace_check(&ring) == NULL);
        ash_trace_enter(&ring);
    }
    for (uint32_t depth = 6; depth-- > 0;)
        ash_trace_leave(&ring);
    ash_trace_set_task(&ring, 3);
    ash_trace_write(&ring, 1, 0, 0);
    CHECK(ash_trace_read(&ring, &cursor, &record));
    CHECK_EQ(ash_trace_depth(&record), 0);
    CHECK_EQ(ash_trace_task(&record), 3);
}

TEST_CASE(trace, header_goes_round_after_32_bits) {
    struct ash_trace_record record;
    uint64_t cursor = UINT32_MAX - 9;
    start(ASH_TRACE_OVERWRITE);
    ring.next = UINT32_MAX - 9;
    write_many(0, 20);
    for (uint64_t i = 0; i < 20; i++) {
        CHECK(ash_trace_read(&ring, &cursor, &record));
        CHECK_EQ(record.a, i);
    }
    CHECK(!ash_trace_read(&ring, &cursor, &record));
    CHECK_EQ(cursor, (uint64_t)UINT32_MAX - 9 + 20);
}

/* Several laps: neither depth nor task changes, and readers count on. */
TEST_CASE(trace, sequence_is_set_back_before_it_reaches_the_depth) {
    struct ash_trace_record record;
    start(ASH_TRACE_OVERWRITE);
    ash_trace_set_task(&ring, 5);
    uint64_t last = ASH__TRACE_LAP_AT - 1, number = 0;
    for (uint32_t lap = 0; lap < 3; lap++, last += ASH__TRACE_LAP) {
        ring.next = (ring.next & ~ASH__TRACE_SEQUENCE_MASK) | (ASH__TRACE_LAP_AT - 40);
        ring.limit = ash__trace_place(ASH__TRACE_LAP_AT);
        ring.floor = 0;
        uint64_t cursor = last - 39;
        for (uint32_t i = 0; i < COUNT; i++)
            ash_trace_write(&ring, 1, number + i, 0);
        for (uint32_t i = 0; i < COUNT; i++) {
            CHECK(ash_trace_read(&ring, &cursor, &record));
            CHECK_EQ(record.a, number + i);
            CHECK_EQ(ash_trace_task(&record), 5);
            CHECK_EQ(ash_trace_depth(&record), 0);
        }
        CHECK_EQ(cursor, last - 39 + COUNT);
        CHECK_EQ(ring.lap_done, lap + 1);
        CHECK(ash_trace_check(&ring) == NULL);
        number += COUNT;
    }
}

/* A write that was interrupted right behind its reservation, as it lies in memory then. */
TEST_CASE(trace, interrupts_leave_the_record_of_an_unfinished_write_alone) {
    start(ASH_TRACE_OVERWRITE);
    write_many(0, 10);
    uint64_t reserved = ash_fetch_add_local(&ring.next, 1);
    for (uint32_t i = 0; i < 2 * COUNT; i++) { /* each an interrupt of its own */
        ash_trace_enter(&ring);
        ash_trace_write(&ring, 2, 11 + i, 0);
        ash_trace_leave(&ring);
    }
    check_counts(11 + 2 * COUNT, 10, COUNT + 1); /* the ring less the one record */
    CHECK(ash_trace_check(&ring) == NULL);
    ash__trace_commit(&ring, reserved, 1, 10, ~UINT64_C(10));
    struct ash_trace_record record;
    uint64_t cursor = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(ash_trace_read(&ring, &cursor, &record));
        CHECK_EQ(record.a, 10 + i);
    }
    CHECK(!ash_trace_read(&ring, &cursor, &record));
    write_many(0, 1); /* nothing is unfinished: it goes on */
    check_counts(12 + 2 * COUNT, 11, COUNT + 1);
}

TEST_CASE(trace, check_finds_what_is_broken) {
    start(ASH_TRACE_OVERWRITE);
    write_many(0, 10);
    ring.records[4].header++;
    CHECK(ash_trace_check(&ring) != NULL);
    ring.records[4].header--;
    ring.nesting++;
    CHECK(ash_trace_check(&ring) != NULL);
    ring.nesting--;
    ring.lap++;
    CHECK(ash_trace_check(&ring) != NULL);
    ring.lap--;
    uint64_t limit = ring.limit;
    ring.limit = 0; /* everything would be dropped */
    CHECK(ash_trace_check(&ring) != NULL);
    ring.limit = limit;
    CHECK(ash_trace_check(&ring) == NULL);
}

/* A naive ring beside the real one */

enum { MODEL_STEPS = 400, MODEL_MAX = 4 * MODEL_STEPS };

static struct {
    struct test_random random;
    uint64_t kept[MODEL_MAX]; /* `a` by sequence number - 1 */
    uint64_t emitted, dropped, count;
    uint32_t depth;
    bool stops;
} model;

static void model_write(void *context) {
    (void)context;
    ash_trace_write(&ring, 1 + model.depth, model.emitted, model.depth);
    uint64_t last = model.emitted - model.dropped;
    if (model.stops && last == model.count)
        model.dropped++;
    else
        model.kept[last] = model.emitted;
    model.emitted++;
}

static void model_interrupt(void *context) {
    ash_trace_enter(&ring);
    model.depth++;
    for (uint64_t i = test_random_below(&model.random, 3); i-- > 0;)
        model_write(context);
    if (model.depth < 6 && test_random_below(&model.random, 2) == 0)
        model_interrupt(context);
    model.depth--;
    ash_trace_leave(&ring);
}

static void model_compare(void) {
    uint64_t last = model.emitted - model.dropped;
    uint64_t lost = last > model.count ? last - model.count : 0, cursor = 0;
    check_counts(model.emitted, lost, model.dropped);
    struct ash_trace_record record;
    for (uint64_t i = lost; i < last; i++) {
        CHECK(ash_trace_read(&ring, &cursor, &record));
        CHECK_EQ(record.a, model.kept[i]);
        CHECK_EQ(ash_trace_depth(&record), ash_min_u64(record.b, ASH_TRACE_DEPTH_MAX));
    }
    CHECK(!ash_trace_read(&ring, &cursor, &record));
    CHECK(ash_trace_check(&ring) == NULL);
}

static void play(uint64_t seed) {
    model.random = test_random_from(seed);
    model.emitted = model.dropped = model.depth = 0;
    model.stops = test_random_below(&model.random, 2) != 0;
    model.count = UINT64_C(1) << test_random_below(&model.random, 8);
    ash__trace_init(&ring, storage(128), model.count,
                    model.stops ? ASH_TRACE_STOP : ASH_TRACE_OVERWRITE);
    for (uint32_t i = 0; i < MODEL_STEPS && model.emitted < MODEL_MAX - 64; i++) {
        if (test_random_below(&model.random, 3) != 0)
            model_write(NULL);
        else
            CHECK_EQ(platform_interrupt_self(model_interrupt, NULL), 0);
        if (i % 37 == 0)
            model_compare();
    }
    model_compare();
}

TEST_CASE(trace, naive_ring_agrees) {
    for (uint32_t i = 0; i < 60; i++)
        play(test_seed() + i);
}
