/* SPDX-License-Identifier: MIT */
/* bench.c: see bench.h. The tables; what they count is the kernel's own memory. */
#include "bench.h"

#include <ashlar/error.h>
#include <ashlar/port.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "platform.h"

enum { BATCH = 64, ROUNDS = 64 };

void bench_say(const struct bench_report *report, const char *format, ...) {
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    report->line(report->context, text);
}

void bench_unit(const struct bench_report *report) {
    if (platform_counts_instructions()) {
        bench_say(report, "unit: instructions");
        return;
    }
    ash_ns_t start_ns = platform_now_ns(), now_ns = start_ns, limit_ns = start_ns + 2000000;
    uint64_t start = ash_port_cycles();
    for (uint32_t reads = 0; now_ns < limit_ns && reads < 10000000; reads++)
        now_ns = platform_now_ns();
    uint64_t steps = ash_port_cycles() - start;
    uint64_t picoseconds = steps == 0 ? 0 : (now_ns - start_ns) * 1000 / steps;
    bench_say(report, "unit: steps of the CPU's counter, one is %" PRIu64 ".%03" PRIu64 " ns",
              picoseconds / 1000, picoseconds % 1000);
    bench_say(report, "In an emulator steps mean nothing; QEMU with -icount shift=0,sleep=off");
    bench_say(report, "counts instructions.");
}

/* One piece of work: BATCH allocations and frees. */
struct work {
    struct kernel_memory *memory;
    struct ash_slab_cache cache;
    size_t size_bytes;
    uint32_t order;
    ash_pfn_t frames[BATCH];
    void *objects[BATCH];
};

/* False: no memory, and nothing is left allocated. */
typedef bool work_fn(struct work *work);

static inline bool take_object(struct work *work, void **object) {
    *object = ash_slab_alloc(&work->cache);
    return *object != NULL;
}

static inline void give_object(struct work *work, void *object) {
    ash_slab_free(&work->cache, object);
}

static inline bool take_inline(struct work *work, void **object) {
    *object = ash_slab_alloc_inline(&work->cache);
    return *object != NULL;
}

static inline void give_inline(struct work *work, void *object) {
    ash_slab_free_inline(&work->cache, object);
}

static inline bool take_bytes(struct work *work, void **object) {
    *object = ash_kmalloc(&work->memory->heap, work->size_bytes);
    return *object != NULL;
}

static inline void give_bytes(struct work *work, void *object) {
    ash_kfree(&work->memory->heap, object);
}

static inline bool take_frames(struct work *work, ash_pfn_t *first) {
    return ash_buddy_alloc(&work->memory->buddy, work->order, ASH_BUDDY_UNMOVABLE, first) == 0;
}

static inline void give_frames(struct work *work, ash_pfn_t first) {
    ash_buddy_free(&work->memory->buddy, first, work->order);
}

/* Macros, since a call of `take` or `give` would be counted too. */
#define PAIRS(name, type, take, give)          \
    static bool name(struct work *work) {      \
        for (uint32_t i = 0; i < BATCH; i++) { \
            type one;                          \
            if (!take(work, &one))             \
                return false;                  \
            give(work, one);                   \
        }                                      \
        return true;                           \
    }

#define IN_A_ROW(name, slots, take, give)                        \
    static bool name(struct work *work) {                        \
        uint32_t count = 0;                                      \
        while (count < BATCH && take(work, &work->slots[count])) \
            count++;                                             \
        for (uint32_t i = 0; i < count; i++)                     \
            give(work, work->slots[i]);                          \
        return count == BATCH;                                   \
    }

PAIRS(cache_pairs, void *, take_object, give_object)
PAIRS(inline_pairs, void *, take_inline, give_inline)
PAIRS(heap_pairs, void *, take_bytes, give_bytes)
PAIRS(buddy_pairs, ash_pfn_t, take_frames, give_frames)
IN_A_ROW(cache_batch, objects, take_object, give_object)
IN_A_ROW(heap_batch, objects, take_bytes, give_bytes)
IN_A_ROW(buddy_batch, frames, take_frames, give_frames)

static bool cache_bulk(struct work *work) {
    if (ash_slab_alloc_bulk(&work->cache, work->objects, BATCH) != 0)
        return false;
    ash_slab_free_bulk(&work->cache, work->objects, BATCH);
    return true;
}

/* Hundredths of a unit a pair, of the cheapest of some rounds: the others were interrupted, or ran
 * cold. UINT64_MAX: no memory. */
