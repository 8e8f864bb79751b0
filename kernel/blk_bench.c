/* SPDX-License-Identifier: MIT */
/* blk_bench.c: see blk_bench.h. The loop, which is kept lean, and what is done beside it. */
#include "blk_bench_internal.h"

#include <ashlar/error.h>
#include <ashlar/port.h>
#include <string.h>

#include "platform.h"

enum { SPINS_BEFORE_LOOK = 1024, STOP_POLL_NS = 50000000 };

/* Beside the loop */

/* After it nothing more is queued; a broken queue is mended, so that all requests come back. */
static bool fail(struct blk_bench *bench, int error) {
    bench->left = 0;
    bench->error = bench->error != 0 ? bench->error : error;
    if (disk_recover(bench->disk, error, false) != 0 && bench->disk->dead)
        return false;
    return true;
}

/* What takes time: the clock, the end, the watch over the device, Ctrl-C. False: it is over. */
static bool look(struct blk_bench *bench) {
    const struct blk_bench_options *options = bench->options;
    ash_ns_t now_ns = platform_now_ns();
    uint32_t cost = platform_cost();
    bench->instructions += (uint32_t)(cost - bench->cost);
    bench->cost = cost;
    bench->until_look = BLK_BENCH_LOOK;
    bench->wake_ns = now_ns + DISK_WATCH_NS;
    for (uint32_t i = 0; i < options->depth; i++)
        bench->requests[i].request.deadline_ns = now_ns + DISK_TIMEOUT_NS;
    if (options->count == 0 && now_ns - bench->start_ns >= options->duration_ns)
        bench->left = 0;
    if (now_ns >= bench->poll_ns) {
        bench->poll_ns = now_ns + STOP_POLL_NS;
        if (options->stopped != NULL && options->stopped(options->context)) {
            bench->was_stopped = true;
            bench->left = 0;
        }
    }
    if (now_ns < bench->watch_ns)
        return true;
    bench->watch_ns = now_ns + DISK_WATCH_NS;
    int error = ash_virtio_blk_watch(&bench->disk->blk, now_ns);
    return error == 0 || fail(bench, error);
}

/* Nothing was there, or the queue is broken. False: everything is back, or lost. */
static bool wait_for_more(struct blk_bench *bench, int reaped) {
    if (ash_virtio_blk_in_flight(bench->queue) == 0) {
        bench->error = bench->error != 0 ? bench->error : reaped;
        return false;
    }
    if (reaped < 0)
        return fail(bench, reaped);
    ash_irq_t state = ash_port_irq_save();
    bool sleeps = ash_virtio_blk_may_sleep(bench->queue);
    if (sleeps)
        platform_wait(bench->wake_ns);
    ash_port_irq_restore(state);
    if (!sleeps && ++bench->spins % SPINS_BEFORE_LOOK != 0)
        return true;
    if (!sleeps) { /* a machine whose devices work while a CPU waits only */
        state = ash_port_irq_save();
        platform_wait(platform_now_ns() + 1000);
        ash_port_irq_restore(state);
    }
    /* No batch since the last wait: it may have been the time that ended it. */
    bool was_empty = !sleeps || bench->until_look == bench->look_at_wait;
    bench->look_at_wait = bench->until_look;
    return !was_empty || look(bench);
}

/* The loop */

/* The next block: in order, or by Knuth's MMIX generator, whose high half is scaled. */
static inline uint64_t next_sector(struct blk_bench *bench, bool is_sequential) {
    uint32_t position = (uint32_t)bench->next;
    if (is_sequential) {
        bench->next = position + 1 == bench->positions ? 0 : position + 1;
        return (uint64_t)position * bench->sectors;
    }
    bench->random = bench->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((bench->random >> 32) * bench->positions >> 32) * bench->sectors;
}

static void copy(struct blk_bench *bench, const struct bench_request *request) {
    uint32_t count = request->request.segment_count;
    uint32_t len = bench->options->size_bytes / count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *there = request->memory + 2 * (size_t)i * len;
        uint8_t *here = bench->copies + (size_t)i * len;
        if (bench->options->is_write)
            memcpy(there, here, len);
        else
            memcpy(here, there, len);
    }
}

