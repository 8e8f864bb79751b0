/* SPDX-License-Identifier: MIT */
/*
 * bench_golden.c: see bench.h. Each operation is a function of its own that prepares, uncounted,
 * and then counts just what it is named after: with an exact counter the number is that of the
 * instructions from the call on, for a given compiler.
 */
#include "bench.h"
#include "bench_golden_cache.h"
#include "bench_golden_disk.h"
#include "bench_golden_prof.h"
#include "bench_golden_sched.h"
#include "bench_golden_thread.h"
#include "bench_golden_user.h"

#include <ashlar/check.h>
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <inttypes.h>

#include "platform.h"
#include "user.h"

enum {
    ARENA_ORDER = 11,
    OBJECTS = 64,
    MANY = 512,    /* fill several magazines */
    WARM_RUNS = 8, /* before what is counted: caches are filled, slabs are made */
    RUNS = 64,
    SCHED_RUNS = 1024, /* each another way through a heap */
};

/* Caches of blocks: one a policy, for one owner; then what the kernel's is. */
enum cache_kind { LRU, CLOCK, TWO_Q, TWO_Q_PRO, SIEVE, S3, SHARED, AHEAD, CACHES };

static const struct {
    const char *policy;
    bool shared, ahead;
} cache_kinds[CACHES] = {
    [LRU] = {"lru", false, false},        [CLOCK] = {"clock", false, false},
    [TWO_Q] = {"2q-clock", false, false}, [TWO_Q_PRO] = {"2q-clock-pro", false, false},
    [SIEVE] = {"sieve", false, false},    [S3] = {"s3-fifo", false, false},
    [SHARED] = {"2q-clock", true, false}, [AHEAD] = {"2q-clock", false, true},
};

/* Allocators of the sequence's own: nobody else has used them. */
struct rig {
    struct kernel_memory memory;                              /* over the arena alone */
    struct ash_slab_cache cache, interrupts, hardened, debug; /* of 64 bytes */
    struct golden_disk *split, *packed;                       /* by the format of their rings */
    struct golden_cache *caches[CACHES];                      /* by enum cache_kind */
    struct golden_sched *scheds[GOLDEN_SCHED_KINDS];
    struct golden_prof *prof;
    struct golden_user *user;
    uint32_t overhead; /* of counting nothing */
    ash_pfn_t frames[OBJECTS];
    void *objects[OBJECTS], *many[MANY];
};

/* Returns what was counted, overhead included. */
typedef uint32_t operation_fn(struct rig *rig);

static uint32_t nothing(struct rig *rig) {
    (void)rig;
    uint32_t start = platform_cost();
    return platform_cost() - start;
}

static __attribute__((noinline)) void empty(void) {
    ash_port_compiler_fence();
}

static uint32_t two_calls(struct rig *rig) {
    (void)rig;
    uint32_t start = platform_cost();
    empty();
    empty();
    return platform_cost() - start;
}

/* Slab */

static uint32_t slab_pair_of(struct ash_slab_cache *cache) {
    uint32_t start = platform_cost();
    void *object = ash_slab_alloc(cache);
    ash_slab_free(cache, object);
    return platform_cost() - start;
}

static uint32_t slab_pair(struct rig *rig) {
    return slab_pair_of(&rig->cache);
}

static uint32_t slab_pair_inline(struct rig *rig) {
    uint32_t start = platform_cost();
    void *object = ash_slab_alloc_inline(&rig->cache);
    ash_slab_free_inline(&rig->cache, object);
    return platform_cost() - start;
}

static uint32_t slab_pair_interrupts(struct rig *rig) {
    return slab_pair_of(&rig->interrupts);
}

static uint32_t slab_pair_hardened(struct rig *rig) {
    return slab_pair_of(&rig->hardened);
}

static uint32_t slab_pair_debug(struct rig *rig) {
    return slab_pair_of(&rig->debug);
}

static uint32_t slab_batch(struct rig *rig) {
    uint32_t start = platform_cost();
    for (uint32_t i = 0; i < OBJECTS; i++)
        rig->objects[i] = ash_slab_alloc(&rig->cache);
    for (uint32_t i = 0; i < OBJECTS; i++)
        ash_slab_free(&rig->cache, rig->objects[i]);
    return platform_cost() - start;
}

