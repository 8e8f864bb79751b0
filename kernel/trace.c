/* SPDX-License-Identifier: MIT */
/*
 * trace.c: see trace.h.
 *
 * Who turns tracing off waits for those who are in the middle of a record: an event is recorded
 * pinned, and threads_alone gets a CPU only from a context that is not.
 */
#include "trace.h"

#include <ashlar/error.h>
#include <ashlar/port.h>
#include <string.h>

#include "images.h"
#include "platform.h"
#include "thread.h"

/* Weak: an image may have no event at all. */
extern struct ash_event __start_ash_events[] __attribute__((weak));
extern struct ash_event __stop_ash_events[] __attribute__((weak));

/* The test harness counts events, where it is linked in. */
void test_event_sink(const struct ash_event *event, uint64_t a, uint64_t b) __attribute__((weak));

ASH_EVENT_DEFINE_KIND(event_irq_begin, ASH_EVENT_BEGIN, "irq", "line");
ASH_EVENT_DEFINE_KIND(event_irq_end, ASH_EVENT_END, "irq", "line");
ASH_EVENT_DEFINE_KIND(event_switch, ASH_EVENT_SWITCH, "thread.switch", "from:task,to:task");
ASH_EVENT_DEFINE(event_mark, "mark", "number");
ASH_EVENT_DEFINE(event_mark_text, "mark.text", "text:s,more:s");

struct ash_trace_ring *trace_rings;
static struct trace trace;

/* Recording */

static void __attribute__((noinline))
emit_untraced(const struct ash_event *event, uint64_t a, uint64_t b) {
    if (test_event_sink != NULL)
        test_event_sink(event, a, b);
}

void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    uint32_t cpu;
    ash_port_pin(&cpu); /* from here on the rings stay */
    struct ash_trace_ring *rings = ash_load_relaxed(&trace_rings);
    if (ASH_LIKELY(rings != NULL)) {
        ash_trace_write(&rings[cpu], event->id, a, b);
        ash_port_unpin();
        return;
    }
    ash_port_unpin();
    emit_untraced(event, a, b);
}

static void around_interrupt(uint32_t line, bool begins) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    struct ash_trace_ring *rings = ash_load_relaxed(&trace_rings);
    if (rings != NULL && begins) {
        trace.around[cpu] = true;
        ash_trace_enter(&rings[cpu]);
        ASH_EVENT(event_irq_begin, line, 0);
    } else if (rings != NULL && trace.around[cpu]) { /* it was this trace that saw it begin */
        ASH_EVENT(event_irq_end, line, 0);
        ash_trace_leave(&rings[cpu]);
        trace.around[cpu] = false;
    }
    ash_port_unpin();
}

void trace_switched_slow(uint32_t cpu, uint32_t from, uint32_t to) {
    struct ash_trace_ring *rings = ash_load_relaxed(&trace_rings);
    ASH_EVENT(event_switch, from, to);
    if (rings != NULL)
        ash_trace_set_task(&rings[cpu], to & ASH_TRACE_TASK_MAX);
}

void trace_mark(uint64_t number) {
    ASH_EVENT(event_mark, number, 0);
    (void)number;
}

void trace_mark_text(const void *text, size_t len) {
    const uint8_t *from = text;
    for (size_t at = 0; at < len; at += 16) {
        uint64_t words[2] = {0, 0};
        memcpy(words, from + at, (size_t)ash_min_u64(len - at, sizeof(words)));
        ASH_EVENT(event_mark_text, words[0], words[1]);
    }
}

/* Events */

uint32_t trace_init(void) {
    uint32_t id = 0, beyond = 0;
    for (struct ash_event *event = __start_ash_events; event < __stop_ash_events; event++) {
        if (id < ASH_TRACE_ID_MAX)
            event->id = (uint16_t)++id;
        else
            beyond++;
    }
    return beyond;
}

const struct ash_event *trace_event(uint32_t i) {
    return i < (size_t)(__stop_ash_events - __start_ash_events) ? &__start_ash_events[i] : NULL;
}

static bool wants(const struct trace *of, uint16_t id) {
    return (of->wanted[id / 64] >> id % 64 & 1) != 0;
}

bool trace_wants(const struct ash_event *event) {
    return event->id != 0 && wants(&trace, event->id);
}

static bool is_meant(const struct ash_event *event, const char *name, size_t len) {
    return strncmp(event->name, name, len) == 0 &&
           (event->name[len] == '\0' || event->name[len] == '.');
}

/* Those of one name or group; false: there are none. */
static bool want_named(struct trace *of, const char *name, size_t len) {
    bool found = false;
    const struct ash_event *event;
    for (uint32_t i = 0; (event = trace_event(i)) != NULL; i++) {
        if (event->id == 0 || (name != NULL && !is_meant(event, name, len)))
            continue;
        of->wanted[event->id / 64] |= UINT64_C(1) << event->id % 64;
        found = true;
    }
    return found;
}

/* NULL, or the name in `only` that no event has. */
static const char *want(struct trace *of, const char *only) {
    if (only == NULL) {
        (void)want_named(of, NULL, 0);
        return NULL;
    }
    for (;;) {
        size_t len = strcspn(only, ",");
        if (len == 0 || !want_named(of, only, len))
            return only;
        if (only[len] == '\0')
            return NULL;
        only += len + 1;
    }
}

