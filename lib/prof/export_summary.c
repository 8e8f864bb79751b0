/* SPDX-License-Identifier: MIT */
/*
 * export_summary.c: what is in a dump, as text for people: what was traced, what was lost, which
 * functions, how long until a task that was woken ran, how long block I/O and calls took.
 *
 * Only spans whose begin and end are both there are counted; how many were not is said.
 */
#include <ashlar/bits.h>
#include <ashlar/prof_aggregate.h>

#include "export_internal.h"
#include "export_records.h"
#include "heading.h"
#include "histogram.h"

enum { TOP = 20, CALLS = 512, PENDING_MIN = 64, PENDING_MAX = 1 << 16 };

/* Spans that have begun: linear probing, what leaves lets those behind it move up. */
struct pending {
    uint64_t key, clock, a;
    bool is_used;
};

struct table {
    struct pending *slots;
    uint32_t mask, used;
    uint64_t unmatched; /* ends without a begin, begins that did not fit or came twice */
};

struct call {
    uint64_t count, total_ns, max_ns;
};

struct summary {
    struct ash__prof_out out, line; /* line: where headings are made */
    const struct ash_prof_view *view;
    struct ash__prof_type types[ASH__PROF_TYPES];
    uint64_t counts[ASH__PROF_TYPES];
    struct ash_prof_lane *lanes;
    struct table wakes, requests, calls_open;
    struct ash__prof_histogram wake_to_run, io;
    struct call calls[CALLS];
    uint64_t other_calls; /* numbers from CALLS on */
    uint64_t switches, disordered, first_clock, last_clock;
    struct ash_prof_top top[TOP];
};

static uint32_t pending_slots(const struct ash_prof_view *view) {
    uint32_t slots = PENDING_MIN;
    while (slots < PENDING_MAX && slots < 2 * ash__prof_record_total(view))
        slots *= 2;
    return slots;
}

static struct summary *lay_out(const struct ash_prof_view *view, struct ash__prof_work *work) {
    struct summary *summary = ash__prof_take(work, 1, sizeof(*summary));
    void *lanes = ash__prof_take(work, view->cpu_count, sizeof(struct ash_prof_lane));
    void *slots[3];
    for (uint32_t i = 0; i < 3; i++)
        slots[i] = ash__prof_take(work, pending_slots(view), sizeof(struct pending));
    if (summary == NULL)
        return NULL;
    __builtin_memset(work->base, 0, work->used);
    summary->view = view;
    summary->lanes = lanes;
    struct table *tables[] = {&summary->wakes, &summary->requests, &summary->calls_open};
    for (uint32_t i = 0; i < 3; i++)
        *tables[i] = (struct table){.slots = slots[i], .mask = pending_slots(view) - 1};
    return summary;
}

size_t ash__prof_summary_work(const struct ash_prof_view *view) {
    struct ash__prof_work work = {NULL, 0};
    (void)lay_out(view, &work);
    return work.used + ash_prof_aggregate_work(view);
}

/* Spans */

static uint32_t home_of(const struct table *table, uint64_t key) {
    return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & table->mask;
}

static uint32_t slot_of(const struct table *table, uint64_t key) {
    uint32_t at = home_of(table, key);
    while (table->slots[at].is_used && table->slots[at].key != key)
        at = (at + 1) & table->mask;
    return at;
}

/* The first of several begins counts. */
static void span_begins(struct table *table, uint64_t key, uint64_t clock, uint64_t a) {
    struct pending *slot = &table->slots[slot_of(table, key)];
    if (slot->is_used || table->used > table->mask / 4 * 3) {
        table->unmatched++;
        return;
    }
    *slot = (struct pending){key, clock, a, true};
    table->used++;
}

static void take_out(struct table *table, uint32_t hole) {
    uint32_t at = hole;
    table->used--;
    for (;;) {
        table->slots[hole].is_used = false;
        uint32_t home;
        do {
            at = (at + 1) & table->mask;
            if (!table->slots[at].is_used)
                return;
            home = home_of(table, table->slots[at].key);
            /* It stays where its home is behind the hole. */
        } while (((at - home) & table->mask) < ((at - hole) & table->mask));
        table->slots[hole] = table->slots[at];
        hole = at;
    }
}

/* False: it has no begin. */
static bool span_ends(struct table *table, uint64_t key, struct pending *begin) {
    uint32_t at = slot_of(table, key);
    if (!table->slots[at].is_used)
        return false;
    *begin = table->slots[at];
    take_out(table, at);
    return true;
}

