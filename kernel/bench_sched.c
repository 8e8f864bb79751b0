/* SPDX-License-Identifier: MIT */
/*
 * bench_sched.c: see bench.h. What runs on CPU 0 alone is counted by platform_cost; what goes from
 * one CPU to another, or waits for a timer, is measured by the clock.
 */
#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <inttypes.h>

#include "bench.h"
#include "mutex.h"
#include "platform.h"
#include "thread.h"

enum { US = 1000, PERIOD_NS = 1000 * US, PAIRS = 16, STEPS_PER_TEN = 10 };

struct sched_bench {
    const struct bench_report *report;
    uint32_t *samples;
    uint32_t count, wanted;
    uint32_t at; /* whose turn it is: 0 or 1 */
    uint64_t since;
    struct mutex mutex;
    struct wait_queue queue;
    uint32_t failures;
};

struct player {
    struct sched_bench *bench;
    uint32_t number;
    uint64_t (*now)(void);
};

static const struct ash_sched_attributes on_cpu_0 = {.affinity = 1, .flags = ASH_SCHED_NICE},
                                         on_cpu_1 = {.affinity = 2, .flags = ASH_SCHED_NICE};

static uint64_t cost_now(void) {
    return platform_cost();
}

/* Samples */

static bool is_full(const struct sched_bench *bench) {
    return bench->count >= bench->wanted;
}

static void add_sample(struct sched_bench *bench, uint64_t value) {
    if (!is_full(bench))
        bench->samples[bench->count++] = (uint32_t)ash_min_u64(value, UINT32_MAX);
}

/* By Shell, whose steps here are Ciura's. */
static void sort(uint32_t *values, uint32_t count) {
    static const uint32_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (uint32_t g = 0; g < ASH_ARRAY_LEN(gaps); g++) {
        for (uint32_t i = gaps[g]; i < count; i++) {
            uint32_t value = values[i], at = i;
            for (; at >= gaps[g] && values[at - gaps[g]] > value; at -= gaps[g])
                values[at] = values[at - gaps[g]];
            values[at] = value;
        }
    }
}

static void say_row(struct sched_bench *bench, const char *name, const char *unit) {
    uint64_t sum = 0;
    uint32_t count = bench->count, *samples = bench->samples;
    if (count == 0) {
        bench_say(bench->report, "%-38s nothing was measured", name);
        return;
    }
    sort(samples, count);
    for (uint32_t i = 0; i < count; i++)
        sum += samples[i];
    bench_say(bench->report,
              "%-38s %-2s %7" PRIu32 " %7" PRIu64 " %7" PRIu32 " %7" PRIu32 " %8" PRIu32, name,
              unit, samples[0], sum / count, samples[count / 2],
              samples[(uint32_t)((uint64_t)count * 99 / 100)], samples[count - 1]);
}

/* Two players, who send each other on: a sample is from the sending to the other's going on. */

static uint32_t start(struct sched_bench *bench, const char *name,
                      const struct ash_sched_attributes *attributes, void (*body)(void *context),
                      void *context) {
    const struct thread_options options = {.name = name, .attributes = *attributes};
    uint32_t id;
    if (thread_create(&options, body, context, &id, NULL) == 0)
        return id;
    bench->failures++;
    return 0;
}

static void finish(uint32_t id) {
    (void)!thread_join(id, UINT64_MAX);
}

static void play_two(struct sched_bench *bench, void (*body)(void *context), uint64_t (*now)(void),
                     const struct ash_sched_attributes *where) {
    struct player players[2] = {{bench, 0, now}, {bench, 1, now}};
    bench->count = 0;
    bench->at = 0;
    bench->since = 0;
    uint32_t first = start(bench, "bench", &on_cpu_0, body, &players[0]);
    if (first == 0)
        return;
    uint32_t second = start(bench, "bench", where, body, &players[1]);
    if (second == 0) /* the first plays alone, to the end */
        ash_store_relaxed(&bench->count, bench->wanted);
    if (second != 0)
        finish(second);
    finish(first);
}

/* One that goes on after its own yield has measured no switch. */
static void yield_to_the_other(void *context) {
    struct player *player = context;
    struct sched_bench *bench = player->bench;
    while (!is_full(bench)) {
        uint64_t now = player->now();
        if (bench->since != 0 && bench->at != player->number)
            add_sample(bench, (uint32_t)(now - bench->since));
        bench->at = player->number;
        bench->since = player->now();
        thread_yield();
    }
}

static bool is_my_turn(void *context) {
    const struct player *player = context;
    return ash_load_relaxed(&player->bench->at) == player->number || is_full(player->bench);
}

static void wake_the_other(void *context) {
    struct player *player = context;
    struct sched_bench *bench = player->bench;
    while (!is_full(bench)) {
        (void)!wait_queue_wait(&bench->queue, is_my_turn, player, UINT64_MAX);
        uint64_t now = player->now();
        if (bench->since != 0)
            add_sample(bench, player->now == cost_now ? (uint32_t)(now - bench->since)
                                                      : now - bench->since);
        bench->since = player->now();
        ash_store_relaxed(&bench->at, 1 - player->number);
        wait_queue_wake(&bench->queue, 1);
    }
}

