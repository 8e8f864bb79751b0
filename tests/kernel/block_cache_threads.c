/* SPDX-License-Identifier: MIT */
/*
 * block_cache_threads.c: several threads in one block cache and its disks, on one CPU and on four,
 * with a device that is at once, and one that is late. What a thread finds is counted: a CHECK
 * belongs to the case's own stack.
 */
#include "kernel/block_cache.h"

#include "kernel/disk_fixture.h"
#include "kernel/threads_fixture.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "platform.h"

enum {
    BLOCK = BLOCK_CACHE_BYTES,
    DISK_BYTES = 512 << 10,
    WORKERS = 4,
    CACHE_BLOCKS = 32,
    MEMORY_BYTES = 4 << 20,
    LATE_NS = 20000,
};

#define MS UINT64_C(1000000)

struct rig {
    struct disk_bench *benches[2];
    struct disk *disks[2];
    struct kernel_memory *memory;
    struct block_cache cache;
    uint32_t errors, served;
    uint32_t holds_back; /* a late device does nothing */
};

struct worker {
    struct rig *rig;
    struct test_random random;
    uint32_t number, steps;
    uint32_t counts[3]; /* the case's own */
    uint8_t *model;     /* its blocks of both disks, one after the other */
    uint8_t *buffer;
};

/* The machine */

static struct rig *rig_new(uint32_t cpus) {
    const struct block_cache_config config = {.blocks = CACHE_BLOCKS};
    struct rig *rig = test_alloc(sizeof(*rig), 64);
    for (uint32_t i = 0; i < 2; i++)
        rig->benches[i] = disk_bench_new();
    rig->memory = test_kernel_memory(MEMORY_BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        rig->benches[i]->device.capacity_sectors = DISK_BYTES / 512;
        rig->benches[i]->device.image = test_alloc(DISK_BYTES, 16);
        disk_bench_start(rig->benches[i]);
        rig->disks[i] = &rig->benches[i]->disk;
        rig->disks[i]->number = i;
    }
    CHECK_EQ(block_cache_init(&rig->cache, rig->memory, rig->disks, 2, &config), 0);
    test_threads_init(rig->memory, cpus);
    return rig;
}

static void rig_check(struct rig *rig) {
    const char *broken = block_cache_check(&rig->cache);
    for (uint32_t i = 0; i < 2 && broken == NULL; i++) {
        broken = disk_check(rig->disks[i]);
        if (broken == NULL)
            broken = rig->benches[i]->device.broken_rule;
    }
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    CHECK_EQ(rig->errors, 0);
    CHECK_EQ(rig->cache.turns.users, 0);
    CHECK_EQ(rig->cache.turns.held, 0);
    CHECK(rig->cache.turns.leader == NULL && rig->cache.turns.keeper == NULL);
}

static void count_error(struct rig *rig, bool is_wrong) {
    if (is_wrong)
        ash_fetch_add(&rig->errors, 1u);
}

static uint32_t start(struct rig *rig, void (*body)(void *context), void *context) {
    const struct thread_options options = {.name = "worker"};
    uint32_t id = 0;
    count_error(rig, thread_create(&options, body, context, &id, NULL) != 0);
    return id;
}

static void join(struct rig *rig, uint32_t id) {
    count_error(rig, thread_join(id, platform_now_ns() + 20000 * MS) != 0);
}

/* A late device: a thread that ends what was asked for, some at a time. */

static void serve(void *context) {
    struct rig *rig = context;
    while (!thread_should_stop()) {
        for (uint32_t i = 0; i < 2 && ash_load_relaxed(&rig->holds_back) == 0; i++)
            disk_bench_end_some(rig->benches[i], 2);
        (void)thread_sleep_until(platform_now_ns() + LATE_NS);
    }
}

struct crew {
    struct rig *rig;
    void (*body)(void *context);
    struct worker *workers;
    uint32_t late; /* disks, a bit each */
};

