/* SPDX-License-Identifier: MIT */
/*
 * Orders of the tracer's steps: a writer, interrupts that nest in its writes and write themselves,
 * and a reader on another CPU, over rings so short that they go round within a write.
 */
#include "explore.h"

#include <stdlib.h>

#include "trace_internal.h"

enum { COUNT_MAX = 8, WRITES = 3, EMITTED_MAX = 64 };

static struct {
    struct ash_trace_ring ring;
    struct ash_trace_record records[COUNT_MAX];
    uint32_t count, writes;
    enum ash_trace_mode mode;
    uint64_t begin;            /* the first sequence number */
    uint64_t emitted;          /* events, each with a number of its own */
    uint32_t depth;            /* as the writer knows it */
    uint8_t seen[EMITTED_MAX]; /* by the reader */
} world;

static uint64_t sum_of(uint64_t number) {
    return number * UINT64_C(0x9e3779b97f4a7c15);
}

static void setup(void) {
    ash__trace_init(&world.ring, world.records, world.count, world.mode);
    world.ring.next += world.begin - 1;
    for (uint64_t old = world.begin - world.count; world.begin > 1 && old < world.begin; old++)
        world.records[old % world.count].header = (uint32_t)old | UINT64_C(1) << ASH_TRACE_ID_SHIFT;
    world.emitted = 0;
    world.depth = 0;
    memset(world.seen, 0, sizeof(world.seen));
}

static void emit(void) {
    uint64_t number = world.emitted++;
    ash_trace_write(&world.ring, 1 + world.depth, number, sum_of(number));
}

static void write_all(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    for (uint32_t i = 0; i < world.writes; i++)
        emit();
    ash_port_unpin();
}

/* Comes masked; the handler's own writes may be interrupted. */
static void interrupt(void) {
    ash_trace_enter(&world.ring);
    uint32_t outer = world.depth++;
    ash_port_irq_restore(0);
    for (uint32_t i = 0; i < world.writes; i++)
        emit();
    (void)ash_port_irq_save();
    world.depth = outer;
    ash_trace_leave(&world.ring);
}

/* Whole, and each at most once. */
static void take(const struct ash_trace_record *record, uint8_t *seen) {
    EXPLORE_CHECK(record->a < world.emitted);
    EXPLORE_CHECK(record->b == sum_of(record->a));
    EXPLORE_CHECK(ash_trace_id(record) == 1 + ash_trace_depth(record));
    EXPLORE_CHECK(seen[record->a]++ == 0);
}

static void read_all(void) {
    struct ash_trace_record record;
    uint64_t cursor = world.begin;
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t before = cursor;
        if (ash_trace_read(&world.ring, &cursor, &record)) {
            EXPLORE_CHECK(cursor > before);
            take(&record, world.seen);
        }
        EXPLORE_CHECK(cursor >= before);
    }
}

/* The law, exactly: nobody is in a write any more. */
static void finish(void) {
    struct ash_trace_counts counts;
    struct ash_trace_record record;
    uint8_t seen[EMITTED_MAX] = {0};
    uint64_t cursor = world.begin, readable = 0, before = world.begin - 1;
    ash_trace_count(&world.ring, &counts);
    while (ash_trace_read(&world.ring, &cursor, &record)) {
        take(&record, seen);
        readable++;
    }
    uint64_t kept = world.emitted - counts.dropped;
    uint64_t overwritten = kept > world.count ? kept - world.count : 0;
    EXPLORE_CHECK(counts.emitted == before + world.emitted);
    EXPLORE_CHECK(world.emitted == readable + overwritten + counts.dropped);
    EXPLORE_CHECK(world.mode == ASH_TRACE_OVERWRITE || kept <= world.count);
    const char *broken = ash_trace_check(&world.ring);
    if (broken != NULL)
        explore_broke(__FILE__, __LINE__, broken);
}

static uint64_t go(struct explore_scenario scenario) {
    scenario.setup = setup;
    scenario.finish = finish;
    uint64_t runs = explore(&scenario);
    CHECK(runs > 1);
    return runs;
}

static void each_ring(struct explore_scenario scenario) {
    world.begin = 1;
    for (world.count = 1; world.count <= COUNT_MAX; world.count *= 2) {
        for (uint32_t stops = 0; stops < 2; stops++) {
            world.mode = stops != 0 ? ASH_TRACE_STOP : ASH_TRACE_OVERWRITE;
            go(scenario);
        }
    }
}

TEST_CASE(trace_orders, reader_beside_a_writer) {
    world.writes = 4;
    each_ring((struct explore_scenario){.bodies = {write_all, read_all}, .preemptions = 2});
}

TEST_CASE(trace_orders, interrupts_nest_in_writes) {
    world.writes = 2;
    each_ring((struct explore_scenario){
        .bodies = {write_all}, .interrupt = interrupt, .interrupts = 3, .preemptions = 3});
}

TEST_CASE(trace_orders, reader_beside_a_writer_that_is_interrupted) {
    world.writes = 2;
    each_ring((struct explore_scenario){.bodies = {write_all, read_all},
                                        .interrupt = interrupt,
                                        .interrupts = 2,
                                        .preemptions = 2});
}

/* The sequence number is set back in the middle. */
TEST_CASE(trace_orders, laps_under_interrupts) {
    world.writes = 2;
    world.mode = ASH_TRACE_OVERWRITE;
    for (world.count = 2; world.count <= COUNT_MAX; world.count *= 2) {
        for (uint64_t before = 0; before <= 2; before++) {
            world.begin = ASH__TRACE_LAP_AT - before;
            go((struct explore_scenario){.bodies = {write_all, read_all},
                                         .interrupt = interrupt,
                                         .interrupts = 2,
                                         .preemptions = 2});
        }
    }
}

/* ASHLAR_TRACE_RUNS: how many of them, for each of two rings; 10^7 in all take some minutes. */
TEST_CASE(trace_orders, long_runs_by_chance) {
    const char *wanted = getenv("ASHLAR_TRACE_RUNS");
    struct explore_scenario scenario = {
        .bodies = {write_all, read_all},
        .interrupt = interrupt,
        .interrupts = 3,
        .preemptions = 50,
        .random_runs = wanted == NULL ? 10000 : (uint32_t)strtoul(wanted, NULL, 0),
    };
    world.writes = WRITES;
    world.begin = 1;
    world.mode = ASH_TRACE_OVERWRITE;
    for (world.count = 4; world.count <= 8; world.count *= 2)
        go(scenario);
}
