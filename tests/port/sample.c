/* SPDX-License-Identifier: MIT */
/* Cases of sampling, platform/sample.h: what a handler is told, and when. */
#include <ashlar/error.h>
#include <ashlar/port.h>

#include "harness/test.h"
#include "platform.h"
#include "sample.h"

enum { PERIOD_NS = 1000000, SAMPLES = 20 };

static struct {
    struct platform_sample last;
    uint64_t taken, missed, outside, unbounded;
    uint64_t spin_low, spin_high;
    uint32_t spins;
} seen;

static void take(void *context, const struct platform_sample *sample) {
    ash_irq_t state = ash_port_irq_save();
    (void)context;
    seen.last = *sample;
    seen.missed += sample->missed;
    if (ash_load_relaxed(&seen.spins) != 0)
        seen.outside += sample->pc < seen.spin_low || sample->pc >= seen.spin_high;
    seen.unbounded += sample->sp < sample->stack_low || sample->sp >= sample->stack_high;
    ash_store_release(&seen.taken, seen.taken + 1);
    ash_port_irq_restore(state);
}

/* It calls nothing. A sample may also fall before it or behind, on a machine that is busy. */
__attribute__((noinline)) static void sample_case_spin(uint64_t until) {
    ash_store_relaxed(&seen.spins, 1u);
    ash_port_compiler_fence();
    while (ash_load_acquire(&seen.taken) < until)
        ash_port_compiler_fence();
    ash_store_relaxed(&seen.spins, 0u);
}

static void find_spin(void) {
    uint64_t start, end;
    const char *name;
    memset(&seen, 0, sizeof(seen));
    for (uint32_t i = 0; platform_code_function(i, &start, &end, &name); i++) {
        if (start == (uintptr_t)sample_case_spin) {
            seen.spin_low = start;
            seen.spin_high = end;
        }
    }
    CHECK(seen.spin_high != 0);
}

static void start(enum platform_trigger trigger, uint64_t period) {
    find_spin();
    int error = platform_sample_start(trigger, period, take, NULL);
    if (error == -ASH_ENOTSUP)
        test_skip("this machine does not sample so");
    CHECK_EQ(error, 0);
}

TEST_CASE(sample, is_taken_inside_what_runs) {
    start(PLATFORM_TRIGGER_TIMER, PERIOD_NS);
    sample_case_spin(SAMPLES);
    platform_sample_stop();
    CHECK_EQ(seen.outside, 0);
    CHECK_EQ(seen.unbounded, 0);
    CHECK(!seen.last.is_user);
    CHECK(!seen.last.is_waiting);
}

TEST_CASE(sample, stop_means_none_later) {
    start(PLATFORM_TRIGGER_TIMER, PLATFORM_SAMPLE_NS_MIN);
    sample_case_spin(3);
    platform_sample_stop();
    uint64_t taken = seen.taken;
    ash_ns_t begin = platform_now_ns();
    while (platform_now_ns() < begin + 3 * PERIOD_NS)
        ash_port_relax();
    CHECK_EQ(seen.taken, taken);
    platform_sample_stop(); /* once more is nothing */
}

TEST_CASE(sample, periods_and_misses_add_up_to_the_time) {
    ash_ns_t before_start = platform_now_ns();
    start(PLATFORM_TRIGGER_TIMER, PERIOD_NS);
    ash_ns_t begin = platform_now_ns();
    sample_case_spin(SAMPLES);
    uint64_t periods = (platform_now_ns() - begin) / PERIOD_NS;
    sample_case_spin(seen.taken + 1); /* the one that may have been on its way */
    platform_sample_stop();
    uint64_t sum = seen.taken + seen.missed;
    CHECK(sum + 1 >= periods);
    CHECK(sum <= (platform_now_ns() - before_start) / PERIOD_NS);
}