static uint32_t slab_bulk(struct rig *rig) {
    uint32_t start = platform_cost();
    if (ash_slab_alloc_bulk(&rig->cache, rig->objects, OBJECTS) == 0)
        ash_slab_free_bulk(&rig->cache, rig->objects, OBJECTS);
    return platform_cost() - start;
}

static uint64_t exchanges_of(struct rig *rig) {
    struct ash_slab_cpu_stats stats;
    ash_slab_cache_get_cpu_stats(&rig->cache, 0, &stats);
    return stats.exchanges;
}

/* Of enough objects for several magazines, the allocation and the free, each the last of them, that
 * swapped a whole magazine with the depot. */
static uint32_t exchange(struct rig *rig, bool of_free) {
    uint32_t cost = rig->overhead;
    for (uint32_t i = 0; i < MANY; i++)
        rig->many[i] = ash_slab_alloc(&rig->cache);
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t before = exchanges_of(rig);
        uint32_t start = platform_cost();
        ash_slab_free(&rig->cache, rig->many[i]);
        uint32_t end = platform_cost();
        if (of_free && exchanges_of(rig) != before)
            cost = end - start;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t before = exchanges_of(rig);
        uint32_t start = platform_cost();
        rig->many[i] = ash_slab_alloc(&rig->cache);
        uint32_t end = platform_cost();
        if (!of_free && exchanges_of(rig) != before)
            cost = end - start;
    }
    for (uint32_t i = 0; i < MANY; i++)
        ash_slab_free(&rig->cache, rig->many[i]);
    return cost;
}

static uint32_t slab_alloc_exchange(struct rig *rig) {
    return exchange(rig, false);
}

static uint32_t slab_free_exchange(struct rig *rig) {
    return exchange(rig, true);
}

/* All magazines are emptied, but one object that is out keeps its slab. */
static uint32_t slab_refill(struct rig *rig) {
    void *keeper = ash_slab_alloc(&rig->cache);
    (void)ash_slab_cache_shrink(&rig->cache);
    uint32_t start = platform_cost();
    void *object = ash_slab_alloc(&rig->cache);
    uint32_t cost = platform_cost() - start;
    ash_slab_free(&rig->cache, object);
    ash_slab_free(&rig->cache, keeper);
    return cost;
}

static uint32_t slab_flush(struct rig *rig) {
    ash_slab_free(&rig->cache, ash_slab_alloc(&rig->cache));
    uint32_t start = platform_cost();
    ash_slab_cache_flush(&rig->cache);
    return platform_cost() - start;
}

static uint32_t slab_new_slab(struct rig *rig) {
    (void)ash_slab_cache_shrink(&rig->cache);
    uint32_t start = platform_cost();
    void *object = ash_slab_alloc(&rig->cache);
    uint32_t cost = platform_cost() - start;
    ash_slab_free(&rig->cache, object);
    return cost;
}

static uint32_t slab_shrink(struct rig *rig) {
    ash_slab_free(&rig->cache, ash_slab_alloc(&rig->cache));
    uint32_t start = platform_cost();
    (void)ash_slab_cache_shrink(&rig->cache);
    return platform_cost() - start;
}

/* Heap */

static uint32_t heap_pair_of(struct rig *rig, size_t size_bytes) {
    uint32_t start = platform_cost();
    void *object = ash_kmalloc(&rig->memory.heap, size_bytes);
    ash_kfree(&rig->memory.heap, object);
    return platform_cost() - start;
}

static uint32_t heap_pair(struct rig *rig) {
    return heap_pair_of(rig, 64);
}

static uint32_t heap_pair_large(struct rig *rig) {
    return heap_pair_of(rig, 4 * ASH_PAGE_SIZE);
}

/* Buddy */

static ash_pfn_t take_frames(struct rig *rig, uint32_t order) {
    ash_pfn_t first = 0;
    int error = ash_buddy_alloc(&rig->memory.buddy, order, ASH_BUDDY_UNMOVABLE, &first);
    ASH_REQUIRE(error == 0, "bench: order %u of an arena that is free: %d", order, error);
    return first;
}

static uint32_t buddy_pair_of(struct rig *rig, uint32_t order, enum ash_buddy_hint hint) {
    uint32_t start = platform_cost();
    ash_pfn_t first = 0;
    int error = ash_buddy_alloc(&rig->memory.buddy, order, hint, &first);
    if (error == 0)
        ash_buddy_free(&rig->memory.buddy, first, order);
    return platform_cost() - start;
}

