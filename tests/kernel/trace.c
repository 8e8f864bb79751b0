/* SPDX-License-Identifier: MIT */
/* Cases of the kernel's tracer: what it refuses, what it keeps and counts, that it gives everything
 * back, and what a program's markers become. */
#include "kernel/trace.h"

#include <ashlar/error.h>
#include <ashlar/prof_view.h>
#include <inttypes.h>
#include <stdio.h>

#include "kernel/dump.h"
#include "kernel/fixture.h"
#include "kernel/images.h"
#include "kernel/kernel.h"
#include "kernel/memory_fixture.h"
#include "kernel/programs.h"
#include "kernel/threads_fixture.h"

enum { MEMORY_BYTES = 8 << 20, RING = ASH_TRACE_EVENTS_MIN };

static const struct trace_config marks = {.events = RING, .only = "mark"};

/* A case that failed may have left a trace. */
static struct kernel *machine_new(void) {
    struct kernel *kernel = test_alloc(sizeof(*kernel), 64);
    struct platform_range range = {test_view.address(test_alloc(MEMORY_BYTES, MEMORY_BYTES)),
                                   MEMORY_BYTES};
    struct trace left;
    CHECK_EQ(memory_init(&kernel->memory, &range, 1, &test_view, NULL), 0);
    trace_set_aside(&left);
    return kernel;
}

static uint64_t free_pages(struct kernel_memory *memory) {
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&memory->buddy, &stats);
    return stats.free_pages;
}

static void mark(uint64_t first, uint64_t end) {
    for (uint64_t number = first; number < end; number++)
        trace_mark(number);
}

/* This CPU's ring has exactly these marks. */
static void check_marks(uint64_t first, uint64_t end) {
    struct ash_trace_record record;
    uint64_t cursor = 0;
    for (uint64_t number = first; number < end; number++) {
        CHECK(ash_trace_read(&trace_get()->rings[0], &cursor, &record));
        CHECK_EQ(record.a, number);
    }
    CHECK(!ash_trace_read(&trace_get()->rings[0], &cursor, &record));
    for (uint32_t cpu = 0; cpu < trace_get()->cpus; cpu++)
        CHECK(ash_trace_check(&trace_get()->rings[cpu]) == NULL);
}

static void check_counts(uint64_t emitted, uint64_t overwritten, uint64_t dropped) {
    struct ash_trace_counts counts;
    ash_trace_count(&trace_get()->rings[0], &counts);
    CHECK_EQ(counts.emitted, emitted);
    CHECK_EQ(counts.overwritten, overwritten);
    CHECK_EQ(counts.dropped, dropped);
}

static void check_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not contain \"%s\"", text, part);
}

/* Start */

TEST_CASE(trace_kernel, refuses_rings_and_names_that_there_are_not) {
    struct kernel_memory *memory = &machine_new()->memory;
    static const struct trace_config bad[] = {
        {.events = 0},          {.events = 1},
        {.events = RING / 2},   {.events = RING - 1},
        {.events = RING + 1},   {.events = ASH_TRACE_EVENTS_MAX * 2},
        {.events = UINT32_MAX}, {.events = RING, .mode = (enum ash_trace_mode)7}};
    static const char *const names[] = {"",      "bogus",      "mar",  "mark.",
                                        "mark,", "mark,bogus", ",mark"};
    static const char *const unknown[] = {"", "bogus", "mar", "mark.", "", "bogus", ",mark"};
    uint64_t before = free_pages(memory);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++)
        CHECK_EQ(trace_start(memory, &bad[i], NULL), -ASH_EINVAL);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(names); i++) {
        const struct trace_config config = {.events = RING, .only = names[i]};
        const char *where = NULL;
        CHECK_EQ(trace_start(memory, &config, &where), -ASH_ENOENT);
        CHECK_STR_EQ(where, unknown[i]);
        CHECK_EQ(trace_start(memory, &config, NULL), -ASH_ENOENT);
    }
    CHECK_EQ(trace_get()->state, TRACE_OFF);
    CHECK_EQ(trace_stop(), -ASH_ENOENT);
    CHECK_EQ(free_pages(memory), before);
}

/* Pages of which each points to the next one. */
static void *eat(struct kernel_memory *memory) {
    void *first = NULL, **page;
    while ((page = memory_pages_alloc(memory, 0)) != NULL) {
        *page = first;
        first = page;
    }
    return first;
}

