/* SPDX-License-Identifier: MIT */
/* blk_bench.c: see blk_bench.h. The loop, which is kept lean, and what is done beside it. */
#include "blk_bench_internal.h"
#include "disk_internal.h"

#include <ashlar/error.h>
#include <ashlar/port.h>
#include <string.h>

#include "platform.h"
#include "wait.h"

enum { SPINS_BEFORE_LOOK = 1024, STOP_POLL_NS = 50000000 };

/* Beside the loop */

/* After it nothing more is queued, by any CPU. */
static void stop(struct blk_bench *bench, int error) {
    int none = 0;
    if (error != 0)
        (void)ash_compare_exchange(&bench->error, &none, error);
    ash_store_release(&bench->stops, 1u);
}

/* The queues want a reset, which is for later, when nobody uses them: this lane is over. */
static bool give_up(struct bench_lane *lane, int error) {
    stop(lane->bench, error);
    ash_store_release(&lane->bench->is_broken, 1u);
    return false;
}

/* What only the caller's CPU may do, and what is its alone. */
static void look_on_cpu_0(struct bench_lane *lane, ash_ns_t now_ns) {
    const struct blk_bench_options *options = lane->options;
    uint32_t cost = platform_cost();
    lane->instructions += (uint32_t)(cost - lane->cost);
    lane->cost = cost;
    if (now_ns < lane->poll_ns)
        return;
    lane->poll_ns = now_ns + STOP_POLL_NS;
    if (options->stopped != NULL && options->stopped(options->context)) {
        lane->bench->was_stopped = 1;
        stop(lane->bench, 0);
    }
}

/* What takes time: the clock, the end, the watch over the device, Ctrl-C. False: it is over. */
static bool look(struct bench_lane *lane) {
    const struct blk_bench_options *options = lane->options;
    ash_ns_t now_ns = platform_now_ns();
    lane->until_look = BLK_BENCH_LOOK;
    lane->wake_ns = now_ns + DISK_WATCH_NS;
    for (uint32_t i = 0; i < options->depth; i++)
        lane->requests[i].request.deadline_ns = now_ns + DISK_TIMEOUT_NS;
    if (lane->cpu == 0)
        look_on_cpu_0(lane, now_ns);
    if ((options->count == 0 && now_ns - lane->start_ns >= options->duration_ns) ||
        ash_load_acquire(&lane->bench->stops) != 0)
        lane->left = 0;
    if (now_ns < lane->watch_ns)
        return true;
    lane->watch_ns = now_ns + DISK_WATCH_NS;
    int error = ash_virtio_blk_watch_queue(lane->queue, now_ns);
    return error == 0 || give_up(lane, error);
}

/* Nothing was there, or the queue is broken. False: everything is back, or lost. */
static bool wait_for_more(struct bench_lane *lane, int reaped) {
    if (reaped < 0)
        return give_up(lane, reaped);
    if (ash_virtio_blk_in_flight(lane->queue) == 0)
        return false;
    ash_irq_t state = ash_port_irq_save();
    bool sleeps = disk_sleep(lane->bench->disk, lane->cpu, lane->wake_ns);
    ash_port_irq_restore(state);
    if (!sleeps && ++lane->spins % SPINS_BEFORE_LOOK != 0)
        return true;
    if (!sleeps) { /* a machine whose devices work while a CPU waits only */
        state = ash_port_irq_save();
        platform_wait(platform_now_ns() + 1000);
        ash_port_irq_restore(state);
    }
    /* No batch since the last wait: it may have been the time that ended it. */
    bool was_empty = !sleeps || lane->until_look == lane->look_at_wait;
    lane->look_at_wait = lane->until_look;
    return !was_empty || look(lane);
}

/* The loop */

/* The next block: in order, or by Knuth's MMIX generator, whose high half is scaled. */
static inline uint64_t next_sector(struct bench_lane *lane, bool is_sequential) {
    uint32_t position = (uint32_t)lane->next;
    if (is_sequential) {
        lane->next = position + 1 == lane->positions ? 0 : position + 1;
        return (uint64_t)position * lane->sectors;
    }
    lane->random = lane->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((lane->random >> 32) * lane->positions >> 32) * lane->sectors;
}

static void copy(struct bench_lane *lane, const struct bench_request *request) {
    uint32_t count = request->request.segment_count;
    uint32_t len = lane->options->size_bytes / count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *there = request->memory + 2 * (size_t)i * len;
        uint8_t *here = lane->copies + (size_t)i * len;
        if (lane->options->is_write)
            memcpy(there, here, len);
        else
            memcpy(here, there, len);
        lane->copied_bytes += len;
    }
}

/* Queues these; after an error no more. */
static inline void queue_all(struct bench_lane *lane,
                             const struct ash_virtio_blk_request *const *requests, uint32_t count) {
    uint32_t tokens[DISK_IN_FLIGHT_MAX];
    while (count != 0) {
        int taken = ash_virtio_blk_submit_many(lane->queue, requests, count, tokens);
        if (ASH_UNLIKELY(taken < 0)) {
            lane->left = 0;
            stop(lane->bench, taken);
            return;
        }
        requests += taken;
        count -= (uint32_t)taken;
    }
}

