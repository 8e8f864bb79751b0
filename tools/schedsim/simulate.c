/* SPDX-License-Identifier: MIT */
/* simulate.c: what all kinds of simulation need. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ashlar/check.h>

#include "simulate_internal.h"

enum { RECORDS_MAX = 4000000 }; /* of one list of a result */

bool simulation_fails(struct simulation *simulation, const char *format, ...) {
    va_list arguments;
    int len = snprintf(simulation->error, TASKSET_ERROR_MAX, "line %u: ", simulation->set->line);
    va_start(arguments, format);
    vsnprintf(simulation->error + len, TASKSET_ERROR_MAX - (size_t)len, format, arguments);
    va_end(arguments);
    return false;
}

bool simulation_open(struct simulation *simulation, struct ash_sched_config *config) {
    size_t count = simulation->set->task_count, bytes;
    config->entities_max = (uint32_t)count;
    bytes = ash_sched_storage_size(config);
    simulation->entities = aligned_alloc(64, count * sizeof(*simulation->entities));
    simulation->storage = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (simulation->entities == NULL || simulation->storage == NULL)
        return simulation_fails(simulation, "there is no memory for so many tasks");
    memset(simulation->entities, 0, count * sizeof(*simulation->entities));
    simulation_must(ash_sched_init(&simulation->sched, config, simulation->storage, bytes, 0),
                    "init");
    return true;
}

void simulation_close(struct simulation *simulation) {
    free(simulation->entities);
    free(simulation->storage);
    simulation->entities = NULL;
    simulation->storage = NULL;
}

int64_t simulation_ticks(const struct simulation *simulation, struct rational value) {
    __int128 ticks = (__int128)value.num * (simulation->unit / value.den);
    return ticks > 2 * TICKS_MAX ? 2 * TICKS_MAX : (int64_t)ticks;
}

void simulation_must(int status, const char *call) {
    ASH_REQUIRE(status >= 0, "ash_sched_%s: error %d", call, -status);
}

bool simulation_attach(struct simulation *simulation, size_t task,
                       const struct ash_sched_attributes *attributes) {
    struct ash_sched_refusal refusal;
    int status =
        ash_sched_attach(&simulation->sched, &simulation->entities[task], attributes, 0, &refusal);
    const char *name = simulation->set->tasks[task].name;
    if (status < 0)
        return simulation_fails(simulation, "%s%s%s cannot be simulated: %s",
                                name != NULL ? "\"" : "", name != NULL ? name : "this set",
                                name != NULL ? "\"" : "", ash_sched_reason_text(refusal.reason));
    simulation->entities[task].user = (void *)&simulation->set->tasks[task];
    return true;
}

bool simulation_refine(struct simulation *simulation, struct rational value, uint64_t most) {
    char text[RATIONAL_TEXT_MAX];
    uint64_t unit = rational_lcm((uint64_t)simulation->unit, (uint64_t)value.den, most);
    if (unit == 0)
        return simulation_fails(simulation,
                                "its numbers have no common denominator below 2^60: %s is too fine",
                                rational_text(value, text));
    simulation->unit = (int64_t)unit;
    return true;
}

void *simulation_append(struct simulation *simulation, void *list, size_t size, size_t *count,
                        size_t *room) {
    char **items = list;
    if (*count == *room) {
        size_t more = *room == 0 ? 64 : *room * 2;
        char *grown = more <= RECORDS_MAX * 2 ? realloc(*items, more * size) : NULL;
        if (grown == NULL) {
            simulation_fails(simulation,
                             "too much happens before the end (more than %zu segments, jobs or "
                             "events of servers): let it end earlier",
                             *count);
            return NULL;
        }
        *items = grown;
        *room = more;
    }
    return memset(*items + size * (*count)++, 0, size);
}

bool simulation_segment(struct simulation *simulation, int64_t start, int64_t end, size_t task,
                        uint32_t level) {
    struct result *result = simulation->result;
    struct segment *last =
        result->segment_count != 0 ? &result->segments[result->segment_count - 1] : NULL;
    if (start == end)
        return true;
    result->ran[task] += (uint64_t)(end - start);
    if (last != NULL && last->end == start && last->task == task && last->level == level) {
        last->end = end;
        return true;
    }
    last = simulation_append(simulation, &result->segments, sizeof(*last), &result->segment_count,
                             &result->segment_room);
    if (last == NULL)
        return false;
    *last = (struct segment){.start = start, .end = end, .task = (uint32_t)task, .level = level};
    return true;
}

bool simulate(const struct taskset *set, struct result *result, char error[TASKSET_ERROR_MAX]) {
    struct simulation simulation = {.set = set, .result = result, .unit = 1, .error = error};
    bool good;
    *result = (struct result){.set = set, .unit = 1, .exact = true};
    result->ran = calloc(set->task_count, sizeof(*result->ran));
    if (result->ran == NULL)
        return simulation_fails(&simulation, "there is no memory for so many tasks");
    switch (set->kind) {
    case TASKSET_FAIR:
        good = simulate_fair(&simulation);
        break;
    case TASKSET_EEVDF:
        good = simulate_eevdf(&simulation);
        break;
    case TASKSET_MLFQ:
        good = simulate_mlfq(&simulation);
        break;
    case TASKSET_FEASIBILITY:
        good = simulate_admission(&simulation);
        break;
    default:
        good = simulate_schedule(&simulation);
    }
    simulation_close(&simulation);
    if (!good)
        result_free(result);
    return good;
}
