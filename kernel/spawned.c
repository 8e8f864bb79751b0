/* SPDX-License-Identifier: MIT */
/* spawned.c: see spawned.h. */
#include "spawned.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    void (*body)(void *workload);
} kinds[] = {
    [SPAWNED_PERIODIC] = {"rt", workload_periodic},
    [SPAWNED_HOG] = {"hog", workload_hog},
};

static void *workload_of(struct spawned *spawned) {
    switch (spawned->kind) {
    case SPAWNED_PERIODIC:
        return &spawned->periodic;
    case SPAWNED_HOG:
        return &spawned->hog;
    }
    return NULL;
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