static void run_crew(void *context) {
    struct crew *crew = context;
    uint32_t ids[WORKERS], device = 0;
    if (crew->late != 0)
        device = start(crew->rig, serve, crew->rig);
    for (uint32_t i = 0; i < WORKERS; i++)
        ids[i] = start(crew->rig, crew->body, &crew->workers[i]);
    for (uint32_t i = 0; i < WORKERS; i++)
        join(crew->rig, ids[i]);
    block_cache_settle(&crew->rig->cache);
    for (uint32_t i = 0; i < 2; i++)
        count_error(crew->rig, disk_async_is_busy(crew->rig->disks[i]));
    if (crew->late == 0)
        return;
    count_error(crew->rig, thread_stop(device) != 0);
    join(crew->rig, device);
}

enum { NONE_LATE = 0, SECOND_LATE = 2, BOTH_LATE = 3 };

/* Runs body(worker) in each of the threads. */
static struct worker *run(struct rig *rig, void (*body)(void *context), uint32_t steps,
                          uint32_t late) {
    struct worker *workers = test_alloc(WORKERS * sizeof(*workers), 64);
    for (uint32_t i = 0; i < WORKERS; i++)
        workers[i] = (struct worker){.rig = rig,
                                     .random = test_random_from(test_seed() + i),
                                     .number = i,
                                     .steps = steps,
                                     .model = test_alloc(2 * DISK_BYTES / WORKERS, 16),
                                     .buffer = test_alloc(8 * BLOCK, 16)};
    struct crew crew = {rig, body, workers, late};
    for (uint32_t i = 0; i < 2; i++)
        rig->benches[i]->fetches = (late >> i & 1) != 0;
    CHECK_EQ(threads_run(run_crew, &crew), 0);
    for (uint32_t i = 0; i < 2; i++)
        rig->benches[i]->fetches = false;
    return workers;
}

/* Blocks of one's own, side by side with the others' */

enum { OWN = DISK_BYTES / BLOCK / WORKERS }; /* of a disk */

static uint64_t offset_of(const struct worker *worker, uint64_t own) {
    return (own * WORKERS + worker->number) * BLOCK;
}

static uint8_t *model_of(const struct worker *worker, uint32_t disk, uint64_t own) {
    return worker->model + (disk * (uint64_t)OWN + own) * BLOCK;
}

static void write_own(struct worker *worker, uint32_t disk, uint64_t own, uint32_t at,
                      uint32_t len) {
    struct rig *rig = worker->rig;
    uint8_t *bytes = model_of(worker, disk, own) + at;
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)test_random_u64(&worker->random);
    uint64_t offset = offset_of(worker, own) + at;
    count_error(rig, block_cache_write(&rig->cache, rig->disks[disk], offset, bytes, len) != 0);
}

static void read_own(struct worker *worker, uint32_t disk, uint64_t own, uint32_t at,
                     uint32_t len) {
    struct rig *rig = worker->rig;
    uint64_t offset = offset_of(worker, own) + at;
    count_error(rig,
                block_cache_read(&rig->cache, rig->disks[disk], offset, worker->buffer, len) != 0);
    count_error(rig, memcmp(worker->buffer, model_of(worker, disk, own) + at, len) != 0);
}

/* Past the cache. */
static void write_past(struct worker *worker, uint32_t disk, uint64_t own) {
    struct rig *rig = worker->rig;
    uint64_t offset = offset_of(worker, own);
    uint8_t *bytes = model_of(worker, disk, own);
    int error = block_cache_release(&rig->cache, rig->disks[disk], offset, BLOCK);
    memset(bytes, (int)test_random_below(&worker->random, 256), BLOCK);
    count_error(rig, error != 0 || disk_write(rig->disks[disk], offset, bytes, BLOCK) != 0);
    block_cache_resume(&rig->cache);
}

static void use_own(void *context) {
    struct worker *worker = context;
    struct rig *rig = worker->rig;
    for (uint32_t step = 0; step < worker->steps; step++) {
        uint32_t disk = (uint32_t)test_random_below(&worker->random, 2), blocks;
        uint64_t own = test_random_below(&worker->random, OWN);
        uint32_t at = (uint32_t)test_random_below(&worker->random, BLOCK);
        uint64_t what = test_random_below(&worker->random, 100);
        if (what < 40)
            read_own(worker, disk, own, at, BLOCK - at);
        else if (what < 60)
            read_own(worker, disk, own, 0, BLOCK);
        else if (what < 75)
            write_own(worker, disk, own, 0, BLOCK);
        else if (what < 90)
            write_own(worker, disk, own, at, BLOCK - at);
        else if (what < 93)
            write_past(worker, disk, own);
        else if (what < 95)
            block_cache_drop(&rig->cache);
        else if (what < 97)
            block_cache_settle(&rig->cache);
        else
            count_error(rig, block_cache_sync(&rig->cache, &blocks) != 0);
    }
}

