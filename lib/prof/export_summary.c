/* SPDX-License-Identifier: MIT */
/*
 * export_summary.c: what is in a dump, as text for people: what was traced, what was lost, which
 * functions, how long until a task that was woken ran, how long block I/O and calls took.
 *
 * Only spans whose begin and end are both there are counted; how many were not is said.
 */
#include <ashlar/bits.h>
#include <ashlar/prof_aggregate.h>

#include "counters.h"
#include "export_internal.h"
#include "export_records.h"
#include "heading.h"
#include "histogram.h"

enum { TOP = 20, PENDING_MIN = 64, PENDING_MAX = 1 << 16 };

/* Spans that have begun: linear probing, what leaves lets those behind it move up. */
struct pending {
    uint64_t key, clock;
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

/* What a type of event is to the summary. */
enum role { NOTHING, SWITCH, WAKE, CALL_BEGIN, CALL_END, IO_BEGIN, IO_END, COUNTER };

/* "blk." and one of these names; the last is all others. */
enum { READ, WRITE, FLUSH, OTHER, IO_OPS };

struct io {
    struct ash__prof_histogram ns;
    uint64_t unmatched, open;
};

struct summary {
    struct ash__prof_out out, line; /* line: where headings are made */
    const struct ash_prof_view *view;
    struct ash__prof_type types[ASH__PROF_TYPES];
    uint8_t roles[ASH__PROF_TYPES], ops[ASH__PROF_TYPES]; /* ops: of requests */
    uint64_t counts[ASH__PROF_TYPES];
    struct ash_prof_lane *lanes;
    struct table wakes, requests, calls_open;
    struct ash__prof_histogram wake_to_run;
    struct io io[IO_OPS];
    struct ash__prof_counters counters;
    struct call calls[ASH__PROF_TYPES]; /* by the type's `same` */
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

/* The first of several begins counts; false: this is another, or one too many. */
static bool span_begins(struct table *table, uint64_t key, uint64_t clock) {
    struct pending *slot = &table->slots[slot_of(table, key)];
    if (slot->is_used || table->used > table->mask / 4 * 3) {
        table->unmatched++;
        return false;
    }
    *slot = (struct pending){key, clock, true};
    table->used++;
    return true;
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

/* When it has begun; false: it has no begin. */
static bool span_ends(struct table *table, uint64_t key, uint64_t *clock) {
    uint32_t at = slot_of(table, key);
    if (!table->slots[at].is_used)
        return false;
    *clock = table->slots[at].clock;
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

static bool is_of(const struct ash__prof_type *type, const char *group) {
    size_t len = ash__prof_strlen(group);
    return ash__prof_group_len(type->name) == len && __builtin_memcmp(type->name, group, len) == 0;
}

static enum role role_of(const struct ash__prof_type *type) {
    switch (type->kind) {
    case ASH_EVENT_INSTANT:
        return is_called(type, "thread.wake") ? WAKE : NOTHING;
    case ASH_EVENT_BEGIN:
        return is_of(type, "syscall") ? CALL_BEGIN : NOTHING;
    case ASH_EVENT_END:
        return is_of(type, "syscall") ? CALL_END : NOTHING;
    case ASH_EVENT_ASYNC_BEGIN:
        return is_of(type, "blk") ? IO_BEGIN : NOTHING;
    case ASH_EVENT_ASYNC_END:
        return is_of(type, "blk") ? IO_END : NOTHING;
    case ASH_EVENT_COUNTER:
        return COUNTER;
    default:
        return type->kind == ASH_EVENT_SWITCH ? SWITCH : NOTHING;
    }
}

static void find_roles(struct summary *summary) {
    static const char *const names[OTHER] = {"blk.read", "blk.write", "blk.flush"};
    for (uint32_t id = 0; id < ASH__PROF_TYPES; id++) {
        const struct ash__prof_type *type = &summary->types[id];
        uint8_t op = 0;
        while (op < OTHER && !is_called(type, names[op]))
            op++;
        summary->ops[id] = op;
        summary->roles[id] = (uint8_t)role_of(type);
    }
}

static void call_ended(struct call *call, uint64_t ns) {
    call->count++;
    call->total_ns = call->total_ns + ns < ns ? UINT64_MAX : call->total_ns + ns;
    call->max_ns = ash_max_u64(call->max_ns, ns);
}

static void take_call(struct summary *summary, const struct ash_trace_record *record, bool begins) {
    uint64_t same = summary->types[ash_trace_id(record)].same;
    uint64_t key = same << 32 | ash_trace_task(record), clock;
    if (begins)
        (void)span_begins(&summary->calls_open, key, record->clock);
    else if (span_ends(&summary->calls_open, key, &clock))
        call_ended(&summary->calls[same], ns_between(summary, clock, record->clock));
    else
        summary->calls_open.unmatched++;
}

static void take_io(struct summary *summary, const struct ash_trace_record *record, bool begins) {
    uint32_t id = ash_trace_id(record);
    struct io *io = &summary->io[summary->ops[id]];
    uint64_t key = record->a ^ (uint64_t)summary->ops[id] << 60; /* of a disk and its token */
    uint64_t clock;
    if (begins) {
        bool is_new = span_begins(&summary->requests, key, record->clock);
        io->open += is_new;
        io->unmatched += !is_new;
    } else if (span_ends(&summary->requests, key, &clock)) {
        io->open--;
        ash__prof_histogram_add(&io->ns, ns_between(summary, clock, record->clock));
    } else {
        io->unmatched++;
    }
}

static void take_record(struct summary *summary, const struct ash_trace_record *record) {
    uint32_t id = ash_trace_id(record);
    uint64_t clock;
    summary->counts[id]++;
    switch ((enum role)summary->roles[id]) {
    case SWITCH:
        summary->switches++;
        if (span_ends(&summary->wakes, record->b & ASH_TRACE_TASK_MAX, &clock))
            ash__prof_histogram_add(&summary->wake_to_run,
                                    ns_between(summary, clock, record->clock));
        break;
    case WAKE:
        (void)span_begins(&summary->wakes, record->a & ASH_TRACE_TASK_MAX, record->clock);
        break;
    case CALL_BEGIN:
    case CALL_END:
        take_call(summary, record, summary->roles[id] == CALL_BEGIN);
        break;
    case IO_BEGIN:
    case IO_END:
        take_io(summary, record, summary->roles[id] == IO_BEGIN);
        break;
    case COUNTER:
        ash__prof_counters_add(&summary->counters, summary->types, record);
        break;
    default:
        break;
    }
}

static void take_records(struct summary *summary) {
    struct ash_trace_record record;
    uint32_t cpu;
    ash__prof_types(summary->view, summary->types);
    find_roles(summary);
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

static void put_io(struct summary *summary) {
    static const char *const titles[IO_OPS] = {
        "\nBlock I/O: reads, from submission to completion",
        "\nBlock I/O: writes, from submission to completion",
        "\nBlock I/O: flushes, from submission to completion",
        "\nBlock I/O: other requests, from submission to completion"};
    for (uint32_t op = 0; op < IO_OPS; op++) {
        const struct io *io = &summary->io[op];
        put_spans(summary, titles[op], &io->ns, io->unmatched, io->open);
    }
}

/* The call with the most time of those after `last` in that order; 0: none, as no event has it. */
static uint32_t next_call(const struct summary *summary, uint32_t last) {
    const struct call *calls = summary->calls, *of_last = &calls[last];
    uint32_t best = 0;
    for (uint32_t i = 1; i < ASH__PROF_TYPES; i++) {
        bool is_after = last == 0 || calls[i].total_ns < of_last->total_ns ||
                        (calls[i].total_ns == of_last->total_ns && i > last);
        if (calls[i].count != 0 && is_after &&
            (best == 0 || calls[i].total_ns > calls[best].total_ns))
            best = i;
    }
    return best;
}

static void put_calls(struct summary *summary) {
    struct ash__prof_out *out = &summary->out;
    uint32_t at = next_call(summary, 0);
    if (at == 0)
        return;
    ash__prof_put_string(out, "\nSystem calls, with what they waited for\n"
                              "       count        total         mean         most  name\n");
    for (; at != 0; at = next_call(summary, at)) {
        const struct call *call = &summary->calls[at];
        ash__prof_put_right(out, call->count, 12);
        ash__prof_put_string(out, "  ");
        ash__prof_put_span(out, call->total_ns);
        ash__prof_put_string(out, "  ");
        ash__prof_put_span(out, call->total_ns / call->count);
        ash__prof_put_string(out, "  ");
        ash__prof_put_span(out, call->max_ns);
        ash__prof_put_string(out, "  ");
        ash__prof_put_type_name(out, &summary->types[at], at);
        ash__prof_put_char(out, '\n');
    }
    if (summary->calls_open.unmatched + summary->calls_open.used != 0) {
        put_line(out, "  left out: ", summary->calls_open.unmatched, " of which one end is lost, ");
        put_line(out, "", summary->calls_open.used, " not over\n");
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
        put_io(summary);
        put_calls(summary);
        ash__prof_put_counters(&summary->out, view, summary->types, &summary->counters,
                               summary->last_clock);
    }
    put_profile(summary, (char *)work + pieces.used, work_bytes - pieces.used);
    return ash__prof_out_end(&summary->out);
}