/* While the one has it and yields, the other begins to wait for it. */
static void hand_it_over(void *context) {
    struct player *player = context;
    struct sched_bench *bench = player->bench;
    while (!is_full(bench)) {
        mutex_lock(&bench->mutex);
        uint64_t now = player->now();
        if (bench->since != 0 && bench->at != player->number)
            add_sample(bench, (uint32_t)(now - bench->since));
        thread_yield();
        bench->at = player->number;
        bench->since = player->now();
        mutex_unlock(&bench->mutex);
    }
}

/* One alone, on CPU 0 */

static void yield_alone(void *context) {
    struct sched_bench *bench = context;
    while (!is_full(bench)) {
        uint32_t since = platform_cost();
        for (uint32_t i = 0; i < PAIRS; i++)
            thread_yield();
        add_sample(bench, (platform_cost() - since) / PAIRS);
    }
}

static void lock_and_unlock(void *context) {
    struct sched_bench *bench = context;
    while (!is_full(bench)) {
        uint32_t since = platform_cost();
        for (uint32_t i = 0; i < PAIRS; i++) {
            mutex_lock(&bench->mutex);
            mutex_unlock(&bench->mutex);
        }
        add_sample(bench, (platform_cost() - since) / PAIRS);
    }
}

static void do_nothing(void *context) {
    (void)context;
}

static void create_and_join(void *context) {
    struct sched_bench *bench = context;
    while (!is_full(bench) && bench->failures == 0) {
        uint32_t since = platform_cost();
        uint32_t id = start(bench, "bench", &on_cpu_0, do_nothing, NULL);
        if (id != 0)
            finish(id);
        add_sample(bench, platform_cost() - since);
    }
}

static void play_alone(struct sched_bench *bench, void (*body)(void *context)) {
    bench->count = 0;
    uint32_t id = start(bench, "bench", &on_cpu_0, body, bench);
    if (id != 0)
        finish(id);
}

/* Waking while all CPUs have something to do */

static void hog(void *context) {
    (void)context;
    while (!thread_should_stop()) {}
}

static void wake_in_time(void *context) {
    struct sched_bench *bench = context;
    ash_ns_t next_ns = platform_now_ns() + PERIOD_NS;
    while (!is_full(bench) && thread_sleep_until(next_ns)) {
        ash_ns_t now_ns = platform_now_ns();
        add_sample(bench, now_ns - next_ns);
        while (next_ns <= now_ns)
            next_ns += PERIOD_NS;
    }
}

static void wake_beside_hogs(struct sched_bench *bench,
                             const struct ash_sched_attributes *attributes) {
    const struct ash_sched_attributes fair = {.flags = ASH_SCHED_NICE};
    uint32_t hogs[2 * ASH_PORT_CPUS_MAX], count = 0, most = 2 * threads_cpu_count();
    bench->count = 0;
    while (count < most && (hogs[count] = start(bench, "hog", &fair, hog, NULL)) != 0)
        count++;
    uint32_t id = start(bench, "bench", attributes, wake_in_time, bench);
    if (id != 0)
        finish(id);
    while (count-- != 0) {
        (void)!thread_stop(hogs[count]);
        finish(hogs[count]);
    }
}

/* All of it */

static void run_rows(struct sched_bench *bench) {
    const struct ash_sched_attributes urgent = {.runtime_ns = 100 * US, .period_ns = PERIOD_NS},
                                      interactive = {.affinity = 0};
    uint32_t wanted = bench->wanted;
    play_alone(bench, yield_alone);
    say_row(bench, "yield, nobody else is there", "");
    play_two(bench, yield_to_the_other, cost_now, &on_cpu_0);
    say_row(bench, "yield, the other goes on", "");
    play_two(bench, wake_the_other, cost_now, &on_cpu_0);
    say_row(bench, "wait queue, wake and wait", "");
    play_alone(bench, lock_and_unlock);
    say_row(bench, "mutex, lock and unlock", "");
    play_two(bench, hand_it_over, cost_now, &on_cpu_0);
    say_row(bench, "mutex, handed to who waits", "");
    play_alone(bench, create_and_join);
    say_row(bench, "thread, create and join", "");
    if (threads_cpu_count() > 1) {
        play_two(bench, wake_the_other, platform_now_ns, &on_cpu_1);
        say_row(bench, "wait queue, to another CPU", "ns");
    }
    bench->wanted = wanted / STEPS_PER_TEN; /* a millisecond each */
    wake_beside_hogs(bench, &urgent);
    say_row(bench, "timer to real-time thread, beside hogs", "ns");
    wake_beside_hogs(bench, &interactive);
    say_row(bench, "timer to interactive one, beside hogs", "ns");
}

int bench_sched(struct kernel_memory *memory, const struct bench_report *report, uint32_t samples) {
    struct sched_bench bench = {.report = report, .wanted = samples};
    uint32_t order = memory_order_of(samples * sizeof(*bench.samples));
    if (threads_cpu_count() == 0)
        return -ASH_ENOTSUP;
    bench.samples = memory_pages_alloc(memory, order);
    if (bench.samples == NULL)
        return -ASH_ENOMEM;
    mutex_init(&bench.mutex);
    wait_queue_init(&bench.queue);
    bench_say(report, "%-38s    %7s %7s %7s %7s %8s", "", "min", "avg", "p50", "p99", "max");
    run_rows(&bench);
    memory_pages_free(memory, bench.samples, order);
    return bench.failures == 0 ? 0 : -ASH_ENOMEM;
}
