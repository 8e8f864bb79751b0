/* SPDX-License-Identifier: MIT */
/*
 * made.c: the script. Its clock ticks a thousand million times a second from ORIGIN on; `at` and
 * all times below are ticks since that.
 */
#include "made.h"

#include <stdio.h>
#include <string.h>

#include <ashlar/event.h>
#include <ashlar/prof.h>
#include <ashlar/trace.h>

enum { CPUS = 2, RING = 1024, SMALL_RING = 64, SAMPLES = 256, WORDS = 512, PARTS_MAX = 24 };
enum { ORIGIN = 1000000000 };
enum { IDLE_0 = 1, IDLE_1, SHELL = 10, WRITER = 11, FLUSHER = 12 };

enum event {
    READ = 1,
    READ_END,
    WAIT,
    WAIT_END,
    IRQ_BEGIN,
    IRQ_END,
    SWITCH,
    WAKE,
    IN,
    IN_END,
    OUT,
    OUT_END,
    FREE,
    MARK
};

static const struct {
    const char *name, *fields;
    uint32_t kind;
} events[] = {
    [READ] = {"syscall.read", "first:x,second:x", ASH_EVENT_BEGIN},
    [READ_END] = {"syscall.read", "result:d", ASH_EVENT_END},
    [WAIT] = {"syscall.wait4", "first:x,second:x", ASH_EVENT_BEGIN},
    [WAIT_END] = {"syscall.wait4", "result:d", ASH_EVENT_END},
    [IRQ_BEGIN] = {"irq", "line", ASH_EVENT_BEGIN},
    [IRQ_END] = {"irq", "line", ASH_EVENT_END},
    [SWITCH] = {"thread.switch", "from:task,to:task", ASH_EVENT_SWITCH},
    [WAKE] = {"thread.wake", "task:task,cpu", ASH_EVENT_INSTANT},
    [IN] = {"blk.read", "request:x,bytes", ASH_EVENT_ASYNC_BEGIN},
    [IN_END] = {"blk.read", "request:x,error:e", ASH_EVENT_ASYNC_END},
    [OUT] = {"blk.write", "request:x,bytes", ASH_EVENT_ASYNC_BEGIN},
    [OUT_END] = {"blk.write", "request:x,error:e", ASH_EVENT_ASYNC_END},
    [FREE] = {"buddy.free", "buddy:x,pages", ASH_EVENT_COUNTER},
    [MARK] = {"mark", "number", ASH_EVENT_INSTANT},
};

struct ring {
    struct ash_trace_record *records;
    uint32_t capacity, task, depth;
    uint64_t sequence, dropped;
    bool stops;
};

struct made {
    struct ash_trace_record records[CPUS][RING];
    struct ring rings[CPUS];
    struct ash_prof_trace traces[CPUS];
    struct ash_prof_profile profiles[CPUS];
    struct ash_prof_sample samples[CPUS][SAMPLES];
    uint64_t words[CPUS][WORDS];
    uint32_t sample_count[CPUS], word_count[CPUS];
    uint64_t last_sample[CPUS];
    char strings[1024];
    uint32_t string_bytes;
    struct ash_prof_event events[ASH_ARRAY_LEN(events)];
    struct ash_prof_task tasks[5];
    struct ash_prof_image images[2];
    struct ash_prof_symbol kernel_symbols[4], program_symbols[2];
    struct ash_prof_part parts[PARTS_MAX];
    uint32_t part_count;
    bool is_strange;
};

const char *const made_names[] = {"full",    "wrapped", "dropped", "trace",
                                  "profile", "strange", "empty",   NULL};

/* Events */

static void emit(struct made *made, uint32_t cpu, uint64_t at, enum event event, uint64_t a,
                 uint64_t b) {
    struct ring *ring = &made->rings[cpu];
    if (ring->stops && ring->sequence == ring->capacity) {
        ring->dropped++;
        return;
    }
    uint64_t sequence = ++ring->sequence;
    ring->records[sequence & (ring->capacity - 1)] = (struct ash_trace_record){
        .header = (uint64_t)ring->task << ASH_TRACE_TASK_SHIFT |
                  (uint64_t)ring->depth << ASH_TRACE_DEPTH_SHIFT |
                  (uint64_t)event << ASH_TRACE_ID_SHIFT | (uint32_t)sequence,
        .clock = ORIGIN + at,
        .a = a,
        .b = b};
}

