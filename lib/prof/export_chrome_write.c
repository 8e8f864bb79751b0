/* SPDX-License-Identifier: MIT */
/* export_chrome_write.c: single entries of Trace Event JSON (export_chrome.h). */
#include "export_chrome.h"

/* Names */

/* Which call, which line: a part of the slice's name. An address or an id would make a name of its
 * own for each. */
static bool is_named_by_number(const struct ash__prof_type *type) {
    return (type->kind == ASH_EVENT_BEGIN || type->kind == ASH_EVENT_END) &&
           type->field_count != 0 && type->fields[0].reading == ASH__PROF_NUMBER;
}

bool ash__chrome_is_told(const struct ash__prof_type *type) {
    return type->field_count == (is_named_by_number(type) ? 1 : 0);
}

static void put_name(struct chrome *chrome, uint32_t id, uint64_t a) {
    if (id == RUNNING) {
        ash__prof_put_task(&chrome->out, chrome->view, a);
        return;
    }
    const struct ash__prof_type *type = &chrome->types[id];
    ash__prof_put_type_name(&chrome->out, type, id);
    if (is_named_by_number(type)) {
        ash__prof_put_char(&chrome->out, ' ');
        ash__prof_put_u64(&chrome->out, a);
    }
}

/* Entries */

static void begin_entry(struct chrome *chrome) {
    ash__prof_put_string(&chrome->out, chrome->has_event ? ",\n{" : "\n{");
    chrome->has_event = true;
}

/* Behind the category, which ends here. */
static void put_place(struct chrome *chrome, char phase, uint64_t pid, uint32_t tid) {
    struct ash__prof_out *out = &chrome->out;
    ash__prof_put_string(out, "\",\"ph\":\"");
    ash__prof_put_char(out, phase);
    ash__prof_put_string(out, "\",\"ts\":");
    ash__prof_put_fixed(out, chrome->now_ns, 3);
    ash__prof_put_string(out, ",\"pid\":");
    ash__prof_put_u64(out, pid);
    ash__prof_put_string(out, ",\"tid\":");
    ash__prof_put_u64(out, tid);
}

/* Behind the name, which ends here. */
static void put_head(struct chrome *chrome, const char *category, char phase, uint64_t pid,
                     uint32_t tid) {
    ash__prof_put_string(&chrome->out, "\",\"cat\":\"");
    ash__prof_put_string(&chrome->out, category);
    put_place(chrome, phase, pid, tid);
}

void ash__chrome_slice(struct chrome *chrome, char phase, const struct chrome_track *track,
                       const struct chrome_slice *slice) {
    begin_entry(chrome);
    ash__prof_put_string(&chrome->out, "\"name\":\"");
    put_name(chrome, slice->type, slice->a);
    put_head(chrome, slice->type == RUNNING ? "running" : "slice", phase, track->pid, track->tid);
    ash__prof_put_char(&chrome->out, '}');
}

/* Arguments */

#define EXACT_MAX (UINT64_C(1) << 53) /* a JSON number is a double to most readers */

static void put_number(struct ash__prof_out *out, uint64_t value, bool is_signed) {
    bool is_negative = is_signed && (int64_t)value < 0;
    bool is_exact = (is_negative ? 0 - value : value) <= EXACT_MAX;
    if (!is_exact)
        ash__prof_put_char(out, '"');
    if (is_signed)
        ash__prof_put_i64(out, (int64_t)value);
    else
        ash__prof_put_u64(out, value);
    if (!is_exact)
        ash__prof_put_char(out, '"');
}

static void put_error(struct ash__prof_out *out, uint64_t value) {
    int64_t error = (int64_t)value;
    if (error >= 0 || error < -4095) {
        put_number(out, value, true);
        return;
    }
    ash__prof_put_char(out, '"');
    ash__prof_put_i64(out, error);
    ash__prof_put_string(out, ": ");
    ash__prof_put_string(out, ash_strerror((int)error));
    ash__prof_put_char(out, '"');
}

static void put_value(struct chrome *chrome, enum ash__prof_reading reading, uint64_t value) {
    struct ash__prof_out *out = &chrome->out;
    switch (reading) {
    case ASH__PROF_HEX:
        ash__prof_put_char(out, '"');
        ash__prof_put_hex(out, value);
        ash__prof_put_char(out, '"');
        break;
    case ASH__PROF_ERROR:
        put_error(out, value);
        break;
    case ASH__PROF_TASK:
        ash__prof_put_char(out, '"');
        ash__prof_put_task(out, chrome->view, value);
        ash__prof_put_char(out, '"');
        break;
    default:
        put_number(out, value, reading == ASH__PROF_SIGNED);
    }
}

static bool is_second_the_same(const struct ash__prof_type *type) {
    return type->fields[0].name_len == type->fields[1].name_len &&
           __builtin_memcmp(type->fields[0].name, type->fields[1].name, type->fields[0].name_len) ==
               0;
}

