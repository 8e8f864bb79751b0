/* SPDX-License-Identifier: MIT */
/*
 * Cases that tell, by the reason of a skip, how long after its deadline the handler of
 * platform_timer_arm runs; tests/boot/preempt.py names them and knows what is allowed.
 */
#include "harness/test.h"

#include <ashlar/port.h>

#include "platform.h"

enum { DEADLINES = 20000, SOON_NS = 3000 };

static struct {
    ash_ns_t deadline_ns, least_ns, most_ns, sum_ns;
    uint32_t rung;
} late;

static void ring(void *context) {
    ash_ns_t now = platform_now_ns();
    (void)context;
    ash_ns_t late_ns = now - late.deadline_ns;
    late.least_ns = late_ns < late.least_ns ? late_ns : late.least_ns;
    late.most_ns = late_ns > late.most_ns ? late_ns : late.most_ns;
    late.sum_ns += late_ns;
    ash_store_relaxed(&late.rung, late.rung + 1);
}

/* Deadlines in no step with the counter's ticks; far enough to be armed before they are due. */
static void measure(void (*pass_time)(uint32_t rung)) {
    struct test_random random = test_random_from(test_seed());
    memset(&late, 0, sizeof(late));
    late.least_ns = UINT64_MAX;
    for (uint32_t i = 0; i < DEADLINES; i++) {
        late.deadline_ns = platform_now_ns() + SOON_NS + test_random_below(&random, SOON_NS);
        CHECK_EQ(platform_timer_arm(late.deadline_ns, ring, NULL), 0);
        pass_time(i);
    }
    test_skip("late by %llu to %llu ns, %llu on average, at %u deadlines",
              (unsigned long long)late.least_ns, (unsigned long long)late.most_ns,
              (unsigned long long)(late.sum_ns / DEADLINES), DEADLINES);
}

static void compute(uint32_t rung) {
    while (ash_load_relaxed(&late.rung) == rung)
        ash_port_compiler_fence();
}

TEST_CASE(_lateness, of_who_computes) {
    measure(compute);
}

static void wait(uint32_t rung) {
    ash_irq_t state = ash_port_irq_save();
    while (ash_load_relaxed(&late.rung) == rung)
        platform_wait(UINT64_MAX);
    ash_port_irq_restore(state);
}

TEST_CASE(_lateness, of_who_waits) {
    measure(wait);
}