static void turn_to(struct made *made, uint32_t cpu, uint64_t at, uint32_t task) {
    emit(made, cpu, at, SWITCH, made->rings[cpu].task, task);
    made->rings[cpu].task = task;
}

static void interrupt(struct made *made, uint32_t cpu, uint64_t at, uint64_t line) {
    made->rings[cpu].depth++;
    emit(made, cpu, at, IRQ_BEGIN, line, 0);
    if (line == 27) { /* the timer's is interrupted itself */
        made->rings[cpu].depth++;
        emit(made, cpu, at + 200, IRQ_BEGIN, 40, 0);
        emit(made, cpu, at + 400, IRQ_END, 40, 0);
        made->rings[cpu].depth--;
    }
    emit(made, cpu, at + 900, IRQ_END, line, 0);
    made->rings[cpu].depth--;
}

/* Each round: the shell calls, what it reads or writes goes to the disk, the flusher on the other
 * CPU wakes. */
static void run_round(struct made *made, uint64_t round) {
    uint64_t at = round * 100000, request = 0x1000 + round;
    enum event begin = round % 2 == 0 ? IN : OUT;
    turn_to(made, 0, at, SHELL);
    emit(made, 0, at + 1000, READ, 4, 0x7fff0000);
    emit(made, 0, at + 2000, begin, request, 4096);
    interrupt(made, 0, at + 3000, 27);
    emit(made, 0, at + 5000, WAKE, FLUSHER, 1);
    emit(made, 0, at + 6000, READ_END, round % 5 == 4 ? (uint64_t)-5 : 512, 0);
    turn_to(made, 0, at + 7000, WRITER);
    emit(made, 0, at + 8000, WAIT, 12, 0);
    turn_to(made, 0, at + 9000, IDLE_0); /* inside its call, which ends when it is back */
    turn_to(made, 0, at + 50000, WRITER);
    emit(made, 0, at + 51000, WAIT_END, 12, 0);
    turn_to(made, 0, at + 52000, IDLE_0);

    turn_to(made, 1, at + 5000 + 500 * (round % 7), FLUSHER);
    interrupt(made, 1, at + 20000, 48);
    emit(made, 1, at + 22000 + 1000 * round, begin == IN ? IN_END : OUT_END, request,
         round % 5 == 4 ? (uint64_t)-5 : 0);
    emit(made, 1, at + 60000, FREE, 0x40200000, 5000 - round);
    emit(made, 1, at + 61000, MARK, round, 0);
    turn_to(made, 1, at + 62000, IDLE_1);
}

/* Names */

static uint32_t string(struct made *made, const char *text) {
    uint32_t at = made->string_bytes;
    size_t len = strlen(text) + 1;
    memcpy(made->strings + at, text, len);
    made->string_bytes += (uint32_t)len;
    return at;
}

static void name_task(struct made *made, uint32_t index, uint32_t id, uint32_t process,
                      const char *name) {
    made->tasks[index] = (struct ash_prof_task){.id = id, .process = process};
    snprintf(made->tasks[index].name, sizeof(made->tasks[index].name), "%s", name);
}