static void put_args(struct chrome *chrome, const struct chrome_record *record) {
    struct ash__prof_out *out = &chrome->out;
    ash__prof_put_string(out, ",\"args\":{");
    for (uint32_t i = 0; i < record->type->field_count; i++) {
        const struct ash__prof_field *field = &record->type->fields[i];
        ash__prof_put_string(out, i == 0 ? "\"" : ",\"");
        ash__prof_put_json(out, field->name, field->name_len);
        if (i == 1 && is_second_the_same(record->type))
            ash__prof_put_string(out, " 2");
        ash__prof_put_string(out, "\":");
        put_value(chrome, field->reading, i == 0 ? record->a : record->b);
    }
    ash__prof_put_string(out, "}}");
}

void ash__chrome_instant(struct chrome *chrome, const struct chrome_record *record,
                         const char *category) {
    begin_entry(chrome);
    ash__prof_put_string(&chrome->out, "\"name\":\"");
    put_name(chrome, record->id, record->a);
    put_head(chrome, category, 'i', record->track->pid, record->track->tid);
    ash__prof_put_string(&chrome->out, ",\"s\":\"t\"");
    put_args(chrome, record);
}

/* "blk.read" is a "read" of the category "blk". */
static void put_async_name(struct chrome *chrome, uint32_t type) {
    struct ash__prof_out *out = &chrome->out;
    const char *name = chrome->types[type].name;
    size_t group = ash__prof_group_len(name);
    if (group == 0)
        ash__prof_put_type_name(out, &chrome->types[type], type);
    else
        ash__prof_put_json(out, name + group + 1, ash__prof_strlen(name + group + 1));
    ash__prof_put_string(out, "\",\"cat\":\"");
    if (group == 0)
        ash__prof_put_string(out, "async");
    else
        ash__prof_put_json(out, name, group);
}

void ash__chrome_async(struct chrome *chrome, char phase, uint32_t type, uint64_t id,
                       const struct chrome_record *record) {
    struct ash__prof_out *out = &chrome->out;
    begin_entry(chrome);
    ash__prof_put_string(out, "\"name\":\"");
    put_async_name(chrome, type);
    put_place(chrome, phase, chrome->cpus_pid, TID_ASYNC);
    ash__prof_put_string(out, ",\"id\":\"");
    ash__prof_put_type_name(out, &chrome->types[type], type);
    ash__prof_put_char(out, ' ');
    ash__prof_put_hex(out, id);
    ash__prof_put_char(out, '"');
    if (record != NULL)
        put_args(chrome, record);
    else
        ash__prof_put_char(out, '}');
}

void ash__chrome_counter(struct chrome *chrome, const struct chrome_record *record) {
    struct ash__prof_out *out = &chrome->out;
    const struct ash__prof_type *type = record->type;
    begin_entry(chrome);
    ash__prof_put_string(out, "\"name\":\"");
    ash__prof_put_counter_name(out, chrome->view, type, record->id, record->a);
    put_head(chrome, "counter", 'C', chrome->cpus_pid, TID_ASYNC);
    ash__prof_put_string(out, ",\"args\":{\"");
    if (type->field_count == 2 && type->fields[1].name_len != 0)
        ash__prof_put_json(out, type->fields[1].name, type->fields[1].name_len);
    else
        ash__prof_put_string(out, "value");
    ash__prof_put_string(out, "\":");
    /* A number whatever it takes: viewers draw nothing else. */
    if (type->field_count == 2 && type->fields[1].reading == ASH__PROF_SIGNED)
        ash__prof_put_i64(out, (int64_t)record->b);
    else
        ash__prof_put_u64(out, record->b);
    ash__prof_put_string(out, "}}");
}

void ash__chrome_loss(struct chrome *chrome, uint32_t cpu, const char *what, uint64_t count) {
    begin_entry(chrome);
    ash__prof_put_string(&chrome->out, "\"name\":\"records lost");
    put_head(chrome, "lost", 'i', chrome->cpus_pid, TID_CPU + 2 * cpu);
    ash__prof_put_string(&chrome->out, ",\"s\":\"t\",\"args\":{\"");
    ash__prof_put_string(&chrome->out, what);
    ash__prof_put_string(&chrome->out, "\":");
    ash__prof_put_u64(&chrome->out, count);
    ash__prof_put_string(&chrome->out, "}}");
}

/* Metadata */

static void begin_metadata(struct chrome *chrome, const char *what, uint64_t pid, uint32_t tid) {
    struct ash__prof_out *out = &chrome->out;
    begin_entry(chrome);
    ash__prof_put_string(out, "\"name\":\"");
    ash__prof_put_string(out, what);
    ash__prof_put_string(out, "\",\"ph\":\"M\",\"pid\":");
    ash__prof_put_u64(out, pid);
    ash__prof_put_string(out, ",\"tid\":");
    ash__prof_put_u64(out, tid);
    ash__prof_put_string(out, ",\"args\":{\"name\":\"");
}

static void put_cpu_name(struct ash__prof_out *out, uint32_t tid) {
    if (tid == TID_ASYNC) {
        ash__prof_put_string(out, "requests and counters");
        return;
    }
    ash__prof_put_string(out, "CPU ");
    ash__prof_put_u64(out, (tid - TID_CPU) / 2);
    ash__prof_put_string(out, (tid - TID_CPU) % 2 == 0 ? " runs" : " interrupts");
}