static void *give_back(struct kernel_memory *memory, void *page) {
    void *next = *(void **)page;
    memory_pages_free(memory, page, 0);
    return next;
}

/* A page for the rings and one for each CPU's records: each may be the one that is missing. */
TEST_CASE(trace_kernel, finds_no_memory_at_any_page_and_loses_none) {
    struct kernel_memory *memory = &machine_new()->memory;
    const struct trace_config larger = {.events = 2 * RING, .only = "mark"};
    uint64_t before = free_pages(memory);
    CHECK_EQ(trace_start(memory, &larger, NULL), 0);
    mark(0, 3);
    CHECK_EQ(trace_stop(), 0);
    void *eaten = eat(memory);
    CHECK_EQ(free_pages(memory), 0);
    uint64_t left = 0;
    for (int error; (error = trace_start(memory, &marks, NULL)) != 0; left++) {
        CHECK_EQ(error, -ASH_ENOMEM);
        CHECK_EQ(free_pages(memory), left);
        CHECK_EQ(trace_get()->state, TRACE_STOPPED);
        check_marks(0, 3);
        CHECK(eaten != NULL);
        eaten = give_back(memory, eaten);
    }
    CHECK_EQ(left, 1 + platform_cpu_count());
    mark(5, 7);
    CHECK_EQ(trace_stop(), 0);
    check_marks(5, 7);
    while (eaten != NULL)
        eaten = give_back(memory, eaten);
    trace_free();
    CHECK_EQ(free_pages(memory), before);
}

TEST_CASE(trace_kernel, a_start_that_is_refused_disturbs_nothing) {
    struct kernel_memory *memory = &machine_new()->memory;
    const struct trace_config small = {.events = 1}, bogus = {.events = RING, .only = "bogus"};
    CHECK_EQ(trace_start(memory, &marks, NULL), 0);
    mark(0, 10);
    CHECK_EQ(trace_start(memory, &marks, NULL), -ASH_EBUSY);
    CHECK_EQ(trace_start(memory, &small, NULL), -ASH_EBUSY);
    trace_free(); /* it runs: nothing happens */
    mark(10, 20);
    CHECK_EQ(trace_stop(), 0);
    CHECK_EQ(trace_start(memory, &small, NULL), -ASH_EINVAL);
    CHECK_EQ(trace_start(memory, &bogus, NULL), -ASH_ENOENT);
    CHECK_EQ(trace_get()->state, TRACE_STOPPED);
    check_marks(0, 20);
    trace_free();
}

TEST_CASE(trace_kernel, a_stop_keeps_and_a_start_begins_anew) {
    struct kernel_memory *memory = &machine_new()->memory;
    static const uint32_t events[] = {RING, RING, 4 * RING, RING};
    uint64_t before = free_pages(memory);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(events); i++) {
        const struct trace_config config = {.events = events[i], .only = "mark"};
        CHECK_EQ(trace_start(memory, &config, NULL), 0);
        mark(i, i + 5);
        CHECK_EQ(trace_stop(), 0);
        CHECK_EQ(trace_stop(), -ASH_ENOENT);
        mark(100, 110);
        check_marks(i, i + 5);
        check_counts(5, 0, 0);
    }
    trace_free();
    CHECK_EQ(trace_get()->state, TRACE_OFF);
    CHECK_EQ(free_pages(memory), before);
    trace_free();
    CHECK_EQ(free_pages(memory), before);
}

/* Filters */

static uint32_t wanted(struct kernel_memory *memory, const char *only) {
    const struct trace_config config = {.events = RING, .only = only};
    const struct ash_event *event;
    uint32_t count = 0;
    CHECK_EQ(trace_start(memory, &config, NULL), 0);
    for (uint32_t i = 0; (event = trace_event(i)) != NULL; i++) {
        CHECK_EQ(event->enabled, trace_wants(event));
        count += trace_wants(event);
    }
    CHECK_EQ(trace_stop(), 0);
    for (uint32_t i = 0; (event = trace_event(i)) != NULL; i++)
        CHECK_EQ(event->enabled, 0);
    return count;
}