static void make_names(struct made *made) {
    string(made, "");
    for (uint32_t i = 1; i < ASH_ARRAY_LEN(events); i++)
        made->events[i] = (struct ash_prof_event){i, events[i].kind, string(made, events[i].name),
                                                  string(made, events[i].fields)};
    name_task(made, 0, IDLE_0, 0, "idle/0");
    name_task(made, 1, IDLE_1, 0, "idle/1");
    name_task(made, 2, SHELL, SHELL, made->is_strange ? "sh\"\\<&>\x01\xff\xc3" : "sh");
    name_task(made, 3, WRITER, WRITER, "writer");
    name_task(made, 4, FLUSHER, 0, "flusher");

    made->images[0] = (struct ash_prof_image){.name = string(made, "kernel"),
                                              .start = 0x40080000,
                                              .end = 0x40090000,
                                              .link_start = 0x40080000,
                                              .build_id = {0xa5, 0x1a},
                                              .build_id_bytes = 20,
                                              .symbols = 1};
    made->images[1] = (struct ash_prof_image){.process = SHELL,
                                              .name = string(made, "/bin/sh"),
                                              .start = 0x10000,
                                              .end = 0x20000,
                                              .link_start = 0x400000,
                                              .symbols = 2};
    static const char *const functions[] = {"start", "syscall_enter", "tarfs_read", "idle"};
    for (uint32_t i = 0; i < 4; i++)
        made->kernel_symbols[i] = (struct ash_prof_symbol){
            0x40080000 + 0x1000 * i, i == 0 ? 0u : 0x800u, string(made, functions[i])};
    made->program_symbols[0] = (struct ash_prof_symbol){0x400100, 0x100, string(made, "main")};
    made->program_symbols[1] = (struct ash_prof_symbol){
        0x400200, 0x80, string(made, made->is_strange ? "f<\"&'\\\x02\xfe;x y>" : "parse")};
}

/* Samples */

static uint32_t stack(struct made *made, uint32_t cpu, uint32_t kernel, uint32_t flags,
                      const uint64_t *frames, uint32_t count) {
    uint32_t at = made->word_count[cpu];
    made->words[cpu][at] = count | kernel << 8 | flags << 16;
    memcpy(&made->words[cpu][at + 1], frames, count * sizeof(*frames));
    made->word_count[cpu] = at + 1 + count;
    return at;
}

static void sample(struct made *made, uint32_t cpu, uint64_t at, uint32_t of_stack, uint32_t task,
                   uint16_t weight, uint8_t flags) {
    made->samples[cpu][made->sample_count[cpu]++] =
        (struct ash_prof_sample){.ticks = (uint32_t)(at - made->last_sample[cpu]),
                                 .stack = of_stack,
                                 .task = task,
                                 .weight = weight,
                                 .cpu = (uint8_t)cpu,
                                 .flags = flags};
    made->last_sample[cpu] = at;
    made->profiles[cpu].taken++;
    made->profiles[cpu].weight += weight;
}

static void make_samples(struct made *made) {
    static const uint64_t in_call[] = {0x40082010, 0x40081020, 0x10210, 0x10120};
    static const uint64_t in_program[] = {0x10204, 0x10110, 0x10140};
    static const uint64_t idle[] = {0x40083004, 0x40080040}, nowhere[] = {0x10, 0x99999999};
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        uint32_t stacks[] = {
            stack(made, cpu, 2, 0, in_call, 4), stack(made, cpu, 0, ASH_PROF_UNSURE, in_program, 3),
            stack(made, cpu, 2, 0, idle, 2), stack(made, cpu, 2, ASH_PROF_CUT, nowhere, 2)};
        for (uint32_t i = 0; i < 40; i++) {
            uint32_t of = i % 8 == 7 ? 3 : i % 4 < 2 ? 0 : i % 4 == 2 ? 1 : 2;
            sample(made, cpu, 1000 * (i + 1) * (cpu + 1), stacks[of], of < 2 ? SHELL : IDLE_0 + cpu,
                   i == 5 ? 7 : 1,
                   of == 1   ? ASH_PROF_USER
                   : of == 2 ? ASH_PROF_IDLE
                             : 0);
        }
        if (made->is_strange)
            sample(made, cpu, 90000, WORDS * 2, SHELL, 1, 0); /* its stack is none */
        made->profiles[cpu].clock_begin = ORIGIN;
        made->profiles[cpu].clock_last = ORIGIN + made->last_sample[cpu];
        made->profiles[cpu].clock_end = ORIGIN + 100000;
        made->profiles[cpu].asked_hz = 1000;
        made->profiles[cpu].capacity = SAMPLES;
    }
}

/* The file */

static void part(struct made *made, uint32_t type, uint32_t which, const void *bytes,
                 size_t item_bytes, size_t count) {
    made->parts[made->part_count++] = (struct ash_prof_part){.type = type,
                                                             .which = which,
                                                             .item_bytes = (uint32_t)item_bytes,
                                                             .bytes = bytes,
                                                             .len = item_bytes * count};
}