static uint64_t cost_of(struct work *work, work_fn *run) {
    uint32_t best = UINT32_MAX;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t start = platform_cost();
        if (!run(work))
            return UINT64_MAX;
        uint32_t cost = platform_cost() - start;
        best = cost < best ? cost : best;
    }
    return (uint64_t)best * 100 / BATCH;
}

/* Right-aligned in 9 columns, "-" for no memory. */
static const char *column(char text[24], uint64_t hundredths) {
    if (hundredths == UINT64_MAX)
        snprintf(text, 24, "%9s", "-");
    else
        snprintf(text, 24, "%6" PRIu64 ".%02" PRIu64, hundredths / 100, hundredths % 100);
    return text;
}

/* Against frames: the cost of a frame and its free, 64 of each in a row. */
static int slab_row(struct work *work, const struct bench_report *report, uint64_t frame) {
    static work_fn *const columns[] = {cache_pairs, inline_pairs, cache_batch,
                                       cache_bulk,  heap_pairs,   heap_batch};
    enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), CACHE_BATCH = 2 };
    char text[COLUMNS][24], ratio[24];
    uint64_t cost[COLUMNS];
    bool failed = frame == UINT64_MAX;
    const struct ash_slab_config config = {
        .name = "bench", .size_bytes = work->size_bytes, .source = &work->memory->source};
    int error = ash_slab_cache_init(&work->cache, &config);
    if (error != 0)
        return error;
    for (uint32_t i = 0; i < COLUMNS; i++) {
        cost[i] = cost_of(work, columns[i]);
        failed |= cost[i] == UINT64_MAX;
        (void)column(text[i], cost[i]);
    }
    bool known = !failed && cost[CACHE_BATCH] != 0;
    bench_say(report, "%6zu %s %s %s %s %s %s %s", work->size_bytes, text[0], text[1], text[2],
              text[3], text[4], text[5],
              column(ratio, known ? frame * 100 / cost[CACHE_BATCH] : UINT64_MAX));
    error = ash_slab_cache_fini(&work->cache);
    return error != 0 ? error : failed ? -ASH_ENOMEM : 0;
}

int bench_slab(struct kernel_memory *memory, const struct bench_report *report) {
    struct ash_slab_cache *cache;
    char text[2][24];
    int result = 0;
    struct work *work = ash_kzalloc(&memory->heap, sizeof(*work));
    if (work == NULL)
        return -ASH_ENOMEM;
    work->memory = memory;
    uint64_t pair = cost_of(work, buddy_pairs), batch = cost_of(work, buddy_batch);
    bench_say(report,
              "An allocation and its free: one after the other (pair), or 64 of each in a row.");
    bench_say(report, "%6s %9s %9s %9s %9s %9s %9s %9s", "", "cache", "cache", "cache", "cache",
              "heap", "heap", "buddy /");
    bench_say(report, "%6s %9s %9s %9s %9s %9s %9s %9s", "bytes", "pair", "inline", "of 64", "bulk",
              "pair", "of 64", "cache");
    for (uint32_t i = 0; (cache = ash_heap_cache(&memory->heap, i)) != NULL; i++) {
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(cache, &stats);
        work->size_bytes = stats.size_bytes;
        int error = slab_row(work, report, batch);
        result = result != 0 ? result : error;
    }
    bench_say(report, "buddy, one frame: pair %s, of 64 %s", column(text[0], pair) + 2,
              column(text[1], batch) + 2);
    ash_kfree(&memory->heap, work);
    return result;
}

int bench_buddy(struct kernel_memory *memory, const struct bench_report *report) {
    static const uint32_t orders[] = {0, 1, 2, 3, 4, 6, 9, 10};
    char text[2][24];
    int result = 0;
    struct work *work = ash_kzalloc(&memory->heap, sizeof(*work));
    if (work == NULL)
        return -ASH_ENOMEM;
    work->memory = memory;
    bench_say(report, "A block and its free: one after the other (pair), and 64 of each in a row.");
    bench_say(report, "%6s %9s %9s %9s", "order", "KiB", "pair", "of 64");
    for (size_t i = 0; i < ASH_ARRAY_LEN(orders); i++) {
        work->order = orders[i];
        uint64_t pair = cost_of(work, buddy_pairs), batch = cost_of(work, buddy_batch);
        bench_say(report, "%6" PRIu32 " %9u %s %s", orders[i], 4u << orders[i],
                  column(text[0], pair), column(text[1], batch));
        if (orders[i] == 0 && (pair == UINT64_MAX || batch == UINT64_MAX))
            result = -ASH_ENOMEM;
    }
    ash_kfree(&memory->heap, work);
    return result;
}
