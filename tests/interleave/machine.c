/* SPDX-License-Identifier: MIT */
/* Cases of the explorer itself: it finds what there is to find. */
#include "explore.h"

#include <ashlar/port.h>

static uint32_t shared, seen;
static struct ash_spinlock lock;

static void reset(void) {
    shared = 0;
    ash_spin_init(&lock);
}

static void nothing(void) {
}

static void add_without_lock(void) {
    uint32_t value = ash_load_relaxed(&shared);
    ash_store_relaxed(&shared, value + 1);
}

static void add_with_lock(void) {
    ash_spin_lock(&lock);
    add_without_lock();
    ash_spin_unlock(&lock);
}

static void note_result(void) {
    seen |= 1u << shared;
}

TEST_CASE(explore, finds_the_lost_update) {
    seen = 0;
    explore(&(struct explore_scenario){.setup = reset,
                                       .bodies = {add_without_lock, add_without_lock},
                                       .finish = note_result,
                                       .preemptions = 1});
    CHECK_EQ(seen, 1u << 1 | 1u << 2);
}

TEST_CASE(explore, lock_keeps_updates) {
    seen = 0;
    uint64_t runs =
        explore(&(struct explore_scenario){.setup = reset,
                                           .bodies = {add_with_lock, add_with_lock, add_with_lock},
                                           .finish = note_result,
                                           .preemptions = 2});
    CHECK_EQ(seen, 1u << 3);
    CHECK(runs > 20);
}

TEST_CASE(explore, without_preemptions_a_context_runs_to_its_end) {
    uint64_t runs = explore(&(struct explore_scenario){
        .setup = reset, .bodies = {add_with_lock, add_with_lock}, .finish = nothing});
    CHECK(runs == 1 || explore_more != 0);
}

static uint32_t cpus_seen;

static void note_cpu(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    cpus_seen |= 1u << cpu;
    ash_port_unpin();
}

TEST_CASE(explore, context_that_is_not_pinned_moves_to_other_cpus) {
    cpus_seen = 0;
    explore(&(struct explore_scenario){
        .setup = reset, .bodies = {note_cpu}, .finish = nothing, .preemptions = 1});
    CHECK_EQ(cpus_seen, 7);
}

static uint32_t on_cpu[ASH_PORT_CPUS_MAX];

static void be_alone_on_a_cpu(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    EXPLORE_CHECK(on_cpu[cpu]++ == 0);
    interleave_point();
    on_cpu[cpu]--;
    ash_port_unpin();
}

TEST_CASE(explore, pinned_context_has_its_cpu_for_itself) {
    explore(&(struct explore_scenario){
        .setup = reset,
        .bodies = {be_alone_on_a_cpu, be_alone_on_a_cpu, be_alone_on_a_cpu},
        .finish = nothing,
        .preemptions = 3});
}

static void interrupt_adds(void) {
    shared += 10;
}

static void add_masked(void) {
    ash_irq_t state = ash_port_irq_save();
    add_without_lock();
    ash_port_irq_restore(state);
}

TEST_CASE(explore, interrupt_comes_at_every_point_but_masked_ones) {
    seen = 0;
    explore(&(struct explore_scenario){.setup = reset,
                                       .bodies = {add_without_lock},
                                       .interrupt = interrupt_adds,
                                       .finish = note_result,
                                       .preemptions = 1});
    CHECK_EQ(seen, 1u << 1 | 1u << 11);
    seen = 0;
    explore(&(struct explore_scenario){.setup = reset,
                                       .bodies = {add_masked},
                                       .interrupt = interrupt_adds,
                                       .finish = note_result,
                                       .preemptions = 1});
    CHECK_EQ(seen, 1u << 1 | 1u << 11);
}