static void add_names(struct made *made) {
    part(made, ASH_PROF_SECTION_STRINGS, 0, made->strings, 1, made->string_bytes);
    part(made, ASH_PROF_SECTION_EVENTS, 0, made->events + 1, sizeof(made->events[0]),
         ASH_ARRAY_LEN(made->events) - 1);
    part(made, ASH_PROF_SECTION_TASKS, 0, made->tasks, sizeof(made->tasks[0]), 5);
    part(made, ASH_PROF_SECTION_IMAGES, 0, made->images, sizeof(made->images[0]), 2);
    part(made, ASH_PROF_SECTION_SYMBOLS, 0, made->kernel_symbols, sizeof(made->kernel_symbols[0]),
         4);
    part(made, ASH_PROF_SECTION_SYMBOLS, 1, made->program_symbols, sizeof(made->program_symbols[0]),
         2);
}

static void add_trace(struct made *made, bool is_small, bool stops) {
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        made->rings[cpu] = (struct ring){.records = made->records[cpu],
                                         .capacity = is_small ? SMALL_RING : RING,
                                         .task = cpu == 0 ? IDLE_0 : IDLE_1,
                                         .stops = stops};
    for (uint64_t round = 0; round < 20; round++)
        run_round(made, round);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        const struct ring *ring = &made->rings[cpu];
        made->traces[cpu] =
            (struct ash_prof_trace){ring->sequence + ring->dropped, ring->dropped, ring->capacity,
                                    stops ? ASH_TRACE_STOP : ASH_TRACE_OVERWRITE};
        part(made, ASH_PROF_SECTION_TRACE, cpu, &made->traces[cpu], sizeof(made->traces[0]), 1);
        part(made, ASH_PROF_SECTION_RECORDS, cpu, ring->records, sizeof(*ring->records),
             (size_t)ash_min_u64(ring->sequence + 1, ring->capacity));
    }
}

static void add_profile(struct made *made) {
    make_samples(made);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        part(made, ASH_PROF_SECTION_PROFILE, cpu, &made->profiles[cpu], sizeof(made->profiles[0]),
             1);
        part(made, ASH_PROF_SECTION_SAMPLES, cpu, made->samples[cpu], sizeof(made->samples[0][0]),
             made->sample_count[cpu]);
        part(made, ASH_PROF_SECTION_STACKS, cpu, made->words[cpu], sizeof(uint64_t),
             made->word_count[cpu]);
    }
}

struct target {
    uint8_t *bytes;
    size_t len;
};

static int put(void *context, const void *bytes, size_t len) {
    struct target *target = context;
    if (len > MADE_BYTES - target->len)
        return -ASH_ENOSPC;
    memcpy(target->bytes + target->len, bytes, len);
    target->len += len;
    return 0;
}

static bool is_one_of(const char *name, const char *a, const char *b) {
    return strcmp(name, a) == 0 || strcmp(name, b) == 0;
}

size_t made_container(const char *name, void *bytes) {
    static const char text[] = "machine=made up\nworkload=script\ntrigger=timer\nasked_hz=1000\n";
    static struct made made;
    size_t known = 0;
    while (made_names[known] != NULL && strcmp(made_names[known], name) != 0)
        known++;
    if (made_names[known] == NULL)
        return 0;
    memset(&made, 0, sizeof(made));
    made.is_strange = strcmp(name, "strange") == 0;
    make_names(&made);
    part(&made, ASH_PROF_SECTION_TEXT, 0, text, 1, sizeof(text) - 1);
    if (strcmp(name, "empty") != 0)
        add_names(&made);
    if (!is_one_of(name, "profile", "empty"))
        add_trace(&made, is_one_of(name, "wrapped", "dropped"), strcmp(name, "dropped") == 0);
    if (is_one_of(name, "full", "profile") || made.is_strange)
        add_profile(&made);
    struct ash_prof_file_header clocks = {
        .clock_hz = 1000000000, .clock_origin = ORIGIN, .clock_now = ORIGIN + 3000000};
    struct target target = {bytes, 0};
    return ash_prof_file_write(&clocks, made.parts, made.part_count, put, &target) == 0 ? target.len
                                                                                        : 0;
}
