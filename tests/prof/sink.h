/* SPDX-License-Identifier: MIT */
/*
 * sink.h: a sink of exports that keeps what it is given, file by file, and fails where it is told
 * to.
 */
#ifndef TESTS_PROF_SINK_H
#define TESTS_PROF_SINK_H

#include "harness/test.h"

#include <ashlar/prof_export.h>

#define SINK_FILES 16

struct sink_file {
    const char *name;
    size_t start, len; /* among the bytes */
};

struct sink {
    struct ash_prof_sink sink;
    char *bytes;
    size_t used, capacity;
    struct sink_file files[SINK_FILES]; /* [0] has no name: of formats with one file */
    uint32_t file_count;
    uint32_t calls, fail_at; /* the fail_at-th call of write or open fails; 0: none does */
    uint32_t calls_after;    /* a failure: there must be none */
    uint64_t done, of, progress_calls;
};

static inline int sink_call(struct sink *sink) {
    sink->calls++;
    if (sink->fail_at != 0 && sink->calls > sink->fail_at)
        sink->calls_after++;
    return sink->calls == sink->fail_at ? -ASH_ENOSPC : 0;
}

static inline int sink_write(void *context, const void *bytes, size_t len) {
    struct sink *sink = context;
    int error = sink_call(sink);
    if (error != 0)
        return error;
    CHECK(len <= sink->capacity - sink->used);
    memcpy(sink->bytes + sink->used, bytes, len);
    sink->used += len;
    sink->files[sink->file_count - 1].len += len;
    return 0;
}

static inline int sink_open(void *context, const char *name) {
    struct sink *sink = context;
    size_t len = strlen(name) + 1;
    CHECK(sink->file_count < SINK_FILES);
    sink->files[sink->file_count].name = memcpy(test_alloc(len, 1), name, len);
    sink->files[sink->file_count].start = sink->used;
    sink->files[sink->file_count++].len = 0;
    return sink_call(sink);
}

static inline void sink_progress(void *context, uint64_t done, uint64_t of) {
    struct sink *sink = context;
    CHECK(done >= sink->done && done <= of && (sink->of == 0 || of == sink->of));
    sink->done = done;
    sink->of = of;
    sink->progress_calls++;
}

static inline void sink_init(struct sink *sink, size_t capacity) {
    memset(sink, 0, sizeof(*sink));
    sink->sink =
        (struct ash_prof_sink){.write = sink_write, .open = sink_open, .progress = sink_progress};
    sink->sink.context = sink;
    sink->bytes = test_alloc(capacity + 1, 8);
    sink->capacity = capacity;
    sink->file_count = 1;
}

/* What was written so far, as a string. */
static inline const char *sink_text(struct sink *sink) {
    sink->bytes[sink->used] = 0;
    return sink->bytes;
}

/* The file of that name; fails the case if there is none. */
static inline const struct sink_file *sink_file(const struct sink *sink, const char *name) {
    for (uint32_t i = 1; i < sink->file_count; i++) {
        if (strcmp(sink->files[i].name, name) == 0)
            return &sink->files[i];
    }
    test_fail(__FILE__, __LINE__, "no file %s was written", name);
}

#endif
