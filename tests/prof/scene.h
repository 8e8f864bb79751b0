/* SPDX-License-Identifier: MIT */
/*
 * scene.h: traces for tests of exports, record by record, as the container that a kernel would
 * write, opened as a view.
 */
#ifndef TESTS_PROF_SCENE_H
#define TESTS_PROF_SCENE_H

#include "prof/sink.h"

#include <ashlar/event.h>
#include <ashlar/prof_view.h>

#define SCENE_CPUS   4u
#define SCENE_EVENTS 16u

struct scene {
    struct ash_prof_file_header header; /* 1 GHz from 0, unless a case says otherwise */
    const char *text;
    char strings[1024];
    uint32_t string_bytes;
    struct ash_prof_event events[SCENE_EVENTS];
    uint32_t event_count;
    struct ash_prof_task tasks[8];
    uint32_t task_count, cpu_count;
    struct ash_prof_trace traces[SCENE_CPUS];
    struct ash_trace_record *records[SCENE_CPUS];
    struct ash_prof_view *view; /* of scene_open */
    uint32_t task, depth;       /* of the next records */
};

static inline void scene_init(struct scene *scene, uint32_t cpus, uint32_t capacity) {
    memset(scene, 0, sizeof(*scene));
    scene->header.clock_hz = 1000000000;
    scene->text = "machine=a test\n";
    scene->string_bytes = 1;
    scene->cpu_count = cpus;
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        scene->traces[cpu].capacity = capacity;
        scene->records[cpu] = test_alloc(capacity * sizeof(struct ash_trace_record), 64);
    }
}

static inline uint32_t scene_string(struct scene *scene, const char *text) {
    uint32_t at = scene->string_bytes;
    CHECK(strlen(text) < sizeof(scene->strings) - at);
    memcpy(scene->strings + at, text, strlen(text) + 1);
    scene->string_bytes += (uint32_t)strlen(text) + 1;
    return at;
}

/* Returns its id: 1, 2 ... */
static inline uint32_t scene_event(struct scene *scene, uint32_t kind, const char *name,
                                   const char *fields) {
    uint32_t id = ++scene->event_count;
    CHECK(id <= SCENE_EVENTS);
    scene->events[id - 1] =
        (struct ash_prof_event){id, kind, scene_string(scene, name), scene_string(scene, fields)};
    return id;
}

static inline void scene_task(struct scene *scene, uint32_t id, uint32_t process,
                              const char *name) {
    struct ash_prof_task *task = &scene->tasks[scene->task_count++];
    task->id = id;
    task->process = process;
    memcpy(task->name, name, strlen(name) + 1);
}

static inline void scene_add(struct scene *scene, uint32_t cpu, uint64_t clock, uint32_t id,
                             uint64_t a, uint64_t b) {
    struct ash_prof_trace *trace = &scene->traces[cpu];
    uint64_t sequence = ++trace->emitted - trace->dropped;
    if (sequence > trace->capacity && trace->mode == ASH_TRACE_STOP) {
        trace->dropped++;
        return;
    }
    scene->records[cpu][sequence & (trace->capacity - 1)] =
        (struct ash_trace_record){.header = (uint64_t)scene->task << ASH_TRACE_TASK_SHIFT |
                                            (uint64_t)scene->depth << ASH_TRACE_DEPTH_SHIFT |
                                            (uint64_t)id << ASH_TRACE_ID_SHIFT | (uint32_t)sequence,
                                  .clock = clock,
                                  .a = a,
                                  .b = b};
}

static inline void scene_part(struct ash_prof_part *parts, uint32_t *count, uint32_t type,
                              uint32_t which, const void *bytes, size_t item, size_t items) {
    parts[(*count)++] =
        (struct ash_prof_part){type, which, (uint32_t)item, bytes, (uint64_t)item * items};
}

static inline const struct ash_prof_view *scene_open(struct scene *scene) {
    struct ash_prof_part parts[4 + 2 * SCENE_CPUS];
    uint32_t count = 0;
    char message[96] = "";
    scene_part(parts, &count, ASH_PROF_SECTION_TEXT, 0, scene->text, 1, strlen(scene->text));
    scene_part(parts, &count, ASH_PROF_SECTION_STRINGS, 0, scene->strings, 1, scene->string_bytes);
    scene_part(parts, &count, ASH_PROF_SECTION_EVENTS, 0, scene->events,
               sizeof(struct ash_prof_event), scene->event_count);
    scene_part(parts, &count, ASH_PROF_SECTION_TASKS, 0, scene->tasks, sizeof(struct ash_prof_task),
               scene->task_count);
    for (uint32_t cpu = 0; cpu < scene->cpu_count; cpu++) {
        scene_part(parts, &count, ASH_PROF_SECTION_TRACE, cpu, &scene->traces[cpu],
                   sizeof(struct ash_prof_trace), 1);
        scene_part(parts, &count, ASH_PROF_SECTION_RECORDS, cpu, scene->records[cpu],
                   sizeof(struct ash_trace_record), scene->traces[cpu].capacity);
    }
    struct sink file;
    sink_init(&file, ash_prof_file_bytes(parts, count));
    CHECK_EQ(ash_prof_file_write(&scene->header, parts, count, sink_write, &file), 0);
    char *bytes = test_alloc(file.used, 64);
    memcpy(bytes, file.bytes, file.used);
    scene->view = test_alloc(sizeof(*scene->view), 64);
    if (ash_prof_view_open(scene->view, bytes, file.used, message, sizeof(message)) != 0)
        test_fail(__FILE__, __LINE__, "the scene does not open: %s", message);
    return scene->view;
}

/* The view as `format`, into a new sink. */
static inline int scene_export(const struct ash_prof_view *view, enum ash_prof_format format,
                               struct sink *sink, uint32_t fail_at) {
    size_t bytes = ash_prof_export_work(view, format);
    CHECK(bytes != 0);
    sink_init(sink, 1 << 19);
    sink->fail_at = fail_at;
    return ash_prof_export(view, format, &sink->sink, test_alloc(bytes, 64), bytes);
}

#endif