static void check_own(uint32_t cpus, uint32_t late, uint32_t steps) {
    struct rig *rig = rig_new(cpus);
    struct worker *workers = run(rig, use_own, steps, late);
    uint32_t blocks;
    rig_check(rig);
    CHECK_EQ(block_cache_sync(&rig->cache, &blocks), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        for (uint32_t own = 0; own < 2 * OWN; own++) {
            const uint8_t *image = rig->benches[own / OWN]->device.image;
            CHECK_MEM_EQ(image + offset_of(&workers[i], own % OWN),
                         model_of(&workers[i], own / OWN, own % OWN), BLOCK);
        }
    }
    CHECK_EQ(block_cache_fini(&rig->cache), 0);
}

TEST_CASE(block_cache_threads, find_what_they_wrote_on_one_cpu) {
    check_own(1, NONE_LATE, 300);
}

TEST_CASE(block_cache_threads, find_what_they_wrote_on_four_cpus) {
    check_own(4, NONE_LATE, 300);
}

TEST_CASE(block_cache_threads, find_what_they_wrote_on_a_late_device) {
    check_own(1, BOTH_LATE, 60);
}

TEST_CASE(block_cache_threads, find_what_they_wrote_on_a_late_device_on_four_cpus) {
    check_own(4, BOTH_LATE, 60);
}

/* The same blocks for all */

static void read_all(void *context) {
    struct worker *worker = context;
    struct rig *rig = worker->rig;
    for (uint64_t i = 0; i < 16; i++) {
        uint64_t offset = (i * 5 % 16) * 3 * BLOCK;
        count_error(
            rig, block_cache_read(&rig->cache, rig->disks[0], offset, worker->buffer, BLOCK) != 0);
        count_error(rig,
                    memcmp(worker->buffer, rig->benches[0]->device.image + offset, BLOCK) != 0);
    }
}

TEST_CASE(block_cache_threads, that_want_the_same_block_read_it_once) {
    struct rig *rig = rig_new(platform_cpu_count() < 4 ? 1 : 4);
    struct ash_cache_stats stats;
    for (uint32_t i = 0; i < DISK_BYTES; i++)
        rig->benches[0]->device.image[i] = (uint8_t)(i / 512 * 7 + i);
    (void)run(rig, read_all, 0, BOTH_LATE);
    rig_check(rig);
    ash_cache_get_stats(&rig->cache.cache, &stats);
    CHECK_EQ(stats.hits + stats.misses, WORKERS * 16);
    CHECK_EQ(stats.blocks_read - stats.prefetched, 16);
}

/* Who waits lets others in */

static bool is_asked(struct disk_bench *bench) {
    ash_irq_t state = disk_bench_enter(bench);
    bool is_asked = bench->device.held_count != 0;
    disk_bench_leave(bench, state);
    return is_asked;
}

/* At a disk that does nothing until `holds_back` ends. */
static void read_slowly(struct worker *worker) {
    struct rig *rig = worker->rig;
    count_error(rig, block_cache_read(&rig->cache, rig->disks[1], 0, worker->buffer, BLOCK) != 0);
    count_error(rig, ash_load_relaxed(&rig->holds_back) != 0);
}

/* What needs only memory, and a disk that works. */
static void read_meanwhile(struct worker *worker) {
    struct rig *rig = worker->rig;
    while (!is_asked(rig->benches[1]))
        (void)thread_sleep_until(platform_now_ns() + LATE_NS);
    for (uint64_t i = 0; i < 16; i++)
        count_error(rig, block_cache_read(&rig->cache, rig->disks[0], i / 2 * 9 * BLOCK,
                                          worker->buffer, BLOCK) != 0);
    ash_store_relaxed(&rig->holds_back, 0u);
}

