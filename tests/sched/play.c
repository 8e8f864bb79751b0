/* SPDX-License-Identifier: MIT */
#include "sched/play.h"

struct tape {
    char *start, *at, *end;
    char name;
    uint64_t since;
};

void play_every(struct play_load *load, uint64_t from, uint64_t period, uint64_t work) {
    for (load->count = 0; load->count < PLAY_JOBS; load->count++) {
        load->jobs[load->count].release = from + load->count * period;
        load->jobs[load->count].work = work;
    }
}

static void put_char(struct tape *tape, char c) {
    CHECK(tape->at + 1 < tape->end);
    *tape->at++ = c;
    *tape->at = '\0';
}

static void put_number(struct tape *tape, uint64_t number) {
    char digits[20];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count != 0)
        put_char(tape, digits[--count]);
}

/* From `now` on `name` runs, 0: nothing. */
static void record(struct tape *tape, char name, uint64_t now) {
    if (name == tape->name)
        return;
    if (tape->name != 0 && now != tape->since) {
        if (tape->at != tape->start)
            put_char(tape, ' ');
        put_number(tape, tape->since);
        put_char(tape, '-');
        put_number(tape, now);
        put_char(tape, tape->name);
    }
    tape->name = name;
    tape->since = now;
}

static uint64_t left_of(struct stand *stand, const struct play_load *load) {
    uint64_t ran = stand_ran(stand, load->entity) - load->ran_before;
    CHECK(ran <= load->jobs[load->done].work);
    return load->jobs[load->done].work - ran;
}

/* The job of what runs is done, and the next, if it has been released, begins at once. */
static void complete(struct stand *stand, struct play_load *load) {
    if (stand->decision.run != load->entity || left_of(stand, load) != 0)
        return;
    load->ran_before = stand_ran(stand, load->entity);
    load->ends[load->done++] = stand_time(stand);
    if (load->done == load->next) {
        stand_block(stand);
        stand->decision.run = NULL;
    }
}

static void release(struct stand *stand, struct play_load *load) {
    while (load->next < load->count && load->jobs[load->next].release == stand_time(stand)) {
        if (load->next++ == load->done)
            stand_wake(stand, load->entity);
    }
}

static uint64_t nearest(struct stand *stand, const struct play_load *loads, uint32_t count,
                        uint64_t until) {
    uint64_t next = until;
    if (stand->decision.timed)
        next = ash_min_u64(next, stand->decision.call_at - stand->origin);
    for (uint32_t i = 0; i < count; i++) {
        if (loads[i].next < loads[i].count)
            next = ash_min_u64(next, loads[i].jobs[loads[i].next].release);
        if (stand->decision.run == loads[i].entity)
            next = ash_min_u64(next, stand_time(stand) + left_of(stand, &loads[i]));
    }
    CHECK(next >= stand_time(stand));
    return next;
}

void play(struct stand *stand, struct play_load *loads, uint32_t count, uint64_t until,
          char *segments, size_t bytes) {
    struct tape tape = {segments, segments, segments + bytes, 0, stand_time(stand)};
    *segments = '\0';
    while (stand_time(stand) < until) {
        for (uint32_t i = 0; i < count; i++)
            complete(stand, &loads[i]);
        for (uint32_t i = 0; i < count; i++)
            release(stand, &loads[i]);
        char name = 0;
        stand_decide(stand);
        for (uint32_t i = 0; i < count; i++)
            name = stand->decision.run == loads[i].entity ? loads[i].name : name;
        record(&tape, name, stand_time(stand));
        stand->now = stand->origin + nearest(stand, loads, count, until);
    }
    for (uint32_t i = 0; i < count; i++)
        complete(stand, &loads[i]);
    record(&tape, 0, stand_time(stand));
}
