/* SPDX-License-Identifier: MIT */
/*
 * The tracer under interrupts that come when they come: a timer's and those of another CPU fall
 * into writes and write themselves, while that CPU reads. (Orders of single steps: interleave.)
 */
#include <ashlar/error.h>
#include <ashlar/trace.h>

#include "harness/test.h"
#include "platform.h"

enum { RECORDS = ASH_TRACE_EVENTS_MIN, BURST = 3, INTERRUPTS = 300, WRITES = 20000 };
#define LIMIT_NS UINT64_C(60000000000) /* of a machine that is slow, and not broken */

struct writer {
    struct ash_trace_ring ring;
    struct ash_trace_record records[RECORDS];
    uint64_t emitted; /* of all contexts: atomic to this CPU's interrupts */
    uint64_t interrupts;
    uint32_t is_over;
};

struct storm {
    struct writer writers[2];
    uint32_t cpus, here, gone, late;
    uint64_t read[2], torn[2];
};

static uint64_t sum_of(uint64_t number) {
    return number * UINT64_C(0x9e3779b97f4a7c15);
}

static void emit(struct writer *writer, uint32_t depth) {
    uint64_t number = ash_fetch_add_local(&writer->emitted, 1);
    ash_trace_write(&writer->ring, 1 + depth, number, sum_of(number));
}

static void interrupt(struct writer *writer) {
    ash_trace_enter(&writer->ring);
    for (uint32_t i = 0; i < BURST; i++)
        emit(writer, 1);
    ash_store_word(&writer->interrupts, writer->interrupts + 1);
    ash_trace_leave(&writer->ring);
}

static void on_timer(void *context) {
    struct writer *writer = context;
    interrupt(writer);
    if (ash_load_relaxed(&writer->is_over) == 0) /* the times do not keep step with the writes */
        (void)!platform_timer_arm(platform_now_ns() + 5000 + writer->emitted % 7 * 1500, on_timer,
                                  writer);
}

static void on_call(void *context) {
    interrupt(context);
}

/* Each record whole, none twice: places go up. */
static void read_some(struct storm *storm, uint32_t of, uint64_t *cursor) {
    struct ash_trace_record record;
    for (uint32_t i = 0; i < 2 * RECORDS; i++) {
        uint64_t before = *cursor;
        if (!ash_trace_read(&storm->writers[of].ring, cursor, &record))
            break;
        storm->torn[of] += record.b != sum_of(record.a) || *cursor <= before ||
                           ash_trace_id(&record) != 1 + ash_trace_depth(&record);
        storm->read[of]++;
    }
}

static void meet(const struct storm *storm, uint32_t *count) {
    ash_fetch_add(count, 1u);
    while (ash_load_acquire(count) < storm->cpus)
        ash_port_relax();
}

static void write_and_read(void *context, uint32_t cpu) {
    struct storm *storm = context;
    struct writer *writer = &storm->writers[cpu], *other = &storm->writers[storm->cpus - 1 - cpu];
    uint64_t cursor = 1, end = platform_now_ns() + LIMIT_NS;
    bool is_late = false;
    meet(storm, &storm->here);
    (void)!platform_timer_arm(platform_now_ns() + 5000, on_timer, writer);
    for (uint64_t i = 0;
         !is_late && (i < WRITES || ash_load_word(&writer->interrupts) < INTERRUPTS); i++) {
        uint32_t pinned;
        ash_port_pin(&pinned);
        for (uint32_t k = 0; k < 8; k++)
            emit(writer, 0);
        ash_port_unpin();
        if (i % 16 == 0 && other != writer)
            (void)!platform_interrupt_cpu(storm->cpus - 1 - cpu, on_call, other);
        if (i % 4 == 0)
            read_some(storm, storm->cpus - 1 - cpu, &cursor);
        is_late = i % 1024 == 0 && platform_now_ns() > end;
    }
    if (is_late)
        ash_store_relaxed(&storm->late, 1u);
    ash_store_relaxed(&writer->is_over, 1u);
    meet(storm, &storm->gone); /* who has arrived sends no more; what is on its way runs first */
    while (platform_interrupt_self(on_call, writer) == -ASH_EBUSY)
        ash_port_relax();
    platform_timer_disarm();
}

/* The law, exactly. */
static void check_law(const struct storm *storm, const struct writer *writer, uint32_t cpu) {
    struct ash_trace_counts counts;
    struct ash_trace_record record;
    uint64_t cursor = 0, readable = 0;
    ash_trace_count(&writer->ring, &counts);
    while (ash_trace_read(&writer->ring, &cursor, &record)) {
        CHECK_EQ(record.b, sum_of(record.a));
        readable++;
    }
    CHECK_EQ(counts.emitted, writer->emitted);
    CHECK_EQ(writer->emitted, readable + counts.overwritten + counts.dropped);
    CHECK_EQ(storm->torn[cpu], 0);
    CHECK(storm->read[cpu] != 0);
    const char *broken = ash_trace_check(&writer->ring);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

static void blow(uint32_t cpus, enum ash_trace_mode mode) {
    struct storm *storm = test_alloc(sizeof(*storm), 128);
    memset(storm, 0, sizeof(*storm));
    storm->cpus = cpus;
    for (uint32_t cpu = 0; cpu < cpus; cpu++)
        CHECK_EQ(
            ash_trace_init(&storm->writers[cpu].ring, storm->writers[cpu].records, RECORDS, mode),
            0);
    test_run_on_cpus(write_and_read, storm, cpus);
    CHECK_EQ(storm->late, 0);
    for (uint32_t cpu = 0; cpu < cpus; cpu++)
        check_law(storm, &storm->writers[cpu], cpu);
}

TEST_CASE(trace_storm, of_one_cpu_loses_nothing_uncounted) {
    blow(1, ASH_TRACE_OVERWRITE);
    blow(1, ASH_TRACE_STOP);
}

TEST_CASE(trace_storm, of_two_cpus_that_read_each_other_loses_nothing_uncounted) {
    blow(2, ASH_TRACE_OVERWRITE);
    blow(2, ASH_TRACE_STOP);
}