static void read_slowly_or_meanwhile(void *context) {
    struct worker *worker = context;
    if (worker->number == 0)
        read_slowly(worker);
    else if (worker->number == 1)
        read_meanwhile(worker);
}

static void check_waiting(uint32_t cpus) {
    struct rig *rig = rig_new(cpus);
    rig->holds_back = 1;
    (void)run(rig, read_slowly_or_meanwhile, 0, SECOND_LATE);
    rig_check(rig);
}

TEST_CASE(block_cache_threads, that_wait_for_one_disk_do_not_stop_those_of_another) {
    check_waiting(1);
}

TEST_CASE(block_cache_threads, that_wait_for_one_disk_do_not_stop_others_on_two_cpus) {
    check_waiting(2);
}

/* Errors */

static void set_status(struct disk_bench *bench, uint8_t status) {
    ash_irq_t state = disk_bench_enter(bench);
    bench->device.status_byte = status;
    disk_bench_leave(bench, state);
}

static void let_die(struct disk_bench *bench) {
    ash_irq_t state = disk_bench_enter(bench);
    bench->device.never_resets = true;
    bench->wrong_used = 1;
    disk_bench_leave(bench, state);
}

/* Each read is right or says what the device says. */
static void read_bad(void *context) {
    struct worker *worker = context;
    struct rig *rig = worker->rig;
    for (uint32_t step = 0; step < worker->steps; step++) {
        uint64_t offset = test_random_below(&worker->random, DISK_BYTES / BLOCK) * BLOCK;
        if (test_random_chance(&worker->random, 30))
            set_status(rig->benches[0], (uint8_t)test_random_below(&worker->random, 2));
        int error = block_cache_read(&rig->cache, rig->disks[0], offset, worker->buffer, BLOCK);
        worker->counts[error == 0]++;
        count_error(rig, error != 0 && error != -ASH_EIO);
        const uint8_t *image = rig->benches[0]->device.image + offset;
        count_error(rig, error == 0 && memcmp(worker->buffer, image, BLOCK) != 0);
    }
}

static void check_bad(uint32_t cpus, uint32_t late) {
    struct rig *rig = rig_new(cpus);
    uint8_t got[4];
    for (uint32_t i = 0; i < DISK_BYTES; i++)
        rig->benches[0]->device.image[i] = (uint8_t)(i / 512 * 7 + i);
    struct worker *workers = run(rig, read_bad, 60, late);
    rig_check(rig);
    uint32_t failed = 0, good = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        failed += workers[i].counts[0];
        good += workers[i].counts[1];
    }
    CHECK(failed != 0 && good != 0);
    rig->benches[0]->device.status_byte = 0;
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 4), 0);
    CHECK_EQ(block_cache_fini(&rig->cache), 0);
}

TEST_CASE(block_cache_threads, hear_of_errors_of_their_own_blocks) {
    check_bad(1, NONE_LATE);
}

TEST_CASE(block_cache_threads, hear_of_errors_of_their_own_blocks_on_a_late_device) {
    check_bad(4, BOTH_LATE);
}

/* The device dies among them: nobody waits for ever. */
static void read_until_it_dies(void *context) {
    struct worker *worker = context;
    struct rig *rig = worker->rig;
    for (uint32_t step = 0; step < worker->steps; step++) {
        uint64_t offset = test_random_below(&worker->random, DISK_BYTES / BLOCK) * BLOCK;
        if (worker->number == 0 && step == 10)
            let_die(rig->benches[0]);
        int error = block_cache_read(&rig->cache, rig->disks[0], offset, worker->buffer, BLOCK);
        count_error(rig, error != 0 && error != -ASH_EIO);
        error = block_cache_read(&rig->cache, rig->disks[1], offset, worker->buffer, BLOCK);
        count_error(rig, error != 0);
    }
}

TEST_CASE(block_cache_threads, go_on_with_the_other_disk_where_one_is_given_up) {
    struct rig *rig = rig_new(platform_cpu_count() < 4 ? 1 : 4);
    (void)run(rig, read_until_it_dies, 40, SECOND_LATE);
    rig_check(rig);
    CHECK(rig->disks[0]->dead);
}

/* A file, and the raw blocks that it lies in */

