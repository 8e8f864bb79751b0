/* SPDX-License-Identifier: MIT */
/*
 * view_records.c: the records of an open container, by their time, and what became of the others.
 */
#include <ashlar/prof_view.h>

/* Sequence numbers that the ring may still have: first .. last; none if first > last. */
static void kept_range(const struct ash_prof_trace *trace, uint64_t *first, uint64_t *last) {
    *last = trace->emitted - trace->dropped;
    *first = *last <= trace->capacity ? 1 : *last - trace->capacity + 1;
}

/* The record with this sequence number, if it was finished. */
static const struct ash_trace_record *record_at(const struct ash_prof_view_cpu *cpu,
                                                uint64_t sequence) {
    const struct ash_trace_record *record = &cpu->records[sequence & (cpu->trace->capacity - 1)];
    return (uint32_t)record->header == (uint32_t)sequence && ash_trace_id(record) != 0 ? record
                                                                                       : NULL;
}

void ash_prof_records_begin(struct ash_prof_record_cursor *cursor) {
    cursor->disordered = 0;
    cursor->next = 1;
    cursor->clock = 0;
    cursor->held = 0;
}

/* Into the window, which is sorted, the oldest last; equal ones in the order of their numbers. */
static void hold(struct ash_prof_record_cursor *cursor, const struct ash_trace_record *record) {
    uint32_t at = cursor->held++;
    for (uint32_t i = 0; i < at; i++)
        if (cursor->window[i].clock <= record->clock) {
            __builtin_memmove(&cursor->window[i + 1], &cursor->window[i],
                              (at - i) * sizeof(*record));
            at = i;
        }
    cursor->window[at] = *record;
}

static void fill_window(const struct ash_prof_view_cpu *cpu,
                        struct ash_prof_record_cursor *cursor) {
    uint64_t first, last;
    kept_range(cpu->trace, &first, &last);
    if (cursor->next < first)
        cursor->next = first;
    while (cursor->held < ASH_PROF_WINDOW && cursor->next <= last) {
        const struct ash_trace_record *record = record_at(cpu, cursor->next++);
        if (record != NULL)
            hold(cursor, record);
    }
}

bool ash_prof_records_next(const struct ash_prof_view *view, uint32_t cpu,
                           struct ash_prof_record_cursor *cursor, struct ash_trace_record *record) {
    if (cpu >= view->cpu_count || view->cpus[cpu].trace == NULL)
        return false;
    fill_window(&view->cpus[cpu], cursor);
    if (cursor->held == 0)
        return false;
    *record = cursor->window[--cursor->held];
    if (record->clock < cursor->clock) {
        record->clock = cursor->clock;
        cursor->disordered++;
    }
    cursor->clock = record->clock;
    return true;
}

void ash_prof_merged_begin(const struct ash_prof_view *view, struct ash_prof_lane *lanes) {
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        ash_prof_records_begin(&lanes[cpu].cursor);
        lanes[cpu].has_record =
            ash_prof_records_next(view, cpu, &lanes[cpu].cursor, &lanes[cpu].record);
    }
}

bool ash_prof_merged_next(const struct ash_prof_view *view, struct ash_prof_lane *lanes,
                          uint32_t *cpu, struct ash_trace_record *record) {
    struct ash_prof_lane *first = NULL;
    for (uint32_t i = 0; i < view->cpu_count; i++)
        if (lanes[i].has_record && (first == NULL || lanes[i].record.clock < first->record.clock))
            first = &lanes[i];
    if (first == NULL)
        return false;
    *cpu = (uint32_t)(first - lanes);
    *record = first->record;
    first->has_record = ash_prof_records_next(view, *cpu, &first->cursor, &first->record);
    return true;
}

void ash_prof_view_loss(const struct ash_prof_view *view, uint32_t cpu,
                        struct ash_prof_loss *loss) {
    *loss = (struct ash_prof_loss){0};
    if (cpu >= view->cpu_count || view->cpus[cpu].trace == NULL)
        return;
    uint64_t first, last;
    kept_range(view->cpus[cpu].trace, &first, &last);
    loss->emitted = view->cpus[cpu].trace->emitted;
    loss->overwritten = first - 1;
    for (uint64_t sequence = first; sequence <= last; sequence++)
        loss->exported += record_at(&view->cpus[cpu], sequence) != NULL;
    loss->dropped = loss->emitted - loss->overwritten - loss->exported;
}