static uint32_t buddy_pair_0(struct rig *rig) {
    return buddy_pair_of(rig, 0, ASH_BUDDY_UNMOVABLE);
}

static uint32_t buddy_pair_movable(struct rig *rig) {
    return buddy_pair_of(rig, 0, ASH_BUDDY_MOVABLE);
}

static uint32_t buddy_pair_3(struct rig *rig) {
    return buddy_pair_of(rig, 3, ASH_BUDDY_UNMOVABLE);
}

static uint32_t buddy_pair_9(struct rig *rig) {
    return buddy_pair_of(rig, 9, ASH_BUDDY_UNMOVABLE);
}

static uint32_t buddy_batch_0(struct rig *rig) {
    uint32_t start = platform_cost();
    for (uint32_t i = 0; i < OBJECTS; i++)
        rig->frames[i] = take_frames(rig, 0);
    for (uint32_t i = 0; i < OBJECTS; i++)
        ash_buddy_free(&rig->memory.buddy, rig->frames[i], 0);
    return platform_cost() - start;
}

/* The first frame after the CPU's cache has been emptied. */
static uint32_t buddy_refill(struct rig *rig) {
    ash_buddy_drain(&rig->memory.buddy);
    uint32_t start = platform_cost();
    ash_pfn_t first = take_frames(rig, 0);
    uint32_t cost = platform_cost() - start;
    ash_buddy_free(&rig->memory.buddy, first, 0);
    return cost;
}

static uint32_t buddy_drain(struct rig *rig) {
    for (uint32_t i = 0; i < OBJECTS; i++)
        rig->frames[i] = take_frames(rig, 0);
    for (uint32_t i = 0; i < OBJECTS; i++)
        ash_buddy_free(&rig->memory.buddy, rig->frames[i], 0);
    uint32_t start = platform_cost();
    ash_buddy_drain(&rig->memory.buddy);
    return platform_cost() - start;
}

/* Disks */

static uint32_t blk_split_1(struct rig *rig) {
    return golden_disk_count(rig->split, 1, 1, rig->overhead);
}

static uint32_t blk_split_32(struct rig *rig) {
    return golden_disk_count(rig->split, 32, 1, rig->overhead);
}

static uint32_t blk_split_scattered(struct rig *rig) {
    return golden_disk_count(rig->split, 32, 16, rig->overhead);
}

static uint32_t blk_packed_1(struct rig *rig) {
    return golden_disk_count(rig->packed, 1, 1, rig->overhead);
}

static uint32_t blk_packed_32(struct rig *rig) {
    return golden_disk_count(rig->packed, 32, 1, rig->overhead);
}

static const struct operation {
    const char *name;
    operation_fn *run;
    uint32_t each; /* operations in one run */
} operations[] = {
    {"calls.two_empty", two_calls, 1},
    {"slab.pair", slab_pair, 1},
    {"slab.pair_inline", slab_pair_inline, 1},
    {"slab.pair_interrupts", slab_pair_interrupts, 1},
    {"slab.pair_hardened", slab_pair_hardened, 1},
    {"slab.pair_debug", slab_pair_debug, 1},
    {"slab.batch", slab_batch, OBJECTS},
    {"slab.bulk", slab_bulk, OBJECTS},
    {"slab.alloc_exchange", slab_alloc_exchange, 1},
    {"slab.free_exchange", slab_free_exchange, 1},
    {"slab.refill", slab_refill, 1},
    {"slab.flush", slab_flush, 1},
    {"slab.new_slab", slab_new_slab, 1},
    {"slab.shrink", slab_shrink, 1},
    {"heap.pair", heap_pair, 1},
    {"heap.pair_large", heap_pair_large, 1},
    {"buddy.pair_order_0", buddy_pair_0, 1},
    {"buddy.pair_movable", buddy_pair_movable, 1},
    {"buddy.batch_order_0", buddy_batch_0, OBJECTS},
    {"buddy.refill", buddy_refill, 1},
    {"buddy.drain", buddy_drain, 1},
    {"buddy.pair_order_3", buddy_pair_3, 1},
    {"buddy.pair_order_9", buddy_pair_9, 1},
    {"blk.split_depth_1", blk_split_1, 1},
    {"blk.split_depth_32", blk_split_32, 32},
    {"blk.split_scattered_16", blk_split_scattered, 32},
    {"blk.packed_depth_1", blk_packed_1, 1},
    {"blk.packed_depth_32", blk_packed_32, 32},
};