/* What a masked section hides is counted where it ends; a host's signal looks into it, too. */
TEST_CASE(sample, periods_behind_a_mask_are_missed_not_made_up_for) {
    start(PLATFORM_TRIGGER_TIMER, PERIOD_NS);
    sample_case_spin(1);
    ash_irq_t state = ash_port_irq_save();
    ash_ns_t begin = platform_now_ns();
    uint64_t before = seen.taken + seen.missed;
    while (platform_now_ns() < begin + 10 * PERIOD_NS)
        ash_port_compiler_fence();
    uint64_t periods = (platform_now_ns() - begin) / PERIOD_NS;
    ash_port_irq_restore(state);
    uint64_t taken = seen.taken;
    sample_case_spin(taken + 1);
    platform_sample_stop();
    CHECK(seen.taken + seen.missed - before + 1 >= periods);
}

TEST_CASE(sample, waiting_is_told) {
    start(PLATFORM_TRIGGER_TIMER, PERIOD_NS);
    ash_irq_t state = ash_port_irq_save();
    for (uint32_t i = 0; i < 1000 && !(seen.taken != 0 && seen.last.is_waiting); i++)
        platform_wait(platform_now_ns() + 2 * PERIOD_NS);
    ash_port_irq_restore(state);
    platform_sample_stop();
    CHECK(seen.last.is_waiting);
    CHECK(!seen.last.is_link_live);
    CHECK(!seen.last.is_user);
    CHECK_EQ(seen.unbounded, 0);
}

TEST_CASE(sample, a_second_start_is_refused) {
    start(PLATFORM_TRIGGER_TIMER, PERIOD_NS);
    CHECK_EQ(platform_sample_start(PLATFORM_TRIGGER_TIMER, PERIOD_NS, take, NULL), -ASH_EBUSY);
    platform_sample_stop();
    CHECK_EQ(platform_sample_start(PLATFORM_TRIGGER_TIMER, PERIOD_NS, take, NULL), 0);
    platform_sample_stop();
}

TEST_CASE(sample, periods_out_of_range_are_refused) {
    start(PLATFORM_TRIGGER_TIMER, PERIOD_NS);
    platform_sample_stop();
    const uint64_t wrong[] = {0, PLATFORM_SAMPLE_NS_MIN - 1, UINT64_MAX, (UINT64_C(1) << 62) + 1};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++)
        CHECK_EQ(platform_sample_start(PLATFORM_TRIGGER_TIMER, wrong[i], take, NULL), -ASH_EINVAL);
    CHECK(platform_sample_start((enum platform_trigger)7, PERIOD_NS, take, NULL) < 0);
}

TEST_CASE(sample, by_cycles_is_inside_what_runs) {
    start(PLATFORM_TRIGGER_CYCLES, 1000000);
    sample_case_spin(SAMPLES);
    platform_sample_stop();
    CHECK_EQ(seen.outside, 0);
    CHECK_EQ(
        platform_sample_start(PLATFORM_TRIGGER_CYCLES, PLATFORM_SAMPLE_CYCLES_MIN - 1, take, NULL),
        -ASH_EINVAL);
}

static void sample_on_cpu(void *context, uint32_t cpu) {
    (void)context;
    if (cpu != 1)
        return;
    start(PLATFORM_TRIGGER_TIMER, PERIOD_NS);
    sample_case_spin(3);
    platform_sample_stop();
}

TEST_CASE(sample, another_cpu_samples_itself) {
    if (platform_cpu_count() < 2)
        test_skip("it has one CPU");
    test_run_on_cpus(sample_on_cpu, NULL, 2);
    CHECK_EQ(seen.outside, 0);
    CHECK_EQ(seen.unbounded, 0);
}

TEST_CASE(counter, goes_up_or_is_refused) {
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) {
        uint64_t before = 0, after = 0;
        int error = platform_counter_read((enum platform_counter)i, &before);
        for (volatile uint32_t spin = 0; spin < 1000; spin++)
            ash_port_compiler_fence();
        CHECK_EQ(platform_counter_read((enum platform_counter)i, &after), error);
        CHECK(error == 0 || error == -ASH_ENOTSUP);
        if (i <= PLATFORM_COUNTER_CYCLES)
            CHECK(error != 0 || after > before);
    }
    uint64_t value;
    CHECK_EQ(platform_counter_read(PLATFORM_COUNTERS, &value), -ASH_ENOTSUP);
}
