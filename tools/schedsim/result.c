/* SPDX-License-Identifier: MIT */
/* result.c: what came of a task set. */
#include <stdlib.h>
#include <string.h>

#include "result.h"

const char *server_event_name(enum server_event event) {
    static const char *const names[] = {"wake-new",  "wake-keep", "wake-revised",
                                        "replenish", "throttle",  "idle"};
    return names[event];
}

struct rational result_units(const struct result *result, int64_t ticks) {
    struct rational units = {0, 1};
    /* Both fit: what is made is no larger than they are. */
    (void)rational_make(ticks, result->unit, &units);
    return units;
}

/* A stable sort by task, a uint32_t at `offset` in each of the items. */
static size_t *group(void **items, size_t count, size_t size, size_t offset, size_t tasks) {
    size_t *first = calloc(tasks + 2, sizeof(*first));
    char *sorted = malloc(count * size + 1), *from = *items;
    if (first == NULL || sorted == NULL) {
        free(first);
        free(sorted);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        first[*(uint32_t *)(void *)(from + i * size + offset) + 2]++;
    for (size_t task = 2; task < tasks + 2; task++)
        first[task] += first[task - 1];
    /* first[task + 1] is where the next one of the task goes, and ends as where they end. */
    for (size_t i = 0; i < count; i++) {
        uint32_t task = *(uint32_t *)(void *)(from + i * size + offset);
        memcpy(sorted + first[task + 1]++ * size, from + i * size, size);
    }
    free(*items);
    *items = sorted;
    return first;
}

bool result_group(struct result *result) {
    size_t tasks = result->set->task_count;
    void *entries = result->entries, *points = result->points;
    result->first_entry = group(&entries, result->entry_count, sizeof(*result->entries),
                                offsetof(struct server_entry, task), tasks);
    result->first_point = group(&points, result->point_count, sizeof(*result->points),
                                offsetof(struct budget_point, task), tasks);
    result->entries = entries;
    result->points = points;
    return result->first_entry != NULL && result->first_point != NULL;
}

void result_free(struct result *result) {
    free(result->segments);
    free(result->jobs);
    free(result->entries);
    free(result->points);
    free(result->first_entry);
    free(result->first_point);
    free(result->ran);
    free(result->order);
}
