/* SPDX-License-Identifier: MIT */
/* Cases of sampling by the hosted machine's manual clock: exact, and the same on every run. */
#include <ashlar/error.h>
#include <ashlar/port.h>

#include "harness/test.h"
#include "hosted/hosted.h"
#include "platform.h"
#include "sample.h"

enum { PERIOD_NS = 1000000, CPUS = 4 };

/* Each CPU's own. */
static struct {
    uint64_t taken, missed, waiting, outside;
    ash_ns_t last_ns;
} seen[CPUS];

static void take(void *context, const struct platform_sample *sample) {
    uint32_t cpu = (uint32_t)(uintptr_t)context;
    seen[cpu].taken++;
    seen[cpu].missed += sample->missed;
    seen[cpu].waiting += sample->is_waiting;
    seen[cpu].outside += sample->pc != (uintptr_t)hosted_clock_advance;
    seen[cpu].last_ns = platform_now_ns();
}

static void start(uint32_t cpu) {
    memset(&seen[cpu], 0, sizeof(seen[cpu]));
    CHECK_EQ(platform_sample_start(PLATFORM_TRIGGER_TIMER, PERIOD_NS, take,
                                   (void *)(uintptr_t)cpu), /* not a pointer */
             0);
}

TEST_CASE(hosted_sample, advance_stops_at_every_sample_on_the_way) {
    hosted_clock_set_manual(500);
    start(0);
    hosted_clock_advance(PERIOD_NS - 1);
    CHECK_EQ(seen[0].taken, 0);
    hosted_clock_advance(1);
    CHECK_EQ(seen[0].taken, 1);
    CHECK_EQ(seen[0].last_ns, 500 + PERIOD_NS);
    hosted_clock_advance(1000 * PERIOD_NS + PERIOD_NS / 2);
    CHECK_EQ(seen[0].taken, 1001);
    CHECK_EQ(seen[0].last_ns, 500 + UINT64_C(1001) * PERIOD_NS);
    CHECK_EQ(seen[0].missed, 0);
    CHECK_EQ(seen[0].outside, 0);
    platform_sample_stop();
    hosted_clock_advance(10 * PERIOD_NS);
    CHECK_EQ(seen[0].taken, 1001);
    hosted_clock_set_real();
}

TEST_CASE(hosted_sample, what_a_mask_held_back_is_one_sample_and_its_misses) {
    hosted_clock_set_manual(0);
    start(0);
    ash_irq_t state = ash_port_irq_save();
    hosted_clock_advance(7 * PERIOD_NS + PERIOD_NS / 2);
    CHECK_EQ(seen[0].taken, 0);
    ash_port_irq_restore(state);
    CHECK_EQ(seen[0].taken, 1);
    CHECK_EQ(seen[0].missed, 6);
    hosted_clock_advance(PERIOD_NS / 2); /* the grid has not moved */
    CHECK_EQ(seen[0].taken, 2);
    CHECK_EQ(seen[0].missed, 6);
    platform_sample_stop();
    hosted_clock_set_real();
}

TEST_CASE(hosted_sample, another_kind_of_clock_ends_it) {
    hosted_clock_set_manual(0);
    start(0);
    hosted_clock_set_manual(0);
    hosted_clock_advance(5 * PERIOD_NS);
    CHECK_EQ(seen[0].taken, 0);
    start(0);
    platform_sample_stop();
    hosted_clock_set_real();
}

static void wait_ten_periods(void *context, uint32_t cpu) {
    (void)context;
    start(cpu);
    ash_irq_t state = ash_port_irq_save();
    ash_ns_t end_ns = platform_now_ns() + 10 * PERIOD_NS + PERIOD_NS / 2;
    while (platform_now_ns() < end_ns)
        platform_wait(end_ns);
    ash_port_irq_restore(state);
    platform_sample_stop();
}

TEST_CASE(hosted_sample, deterministic_cpus_are_sampled_each_where_it_waits) {
    struct hosted_config before = *hosted_configuration(), config = before;
    config.deterministic = config.clock_manual = true;
    for (config.seed = 1; config.seed <= 8; config.seed++) {
        CHECK_EQ(hosted_configure(&config), 0);
        test_run_on_cpus(wait_ten_periods, NULL, CPUS);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
            CHECK_EQ(seen[cpu].taken, 10);
            CHECK_EQ(seen[cpu].waiting, 10);
            CHECK_EQ(seen[cpu].missed, 0);
        }
    }
    CHECK_EQ(hosted_configure(&before), 0);
}
