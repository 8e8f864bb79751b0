/* SPDX-License-Identifier: MIT */
/* export_chrome.c: both passes over the records (export_chrome.h). */
#include "export_chrome.h"
#include "export_internal.h"

/* What a record is */

static void find(struct chrome *chrome, uint32_t cpu, const struct ash_trace_record *record,
                 struct chrome_record *found) {
    uint32_t task = ash_trace_task(record);
    found->id = ash_trace_id(record);
    found->depth = ash_trace_depth(record);
    found->type = &chrome->types[found->id];
    found->a = record->a;
    found->b = record->b;
    uint32_t tid = task == 0 ? (uint32_t)TID_TASK_0 : task;
    if (found->type->kind == ASH_EVENT_SWITCH)
        tid = TID_CPU + 2 * cpu;
    else if (found->depth != 0)
        tid = TID_CPU + 2 * cpu + 1;
    found->track = ash__chrome_track(chrome, tid, task);
}

/* Requests: open ones by name and first argument. An entry once made stays, so that there are never
 * more than begins. */
static struct chrome_async *async_find(struct chrome *chrome, const struct chrome_record *record) {
    uint32_t type = record->type->same + 1u;
    uint64_t hash = (record->a ^ (uint64_t)type << 48) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint64_t at = hash >> 20;; at++) {
        struct chrome_async *async = &chrome->async[at & chrome->async_mask];
        if (async->type == 0 || (async->type == type && async->id == record->a))
            return async;
    }
}

static void async_close(struct chrome *chrome, struct chrome_async *async) {
    ash__chrome_async(chrome, 'e', async->type - 1u, async->id, NULL);
    async->is_open = false;
    chrome->closed++;
}

static void unmatched(struct chrome *chrome, const struct chrome_record *record) {
    chrome->unmatched++;
    ash__chrome_instant(chrome, record, "unmatched");
}

static void write_async(struct chrome *chrome, const struct chrome_record *record) {
    struct chrome_async *async = async_find(chrome, record);
    if (record->type->kind == ASH_EVENT_ASYNC_BEGIN) {
        if (async->is_open)
            async_close(chrome, async);
        *async = (struct chrome_async){
            .id = record->a, .type = (uint16_t)(record->type->same + 1u), .is_open = true};
        ash__chrome_async(chrome, 'b', record->type->same, record->a, record);
    } else if (async->is_open) {
        async->is_open = false;
        ash__chrome_async(chrome, 'e', record->type->same, record->a, record);
    } else {
        unmatched(chrome, record);
    }
}

/* One record */

static void do_switch(struct chrome *chrome, uint32_t cpu, const struct chrome_record *record) {
    struct chrome_cpu *state = &chrome->cpus[cpu];
    if (!chrome->is_writing) {
        if (state->first == 0)
            state->first = 1 + ((uint32_t)record->a & ASH_TRACE_TASK_MAX);
        return;
    }
    ash__chrome_close_all(chrome, record->track);
    ash__chrome_open(chrome, record->track, RUNNING, record->b & ASH_TRACE_TASK_MAX, 0);
}

static void do_begin(struct chrome *chrome, const struct chrome_record *record) {
    ash__chrome_open(chrome, record->track, record->id, record->a, record->depth);
    if (chrome->is_writing && !ash__chrome_is_told(record->type))
        ash__chrome_instant(chrome, record, "details");
}

static void do_end(struct chrome *chrome, const struct chrome_record *record) {
    bool is_writing = chrome->is_writing;
    if (!ash__chrome_close(chrome, record->track, record->type->same, record->depth)) {
        if (is_writing)
            unmatched(chrome, record);
        else
            ash__chrome_lost_begin(chrome, record);
    } else if (is_writing && !ash__chrome_is_told(record->type)) {
        ash__chrome_instant(chrome, record, "details");
    }
}