static inline bool queue_one(struct blk_bench *bench, struct bench_request *request,
                             bool is_sequential) {
    uint32_t token;
    request->request.sector = next_sector(bench, is_sequential);
    int error = ash_virtio_blk_submit(bench->queue, &request->request, &token);
    if (ASH_UNLIKELY(error != 0)) {
        bench->left = 0;
        bench->error = bench->error != 0 ? bench->error : error;
    }
    return error == 0;
}

/* What is not wanted costs nothing: it is compiled once for each. */
static inline __attribute__((always_inline)) void run_loop(struct blk_bench *bench,
                                                           bool is_sequential, bool beside) {
    struct ash_virtio_blk_queue *queue = bench->queue;
    struct ash_virtio_blk_done done[DISK_IN_FLIGHT_MAX];
    bool timed = beside && bench->options->has_latencies;
    bool copies = beside && bench->options->copies;
    for (;;) {
        int reaped = ash_virtio_blk_reap(queue, done, DISK_IN_FLIGHT_MAX);
        if (reaped <= 0) {
            if (wait_for_more(bench, reaped))
                continue;
            return;
        }
        ash_ns_t now_ns = timed ? platform_now_ns() : 0;
        uint64_t again = ash_min_u64((uint64_t)reaped, bench->left);
        bench->left -= again;
        bench->completed += (uint64_t)reaped;
        for (uint64_t i = 0; i < (uint64_t)reaped; i++) {
            struct bench_request *request = done[i].cookie;
            if (ASH_UNLIKELY(done[i].status != 0)) {
                bench->error = bench->error != 0 ? bench->error : done[i].status;
                bench->left = again = 0;
            }
            if (timed) {
                ash_ns_t latency_ns = now_ns - request->start_ns;
                bench->latencies[blk_bench_bucket(latency_ns)]++;
                bench->max_ns = ash_max_u64(bench->max_ns, latency_ns);
                request->start_ns = now_ns;
            }
            if (copies)
                copy(bench, request);
            if (i < again && !queue_one(bench, request, is_sequential))
                again = 0;
        }
        ash_virtio_blk_kick(queue);
        if (--bench->until_look == 0 && !look(bench))
            return;
    }
}

/* The first requests, one for each place in the queue. */
static void begin(struct blk_bench *bench) {
    bench->start_ns = platform_now_ns();
    bench->cost = platform_cost();
    bench->watch_ns = bench->start_ns + DISK_WATCH_NS;
    bench->poll_ns = bench->start_ns + STOP_POLL_NS;
    (void)look(bench);
    for (uint32_t i = 0; i < bench->options->depth && bench->left != 0; i++) {
        bench->left--;
        bench->requests[i].start_ns = bench->start_ns;
        (void)queue_one(bench, &bench->requests[i], bench->options->is_sequential);
    }
    ash_virtio_blk_kick(bench->queue);
}

static void measure(struct blk_bench *bench, struct blk_bench_result *result) {
    const struct blk_bench_options *options = bench->options;
    struct ash_virtio_blk_counters before, after;
    ash_virtio_blk_get_counters(&bench->disk->blk, &before);
    begin(bench);
    bool beside = options->has_latencies || options->copies;
    if (options->is_sequential)
        beside ? run_loop(bench, true, true) : run_loop(bench, true, false);
    else
        beside ? run_loop(bench, false, true) : run_loop(bench, false, false);
    result->elapsed_ns = platform_now_ns() - bench->start_ns;
    bench->instructions += (uint32_t)(platform_cost() - bench->cost);
    ash_virtio_blk_get_counters(&bench->disk->blk, &after);
    result->requests = bench->completed;
    result->kicks = after.kicks - before.kicks;
    result->interrupts = after.interrupts - before.interrupts;
    result->instructions = bench->instructions;
    result->was_stopped = bench->was_stopped;
    blk_bench_percentiles(bench, result);
}

int blk_bench_run(struct disk *disk, const struct blk_bench_options *options,
                  struct blk_bench_result *result) {
    memset(result, 0, sizeof(*result));
    if (disk->dead)
        return -ASH_EIO;
    struct blk_bench *bench = blk_bench_new(disk, options);
    if (bench == NULL)
        return -ASH_ENOMEM;
    measure(bench, result);
    int error = bench->error;
    blk_bench_free(bench);
    return error;
}