static uint64_t ns_between(const struct summary *summary, uint64_t from, uint64_t to) {
    return ash_prof_view_ns(summary->view, to) - ash_prof_view_ns(summary->view, from);
}

static bool is_called(const struct ash__prof_type *type, const char *name) {
    size_t len = ash__prof_strlen(name);
    return type->name != NULL && ash__prof_strlen(type->name) == len &&
           __builtin_memcmp(type->name, name, len) == 0;
}

static void call_ended(struct summary *summary, const struct pending *begin, uint64_t clock) {
    uint64_t ns = ns_between(summary, begin->clock, clock);
    if (begin->a >= CALLS) {
        summary->other_calls++;
        return;
    }
    struct call *call = &summary->calls[begin->a];
    call->count++;
    call->total_ns = call->total_ns + ns < ns ? UINT64_MAX : call->total_ns + ns;
    call->max_ns = ash_max_u64(call->max_ns, ns);
}

static void take_record(struct summary *summary, const struct ash_trace_record *record) {
    const struct ash__prof_type *type = &summary->types[ash_trace_id(record)];
    struct pending begin;
    summary->counts[ash_trace_id(record)]++;
    if (type->kind == ASH_EVENT_SWITCH) {
        summary->switches++;
        if (span_ends(&summary->wakes, record->b & ASH_TRACE_TASK_MAX, &begin))
            ash__prof_histogram_add(&summary->wake_to_run,
                                    ns_between(summary, begin.clock, record->clock));
    } else if (is_called(type, "thread.wake")) {
        span_begins(&summary->wakes, record->a & ASH_TRACE_TASK_MAX, record->clock, 0);
    } else if (is_called(type, "blk") && type->kind == ASH_EVENT_ASYNC_BEGIN) {
        span_begins(&summary->requests, record->a, record->clock, 0);
    } else if (is_called(type, "blk") && type->kind == ASH_EVENT_ASYNC_END) {
        if (span_ends(&summary->requests, record->a, &begin))
            ash__prof_histogram_add(&summary->io, ns_between(summary, begin.clock, record->clock));
        else
            summary->requests.unmatched++;
    } else if (is_called(type, "syscall") && type->kind == ASH_EVENT_BEGIN) {
        span_begins(&summary->calls_open, ash_trace_task(record), record->clock, record->a);
    } else if (is_called(type, "syscall") && type->kind == ASH_EVENT_END) {
        if (span_ends(&summary->calls_open, ash_trace_task(record), &begin))
            call_ended(summary, &begin, record->clock);
        else
            summary->calls_open.unmatched++;
    }
}

static void take_records(struct summary *summary) {
    struct ash_trace_record record;
    uint32_t cpu;
    ash__prof_types(summary->view, summary->types);
    ash_prof_merged_begin(summary->view, summary->lanes);
    bool is_first = true;
    while (summary->out.error == 0 &&
           ash_prof_merged_next(summary->view, summary->lanes, &cpu, &record)) {
        if (is_first)
            summary->first_clock = record.clock;
        is_first = false;
        summary->last_clock = record.clock;
        take_record(summary, &record);
        ash__prof_out_step(&summary->out, 1);
    }
    for (cpu = 0; cpu < summary->view->cpu_count; cpu++)
        summary->disordered += summary->lanes[cpu].cursor.disordered;
}

/* Text */

static void put_line(struct ash__prof_out *out, const char *before, uint64_t number,
                     const char *behind) {
    ash__prof_put_string(out, before);
    ash__prof_put_u64(out, number);
    ash__prof_put_string(out, behind);
}

static bool says(const struct ash_prof_view *view, const char *key, const char *value) {
    size_t len = 0;
    const char *text = ash_prof_view_text(view, key, &len);
    return text != NULL && len == ash__prof_strlen(value) &&
           __builtin_memcmp(text, value, len) == 0;
}