static void do_record(struct chrome *chrome, uint32_t cpu, const struct chrome_record *record) {
    switch (record->type->kind) {
    case ASH_EVENT_SWITCH:
        do_switch(chrome, cpu, record);
        return;
    case ASH_EVENT_BEGIN:
        do_begin(chrome, record);
        return;
    case ASH_EVENT_END:
        do_end(chrome, record);
        return;
    default:
        break;
    }
    bool is_async =
        record->type->kind == ASH_EVENT_ASYNC_BEGIN || record->type->kind == ASH_EVENT_ASYNC_END;
    if (!chrome->is_writing) {
        if (is_async || record->type->kind == ASH_EVENT_COUNTER)
            (void)ash__chrome_track(chrome, TID_ASYNC, 0); /* it gets a name */
        return;
    }
    if (is_async)
        write_async(chrome, record);
    else if (record->type->kind == ASH_EVENT_COUNTER)
        ash__chrome_counter(chrome, record);
    else
        ash__chrome_instant(chrome, record, "instant");
}

/* Passes */

static void first_pass(struct chrome *chrome) {
    struct ash_trace_record raw;
    struct chrome_record record;
    uint32_t cpu;
    bool is_first = true;
    while (ash_prof_merged_next(chrome->view, chrome->lanes, &cpu, &raw)) {
        if (is_first)
            chrome->first_ns = ash_prof_view_ns(chrome->view, raw.clock);
        is_first = false;
        find(chrome, cpu, &raw, &record);
        do_record(chrome, cpu, &record);
        chrome->cpus[cpu].left++;
        ash__prof_out_step(&chrome->out, 1);
    }
    for (uint32_t i = 0; i < chrome->track_count; i++)
        ash__chrome_close_all(chrome, &chrome->tracks[i]);
    for (cpu = 0; cpu < chrome->view->cpu_count; cpu++) {
        struct chrome_cpu *state = &chrome->cpus[cpu];
        if (state->left != 0 && state->loss.overwritten + state->loss.dropped != 0)
            (void)ash__chrome_track(chrome, TID_CPU + 2 * cpu, 0);
    }
}

static void begin_cpu(struct chrome *chrome, uint32_t cpu) {
    struct chrome_cpu *state = &chrome->cpus[cpu];
    state->has_begun = true;
    if (state->loss.overwritten != 0)
        ash__chrome_loss(chrome, cpu, "overwritten", state->loss.overwritten);
    if (state->first == 0)
        return;
    ash__chrome_open(chrome, ash__chrome_track(chrome, TID_CPU + 2 * cpu, 0), RUNNING,
                     state->first - 1, 0);
    chrome->opened++;
}

static void write_record(struct chrome *chrome, uint32_t cpu, const struct ash_trace_record *raw) {
    struct chrome_cpu *state = &chrome->cpus[cpu];
    struct chrome_record record;
    chrome->now_ns = ash_max_u64(chrome->now_ns, ash_prof_view_ns(chrome->view, raw->clock));
    if (!state->has_begun)
        begin_cpu(chrome, cpu);
    find(chrome, cpu, raw, &record);
    do_record(chrome, cpu, &record);
    chrome->records++;
    chrome->unknown += record.type->name == NULL;
    if (--state->left == 0 && state->loss.dropped != 0)
        ash__chrome_loss(chrome, cpu, "dropped", state->loss.dropped);
}

static void second_pass(struct chrome *chrome) {
    struct ash_trace_record raw;
    uint32_t cpu;
    chrome->is_writing = true;
    chrome->closed = 0;
    chrome->now_ns = chrome->first_ns;
    for (uint32_t i = 0; i < chrome->track_count; i++)
        ash__chrome_open_lost(chrome, &chrome->tracks[i]);
    while (chrome->out.error == 0 &&
           ash_prof_merged_next(chrome->view, chrome->lanes, &cpu, &raw)) {
        write_record(chrome, cpu, &raw);
        ash__prof_out_step(&chrome->out, 1);
    }
    for (cpu = 0; cpu < chrome->view->cpu_count; cpu++)
        chrome->late += chrome->lanes[cpu].cursor.disordered;
    for (uint32_t i = 0; i < chrome->track_count; i++)
        ash__chrome_close_all(chrome, &chrome->tracks[i]);
    for (uint64_t i = 0; i <= chrome->async_mask; i++) {
        if (chrome->async[i].is_open)
            async_close(chrome, &chrome->async[i]);
    }
}