static const struct cache_operation {
    const char *name;
    golden_cache_fn *run;
    uint32_t each;
    enum cache_kind cache;
} cache_operations[] = {
    {"cache.hit_lru", golden_cache_hit, 1, LRU},
    {"cache.hit_clock", golden_cache_hit, 1, CLOCK},
    {"cache.hit_2q_clock", golden_cache_hit, 1, TWO_Q},
    {"cache.hit_2q_clock_pro", golden_cache_hit, 1, TWO_Q_PRO},
    {"cache.hit_sieve", golden_cache_hit, 1, SIEVE},
    {"cache.hit_s3_fifo", golden_cache_hit, 1, S3},
    {"cache.hit_shared", golden_cache_hit, 1, SHARED},
    {"cache.peek", golden_cache_peek, 1, TWO_Q},
    {"cache.peek_shared", golden_cache_peek, 1, SHARED},
    {"cache.miss_lru", golden_cache_miss, 1, LRU},
    {"cache.miss_clock", golden_cache_miss, 1, CLOCK},
    {"cache.miss_2q_clock", golden_cache_miss, 1, TWO_Q},
    {"cache.miss_2q_clock_pro", golden_cache_miss, 1, TWO_Q_PRO},
    {"cache.miss_sieve", golden_cache_miss, 1, SIEVE},
    {"cache.miss_s3_fifo", golden_cache_miss, 1, S3},
    {"cache.miss_shared", golden_cache_miss, 1, SHARED},
    {"cache.miss_batch_32", golden_cache_miss_batch, GOLDEN_CACHE_BATCH, TWO_Q},
    {"cache.sequential", golden_cache_sequential, GOLDEN_CACHE_BATCH, AHEAD},
    {"cache.put_dirty", golden_cache_write, 1, TWO_Q},
    {"cache.flush_32", golden_cache_flush, GOLDEN_CACHE_BATCH, TWO_Q},
    {"cache.flush_32_scattered", golden_cache_flush_scattered, GOLDEN_CACHE_BATCH, TWO_Q},
};

static const struct sched_operation {
    const char *name;
    golden_sched_fn *run;
    enum golden_sched_kind kind;
} sched_operations[] = {
    {"sched.queue_hold_1000", golden_sched_hold, GOLDEN_SCHED_QUEUE},
    {"sched.queue_again_1000", golden_sched_again, GOLDEN_SCHED_QUEUE},
    {"sched.decide_eevdf", golden_sched_decide, GOLDEN_SCHED_FAIR},
    {"sched.block_wake_eevdf", golden_sched_block_wake, GOLDEN_SCHED_FAIR},
    {"sched.decide_mlfq", golden_sched_decide, GOLDEN_SCHED_INTERACTIVE},
    {"sched.block_wake_mlfq", golden_sched_block_wake, GOLDEN_SCHED_INTERACTIVE},
    {"sched.decide_mixed", golden_sched_decide, GOLDEN_SCHED_MIXED},
    {"sched.block_wake_mixed", golden_sched_block_wake, GOLDEN_SCHED_MIXED},
};

static const struct thread_operation {
    const char *name;
    golden_thread_fn *run;
    uint32_t each;
} thread_operations[] = {
    {"thread.context_switch", golden_thread_switch, 2},
    {"thread.mutex_pair", golden_thread_mutex, 1},
};

static const struct prof_operation {
    const char *name;
    golden_prof_fn *run;
    uint32_t each;
} prof_operations[] = {
    {"trace.write", golden_trace_write, 1},
    {"trace.event", golden_trace_event, 1},
    {"trace.off", golden_trace_off, GOLDEN_PROF_BATCH},
    {"prof.take", golden_prof_take, 1},
    {"prof.take_walked", golden_prof_walk, 1},
};

static const struct user_operation {
    const char *name;
    golden_user_fn *run;
    bool is_of_program; /* where the platform has them */
} user_operations[] = {
    {"user.call", golden_user_call, true},
    {"page.copy", golden_page_copy, false},
    {"page.zero", golden_page_zero, false},
};

/* A counter of time may say less for something than for nothing. */
static uint32_t net(const struct rig *rig, uint32_t cost) {
    return cost > rig->overhead ? cost - rig->overhead : 0;
}

