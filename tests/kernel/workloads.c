/* SPDX-License-Identifier: MIT */
/* Cases of kernel/workloads.h: on one CPU, of the machine that the case makes. */
#include "kernel/workloads.h"

#include "kernel/disk_fixture.h"
#include "kernel/threads_fixture.h"

enum { MS = 1000000 };

static uint32_t start(const struct ash_sched_attributes *attributes, void (*body)(void *context),
                      void *context) {
    const struct thread_options options = {.name = "work", .attributes = *attributes};
    uint32_t id = 0;
    return thread_create(&options, body, context, &id, NULL) == 0 ? id : 0;
}

static bool stop(uint32_t id) {
    return thread_stop(id) == 0 && thread_join(id, UINT64_MAX) == 0;
}

struct stage {
    struct workload_periodic periodic;
    struct workload_hog hogs[2];
    struct workload_counts counts;
    struct thread_info infos[2];
    ash_ns_t begin_ns, end_ns;
    uint64_t values[4];
    bool good;
};

/* Jobs */

static void work_to_the_end(void *context) {
    struct stage *stage = context;
    const struct ash_sched_attributes realtime = {.runtime_ns = 2 * MS, .period_ns = 5 * MS};
    stage->periodic =
        (struct workload_periodic){.period_ns = 5 * MS, .work_ns = 1 * MS, .jobs_max = 4};
    stage->begin_ns = platform_now_ns();
    uint32_t id = start(&realtime, workload_periodic, &stage->periodic);
    stage->good = id != 0 && thread_join(id, UINT64_MAX) == 0;
    stage->end_ns = platform_now_ns();
    workload_periodic_look(&stage->periodic, &stage->counts);
}

TEST_CASE(workloads, do_a_job_each_period_and_end_after_the_last) {
    struct stage stage = {.good = false};
    test_threads_run(1, work_to_the_end, &stage);
    CHECK(stage.good);
    CHECK_EQ(stage.counts.jobs, 4);
    CHECK(stage.counts.response_max_ns >= 1 * MS);
    CHECK(stage.counts.response_max_ns >= stage.counts.delay_max_ns + 1 * MS);
    CHECK(stage.end_ns - stage.begin_ns >= 3 * 5 * MS + 1 * MS);
}

static void work_too_much(void *context) {
    struct stage *stage = context;
    const struct ash_sched_attributes realtime = {.runtime_ns = 1 * MS, .period_ns = 4 * MS};
    stage->periodic = (struct workload_periodic){.period_ns = 4 * MS, .work_ns = 3 * MS};
    uint32_t id = start(&realtime, workload_periodic, &stage->periodic);
    while (stage->counts.misses < 3 && id != 0) {
        (void)thread_sleep_until(platform_now_ns() + MS);
        workload_periodic_look(&stage->periodic, &stage->counts);
    }
    stage->good = thread_info_from(id, &stage->infos[0]) && stop(id);
}

TEST_CASE(workloads, that_need_more_than_their_budget_are_throttled_and_miss) {
    struct stage stage = {.good = false};
    test_threads_run(1, work_too_much, &stage);
    CHECK(stage.good);
    CHECK(stage.counts.misses >= 3); /* not each: a timer that comes late lets a job get through */
    CHECK(stage.counts.response_max_ns >= 4 * MS);
    /* Jobs that follow each other without a wait are one to the scheduler; and a machine that stood
     * still for a while is charged, as one long overrun. */
    CHECK(stage.infos[0].account.throttles >= 1);
    CHECK(stage.infos[0].account.misses >= 1);
}

static void work_at_once(void *context) {
    struct stage *stage = context;
    const struct ash_sched_attributes fair = {.flags = ASH_SCHED_NICE};
    ash_ns_t first_ns = platform_now_ns() + 3 * MS;
    stage->periodic = (struct workload_periodic){
        .period_ns = 1 * MS, .work_ns = MS / 10, .first_ns = first_ns, .jobs_max = 1};
    uint32_t id = start(&fair, workload_periodic, &stage->periodic);
    stage->good = id != 0 && thread_join(id, UINT64_MAX) == 0;
    stage->begin_ns = first_ns;
    stage->end_ns = platform_now_ns();
    workload_periodic_look(&stage->periodic, &stage->counts);
}

TEST_CASE(workloads, begin_when_they_are_told_to) {
    struct stage stage = {.good = false};
    test_threads_run(1, work_at_once, &stage);
    CHECK(stage.good);
    CHECK_EQ(stage.counts.jobs, 1);
    CHECK(stage.end_ns >= stage.begin_ns + MS / 10);
    CHECK(stage.counts.response_max_ns <= stage.end_ns - stage.begin_ns);
}

/* What is spent */

static void spend(void *context) {
    ash_ns_t *ended_ns = context;
    if (workload_spend(6 * MS))
        *ended_ns = platform_now_ns();
}

