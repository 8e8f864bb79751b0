/* SPDX-License-Identifier: MIT */
/*
 * prof_view.h: a container's contents, in place: what all exports are made from.
 *
 * Rules
 *  - After ash_prof_view_open every array and string that the view points at lies inside the bytes,
 *    strings end, symbols are sorted, images are where they say. What single records, samples and
 *    stacks say is checked by the functions that hand them out.
 *  - Bytes that changed since they were written are seen by the check sums: by that of header and
 *    table the file is refused; by that of the contents view->is_damaged is set, and who shows what
 *    is in there says so.
 *  - The bytes must stay as they are while the view is used. No allocation; no state: a view may be
 *    copied, and read by several.
 *  - Whoever knows more symbols may point `strings`, `images` and `symbols` at arrays of its own
 *    that keep these rules.
 */
#ifndef ASHLAR_PROF_VIEW_H
#define ASHLAR_PROF_VIEW_H

#include <ashlar/prof.h>
#include <ashlar/prof_file.h>
#include <ashlar/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ash_prof_view_cpu {
    const struct ash_prof_trace *trace; /* NULL: the CPU has none */
    const struct ash_trace_record *records;
    uint32_t record_count;
    const struct ash_prof_profile *profile; /* NULL: none */
    const struct ash_prof_sample *samples;
    uint32_t sample_count;
    const uint64_t *words;
    uint32_t word_count;
};

struct ash_prof_view {
    const struct ash_prof_file_header *header;
    const char *text;
    size_t text_bytes;
    const char *strings;
    size_t string_bytes;
    const struct ash_prof_event *events;
    uint32_t event_count;
    const struct ash_prof_task *tasks;
    uint32_t task_count;
    const struct ash_prof_image *images;
    uint32_t image_count;
    const struct ash_prof_symbol *symbols[ASH_PROF_FILE_SYMBOLS_MAX]; /* by the `which` */
    uint32_t symbol_counts[ASH_PROF_FILE_SYMBOLS_MAX];
    bool is_damaged;    /* the contents are not those that were written */
    uint32_t cpu_count; /* 1 + the highest */
    struct ash_prof_view_cpu cpus[ASH_PROF_FILE_CPUS_MAX];
};

/* bytes: aligned to 64 (a mapped file is). On -ASH_EINVAL `message` is a sentence for people, which
 * begins with a small letter and has no full stop; 96 bytes are enough. O(bytes). */
int ash_prof_view_open(struct ash_prof_view *view, const void *bytes, size_t len, char *message,
                       size_t message_bytes) ASH_MUST_CHECK;

/* The value behind "key=" in the text, its length in *len; NULL: it has none. */
const char *ash_prof_view_text(const struct ash_prof_view *view, const char *key, size_t *len);

/* At an offset of events, images and symbols. */
static inline const char *ash_prof_view_string(const struct ash_prof_view *view, uint32_t offset) {
    return view->strings + offset;
}

/* By the id as records have it; NULL: not known. O(log events). */
const struct ash_prof_event *ash_prof_view_event(const struct ash_prof_view *view, uint32_t id);
/* By the number as records have it, modulo ASH_TRACE_TASK_MAX + 1. NULL: not known. O(tasks). */
const struct ash_prof_task *ash_prof_view_task(const struct ash_prof_view *view, uint32_t task);

/* What a frame is. process: of the task, 0 for the kernel's frames. is_return: the address is a
 * return address. False: it is in no image; image may be known without a symbol (name NULL).
 * O(images + log symbols). */
struct ash_prof_place {
    const struct ash_prof_image *image;
    const char *name;
    uint64_t offset; /* into the function, or, without one, the address in the ELF file */
};
bool ash_prof_view_place(const struct ash_prof_view *view, uint32_t process, uint64_t address,
                         bool is_return, struct ash_prof_place *place);

/*
 * Records of one CPU by their time, which never runs backwards: they are in the order of their
 * reservation, and an interrupt may have come between that and the clock, so those of a window are
 * sorted. What is still older than the one before (a clock that was set back, a hostile file) is
 * handed out with the other's time, and counted.
 */
#define ASH_PROF_WINDOW 16u
struct ash_prof_record_cursor {
    uint64_t disordered; /* handed out so far with another time than their own */
    uint64_t next;       /* private from here */
    uint64_t clock;
    uint32_t held;
    struct ash_trace_record window[ASH_PROF_WINDOW];
};
void ash_prof_records_begin(struct ash_prof_record_cursor *cursor);
bool ash_prof_records_next(const struct ash_prof_view *view, uint32_t cpu,
                           struct ash_prof_record_cursor *cursor, struct ash_trace_record *record);

/* Those of all CPUs by their time; at the same time the lower CPU's first. `lanes` are
 * view->cpu_count of them. Each next: O(CPUs). */
struct ash_prof_lane {
    struct ash_prof_record_cursor cursor;
    bool has_record;
    struct ash_trace_record record;
};
void ash_prof_merged_begin(const struct ash_prof_view *view, struct ash_prof_lane *lanes);
bool ash_prof_merged_next(const struct ash_prof_view *view, struct ash_prof_lane *lanes,
                          uint32_t *cpu, struct ash_trace_record *record);

/* O(records); emitted is the sum of the others. A CPU without a ring has none. */
struct ash_prof_loss {
    uint64_t emitted, exported, overwritten;
    uint64_t dropped; /* with those that were not finished */
};
void ash_prof_view_loss(const struct ash_prof_view *view, uint32_t cpu, struct ash_prof_loss *loss);

/* A CPU's samples from the oldest on with their clocks and frames; false: there are no more.
 * Damaged ones (a stack that is none) are handed out with no frames, and say so. The clock is that
 * of the newest less all ticks since: before a sample with ASH_PROF_GAP it is too late. */
struct ash_prof_view_sample {
    const struct ash_prof_sample *sample;
    uint64_t clock;
    const uint64_t *frames;
    uint32_t frame_count, kernel_count, stack_flags;
    bool is_damaged;
};
struct ash_prof_sample_cursor {
    uint32_t next;
    uint64_t clock;
};
void ash_prof_samples_begin(struct ash_prof_sample_cursor *cursor);
bool ash_prof_samples_next(const struct ash_prof_view *view, uint32_t cpu,
                           struct ash_prof_sample_cursor *cursor,
                           struct ash_prof_view_sample *sample);

/* Nanoseconds of the machine's clock, since its origin; 0 before it. Saturates. */
uint64_t ash_prof_view_ns(const struct ash_prof_view *view, uint64_t clock);

#ifdef __cplusplus
}
#endif

#endif