static void put_what(struct summary *summary) {
    const struct ash_prof_view *view = summary->view;
    struct ash__prof_out *out = &summary->out;
    struct ash__prof_line line = {.next = 0};
    if (view->is_damaged)
        ash__prof_put_string(out, "DAMAGED: the contents do not match their check sum\n");
    while (ash__prof_line_next(view, &line)) {
        ash__prof_put_left(out, line.key, line.key_len, 12);
        ash__prof_put_left(out, line.value, line.value_len, 0);
        ash__prof_put_char(out, '\n');
    }
    put_line(out, "clock       ", view->header->clock_hz, " Hz; written at ");
    ash__prof_put_span(out, ash_prof_view_ns(view, view->header->clock_now));
    ash__prof_put_string(out, says(view, "cycles_are", "instructions")
                                  ? "\ntimes       of instructions executed: the same each run\n"
                                  : "\ntimes       of the machine's clock: in an emulator without "
                                    "a fixed icount, the host's\n");
}

static void put_loss(struct summary *summary) {
    struct ash__prof_out *out = &summary->out;
    struct ash_prof_loss loss;
    ash__prof_put_string(out, "\nEvents\n  CPU     emitted    exported overwritten     dropped\n");
    for (uint32_t cpu = 0; cpu < summary->view->cpu_count; cpu++) {
        if (summary->view->cpus[cpu].trace == NULL)
            continue;
        ash_prof_view_loss(summary->view, cpu, &loss);
        ash__prof_put_right(out, cpu, 5);
        ash__prof_put_right(out, loss.emitted, 12);
        ash__prof_put_right(out, loss.exported, 12);
        ash__prof_put_right(out, loss.overwritten, 12);
        ash__prof_put_right(out, loss.dropped, 12);
        ash__prof_put_char(out, '\n');
    }
    if (summary->disordered != 0)
        put_line(out, "  ", summary->disordered,
                 " had a time before that of the event before them: they stand at its time\n");
}

static void put_counts(struct summary *summary) {
    static const char *const kinds[ASH_EVENT_KINDS] = {
        "", "begin", "end", "async begin", "async end", "counter", "switch"};
    struct ash__prof_out *out = &summary->out;
    for (uint32_t id = 1; id < ASH__PROF_TYPES; id++) {
        if (summary->counts[id] == 0)
            continue;
        const struct ash__prof_type *type = &summary->types[id];
        const char *name = type->name == NULL ? "(not described)" : type->name;
        ash__prof_put_right(out, summary->counts[id], 12);
        ash__prof_put_string(out, "  ");
        ash__prof_put_left(out, name, ash__prof_strlen(name), type->kind == 0 ? 0 : 20);
        if (type->kind != 0) {
            ash__prof_put_char(out, ' ');
            ash__prof_put_string(out, kinds[type->kind]);
        }
        ash__prof_put_char(out, '\n');
    }
}

static void put_spans(struct summary *summary, const char *title,
                      const struct ash__prof_histogram *histogram, uint64_t unmatched,
                      uint64_t open) {
    struct ash__prof_out *out = &summary->out;
    if (histogram->count + unmatched + open == 0)
        return;
    ash__prof_put_string(out, title);
    put_line(out, ": ", histogram->count, "");
    if (unmatched != 0)
        put_line(out, "; not counted, as one end is not in the trace: ", unmatched, "");
    if (open != 0)
        put_line(out, "; not over at its end: ", open, "");
    ash__prof_put_char(out, '\n');
    ash__prof_put_histogram(out, histogram);
}

static void put_switches(struct summary *summary) {
    struct ash__prof_out *out = &summary->out;
    uint64_t ns = ns_between(summary, summary->first_clock, summary->last_clock);
    if (summary->switches != 0) {
        put_line(out, "\nSwitches: ", summary->switches, " in ");
        ash__prof_put_span(out, ns);
        if (ns != 0) {
            ash__prof_put_string(out, ", ");
            ash__prof_put_fixed(out, ash_mul_div_u64(summary->switches, 1000000000000, ns), 3);
            ash__prof_put_string(out, " a second on all CPUs");
        }
        ash__prof_put_char(out, '\n');
    }
    /* Who is woken while awake gets no switch of its own: begins that came twice are none lost. */
    put_spans(summary, "\nFrom a wake to the switch to that task", &summary->wake_to_run, 0,
              summary->wakes.used);
}

/* The call with the most time of those after `last` in that order; CALLS: none. */
static uint32_t next_call(const struct summary *summary, uint32_t last) {
    uint32_t best = CALLS;
    for (uint32_t i = 0; i < CALLS; i++) {
        const struct call *call = &summary->calls[i], *of_last = &summary->calls[last % CALLS];
        bool is_after = last == CALLS || call->total_ns < of_last->total_ns ||
                        (call->total_ns == of_last->total_ns && i > last);
        if (call->count != 0 && is_after &&
            (best == CALLS || call->total_ns > summary->calls[best].total_ns))
            best = i;
    }
    return best;
}