static uint32_t with_prefix(const char *prefix) {
    const struct ash_event *event;
    uint32_t count = 0;
    for (uint32_t i = 0; (event = trace_event(i)) != NULL; i++)
        count += strncmp(event->name, prefix, strlen(prefix)) == 0;
    return count;
}

TEST_CASE(trace_kernel, names_and_groups_choose_events) {
    struct kernel_memory *memory = &machine_new()->memory;
    CHECK_EQ(wanted(memory, NULL), with_prefix(""));
    CHECK_EQ(wanted(memory, "mark"), 2); /* mark, and mark.text */
    CHECK_EQ(wanted(memory, "mark.text"), 1);
    CHECK_EQ(wanted(memory, "syscall"), with_prefix("syscall."));
    CHECK_EQ(wanted(memory, "sched"), with_prefix("sched."));
    CHECK_EQ(wanted(memory, "sched,slab.refill,sched.wake"), with_prefix("sched.") + 1);
    trace_free();
}

TEST_CASE(trace_kernel, only_chosen_events_are_recorded) {
    struct kernel_memory *memory = &machine_new()->memory;
    struct trace_config config = {.events = RING, .only = "mark.text"};
    struct ash_trace_record record;
    uint64_t cursor = 0;
    CHECK_EQ(trace_start(memory, &config, NULL), 0);
    mark(0, 3);
    trace_mark_text("abcdefghijklmnop+", 17);
    trace_mark_text("none", 0);
    CHECK_EQ(trace_stop(), 0);
    check_counts(2, 0, 0);
    CHECK(ash_trace_read(&trace_get()->rings[0], &cursor, &record));
    CHECK_MEM_EQ(&record.a, "abcdefghijklmnop", 16);
    CHECK(ash_trace_read(&trace_get()->rings[0], &cursor, &record));
    CHECK_MEM_EQ(&record.a, "+\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    trace_free();
}

/* Full rings */

TEST_CASE(trace_kernel, a_full_ring_keeps_the_newest) {
    struct kernel_memory *memory = &machine_new()->memory;
    CHECK_EQ(trace_start(memory, &marks, NULL), 0);
    mark(0, RING);
    check_counts(RING, 0, 0);
    mark(RING, 3 * RING + 7);
    CHECK_EQ(trace_stop(), 0);
    check_counts(3 * RING + 7, 2 * RING + 7, 0);
    check_marks(2 * RING + 7, 3 * RING + 7);
    trace_free();
}

TEST_CASE(trace_kernel, a_full_ring_that_stops_keeps_the_first) {
    struct kernel_memory *memory = &machine_new()->memory;
    const struct trace_config config = {.events = RING, .mode = ASH_TRACE_STOP, .only = "mark"};
    CHECK_EQ(trace_start(memory, &config, NULL), 0);
    mark(0, 3 * RING + 7);
    CHECK_EQ(trace_stop(), 0);
    check_counts(3 * RING + 7, 0, 2 * RING + 7);
    check_marks(0, RING);
    trace_free();
}

TEST_CASE(trace_kernel, stat_says_what_the_rings_count) {
    struct script *script = script_new(NULL, false);
    script->shell->kernel = machine_new();
    CHECK_EQ(script_run(script, "trace start 64 --only mark\n"), 0);
    mark(0, 100);
    CHECK_EQ(script_run(script, "trace stat\n"), 0);
    check_contains(script->output, "running, overwrites the oldest\n");
    check_contains(script->output, "\n  0          100           64           36            0");
    CHECK_EQ(script_run(script, "trace stop\n"), 0);
    CHECK_STR_EQ(script->output, "trace: 100 events, 36 overwritten, 0 dropped\n");
    CHECK_EQ(script_run(script, "trace start 64 --only mark --stop-on-full\n"), 0);
    mark(0, 100);
    CHECK_EQ(script_run(script, "trace stop\ntrace stat\n"), 0);
    check_contains(script->output, "trace: 100 events, 0 overwritten, 36 dropped\n");
    check_contains(script->output, "stopped, stops when full\n");
    check_contains(script->output,
                   "\n  0          100           64            0           36         2048\n");
    trace_free();
}

/* Several CPUs */

struct turns {
    uint32_t next, end;
};

enum { APART = 2000 }; /* cycles: more than CPUs' clocks differ by */

/* Marks 0 to end - 1, a fifth of them by CPU 0, each later than the one before. */
static void mark_in_turn(void *context, uint32_t cpu) {
    struct turns *turns = context;
    for (uint32_t number = 0; number < turns->end; number++) {
        if ((number % 5 == 0) != (cpu == 0))
            continue;
        while (ash_load_acquire(&turns->next) != number)
            ash_port_relax();
        for (uint64_t begin = ash_port_cycles(); ash_port_cycles() - begin < APART;)
            ash_port_relax();
        trace_mark(number);
        ash_store_release(&turns->next, number + 1);
    }
}

/* The lines of `trace show` are exactly these marks. */
static void check_shown(const char *text, uint32_t first, uint32_t end) {
    for (uint32_t number = first; number < end; number++) {
        char part[32];
        snprintf(part, sizeof(part), ": mark number=%" PRIu32 "\n", number);
        size_t line = strcspn(text, "\n") + 1;
        if (line < strlen(part) || memcmp(text + line - strlen(part), part, strlen(part)) != 0)
            test_fail(__FILE__, __LINE__, "\"%.*s\" is not%s", (int)line, text, part);
        text += line;
    }
    CHECK_STR_EQ(text, "");
}

TEST_CASE(trace_kernel, show_merges_the_cpus_by_their_time) {
    struct turns turns = {.end = 150};
    struct script *script = script_new(NULL, false);
    script->shell->kernel = machine_new();
    CHECK_EQ(script_run(script, "trace start 64 --only mark\n"), 0);
    test_run_on_cpus(mark_in_turn, &turns, 2);
    CHECK_EQ(script_run(script, "trace stop\n"), 0);
    CHECK_STR_EQ(script->output, "trace: 150 events, 56 overwritten, 0 dropped\n");
    CHECK_EQ(script_run(script, "trace show 70\n"), 0);
    check_shown(script->output, 80, 150);
    CHECK_EQ(script_run(script, "trace show\n"), 0);
    check_shown(script->output, 130, 150);
    CHECK_EQ(script_run(script, "trace show 1\n"), 0);
    check_shown(script->output, 149, 150);
    CHECK_EQ(script_run(script, "trace show 1000\n"), 0);
    check_contains(script->output, ": mark number=0\n"); /* of CPU 0, which keeps all */
    check_shown(strstr(script->output, "number=70\n") + sizeof("number=70"), 71, 150);
    trace_free();
}

/* Interrupts */

static void mark_9(void *context) {
    (void)context;
    trace_mark(9);
}

TEST_CASE(trace_kernel, an_interrupt_is_around_what_it_does) {
    struct kernel_memory *memory = &machine_new()->memory;
    const struct trace_config config = {.events = RING, .only = "mark,irq"};
    struct ash_trace_record record[3], thread;
    uint64_t cursor = 0;
    CHECK_EQ(trace_start(memory, &config, NULL), 0);
    CHECK_EQ(platform_interrupt_self(mark_9, NULL), 0);
    trace_mark(8);
    CHECK_EQ(trace_stop(), 0);
    do { /* another interrupt may have been first */
        for (uint32_t i = 0; i < 3; i++)
            CHECK(ash_trace_read(&trace_get()->rings[0], &cursor, &record[i]));
        for (uint32_t i = 0; i < 3; i++)
            CHECK_EQ(ash_trace_depth(&record[i]), 1);
    } while (record[1].a != 9 && (cursor -= 1) != 0);
    CHECK(ash_trace_id(&record[0]) != ash_trace_id(&record[2]));
    CHECK_EQ(record[0].a, record[2].a); /* the line */
    while (ash_trace_read(&trace_get()->rings[0], &cursor, &thread) && thread.a != 8)
        CHECK_EQ(ash_trace_depth(&thread), 1);
    CHECK_EQ(thread.a, 8);
    CHECK_EQ(ash_trace_depth(&thread), 0);
    trace_free();
}

struct aside {
    struct kernel_memory *memory;
    uint32_t is_over, error, deep;
};

static void spin(void *context) {
    (void)context;
    for (uint32_t i = 0; i < 2000; i++)
        ash_port_relax();
}

static void be_interrupted(void *context) {
    struct aside *aside = context;
    while (ash_load_acquire(&aside->is_over) == 0) {
        (void)!platform_interrupt_self(spin, NULL);
        trace_mark(1);
    }
}

static void put_aside_and_back(void *context) {
    struct aside *aside = context;
    struct trace kept;
    aside->error |= trace_start(aside->memory, &marks, NULL) != 0;
    uint32_t other = test_thread_start("other", NULL, be_interrupted, aside);
    thread_yield();
    for (uint32_t i = 0; i < 300; i++) {
        trace_set_aside(&kept);
        trace_put_back(&kept);
    }
    for (uint32_t i = 0; i < 2 * RING; i++)
        (void)thread_sleep_until(platform_now_ns() + 10000);
    ash_store_release(&aside->is_over, 1u);
    aside->error |= other == 0 || thread_join(other, UINT64_MAX) != 0 || trace_stop() != 0;
    for (uint32_t cpu = 0; cpu < trace_get()->cpus; cpu++) {
        struct ash_trace_record record;
        uint64_t cursor = 0;
        while (ash_trace_read(&trace_get()->rings[cpu], &cursor, &record))
            aside->deep += ash_trace_depth(&record) != 0;
    }
}

TEST_CASE(trace_kernel, put_aside_and_back_it_knows_who_is_interrupted) {
    struct aside aside = {.memory = &machine_new()->memory};
    test_threads_run_in(aside.memory, 2, put_aside_and_back, &aside);
    CHECK_EQ(aside.error, 0);
    CHECK_EQ(aside.deep, 0);
    trace_free();
}

TEST_CASE(trace_kernel, nothing_is_recorded_while_it_is_aside_or_paused) {
    struct kernel_memory *memory = &machine_new()->memory;
    struct trace kept;
    uint64_t before = free_pages(memory);
    CHECK_EQ(trace_start(memory, &marks, NULL), 0);
    mark(0, 2);
    trace_pause();
    mark(100, 102);
    trace_resume();
    mark(2, 4);
    for (uint32_t stops = 0; stops < 2; stops++) {
        struct kernel_memory *of_case = test_kernel_memory(2 << 20);
        trace_set_aside(&kept);
        mark(102, 104);
        CHECK_EQ(trace_get()->state, TRACE_OFF);
        CHECK_EQ(trace_start(of_case, &marks, NULL), 0);
        mark(104, 106);
        if (stops)
            CHECK_EQ(trace_stop(), 0);
        memset(of_case, 0xa5, sizeof(*of_case)); /* the next case has this memory */
        trace_put_back(&kept);
    }
    mark(4, 6);
    CHECK_EQ(trace_stop(), 0);
    check_marks(0, 6);
    trace_pause(); /* of one that stands, nothing happens */
    trace_resume();
    mark(106, 108);
    check_marks(0, 6);
    for (uint32_t i = 0; trace_event(i) != NULL; i++)
        CHECK_EQ(trace_event(i)->enabled, 0);
    trace_free();
    CHECK_EQ(free_pages(memory), before);
}

TEST_CASE(trace_kernel, images_are_kept_as_long_as_there_is_a_trace) {
    static const struct program_image image = {.path = "bin/wc", .start = 4096, .end = 8192};
    struct kernel_memory *memory = &machine_new()->memory;
    images_init(memory, NULL);
    uint64_t before = free_pages(memory);
    for (uint32_t rounds = 0; rounds < 2; rounds++) {
        CHECK_EQ(trace_start(memory, &marks, NULL), 0);
        images_note(&image, 7);
        CHECK_EQ(trace_stop(), 0);
        CHECK_EQ(trace_start(memory, &marks, NULL), 0);
        CHECK_EQ(images_count(), 1);
        CHECK_EQ(trace_stop(), 0);
        CHECK_EQ(images_keep(), 0); /* so does somebody else */
        trace_free();
        trace_free();
        CHECK_EQ(images_count(), 1);
        images_release();
        CHECK_EQ(images_count(), 0);
        CHECK_EQ(free_pages(memory), before);
    }
    images_fini();
}

/* Dumps */

struct file {
    uint8_t *bytes; /* aligned, as a view wants it */
    size_t len, room;
    uint64_t calls, fail_at; /* this call; 0: none */
};

static int write_file(void *context, const void *bytes, size_t len) {
    struct file *file = context;
    if (++file->calls == file->fail_at)
        return -ASH_ENOSPC;
    CHECK(len <= file->room - file->len);
    memcpy(file->bytes + file->len, bytes, len);
    file->len += len;
    return 0;
}

static int dump_into(struct file *file, struct kernel_memory *memory) {
    struct dump *dump = test_alloc(sizeof(*dump), 64);
    int error = dump_begin(dump, memory, DUMP_TRACE);
    if (error != 0)
        return error;
    trace_mark(1000); /* it is paused */
    file->len = file->calls = 0;
    error = dump_write(dump, write_file, file);
    if (error == 0)
        CHECK_EQ(file->len, dump_bytes(dump));
    dump_end(dump);
    return error;
}

static struct file file_new(void) {
    return (struct file){.bytes = test_alloc(2 << 20, 64), .room = 2 << 20};
}

static void check_file(const struct file *file, uint64_t first, uint64_t end) {
    struct ash_prof_view *view = test_alloc(sizeof(*view), 64);
    struct ash_prof_record_cursor cursor;
    struct ash_trace_record record;
    struct ash_prof_loss loss;
    char message[96] = "";
    if (ash_prof_view_open(view, file->bytes, file->len, message, sizeof(message)) != 0)
        test_fail(__FILE__, __LINE__, "%s", message);
    CHECK(!view->is_damaged);
    CHECK_EQ(view->cpu_count, platform_cpu_count());
    ash_prof_records_begin(&cursor);
    for (uint64_t number = first; number < end; number++) {
        CHECK(ash_prof_records_next(view, 0, &cursor, &record));
        CHECK_EQ(record.a, number);
        const struct ash_prof_event *event = ash_prof_view_event(view, ash_trace_id(&record));
        CHECK(event != NULL);
        CHECK_STR_EQ(ash_prof_view_string(view, event->name), "mark");
    }
    CHECK(!ash_prof_records_next(view, 0, &cursor, &record));
    ash_prof_view_loss(view, 0, &loss);
    CHECK_EQ(loss.emitted, end);
    CHECK_EQ(loss.exported, end - first);
    CHECK_EQ(loss.overwritten, first);
}

TEST_CASE(trace_kernel, a_dump_that_fails_anywhere_loses_nothing) {
    struct kernel_memory *memory = &machine_new()->memory;
    struct file file = file_new();
    CHECK_EQ(trace_start(memory, &marks, NULL), 0);
    mark(0, 80);
    uint64_t before = free_pages(memory), end = 80;
    for (file.fail_at = 1; dump_into(&file, memory) == -ASH_ENOSPC; file.fail_at++) {
        CHECK_EQ(free_pages(memory), before);
        trace_mark(end++); /* it goes on */
    }
    CHECK(file.fail_at > 10);
    CHECK_EQ(file.calls, file.fail_at - 1);
    check_file(&file, end - RING, end);
    CHECK_EQ(trace_stop(), 0);
    CHECK_EQ(dump_into(&file, memory), 0);
    check_file(&file, end - RING, end);
    CHECK_EQ(trace_get()->state, TRACE_STOPPED);
    trace_free();
}

TEST_CASE(trace_kernel, a_dump_without_memory_for_names_loses_nothing) {
    struct kernel_memory *memory = &machine_new()->memory;
    struct file file = file_new();
    CHECK_EQ(trace_start(memory, &marks, NULL), 0);
    mark(0, 5);
    void *eaten = eat(memory);
    CHECK_EQ(dump_into(&file, memory), -ASH_ENOMEM);
    mark(5, 10);
    while (eaten != NULL)
        eaten = give_back(memory, eaten);
    CHECK_EQ(dump_into(&file, memory), 0);
    check_file(&file, 0, 10);
    CHECK_EQ(trace_stop(), 0);
    trace_free();
}

/* Programs */

enum {
    CALL_OPENAT = 56,
    HERE = -100, /* AT_FDCWD */
    WRITE_ONLY = 1,
    MARKER = 20,
    TEXT_AT = 64,
    DATA_BYTES = 2 * ASH_PAGE_SIZE,
};

static void open_marker(struct test_program *program, uint32_t flags) {
    test_call4(program, CALL_OPENAT, (uint64_t)HERE, TEST_DATA, flags, 0);
    test_high(program, 9, 0);
    uint32_t skip = test_over_if_not(program, 9);
    test_exit(program, 1);
    test_land(program, skip);
    test_copy(program, MARKER, 0);
}

/* write(marker, address, len) must give `result`, or the program ends with this code. */
static void write_marker(struct test_program *program, uint64_t address, uint64_t len,
                         int64_t result, uint32_t code) {
    test_mov(program, 2, len);
    test_mov(program, 1, address);
    test_copy(program, 0, MARKER);
    test_call(program, CALL_WRITE);
    test_expect(program, 0, (uint64_t)result, code);
}

static void make_marking(struct test_program *program) {
    static const uint64_t bad[] = {0,
                                   8,
                                   TEST_CODE - 8,
                                   TEST_DATA + DATA_BYTES,
                                   UINT64_MAX - 7,
                                   UINT64_C(0xffff000040080000),
                                   UINT64_C(1) << 47};
    memcpy(program->data, "/dev/trace_marker", 18);
    memcpy(program->data + TEXT_AT, "from a program: 12345678", 24);
    open_marker(program, 0);
    write_marker(program, TEST_DATA + TEXT_AT, 24, -ASH_EBADF, 2);
    open_marker(program, WRITE_ONLY);
    write_marker(program, TEST_DATA + TEXT_AT, 0, 0, 3);
    write_marker(program, TEST_DATA + TEXT_AT, 24, 24, 4);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++)
        write_marker(program, bad[i], 16, -ASH_EFAULT, 10 + i);
    write_marker(program, 0, 0, 0, 5);
    write_marker(program, TEST_DATA, UINT64_MAX, -ASH_EFAULT, 6);
    write_marker(program, TEST_DATA, UINT64_C(1) << 40, -ASH_EFAULT, 7);
    write_marker(program, TEST_DATA, DATA_BYTES, DATA_BYTES, 8);
    write_marker(program, TEST_CODE, 1, 1, 9);
    test_exit(program, 0);
}