static uint64_t total_of(struct rig *rig, operation_fn *run) {
    uint64_t total = 0;
    ash_irq_t state = ash_port_irq_save();
    for (uint32_t i = 0; i < WARM_RUNS; i++)
        (void)run(rig);
    for (uint32_t i = 0; i < RUNS; i++)
        total += net(rig, run(rig));
    ash_port_irq_restore(state);
    return total;
}

static uint64_t total_of_cache(struct rig *rig, const struct cache_operation *operation) {
    struct golden_cache *cache = rig->caches[operation->cache];
    uint64_t total = 0;
    ash_irq_t state = ash_port_irq_save();
    for (uint32_t i = 0; i < WARM_RUNS; i++)
        (void)operation->run(cache, rig->overhead);
    for (uint32_t i = 0; i < RUNS; i++)
        total += net(rig, operation->run(cache, rig->overhead));
    ash_port_irq_restore(state);
    return total;
}

static uint64_t total_of_sched(struct rig *rig, const struct sched_operation *operation) {
    struct golden_sched *sched = rig->scheds[operation->kind];
    uint64_t total = 0;
    ash_irq_t state = ash_port_irq_save();
    for (uint32_t i = 0; i < WARM_RUNS; i++)
        (void)operation->run(sched, rig->overhead);
    for (uint32_t i = 0; i < SCHED_RUNS; i++)
        total += net(rig, operation->run(sched, rig->overhead));
    ash_port_irq_restore(state);
    return total;
}

static uint64_t total_of_thread(struct rig *rig, const struct thread_operation *operation) {
    uint64_t total = 0;
    ash_irq_t state = ash_port_irq_save();
    for (uint32_t i = 0; i < WARM_RUNS; i++)
        (void)operation->run(rig->overhead);
    for (uint32_t i = 0; i < RUNS; i++)
        total += net(rig, operation->run(rig->overhead));
    ash_port_irq_restore(state);
    return total;
}

static uint64_t total_of_prof(struct rig *rig, const struct prof_operation *operation) {
    uint64_t total = 0;
    ash_irq_t state = ash_port_irq_save();
    for (uint32_t i = 0; i < WARM_RUNS; i++)
        (void)operation->run(rig->prof, rig->overhead);
    for (uint32_t i = 0; i < RUNS; i++)
        total += net(rig, operation->run(rig->prof, rig->overhead));
    ash_port_irq_restore(state);
    return total;
}

static uint64_t total_of_user(struct rig *rig, const struct user_operation *operation) {
    uint64_t total = 0;
    ash_irq_t state = ash_port_irq_save();
    for (uint32_t i = 0; i < WARM_RUNS; i++)
        (void)operation->run(rig->user, rig->overhead);
    for (uint32_t i = 0; i < RUNS; i++)
        total += net(rig, operation->run(rig->user, rig->overhead));
    ash_port_irq_restore(state);
    return total;
}

static void report_one(const struct bench_report *report, const char *name, uint32_t each,
                       uint64_t total) {
    uint64_t runs = (uint64_t)RUNS * each;
    bench_say(report, "%-24s %7" PRIu64 ".%02" PRIu64 " %10" PRIu64 " %6" PRIu64, name,
              total / runs, total % runs * 100 / runs, total, runs);
}

static void report_all(struct rig *rig, const struct bench_report *report) {
#if defined(__clang__)
    report->line(report->context, "# compiled by clang " __clang_version__);
#else
    report->line(report->context, "# compiled by gcc " __VERSION__);
#endif
    report->line(report->context, platform_counts_instructions()
                                      ? "# unit: instructions"
                                      : "# unit: counter steps, of no use as golden numbers");
    report->line(report->context, "# operation                   each      total   runs");
    rig->overhead = nothing(rig);
    for (size_t i = 0; i < ASH_ARRAY_LEN(operations); i++)
        report_one(report, operations[i].name, operations[i].each,
                   total_of(rig, operations[i].run));
    for (size_t i = 0; i < ASH_ARRAY_LEN(cache_operations); i++)
        report_one(report, cache_operations[i].name, cache_operations[i].each,
                   total_of_cache(rig, &cache_operations[i]));
    for (size_t i = 0; i < ASH_ARRAY_LEN(sched_operations); i++)
        report_one(report, sched_operations[i].name, SCHED_RUNS / RUNS,
                   total_of_sched(rig, &sched_operations[i]));
    for (size_t i = 0; i < ASH_ARRAY_LEN(prof_operations); i++)
        report_one(report, prof_operations[i].name, prof_operations[i].each,
                   total_of_prof(rig, &prof_operations[i]));
    for (size_t i = 0; i < ASH_ARRAY_LEN(user_operations); i++) {
        if (!user_operations[i].is_of_program || platform_has_user())
            report_one(report, user_operations[i].name, 1, total_of_user(rig, &user_operations[i]));
    }
}

