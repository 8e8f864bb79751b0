/* SPDX-License-Identifier: MIT */
/*
 * export_chrome.h: Trace Event JSON, as strict as its strictest reader wants it.
 *
 * Two passes over all records by their time. The first finds the tracks, and the slices whose begin
 * is not in the trace (a flight recorder starts anywhere): they open at the trace's first time.
 * The second writes. Both run the same machine: a stack of open slices a track.
 *
 *  - B and E balance on each track, with one name for both. An E whose B is nowhere is an instant
 *    of the category "unmatched"; what lies above a slice that ends is closed with it; what is
 *    still open at the last record is closed there. otherData counts all three.
 *  - B and E carry no args: speedscope takes a name with other args for another function. What is
 *    not in the name is in an instant beside it, of the category "details".
 *  - Time never goes backwards in the file, and a slice lasts a nanosecond or more: readers that
 *    sort by time could not tell else in which order a begin and an end of the same time were.
 *  - No tid is 0 and no two tracks share one, whatever their pid: tasks have their number (0 that
 *    above the largest), CPUs the ones above.
 */
#ifndef ASHLAR_PROF_EXPORT_CHROME_H
#define ASHLAR_PROF_EXPORT_CHROME_H

#include "export_records.h"

enum {
    TID_TASK_0 = ASH_TRACE_TASK_MAX + 1,
    TID_ASYNC,
    TID_CPU, /* + 2 * cpu: who runs; the next: interrupts */
};

enum { NO_SLICE = 0, RUNNING = ASH__PROF_TYPES };

struct chrome_slice {
    uint64_t a;     /* the begin's first argument; RUNNING: the task */
    uint32_t below; /* the slice around it */
    uint16_t type;  /* of its begin; RUNNING */
    uint16_t depth;
};

struct chrome_track {
    uint64_t pid;
    uint32_t tid;
    uint32_t top;                  /* the innermost open slice */
    uint32_t lost;                 /* first pass: slices without a begin, the outermost first */
    uint64_t opened_ns, closed_ns; /* of the last B, E; 0: none yet */
    uint64_t closed_a;
    uint16_t closed_type;
};

struct chrome_async { /* 0: never used */
    uint64_t id;
    uint16_t type; /* `same`, + 1 */
    bool is_open;
};

struct chrome_cpu {
    struct ash_prof_loss loss;
    uint64_t left;  /* records that the second pass has still to write */
    uint32_t first; /* 1 + the task that ran before the first switch; 0: there is none */
    bool has_begun;
};

struct chrome {
    struct ash__prof_out out;
    const struct ash_prof_view *view;
    struct ash_prof_lane *lanes;
    struct ash__prof_type *types;
    struct chrome_cpu *cpus;
    struct chrome_track *tracks;
    uint32_t *track_index; /* hash of tid -> 1 + index; 0: none */
    uint32_t track_count, track_mask;
    struct chrome_slice *slices; /* [0] is none */
    uint32_t slice_count, free_slice;
    struct chrome_async *async;
    uint64_t async_mask;
    uint64_t kernel_pid, cpus_pid;
    uint64_t now_ns, first_ns;
    uint64_t records, late, opened, closed, unmatched, unknown;
    bool is_writing; /* the second pass */
    bool has_event;
};

/* A record with what belongs to it. */
struct chrome_record {
    const struct ash__prof_type *type;
    struct chrome_track *track;
    uint64_t a, b;
    uint32_t id, depth;
};

/* export_chrome_slices.c */
struct chrome_track *ash__chrome_track(struct chrome *chrome, uint32_t tid, uint32_t task);
void ash__chrome_open(struct chrome *chrome, struct chrome_track *track, uint32_t type, uint64_t a,
                      uint32_t depth);
/* False: there is none to close. */
bool ash__chrome_close(struct chrome *chrome, struct chrome_track *track, uint32_t same,
                       uint32_t depth);
void ash__chrome_close_all(struct chrome *chrome, struct chrome_track *track);
/* First pass: the slice began before the trace. */
void ash__chrome_lost_begin(struct chrome *chrome, const struct chrome_record *record);
/* Second pass, before the first record: the tracks' slices of that kind. */
void ash__chrome_open_lost(struct chrome *chrome, struct chrome_track *track);

/* export_chrome_write.c */
void ash__chrome_slice(struct chrome *chrome, char phase, const struct chrome_track *track,
                       const struct chrome_slice *slice);
void ash__chrome_instant(struct chrome *chrome, const struct chrome_record *record,
                         const char *category);
void ash__chrome_async(struct chrome *chrome, char phase, uint32_t type, uint64_t id,
                       const struct chrome_record *record);
void ash__chrome_counter(struct chrome *chrome, const struct chrome_record *record);
void ash__chrome_loss(struct chrome *chrome, uint32_t cpu, const char *what, uint64_t count);
void ash__chrome_metadata(struct chrome *chrome);
void ash__chrome_other_data(struct chrome *chrome);
/* All of the record is in its name: an instant beside it would add nothing. */
bool ash__chrome_is_told(const struct ash__prof_type *type);

#endif