static void enable(bool on) {
    for (struct ash_event *event = __start_ash_events; event < __stop_ash_events; event++)
        ash_store_relaxed(&event->enabled, (uint8_t)(on && wants(&trace, event->id)));
}

/* Rings */

static void free_memory(struct trace *of) {
    for (uint32_t cpu = 0; cpu < of->cpus; cpu++) {
        if (of->records[cpu] != NULL)
            memory_pages_free(of->memory, of->records[cpu], of->records_order);
        of->records[cpu] = NULL;
    }
    if (of->rings != NULL)
        memory_pages_free(of->memory, of->rings, of->rings_order);
    of->rings = NULL;
}

static int allocate(struct trace *of) {
    of->rings_order = memory_order_of(of->cpus * sizeof(struct ash_trace_ring));
    of->records_order = memory_order_of((uint64_t)of->events * sizeof(struct ash_trace_record));
    of->rings = memory_pages_alloc(of->memory, of->rings_order);
    bool good = of->rings != NULL;
    for (uint32_t cpu = 0; cpu < of->cpus && good; cpu++) {
        of->records[cpu] = memory_pages_alloc(of->memory, of->records_order);
        good = of->records[cpu] != NULL;
    }
    return good ? 0 : -ASH_ENOMEM;
}

static int init_rings(struct trace *of) {
    int error = 0;
    for (uint32_t cpu = 0; cpu < of->cpus && error == 0; cpu++)
        error = ash_trace_init(&of->rings[cpu], of->records[cpu], of->events, of->mode);
    return error;
}

/* Start and stop */

static void turn_on(void *context) {
    (void)context;
    ash_store_release(&trace_rings, trace.rings);
    ash_store_relaxed(&platform_around_interrupt, around_interrupt);
    enable(true);
}

static void nothing(void *context) {
    (void)context;
}

/* Alone: no CPU is between the begin of an interrupt and its end, which its ring must be told. */
static void turn_off(void *context) {
    (void)context;
    enable(false);
    ash_store_relaxed(&platform_around_interrupt, NULL);
    ash_store_relaxed(&trace_rings, NULL);
}

/* What there is is used again if it has the size; else it goes when the new is there. */
static int make_rings(struct trace *next) {
    bool is_same = trace.rings != NULL && trace.events == next->events &&
                   trace.memory == next->memory && trace.cpus == next->cpus;
    int error = 0;
    if (is_same) {
        next->rings = trace.rings;
        next->rings_order = trace.rings_order;
        next->records_order = trace.records_order;
        memcpy(next->records, trace.records, sizeof(next->records));
    } else {
        error = allocate(next);
    }
    if (error == 0)
        error = init_rings(next);
    if (!is_same)
        free_memory(error == 0 ? &trace : next);
    return error;
}

int trace_start(struct kernel_memory *memory, const struct trace_config *config,
                const char **unknown) {
    struct trace next = {.state = TRACE_RUNNING,
                         .cpus = platform_cpu_count(),
                         .events = config->events,
                         .mode = config->mode,
                         .memory = memory};
    if (trace.state == TRACE_RUNNING)
        return -ASH_EBUSY;
    (void)trace_init();
    if (trace_event(0) == NULL)
        return -ASH_ENOTSUP;
    if (!ash_is_pow2(config->events) || config->events < ASH_TRACE_EVENTS_MIN ||
        config->events > ASH_TRACE_EVENTS_MAX)
        return -ASH_EINVAL;
    const char *not_known = want(&next, config->only);
    if (not_known != NULL) {
        if (unknown != NULL)
            *unknown = not_known;
        return -ASH_ENOENT;
    }
    int error = make_rings(&next);
    if (error != 0)
        return error;
    next.keeps_images = trace.keeps_images || images_keep() == 0;
    trace = next;
    threads_alone(turn_on, NULL);
    return 0;
}

int trace_stop(void) {
    if (trace.state != TRACE_RUNNING)
        return -ASH_ENOENT;
    threads_alone(turn_off, NULL);
    trace.state = TRACE_STOPPED;
    return 0;
}

void trace_pause(void) {
    if (trace.state != TRACE_RUNNING)
        return;
    enable(false);
    threads_alone(nothing, NULL);
}

void trace_resume(void) {
    if (trace.state == TRACE_RUNNING)
        enable(true);
}

void trace_freeze(void) {
    enable(false);
}

void trace_free(void) {
    if (trace.state == TRACE_RUNNING)
        return;
    free_memory(&trace);
    if (trace.keeps_images)
        images_release();
    trace = (struct trace){.state = TRACE_OFF};
}

const struct trace *trace_get(void) {
    return &trace;
}

/* Aside */

void trace_set_aside(struct trace *kept) {
    if (trace.state == TRACE_RUNNING)
        threads_alone(turn_off, NULL);
    *kept = trace;
    trace = (struct trace){.state = TRACE_OFF};
}

void trace_put_back(const struct trace *kept) {
    if (trace.state == TRACE_RUNNING)
        threads_alone(turn_off, NULL);
    if (trace.keeps_images)
        images_release();
    trace = *kept;
    if (trace.state == TRACE_RUNNING)
        threads_alone(turn_on, NULL);
    else
        enable(false);
}