/* Memory */

/* Pids of programs are their numbers; the two more that are needed lie above. */
static void choose_pids(struct chrome *chrome) {
    uint64_t highest = 0;
    for (uint32_t i = 0; i < chrome->view->task_count; i++)
        highest = ash_max_u64(highest, chrome->view->tasks[i].process);
    chrome->kernel_pid = highest + 1;
    chrome->cpus_pid = highest + 2;
}

static uint64_t pow2_above(uint64_t count) {
    uint64_t size = 64;
    while (size < 2 * count)
        size *= 2;
    return size;
}

/* Takes and clears what the view needs; with chrome NULL it only counts. */
static size_t lay_out(const struct ash_prof_view *view, struct chrome *chrome) {
    uint64_t records = ash__prof_record_total(view);
    uint64_t tracks = ash_min_u64(records, ASH_TRACE_TASK_MAX + 1) + 2ull * view->cpu_count + 1;
    uint64_t index = pow2_above(tracks), async = pow2_above(records);
    struct ash__prof_work work = {.base = (char *)chrome};
    struct chrome counted, *to = chrome == NULL ? &counted : chrome;
    (void)ash__prof_take(&work, 1, sizeof(*chrome));
    to->lanes = ash__prof_take(&work, view->cpu_count, sizeof(struct ash_prof_lane));
    to->types = ash__prof_take(&work, ASH__PROF_TYPES, sizeof(struct ash__prof_type));
    to->tracks = ash__prof_take(&work, tracks, sizeof(struct chrome_track));
    /* One for each record, each CPU's first task, and none. */
    to->slices = ash__prof_take(&work, records + view->cpu_count + 1, sizeof(struct chrome_slice));
    size_t cleared = work.used;
    to->cpus = ash__prof_take(&work, view->cpu_count, sizeof(struct chrome_cpu));
    to->track_index = ash__prof_take(&work, index, sizeof(uint32_t));
    to->async = ash__prof_take(&work, async, sizeof(struct chrome_async));
    to->track_mask = (uint32_t)index - 1;
    to->async_mask = async - 1;
    if (chrome != NULL)
        __builtin_memset((char *)chrome + cleared, 0, work.used - cleared);
    return work.used;
}

size_t ash__prof_chrome_work(const struct ash_prof_view *view) {
    return ash__prof_record_total(view) == 0 ? 0 : lay_out(view, NULL);
}

int ash__prof_chrome(const struct ash_prof_view *view, const struct ash_prof_sink *sink, void *work,
                     size_t work_bytes) {
    struct chrome *chrome = work;
    (void)work_bytes; /* the caller has compared them */
    __builtin_memset(chrome, 0, sizeof(*chrome));
    (void)lay_out(view, chrome);
    chrome->view = view;
    choose_pids(chrome);
    ash__prof_types(view, chrome->types);
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        if (view->cpus[cpu].trace != NULL)
            ash_prof_view_loss(view, cpu, &chrome->cpus[cpu].loss);
    }
    ash__prof_out_begin(&chrome->out, sink, 2 * ash__prof_record_total(view));
    ash_prof_merged_begin(view, chrome->lanes);
    first_pass(chrome);
    ash__prof_put_string(&chrome->out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    ash__chrome_metadata(chrome);
    ash_prof_merged_begin(view, chrome->lanes);
    second_pass(chrome);
    ash__prof_put_string(&chrome->out, "\n],\n");
    ash__chrome_other_data(chrome);
    ash__prof_put_string(&chrome->out, "}\n");
    return ash__prof_out_end(&chrome->out);
}
