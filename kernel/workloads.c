/* SPDX-License-Identifier: MIT */
/* workloads.c: see workloads.h. */
#include "workloads.h"

#include <ashlar/atomic.h>

/* To ask whether to stop pins the CPU: an interrupt that finds a pin is put off, so asking all the
 * time would make timers late by a microsecond or more. */
enum { ASK_EVERY = 64 };

/* CPU time */

/* No less time passes than is spent: so what is left is spun by the clock, and what was lost of it
 * to others is left for the next round. */
bool workload_spend(ash_ns_t work_ns) {
    ash_ns_t begin_ns = thread_runtime_ns(), done_ns;
    while ((done_ns = thread_runtime_ns() - begin_ns) < work_ns) {
        ash_ns_t until_ns = platform_now_ns() + (work_ns - done_ns);
        for (uint32_t i = 1; platform_now_ns() < until_ns; i++) {
            if (i % ASK_EVERY == 0 && thread_should_stop())
                return false;
        }
    }
    return !thread_should_stop();
}

/* Hog */

void workload_hog(void *context) {
    struct workload_hog *hog = context;
    while (hog->rounds % ASK_EVERY != 0 || !thread_should_stop())
        ash_store_relaxed(&hog->rounds, hog->rounds + 1);
}

/* Periodic */

static void raise_to(uint64_t *maximum, uint64_t value) {
    if (value > *maximum)
        ash_store_relaxed(maximum, value);
}

/* False: it is to stop, and this one does not count. */
static bool do_job(struct workload_periodic *periodic, ash_ns_t release_ns) {
    struct workload_counts *counts = &periodic->counts;
    ash_ns_t begin_ns = platform_now_ns();
    if (!workload_spend(periodic->work_ns))
        return false;
    ash_ns_t response_ns = platform_now_ns() - release_ns;
    ash_ns_t deadline_ns = periodic->deadline_ns == 0 ? periodic->period_ns : periodic->deadline_ns;
    raise_to(&counts->delay_max_ns, begin_ns - release_ns);
    raise_to(&counts->response_max_ns, response_ns);
    if (response_ns > deadline_ns)
        ash_store_relaxed(&counts->misses, counts->misses + 1);
    ash_store_relaxed(&counts->jobs, counts->jobs + 1);
    return true;
}

/* Each job is one of the scheduler's too: it ends with a sleep, even where the next is late. */
void workload_periodic(void *context) {
    struct workload_periodic *periodic = context;
    ash_ns_t release_ns = periodic->first_ns == 0 ? platform_now_ns() : periodic->first_ns;
    for (uint64_t job = 1; thread_sleep_until(release_ns); job++) {
        if (!do_job(periodic, release_ns) || job == periodic->jobs_max)
            return;
        release_ns += periodic->period_ns;
    }
}

void workload_periodic_look(const struct workload_periodic *periodic,
                            struct workload_counts *counts) {
    const struct workload_counts *own = &periodic->counts;
    counts->jobs = ash_load_relaxed(&own->jobs);
    counts->misses = ash_load_relaxed(&own->misses);
    counts->response_max_ns = ash_load_relaxed(&own->response_max_ns);
    counts->delay_max_ns = ash_load_relaxed(&own->delay_max_ns);
}

/* I/O */

/* xorshift64: Marsaglia, Journal of Statistical Software 2003. */
static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void read_one(struct workload_io *io, uint64_t size_bytes) {
    uint8_t buffer[BLOCK_CACHE_BYTES];
    uint64_t blocks = (size_bytes - 1) / BLOCK_CACHE_BYTES + 1;
    uint64_t offset = next_random(&io->seed) % blocks * BLOCK_CACHE_BYTES;
    size_t len = (size_t)ash_min_u64(BLOCK_CACHE_BYTES, size_bytes - offset);
    ash_ns_t begin_ns = platform_now_ns();
    int error = block_cache_read(io->cache, io->disk, offset, buffer, len);
    raise_to(&io->counts.wait_max_ns, platform_now_ns() - begin_ns);
    ash_store_relaxed(&io->counts.reads, io->counts.reads + 1);
    if (error != 0)
        ash_store_relaxed(&io->counts.errors, io->counts.errors + 1);
}

void workload_io(void *context) {
    struct workload_io *io = context;
    while (!thread_should_stop()) {
        read_one(io, io->size_bytes);
        if (io->pause_ns != 0)
            (void)thread_sleep_until(platform_now_ns() + io->pause_ns);
    }
}

void workload_io_look(const struct workload_io *io, struct workload_io_counts *counts) {
    counts->reads = ash_load_relaxed(&io->counts.reads);
    counts->errors = ash_load_relaxed(&io->counts.errors);
    counts->wait_max_ns = ash_load_relaxed(&io->counts.wait_max_ns);
}