static void spend_side_by_side(void *context) {
    struct stage *stage = context;
    const struct ash_sched_attributes fair = {.flags = ASH_SCHED_NICE};
    uint32_t ids[2];
    stage->begin_ns = platform_now_ns();
    for (uint32_t i = 0; i < 2; i++)
        ids[i] = start(&fair, spend, &stage->values[i]);
    stage->good = thread_join(ids[0], UINT64_MAX) == 0 && thread_join(ids[1], UINT64_MAX) == 0;
    stage->end_ns = platform_now_ns();
}

TEST_CASE(workloads, spend_the_cpus_time_and_not_the_clocks) {
    struct stage stage = {.good = false};
    test_threads_run(1, spend_side_by_side, &stage);
    CHECK(stage.good);
    CHECK(stage.values[0] != 0 && stage.values[1] != 0);
    CHECK(stage.end_ns - stage.begin_ns >= 12 * MS);
}

/* The end */

static void stop_them(void *context) {
    struct stage *stage = context;
    const struct ash_sched_attributes fair = {.flags = ASH_SCHED_NICE};
    stage->periodic = (struct workload_periodic){.period_ns = 900 * MS, .work_ns = 800 * MS};
    uint32_t ids[3] = {start(&fair, workload_periodic, &stage->periodic),
                       start(&fair, workload_hog, &stage->hogs[0]),
                       start(&fair, workload_hog, &stage->hogs[1])};
    while (ash_load_relaxed(&stage->hogs[1].rounds) == 0)
        (void)thread_sleep_until(platform_now_ns() + MS / 10);
    stage->good = stop(ids[0]) && stop(ids[1]) && stop(ids[2]);
    workload_periodic_look(&stage->periodic, &stage->counts);
}

TEST_CASE(workloads, end_when_they_are_asked_to) {
    struct stage stage = {.good = false};
    test_threads_run(1, stop_them, &stage);
    CHECK(stage.good);
    CHECK_EQ(stage.counts.jobs, 0);
    CHECK(stage.hogs[0].rounds != 0);
}

/* I/O */

struct reader {
    struct block_cache cache;
    struct workload_io io;
    struct workload_io_counts counts;
    uint64_t at_least; /* reads, before it is stopped */
    bool good;
};

static void read_blocks(void *context) {
    struct reader *reader = context;
    const struct ash_sched_attributes interactive = {0};
    uint32_t id = start(&interactive, workload_io, &reader->io);
    while (reader->counts.reads < reader->at_least && id != 0) {
        (void)thread_sleep_until(platform_now_ns() + MS / 10);
        workload_io_look(&reader->io, &reader->counts);
    }
    reader->good = stop(id);
    workload_io_look(&reader->io, &reader->counts);
}

/* Over a disk of so many sectors, of which it knows another size. */
static struct reader *run_reader(uint64_t sectors, uint64_t size_bytes, uint64_t at_least) {
    struct reader *reader = test_alloc(sizeof(*reader), 64);
    struct disk_bench *bench = disk_bench_new();
    struct disk *disk = &bench->disk;
    const struct block_cache_config config = {.blocks = 16};
    bench->device.capacity_sectors = sectors;
    disk_bench_start(bench);
    CHECK_EQ(block_cache_init(&reader->cache, bench->memory, &disk, 1, &config), 0);
    reader->io = (struct workload_io){.cache = &reader->cache,
                                      .disk = disk,
                                      .size_bytes = size_bytes,
                                      .seed = test_seed() | 1,
                                      .pause_ns = MS / 50};
    reader->at_least = at_least;
    test_threads_init(bench->memory, 1);
    CHECK_EQ(threads_run(read_blocks, reader), 0);
    CHECK(reader->good);
    CHECK(reader->counts.reads >= at_least);
    return reader;
}

TEST_CASE(workloads, read_blocks_of_a_disk_at_random) {
    struct reader *reader = run_reader(BENCH_SECTORS, BENCH_SECTORS * 512, 200);
    struct ash_cache_stats stats;
    ash_cache_get_stats(&reader->cache.cache, &stats);
    CHECK_EQ(reader->counts.errors, 0);
    CHECK(stats.misses > 100);
    CHECK_EQ(stats.hits + stats.misses, reader->counts.reads);
}

TEST_CASE(workloads, read_a_disk_that_is_less_than_a_block) {
    CHECK_EQ(run_reader(1, 512, 3)->counts.errors, 0);
}

TEST_CASE(workloads, count_reads_that_fail) {
    struct reader *reader = run_reader(BENCH_SECTORS, 4 * BENCH_SECTORS * 512, 100);
    CHECK(reader->counts.errors > 50);
    CHECK(reader->counts.errors < reader->counts.reads);
}
