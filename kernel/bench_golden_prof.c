/* SPDX-License-Identifier: MIT */
/* bench_golden_prof.c: see bench_golden_prof.h. */
#include "bench_golden_prof.h"

#include <ashlar/check.h>
#include <ashlar/prof.h>
#include <ashlar/trace.h>

#include "platform.h"
#include "trace.h"

enum { FRAMES = 4 };

struct golden_prof {
    struct ash_trace_ring ring; /* first: where it is costs no instruction */
    struct kernel_memory *memory;
    struct ash_trace_record *records;
    uint32_t id; /* of an event: in a register, as from a descriptor */
    struct ash_prof *prof;
    void *storage;
    uint32_t storage_order;
    uint64_t clock;
    uint64_t stack[2 * FRAMES]; /* frame records, the innermost first */
};

ASH_EVENT_DEFINE(event_bench, "bench.event", "number");

static const struct ash_prof_config config = {
    .samples = ASH_PROF_SAMPLES_MIN, .words = 1024, .cpu = 0};

uint32_t golden_trace_write(struct golden_prof *prof, uint32_t overhead) {
    (void)overhead;
    uint32_t id = prof->id, start = platform_cost();
    ash_trace_write(&prof->ring, id, 0, 0);
    return platform_cost() - start;
}

uint32_t golden_trace_event(struct golden_prof *prof, uint32_t overhead) {
    const struct trace_config wanted = {.events = ASH_TRACE_EVENTS_MIN, .only = "bench"};
    uint32_t cost = overhead;
    struct trace kept;
    trace_set_aside(&kept);
    if (trace_start(prof->memory, &wanted, NULL) == 0) {
        uint32_t start = platform_cost();
        ASH_EVENT(event_bench, 1, 0);
        cost = platform_cost() - start;
        (void)!trace_stop();
        trace_free();
    }
    trace_put_back(&kept);
    return cost;
}

uint32_t golden_trace_off(struct golden_prof *prof, uint32_t overhead) {
    (void)prof, (void)overhead;
#define FOUR(it) it it it it
    uint32_t start = platform_cost();
    FOUR(FOUR(FOUR(ASH_EVENT(event_bench, 1, 0);)))
#undef FOUR
    return platform_cost() - start;
}

static uint32_t take(struct golden_prof *prof, uint64_t pc) {
    const struct ash_prof_registers registers = {
        .pc = pc,
        .fp = (uintptr_t)prof->stack,
        .is_link = ASH_PROF_LINK_RECORD,
        .low = (uintptr_t)prof->stack,
        .high = (uintptr_t)prof->stack + sizeof(prof->stack),
    };
    prof->clock += 1000;
    uint32_t start = platform_cost();
    ash_prof_take(prof->prof, prof->clock, 1, 1, 0, &registers, NULL);
    return platform_cost() - start;
}

uint32_t golden_prof_take(struct golden_prof *prof, uint32_t overhead) {
    (void)overhead;
    return take(prof, 0x1000);
}

uint32_t golden_prof_walk(struct golden_prof *prof, uint32_t overhead) {
    (void)overhead;
    return take(prof, 0x1000 + prof->clock / 1000 % 2 * 128); /* by turns, at one trail's place */
}

/* The place and three callers; a record of zeros ends it. */
static void make_stack(struct golden_prof *prof) {
    for (uint32_t i = 0; i + 1 < FRAMES; i++) {
        prof->stack[2 * i] = (uintptr_t)&prof->stack[2 * (i + 1)];
        prof->stack[2 * i + 1] = 0x2000 + 16 * i;
    }
}

void golden_prof_free(struct golden_prof *prof) {
    if (prof == NULL)
        return;
    if (prof->storage != NULL)
        memory_pages_free(prof->memory, prof->storage, prof->storage_order);
    if (prof->records != NULL)
        memory_pages_free(prof->memory, prof->records, 0);
    ash_kfree(&prof->memory->heap, prof);
}

static bool start(struct golden_prof *prof) {
    prof->storage_order = memory_order_of(ash_prof_storage_size(&config));
    prof->storage = memory_pages_alloc(prof->memory, prof->storage_order);
    prof->records = memory_pages_alloc(prof->memory, 0);
    if (prof->storage == NULL || prof->records == NULL)
        return false;
    prof->prof = ash_prof_init(prof->storage, &config, 0);
    prof->id = 1;
    make_stack(prof);
    return prof->prof != NULL && ash_trace_init(&prof->ring, prof->records, ASH_TRACE_EVENTS_MIN,
                                                ASH_TRACE_OVERWRITE) == 0;
}

struct golden_prof *golden_prof_new(struct kernel_memory *memory) {
    struct golden_prof *prof = ash_kzalloc(&memory->heap, sizeof(*prof));
    if (prof == NULL)
        return NULL;
    prof->memory = memory;
    if (start(prof))
        return prof;
    golden_prof_free(prof);
    return NULL;
}