/* The path of its program; without one, the name of the task that has its number. */
static void put_process_name(struct chrome *chrome, uint64_t pid) {
    struct ash__prof_out *out = &chrome->out;
    const struct ash_prof_view *view = chrome->view;
    for (uint32_t i = 0; i < view->image_count; i++) {
        if (view->images[i].process != pid)
            continue;
        const char *path = ash_prof_view_string(view, view->images[i].name);
        ash__prof_put_json(out, path, ash__prof_strlen(path));
        return;
    }
    const struct ash_prof_task *task = ash_prof_view_task(view, (uint32_t)pid);
    if (task != NULL && task->name[0] != 0)
        ash__prof_put_json(out, task->name, ash__prof_strlen(task->name));
    else
        ash__prof_put_string(out, "program");
}

static bool is_first_of_process(const struct chrome *chrome, uint32_t track) {
    for (uint32_t i = 0; i < track; i++) {
        if (chrome->tracks[i].pid == chrome->tracks[track].pid)
            return false;
    }
    return true;
}

static void process_metadata(struct chrome *chrome, const struct chrome_track *track) {
    begin_metadata(chrome, "process_name", track->pid, track->tid);
    if (track->pid == chrome->cpus_pid)
        ash__prof_put_string(&chrome->out, "CPUs");
    else if (track->pid == chrome->kernel_pid)
        ash__prof_put_string(&chrome->out, "kernel");
    else
        put_process_name(chrome, track->pid);
    ash__prof_put_string(&chrome->out, "\"}}");
}

void ash__chrome_metadata(struct chrome *chrome) {
    for (uint32_t i = 0; i < chrome->track_count; i++) {
        const struct chrome_track *track = &chrome->tracks[i];
        if (is_first_of_process(chrome, i))
            process_metadata(chrome, track);
        begin_metadata(chrome, "thread_name", track->pid, track->tid);
        if (track->tid >= TID_ASYNC)
            put_cpu_name(&chrome->out, track->tid);
        else
            ash__prof_put_task(&chrome->out, chrome->view,
                               track->tid == TID_TASK_0 ? 0 : track->tid);
        ash__prof_put_string(&chrome->out, "\"}}");
    }
}

static void put_count(struct chrome *chrome, const char *what, uint64_t count) {
    ash__prof_put_string(&chrome->out, ",\n\"");
    ash__prof_put_string(&chrome->out, what);
    ash__prof_put_string(&chrome->out, "\":");
    ash__prof_put_u64(&chrome->out, count);
}

static void put_text(struct chrome *chrome) {
    struct ash__prof_line line = {.next = 0};
    for (bool is_more = false; ash__prof_line_next(chrome->view, &line); is_more = true) {
        ash__prof_put_string(&chrome->out, is_more ? ",\"" : "\"");
        ash__prof_put_json(&chrome->out, line.key, line.key_len);
        ash__prof_put_string(&chrome->out, "\":\"");
        ash__prof_put_json(&chrome->out, line.value, line.value_len);
        ash__prof_put_char(&chrome->out, '"');
    }
}

static void put_cpu_loss(struct chrome *chrome, uint32_t cpu, bool is_more) {
    struct ash__prof_out *out = &chrome->out;
    const struct ash_prof_loss *loss = &chrome->cpus[cpu].loss;
    const uint64_t counts[] = {cpu, loss->emitted, loss->exported, loss->overwritten,
                               loss->dropped};
    static const char *const names[] = {"cpu", "emitted", "exported", "overwritten", "dropped"};
    ash__prof_put_string(out, is_more ? ",\n{" : "\n{");
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(names); i++) {
        ash__prof_put_string(out, i == 0 ? "\"" : ",\"");
        ash__prof_put_string(out, names[i]);
        ash__prof_put_string(out, "\":");
        ash__prof_put_u64(out, counts[i]);
    }
    ash__prof_put_char(out, '}');
}

void ash__chrome_other_data(struct chrome *chrome) {
    ash__prof_put_string(&chrome->out, "\"otherData\":{\"text\":{");
    put_text(chrome);
    ash__prof_put_char(&chrome->out, '}');
    put_count(chrome, "clock_hz", chrome->view->header->clock_hz);
    put_count(chrome, "records", chrome->records);
    put_count(chrome, "opened_at_the_first_time", chrome->opened);
    put_count(chrome, "closed_without_an_end", chrome->closed);
    put_count(chrome, "unmatched", chrome->unmatched);
    put_count(chrome, "not_described", chrome->unknown);
    put_count(chrome, "late", chrome->late);
    ash__prof_put_string(&chrome->out, ",\n\"cpus\":[");
    bool is_more = false;
    for (uint32_t cpu = 0; cpu < chrome->view->cpu_count; cpu++) {
        if (chrome->view->cpus[cpu].trace == NULL)
            continue;
        put_cpu_loss(chrome, cpu, is_more);
        is_more = true;
    }
    ash__prof_put_string(&chrome->out, "]}");
}
