/* SPDX-License-Identifier: MIT */
/* spawned.c: see spawned.h. */
#include "spawned.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>

#include "numbers.h"

static const struct {
    const char *name;
    void (*body)(void *workload);
} kinds[] = {
    [SPAWNED_PERIODIC] = {"rt", workload_periodic},
    [SPAWNED_HOG] = {"hog", workload_hog},
    [SPAWNED_IO] = {"io", workload_io},
};

static void *workload_of(struct spawned *spawned) {
    if (spawned->kind == SPAWNED_PERIODIC)
        return &spawned->periodic;
    return spawned->kind == SPAWNED_HOG ? (void *)&spawned->hog : &spawned->io;
}

static void append(struct spawned_list *list, struct spawned *spawned) {
    struct spawned **end = &list->first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = spawned;
}

struct spawned *spawned_start(struct spawned_list *list, struct kernel_memory *memory,
                              const struct spawned *what,
                              const struct ash_sched_attributes *attributes, int *error,
                              struct ash_sched_refusal *refusal) {
    struct thread_options options = {.attributes = *attributes};
    struct spawned *spawned = ash_kmalloc(&memory->heap, sizeof(*spawned));
    *error = -ASH_ENOMEM;
    if (spawned == NULL)
        return NULL;
    *spawned = *what;
    snprintf(spawned->name, sizeof(spawned->name), "%s%" PRIu32, kinds[what->kind].name,
             list->made[what->kind] + 1);
    options.name = spawned->name;
    *error = thread_create(&options, kinds[what->kind].body, workload_of(spawned), &spawned->id,
                           refusal);
    if (*error != 0) {
        ash_kfree(&memory->heap, spawned);
        return NULL;
    }
    list->made[what->kind]++;
    append(list, spawned);
    return spawned;
}

struct spawned *spawned_find(const struct spawned_list *list, uint32_t id) {
    struct spawned *spawned = list->first;
    while (spawned != NULL && spawned->id != id)
        spawned = spawned->next;
    return spawned;
}

void spawned_reap(struct spawned_list *list, struct kernel_memory *memory) {
    for (struct spawned **at = &list->first; *at != NULL;) {
        struct spawned *spawned = *at;
        if (thread_join(spawned->id, 0) != 0) {
            at = &spawned->next;
            continue;
        }
        *at = spawned->next;
        ash_kfree(&memory->heap, spawned);
    }
    thread_reap();
}

/* What they have done */

const char *spawned_kind_name(enum spawned_kind kind) {
    return kinds[kind].name;
}

static void print_periodic(const struct workload_periodic *periodic,
                           char text[SPAWNED_TEXT_BYTES]) {
    char response[DURATION_TEXT_BYTES], delay[DURATION_TEXT_BYTES];
    struct workload_counts counts;
    workload_periodic_look(periodic, &counts);
    snprintf(text, SPAWNED_TEXT_BYTES,
             "%" PRIu64 " jobs, %" PRIu64 " late; the longest %s, begun %s late at most",
             counts.jobs, counts.misses, duration_text(response, counts.response_max_ns),
             duration_text(delay, counts.delay_max_ns));
}

static void print_io(const struct workload_io *io, char text[SPAWNED_TEXT_BYTES]) {
    char wait[DURATION_TEXT_BYTES];
    struct workload_io_counts counts;
    workload_io_look(io, &counts);
    snprintf(text, SPAWNED_TEXT_BYTES, "%" PRIu64 " reads, %" PRIu64 " failed; the longest %s",
             counts.reads, counts.errors, duration_text(wait, counts.wait_max_ns));
}

const char *spawned_text(const struct spawned *spawned, char text[SPAWNED_TEXT_BYTES]) {
    if (spawned->kind == SPAWNED_PERIODIC)
        print_periodic(&spawned->periodic, text);
    else if (spawned->kind == SPAWNED_HOG)
        snprintf(text, SPAWNED_TEXT_BYTES, "%" PRIu64 " rounds",
                 ash_load_relaxed(&spawned->hog.rounds));
    else
        print_io(&spawned->io, text);
    return text;
}