enum { OF_PROGRAM = 2 + DATA_BYTES / 16 + 1 };

struct marking {
    struct kernel_memory *memory;
    int status, error;
    uint64_t emitted;
    uint32_t count;
    struct ash_trace_record records[OF_PROGRAM];
};

static void run_marking(void *context) {
    struct marking *marking = context;
    const struct trace_config config = {.events = 1024, .only = "mark"};
    struct ash_trace_counts counts;
    uint64_t cursor = 0;
    make_marking(test_program("marking"));
    marking->error = trace_start(marking->memory, &config, NULL);
    if (marking->error != 0)
        return;
    marking->status = test_run("marking");
    marking->error = trace_stop();
    ash_trace_count(&trace_get()->rings[0], &counts);
    marking->emitted = counts.emitted;
    while (marking->count < OF_PROGRAM &&
           ash_trace_read(&trace_get()->rings[0], &cursor, &marking->records[marking->count]))
        marking->count++;
    trace_free();
}

TEST_CASE(trace_kernel, what_programs_write_are_markers_whatever_they_hand_over) {
    struct marking *marking = test_alloc(sizeof(*marking), 64);
    marking->memory = &machine_new()->memory;
    test_processes(MEMORY_BYTES, 1, run_marking, marking);
    CHECK_EQ(marking->error, 0);
    CHECK_EQ(marking->status, 0);
    CHECK_EQ(marking->emitted, OF_PROGRAM);
    CHECK_EQ(marking->count, OF_PROGRAM);
    const struct ash_trace_record *records = marking->records;
    CHECK_MEM_EQ(&records[0].a, "from a program: ", 16);
    CHECK_MEM_EQ(&records[1].a, "12345678\0\0\0\0\0\0\0", 16);
    CHECK_MEM_EQ(&records[2].a, "/dev/trace_marke", 16);
    CHECK_MEM_EQ(&records[2 + TEXT_AT / 16].a, "from a program: ", 16);
    CHECK_EQ(records[OF_PROGRAM - 1].b, 0); /* one byte of code */
    CHECK((records[OF_PROGRAM - 1].a & ~UINT64_C(0xff)) == 0);
    for (uint32_t i = 0; i < OF_PROGRAM; i++) {
        CHECK(ash_trace_task(&records[i]) != 0);
        CHECK_EQ(ash_trace_task(&records[i]), ash_trace_task(&records[0]));
        CHECK_EQ(ash_trace_depth(&records[i]), 0);
    }
}