static void put_calls(struct summary *summary) {
    struct ash__prof_out *out = &summary->out;
    uint32_t at = next_call(summary, CALLS);
    if (at == CALLS)
        return;
    ash__prof_put_string(out, "\nSystem calls, with what they waited for\n"
                              "  number       count        total         mean         most\n");
    for (; at != CALLS; at = next_call(summary, at)) {
        const struct call *call = &summary->calls[at];
        ash__prof_put_right(out, at, 8);
        ash__prof_put_right(out, call->count, 12);
        ash__prof_put_string(out, "  ");
        ash__prof_put_span(out, call->total_ns);
        ash__prof_put_string(out, "  ");
        ash__prof_put_span(out, call->total_ns / call->count);
        ash__prof_put_string(out, "  ");
        ash__prof_put_span(out, call->max_ns);
        ash__prof_put_char(out, '\n');
    }
    if (summary->other_calls + summary->calls_open.unmatched + summary->calls_open.used != 0) {
        put_line(out, "  left out: ", summary->calls_open.unmatched, " of which one end is lost, ");
        put_line(out, "", summary->calls_open.used, " not over, ");
        put_line(out, "", summary->other_calls, " with greater numbers\n");
    }
}

/* The heading's lines, which their maker writes over a buffer of its own. */
static void put_headings(struct summary *summary, const struct ash_prof_aggregate *aggregate,
                         const struct ash_prof_totals *totals) {
    static const enum ash__prof_heading lines[] = {ASH__PROF_HEADING_RATE, ASH__PROF_HEADING_LOSS};
    struct ash__prof_out *line = &summary->line;
    for (size_t i = 0; i < ASH_ARRAY_LEN(lines); i++) {
        ash__prof_heading(line, lines[i], aggregate, totals);
        ash__prof_put_string(&summary->out, "  ");
        ash__prof_put_left(&summary->out, line->bytes, line->used, 0);
        ash__prof_put_char(&summary->out, '\n');
    }
}

static void put_top(struct summary *summary, const struct ash_prof_aggregate *aggregate,
                    size_t count) {
    struct ash__prof_out *out = &summary->out;
    ash__prof_put_string(out, "        self              total           function\n");
    for (size_t i = 0; i < count; i++) {
        const struct ash_prof_top *top = &summary->top[i];
        ash__prof_put_right(out, top->self, 9);
        ash__prof_put_string(out, " ");
        ash__prof_put_percent(out, top->self, aggregate->weight);
        ash__prof_put_right(out, top->total, 10);
        ash__prof_put_string(out, " ");
        ash__prof_put_percent(out, top->total, aggregate->weight);
        ash__prof_put_string(out, "  ");
        ash__prof_put_left(out, top->label.name, top->label.name_len, 0);
        ash__prof_put_left(out, top->label.tail, top->label.tail_len, 0);
        ash__prof_put_char(out, '\n');
    }
}

static void put_profile(struct summary *summary, void *work, size_t work_bytes) {
    struct ash_prof_aggregate aggregate;
    struct ash_prof_totals totals;
    if (ash_prof_aggregate_begin(&aggregate, summary->view, work, work_bytes) != 0)
        return;
    ash_prof_view_totals(summary->view, &totals);
    ash__prof_put_string(&summary->out, "\nSamples\n");
    put_headings(summary, &aggregate, &totals);
    put_top(summary, &aggregate, ash_prof_aggregate_top(&aggregate, summary->top, TOP));
}

int ash__prof_summary(const struct ash_prof_view *view, const struct ash_prof_sink *sink,
                      void *work, size_t work_bytes) {
    struct ash__prof_work pieces = {work, 0};
    struct summary *summary = lay_out(view, &pieces);
    ash__prof_out_begin(&summary->out, sink, ash__prof_record_total(view));
    take_records(summary);
    put_what(summary);
    if (ash__prof_record_total(view) != 0) {
        put_loss(summary);
        put_counts(summary);
        put_switches(summary);
        put_spans(summary, "\nBlock I/O, from submission to completion", &summary->io,
                  summary->requests.unmatched, summary->requests.used);
        put_calls(summary);
    }
    put_profile(summary, (char *)work + pieces.used, work_bytes - pieces.used);
    return ash__prof_out_end(&summary->out);
}
