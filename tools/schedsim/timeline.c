/* SPDX-License-Identifier: MIT */
/*
 * timeline.c: the schedule as a timeline in the format of Chrome's tracing, which Perfetto reads
 * too: a process a task set, a thread a task, a counter a budget. One unit is a millisecond.
 *
 * Source: "Trace Event Format", the phases X (complete), i (instant), C (counter), M (metadata).
 */
#include <inttypes.h>

#include "report.h"

struct timeline {
    FILE *file;
    const struct result *result;
    size_t process;
    bool some;
};

/* Nanoseconds of a timeline whose unit is a millisecond: ends and beginnings round alike. */
static int64_t timeline_ns(const struct result *result, int64_t ticks) {
    return (int64_t)(((__int128)ticks * 2000000 / result->unit + 1) / 2);
}

static void put_us(FILE *file, const char *key, int64_t ns) {
    fprintf(file, ", \"%s\": %" PRId64 ".%03" PRId64, key, ns / 1000, ns % 1000);
}

/* What all events begin with; the caller closes them. */
static void event(struct timeline *line, const char *phase, size_t thread, const char *name,
                  const char *suffix) {
    char whole[TASKSET_NAME_MAX + 64];
    snprintf(whole, sizeof(whole), "%s%s", name, suffix);
    fputs(line->some ? ",\n" : "\n", line->file);
    line->some = true;
    fprintf(line->file, "{\"ph\": \"%s\", \"pid\": %zu, \"tid\": %zu, \"name\": ", phase,
            line->process, thread);
    report_json_string(line->file, whole);
}

static void event_at(struct timeline *line, const char *phase, size_t thread, const char *name,
                     const char *suffix, int64_t at) {
    event(line, phase, thread, name, suffix);
    put_us(line->file, "ts", timeline_ns(line->result, at));
}

static const char *task_name(const struct result *result, size_t task, char *room, size_t size) {
    if (result->set->tasks[task].name != NULL)
        return result->set->tasks[task].name;
    snprintf(room, size, "client %zu", task);
    return room;
}

static void names(struct timeline *line) {
    char title[TASKSET_NAME_MAX + 64], room[32];
    report_title(line->result, title, sizeof(title));
    event(line, "M", 0, "process_name", "");
    fputs(", \"args\": {\"name\": ", line->file);
    report_json_string(line->file, title);
    fputs("}}", line->file);
    for (size_t i = 0; i < line->result->set->task_count; i++) {
        event(line, "M", i + 1, "thread_name", "");
        fputs(", \"args\": {\"name\": ", line->file);
        report_json_string(line->file, task_name(line->result, i, room, sizeof(room)));
        fputs("}}", line->file);
        event(line, "M", i + 1, "thread_sort_index", "");
        fprintf(line->file, ", \"args\": {\"sort_index\": %zu}}", i + 1);
    }
}

static void segments(struct timeline *line) {
    const struct result *result = line->result;
    char room[32];
    for (size_t i = 0; i < result->segment_count; i++) {
        const struct segment *segment = &result->segments[i];
        event_at(line, "X", segment->task + 1, task_name(result, segment->task, room, sizeof(room)),
                 "", segment->start);
        put_us(line->file, "dur",
               timeline_ns(result, segment->end) - timeline_ns(result, segment->start));
        if (result->set->kind == TASKSET_MLFQ)
            fprintf(line->file, ", \"args\": {\"level\": %" PRIu32 "}", segment->level);
        fputs("}", line->file);
    }
}

static void instant(struct timeline *line, uint32_t task, const char *name, int64_t at) {
    event_at(line, "i", task + 1, name, "", at);
    fputs(", \"s\": \"t\"}", line->file);
}

static void jobs(struct timeline *line) {
    const struct result *result = line->result;
    for (size_t i = 0; i < result->job_count; i++) {
        const struct job *job = &result->jobs[i];
        instant(line, job->task, "release", job->release);
        if (job->deadline != TICKS_NONE && job->deadline <= result->until)
            instant(line, job->task, job->missed ? "deadline missed" : "deadline", job->deadline);
    }
}

static void servers(struct timeline *line) {
    const struct result *result = line->result;
    for (size_t i = 0; i < result->entry_count; i++)
        instant(line, result->entries[i].task, server_event_name(result->entries[i].event),
                result->entries[i].at);
    for (size_t i = 0; i < result->point_count; i++) {
        const struct budget_point *point = &result->points[i];
        event_at(line, "C", point->task + 1, result->set->tasks[point->task].name, " budget",
                 point->at);
        fprintf(line->file, ", \"args\": {\"q\": %.9g}}",
                (double)point->budget / (double)result->unit);
    }
}

void report_trace(FILE *file, const struct result *results, size_t count) {
    struct timeline line = {.file = file};
    fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [", file);
    for (size_t i = 0; i < count; i++) {
        line.result = &results[i];
        line.process = i + 1;
        names(&line);
        segments(&line);
        jobs(&line);
        servers(&line);
    }
    fputs("\n]}\n", file);
}