/* What is not wanted costs nothing: it is compiled once for each. */
static inline __attribute__((always_inline)) void run_loop(struct bench_lane *lane,
                                                           bool is_sequential, bool beside) {
    struct ash_virtio_blk_queue *queue = lane->queue;
    struct ash_virtio_blk_done done[DISK_IN_FLIGHT_MAX];
    const struct ash_virtio_blk_request *next[DISK_IN_FLIGHT_MAX];
    bool timed = beside && lane->options->has_latencies;
    bool copies = beside && lane->options->copies;
    for (;;) {
        int reaped = ash_virtio_blk_reap(queue, done, DISK_IN_FLIGHT_MAX);
        if (reaped <= 0) {
            if (wait_for_more(lane, reaped))
                continue;
            return;
        }
        ash_ns_t now_ns = timed ? platform_now_ns() : 0;
        uint64_t again = ash_min_u64((uint64_t)reaped, lane->left);
        lane->left -= again;
        lane->completed += (uint64_t)reaped;
        for (uint64_t i = 0; i < (uint64_t)reaped; i++) {
            struct bench_request *request = done[i].cookie;
            if (ASH_UNLIKELY(done[i].status != 0)) {
                stop(lane->bench, done[i].status);
                lane->left = again = 0;
            }
            if (timed) {
                ash_ns_t latency_ns = now_ns - request->start_ns;
                lane->latencies[blk_bench_bucket(latency_ns)]++;
                lane->max_ns = ash_max_u64(lane->max_ns, latency_ns);
                request->start_ns = now_ns;
            }
            if (copies)
                copy(lane, request);
            if (i < again) {
                request->request.sector = next_sector(lane, is_sequential);
                next[i] = &request->request;
            }
        }
        queue_all(lane, next, (uint32_t)again);
        ash_virtio_blk_kick(queue);
        if (--lane->until_look == 0 && !look(lane))
            return;
    }
}

/* The first requests, one for each place in the queue. */
static void begin(struct bench_lane *lane) {
    lane->start_ns = platform_now_ns();
    lane->watch_ns = lane->start_ns + DISK_WATCH_NS;
    lane->poll_ns = lane->start_ns + STOP_POLL_NS;
    lane->cost = lane->cpu == 0 ? platform_cost() : 0;
    (void)look(lane);
    for (uint32_t i = 0; i < lane->options->depth && lane->left != 0; i++) {
        struct bench_request *request = &lane->requests[i];
        const struct ash_virtio_blk_request *next = &request->request;
        lane->left--;
        request->start_ns = lane->start_ns;
        request->request.sector = next_sector(lane, lane->options->is_sequential);
        queue_all(lane, &next, 1);
    }
    ash_virtio_blk_kick(lane->queue);
}

static void run_lane(struct bench_lane *lane) {
    const struct blk_bench_options *options = lane->options;
    begin(lane);
    bool beside = options->has_latencies || options->copies;
    if (options->is_sequential)
        beside ? run_loop(lane, true, true) : run_loop(lane, true, false);
    else
        beside ? run_loop(lane, false, true) : run_loop(lane, false, false);
    if (lane->cpu == 0)
        lane->instructions += (uint32_t)(platform_cost() - lane->cost);
}

/* All of it */

static bool all_ended(void *context) {
    return ash_load_acquire(&((struct blk_bench *)context)->working) == 0;
}

/* CPU 0 takes the device's interrupts, for all: it stays until the others have ended. */
static void run_on_cpu(void *context, uint32_t cpu) {
    struct blk_bench *bench = context;
    run_lane(bench->lanes[cpu]);
    ash_fetch_add(&bench->working, UINT32_MAX);
    if (cpu != 0)
        platform_wake(0);
    else
        (void)!kernel_wait(all_ended, bench, KERNEL_WAIT_FOR_EVER);
}

/* What is still in flight comes back failed, unless the device is dead. */
static void recover(struct blk_bench *bench) {
    struct ash_virtio_blk_done done[DISK_IN_FLIGHT_MAX];
    bench->error = disk_recover(bench->disk, bench->error, false);
    for (uint32_t i = 0; i < bench->options->queues && !bench->disk->dead; i++) {
        while (ash_virtio_blk_reap(bench->lanes[i]->queue, done, DISK_IN_FLIGHT_MAX) > 0) {}
    }
}

static int measure(struct blk_bench *bench, struct blk_bench_result *result) {
    struct ash_virtio_blk_counters before, after;
    ash_virtio_blk_get_counters(&bench->disk->blk, &before);
    ash_ns_t start_ns = platform_now_ns();
    bench->working = bench->options->queues;
    if (bench->options->queues == 1) {
        run_on_cpu(bench, 0);
    } else {
        int error = platform_run_on_cpus(run_on_cpu, bench, bench->options->queues);
        if (error != 0)
            return error;
    }
    result->elapsed_ns = platform_now_ns() - start_ns;
    if (bench->is_broken != 0)
        recover(bench);
    ash_virtio_blk_get_counters(&bench->disk->blk, &after);
    result->kicks = after.kicks - before.kicks;
    result->interrupts = after.interrupts - before.interrupts;
    result->was_stopped = bench->was_stopped != 0;
    blk_bench_sum(bench, result);
    return bench->error;
}

int blk_bench_run(struct disk *disk, const struct blk_bench_options *options,
                  struct blk_bench_result *result) {
    memset(result, 0, sizeof(*result));
    int error = disk_begin(disk, 0, 0);
    while (error == 0 && disk_async_wait(disk)) {} /* what comes out of its queues is ours now */
    if (error != 0)
        return error;
    struct blk_bench *bench = blk_bench_new(disk, options);
    if (bench == NULL)
        return -ASH_ENOMEM;
    error = measure(bench, result);
    blk_bench_free(bench);
    return error;
}