struct thread_totals {
    struct rig *rig;
    uint64_t totals[ASH_ARRAY_LEN(thread_operations)];
};

static void count_threads(void *context) {
    struct thread_totals *threads = context;
    for (size_t i = 0; i < ASH_ARRAY_LEN(thread_operations); i++)
        threads->totals[i] = total_of_thread(threads->rig, &thread_operations[i]);
}

static int report_threads(struct rig *rig, const struct bench_report *report) {
    struct thread_totals threads = {.rig = rig};
    int error = golden_threads_run(&rig->memory, count_threads, &threads);
    for (size_t i = 0; error == 0 && i < ASH_ARRAY_LEN(thread_operations); i++)
        report_one(report, thread_operations[i].name, thread_operations[i].each, threads.totals[i]);
    return error;
}

static int start_cache(struct rig *rig, struct ash_slab_cache *cache, uint32_t flags) {
    const struct ash_slab_config config = {
        .name = "golden", .size_bytes = 64, .flags = flags, .source = &rig->memory.source};
    return ash_slab_cache_init(cache, &config);
}

static bool start_devices(struct rig *rig, struct kernel_memory *memory) {
    rig->split = golden_disk_new(memory, false);
    rig->packed = golden_disk_new(memory, true);
    bool all = rig->split != NULL && rig->packed != NULL;
    for (uint32_t i = 0; all && i < CACHES; i++) {
        rig->caches[i] = golden_cache_new(memory, cache_kinds[i].policy, cache_kinds[i].shared,
                                          cache_kinds[i].ahead);
        all = rig->caches[i] != NULL;
    }
    for (uint32_t i = 0; all && i < GOLDEN_SCHED_KINDS; i++) {
        rig->scheds[i] = golden_sched_new(memory, (enum golden_sched_kind)i);
        all = rig->scheds[i] != NULL;
    }
    if (all) {
        rig->prof = golden_prof_new(memory);
        rig->user = golden_user_new(memory);
    }
    return all && rig->prof != NULL && rig->user != NULL;
}

static int start(struct rig *rig, const struct kernel_memory *memory, const void *arena) {
    const struct platform_range range = {memory->view.address(arena), ASH_PAGE_SIZE << ARENA_ORDER};
    int error = memory_init(&rig->memory, &range, 1, &memory->view, NULL);
    if (error == 0)
        error = start_cache(rig, &rig->cache, 0);
    if (error == 0)
        error = start_cache(rig, &rig->hardened, ASH_SLAB_HARDENED);
    if (error == 0)
        error = start_cache(rig, &rig->debug, ASH_SLAB_DEBUG);
    return error != 0 ? error : start_cache(rig, &rig->interrupts, ASH_SLAB_INTERRUPTS);
}

int bench_golden(struct kernel_memory *memory, const struct bench_report *report) {
    struct rig *rig = ash_kzalloc(&memory->heap, sizeof(*rig));
    void *arena = memory_pages_alloc(memory, ARENA_ORDER);
    int error = -ASH_ENOMEM;
    if (rig != NULL && arena != NULL && start_devices(rig, memory))
        error = start(rig, memory, arena);
    if (error == 0) {
        report_all(rig, report);
        error = report_threads(rig, report);
    }
    if (arena != NULL)
        memory_pages_free(memory, arena, ARENA_ORDER);
    if (rig != NULL) {
        golden_disk_free(rig->split);
        golden_disk_free(rig->packed);
        for (uint32_t i = 0; i < CACHES; i++)
            golden_cache_free(rig->caches[i]);
        for (uint32_t i = 0; i < GOLDEN_SCHED_KINDS; i++)
            golden_sched_free(rig->scheds[i]);
        golden_prof_free(rig->prof);
        golden_user_free(rig->user);
    }
    ash_kfree(&memory->heap, rig);
    return error;
}
