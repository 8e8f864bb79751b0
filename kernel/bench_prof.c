/* SPDX-License-Identifier: MIT */
/*
 * bench_prof.c: what a sample costs: a loop is counted alone, under a sampling interrupt whose
 * handler does nothing, and under the profiler's. What it takes beyond that of nothing is the body.
 */
#include <ashlar/error.h>
#include <inttypes.h>

#include "bench.h"
#include "platform/sample.h"
#include "prof.h"

enum { TURNS = 2000000, HZ = ASH_PROF_HZ_MAX };

#define PERIOD_NS (UINT64_C(1000000000) / HZ)

static uint64_t empty_samples;

static void do_nothing(void *context, const struct platform_sample *sample) {
    (void)context;
    (void)sample;
    empty_samples++;
}

__attribute__((noinline)) static uint32_t turn(void) {
    uint32_t before = platform_cost();
    for (uint32_t i = 0; i < TURNS; i++)
        __asm__ volatile("");
    return platform_cost() - before;
}

static int count_empty(uint32_t *cost) {
    empty_samples = 0;
    int error = platform_sample_start(PLATFORM_TRIGGER_TIMER, PERIOD_NS, do_nothing, NULL);
    if (error != 0)
        return error;
    *cost = turn();
    platform_sample_stop();
    return 0;
}

static int count_profiler(struct kernel_memory *memory, uint32_t *cost, uint64_t *samples) {
    const struct prof_config config = {.hz = HZ};
    struct ash_prof_counts counts;
    int error = prof_start(memory, &config);
    if (error != 0)
        return error;
    *cost = turn();
    error = prof_stop();
    prof_count(&counts);
    *samples = counts.taken;
    prof_free();
    return error;
}

static void tell(const struct bench_report *report, uint32_t alone, uint32_t empty, uint32_t full,
                 uint64_t samples) {
    uint64_t none = (empty - alone) / ash_max_u64(empty_samples, 1);
    uint64_t each = (full - alone) / ash_max_u64(samples, 1);
    uint64_t percent = each * 100 / ash_max_u64(none, 1);
    bench_say(report, "interrupt that does nothing    %6" PRIu64 "  (of %" PRIu64 ")", none,
              empty_samples);
    bench_say(report, "interrupt that takes a sample  %6" PRIu64 "  (of %" PRIu64 ")", each,
              samples);
    bench_say(report,
              "the sample is the difference, and that %" PRIu64 ".%02" PRIu64 " times the first",
              percent / 100, percent % 100);
}

int bench_prof(struct kernel_memory *memory, const struct bench_report *report) {
    uint32_t empty = 0, full = 0;
    uint64_t samples = 0;
    if (prof_state() != PROF_NEVER)
        return -ASH_EBUSY;
    uint32_t alone = turn();
    int error = count_empty(&empty);
    if (error == 0)
        error = count_profiler(memory, &full, &samples);
    if (error == 0)
        tell(report, alone, empty, full, samples);
    return error;
}