enum { FILE_START = 8 * BLOCK, FILE_BYTES = 4 * BLOCK };

/* All bytes of a page are of one version, and not of an older one than was finished before. */
static void look_at_file(struct worker *worker, uint32_t version) {
    struct rig *rig = worker->rig;
    struct page_source pages = block_cache_pages(&rig->cache, rig->disks[0]);
    uint64_t offset = test_random_below(&worker->random, FILE_BYTES / BLOCK) * BLOCK;
    struct file_page page;
    int error = pages.get(pages.context, FILE_START, FILE_BYTES, offset, &page);
    count_error(rig, error != 0);
    if (error != 0)
        return;
    count_error(rig, page.len != BLOCK || page.bytes[0] < version);
    for (size_t i = 0; i < page.len; i++)
        count_error(rig, page.bytes[i] != page.bytes[0]);
    if (test_random_chance(&worker->random, 50))
        thread_yield();
    pages.put(pages.context, &page);
}

/* The first writes version after version, by turns through the cache and past it. */
static void write_or_look(void *context) {
    struct worker *worker = context;
    struct rig *rig = worker->rig;
    uint32_t *finished = &(worker - worker->number)->counts[0];
    for (uint32_t step = 1; step <= worker->steps; step++) {
        if (worker->number != 0) {
            look_at_file(worker, ash_load_acquire(finished));
            continue;
        }
        memset(worker->buffer, (int)step, FILE_BYTES);
        int error;
        if (step % 2 == 0) {
            error = block_cache_write(&rig->cache, rig->disks[0], FILE_START, worker->buffer,
                                      FILE_BYTES);
        } else {
            error = block_cache_release(&rig->cache, rig->disks[0], FILE_START, FILE_BYTES);
            (void)thread_sleep_until(platform_now_ns() + LATE_NS); /* the others would have time */
            if (error == 0)
                error = disk_write(rig->disks[0], FILE_START, worker->buffer, FILE_BYTES);
            block_cache_resume(&rig->cache);
        }
        count_error(rig, error != 0);
        ash_store_release(finished, step);
        look_at_file(worker, step);
    }
}

static void check_files(uint32_t cpus, uint32_t late) {
    struct rig *rig = rig_new(cpus);
    (void)run(rig, write_or_look, 30, late);
    rig_check(rig);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        CHECK_EQ(rig->benches[0]->device.image[FILE_START + i], 30);
    CHECK_EQ(block_cache_fini(&rig->cache), 0);
}

TEST_CASE(block_cache_threads, see_a_raw_write_in_the_file_once_it_is_over) {
    check_files(1, NONE_LATE);
}

TEST_CASE(block_cache_threads, see_a_raw_write_in_the_file_once_it_is_over_on_four_cpus) {
    check_files(4, BOTH_LATE);
}

/* Without a cache */

static void use_disk(void *context) {
    struct worker *worker = context;
    struct rig *rig = worker->rig;
    for (uint32_t step = 0; step < worker->steps; step++) {
        uint64_t own = test_random_below(&worker->random, OWN);
        uint32_t at = (uint32_t)test_random_below(&worker->random, BLOCK), disk = step % 2;
        uint64_t offset = offset_of(worker, own) + at;
        uint8_t *bytes = model_of(worker, disk, own) + at;
        memset(bytes, (int)test_random_below(&worker->random, 256), BLOCK - at);
        count_error(rig, disk_write(rig->disks[disk], offset, bytes, BLOCK - at) != 0);
        count_error(rig, disk_read(rig->disks[disk], offset, worker->buffer, BLOCK - at) != 0);
        count_error(rig, memcmp(worker->buffer, bytes, BLOCK - at) != 0);
        disk_refresh(rig->disks[disk]);
        count_error(rig, disk_flush(rig->disks[disk]) != 0);
    }
}

TEST_CASE(block_cache_threads, use_a_disk_without_a_cache) {
    struct rig *rig = rig_new(platform_cpu_count() < 4 ? 1 : 4);
    CHECK_EQ(block_cache_fini(&rig->cache), 0);
    CHECK(rig->disks[0]->group != rig->disks[1]->group);
    (void)run(rig, use_disk, 20, BOTH_LATE);
    rig_check(rig);
}
