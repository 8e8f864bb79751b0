/* SPDX-License-Identifier: MIT */
/*
 * bench_prof.c: what a sample costs: a loop alone, under a sampling interrupt whose handler does
 * nothing, and under the profiler's. What it takes longer, for each sample that came, is the cost
 * of one: in instructions where the CPU counts them, and then it is exact; else in time, the
 * medians of rounds, in which the three take turns.
 */
#include <ashlar/error.h>
#include <inttypes.h>

#include "bench.h"
#include "platform.h"
#include "platform/sample.h"
#include "prof.h"

enum { ROUNDS = 31, HZ = ASH_PROF_HZ_MAX, TURNS = 2000000 };

#define NS_PER_S    UINT64_C(1000000000)
#define NS_PER_LOOP (NS_PER_S / 50) /* some hundred samples */

struct prof_bench {
    struct kernel_memory *memory;
    bool counts; /* instructions; else it is time */
    uint64_t turns, empty_samples, full_samples;
    uint32_t rounds;
    uint64_t empty[ROUNDS], full[ROUNDS]; /* of a sample */
};

static uint64_t empty_samples;

static void do_nothing(void *context, const struct platform_sample *sample) {
    (void)context;
    (void)sample;
    empty_samples++;
}

/* What that many turns take. */
__attribute__((noinline)) static uint64_t turn(const struct prof_bench *bench) {
    uint64_t count = bench->turns;
    if (bench->counts) {
        uint32_t before = platform_cost();
        for (uint64_t i = 0; i < count; i++)
            __asm__ volatile("");
        return platform_cost() - before;
    }
    ash_ns_t before_ns = platform_now_ns();
    for (uint64_t i = 0; i < count; i++)
        __asm__ volatile("");
    return platform_now_ns() - before_ns;
}

static int take_empty(struct prof_bench *bench, uint64_t *cost) {
    empty_samples = 0;
    int error = platform_sample_start(PLATFORM_TRIGGER_TIMER, NS_PER_S / HZ, do_nothing, NULL);
    if (error != 0)
        return error;
    *cost = turn(bench);
    platform_sample_stop();
    bench->empty_samples = empty_samples;
    return 0;
}

static int take_full(struct prof_bench *bench, uint64_t *cost) {
    const struct prof_config config = {.hz = HZ};
    struct ash_prof_counts counts;
    int error = prof_start(bench->memory, &config);
    if (error != 0)
        return error;
    *cost = turn(bench);
    error = prof_stop();
    prof_count(&counts);
    bench->full_samples = counts.taken;
    prof_free();
    return error;
}

/* 0: it was faster than alone, as where another program has had the CPU meanwhile. */
static uint64_t of_each(uint64_t cost, uint64_t alone, uint64_t samples) {
    return cost < alone ? 0 : (cost - alone) / ash_max_u64(samples, 1);
}

static int round_of(struct prof_bench *bench) {
    uint64_t alone = turn(bench), empty = 0, full = 0;
    int error = take_empty(bench, &empty);
    if (error == 0)
        error = take_full(bench, &full);
    if (error == 0) {
        bench->empty[bench->rounds] = of_each(empty, alone, bench->empty_samples);
        bench->full[bench->rounds++] = of_each(full, alone, bench->full_samples);
    }
    return error;
}

static void choose_turns(struct prof_bench *bench) {
    bench->turns = TURNS;
    if (!bench->counts)
        bench->turns = ash_mul_div_u64(TURNS, NS_PER_LOOP, ash_max_u64(turn(bench), 1));
}

static uint64_t median(uint64_t *values, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        uint64_t value = values[i];
        uint32_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
    return values[count / 2];
}

static void tell(const struct bench_report *report, struct prof_bench *bench) {
    uint64_t none = median(bench->empty, bench->rounds), each = median(bench->full, bench->rounds);
    uint64_t percent = each * 100 / ash_max_u64(none, 1);
    if (bench->counts)
        bench_say(report, "unit: instructions");
    else
        bench_say(report, "unit: ns, medians of %" PRIu32 " rounds", bench->rounds);
    bench_say(report, "interrupt that does nothing    %6" PRIu64 "  (of %" PRIu64 ")", none,
              bench->empty_samples);
    bench_say(report, "interrupt that takes a sample  %6" PRIu64 "  (of %" PRIu64 ")", each,
              bench->full_samples);
    bench_say(report,
              "the sample is the difference, and that %" PRIu64 ".%02" PRIu64 " times the first",
              percent / 100, percent % 100);
}

int bench_prof(struct kernel_memory *memory, const struct bench_report *report) {
    struct prof_bench bench = {.memory = memory, .counts = platform_counts_instructions()};
    int error = 0;
    if (prof_state() != PROF_NEVER)
        return -ASH_EBUSY;
    choose_turns(&bench);
    for (uint32_t i = 0; i < (bench.counts ? 1 : ROUNDS) && error == 0; i++)
        error = round_of(&bench);
    if (error == 0)
        tell(report, &bench);
    return error;
}
