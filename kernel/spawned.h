/* SPDX-License-Identifier: MIT */
/*
 * spawned.h: the workloads that the shell has started as threads, until they have ended. Called by
 * the shell's thread alone.
 */
#ifndef KERNEL_SPAWNED_H
#define KERNEL_SPAWNED_H

#include "workloads.h"

enum spawned_kind { SPAWNED_PERIODIC, SPAWNED_HOG, SPAWNED_IO, SPAWNED_KINDS };

struct spawned {
    enum spawned_kind kind;
    uint32_t id;
    char name[THREAD_NAME_BYTES];
    union {
        struct workload_periodic periodic;
        struct workload_hog hog;
        struct workload_io io;
    };
    struct spawned *next;
};

/* Begins as all zeros. */
struct spawned_list {
    struct spawned *first;
    uint32_t made[SPAWNED_KINDS]; /* of each kind, for their names */
};

/*
 * A copy of `what`, with its kind and workload filled in, as a thread: "rt1", "hog1", ... NULL:
 * *error is thread_create's.
 */
struct spawned *spawned_start(struct spawned_list *list, struct kernel_memory *memory,
                              const struct spawned *what,
                              const struct ash_sched_attributes *attributes, int *error,
                              struct ash_sched_refusal *refusal);

/* NULL: it is none of the list. */
struct spawned *spawned_find(const struct spawned_list *list, uint32_t id);

/* "rt", "hog", "io". */
const char *spawned_kind_name(enum spawned_kind kind);

enum { SPAWNED_TEXT_BYTES = 160 };

/* What it has done so far, without its name; in `text`. */
const char *spawned_text(const struct spawned *spawned, char text[SPAWNED_TEXT_BYTES]);

/* Forgets those that have ended. */
void spawned_reap(struct spawned_list *list, struct kernel_memory *memory);

#endif
