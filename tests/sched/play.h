/* SPDX-License-Identifier: MIT */
/* play.h: jobs for a stand's entities, played against its clock, and who ran when, as a text. All
 * times are from the stand's beginning. */
#ifndef ASHLAR_TESTS_SCHED_PLAY_H
#define ASHLAR_TESTS_SCHED_PLAY_H

#include "sched/stand.h"

enum { PLAY_JOBS = 64 };

struct play_load {
    char name;
    struct ash_sched_entity *entity;
    struct {
        uint64_t release, work;
    } jobs[PLAY_JOBS];
    uint32_t count;
    uint32_t next, done;      /* jobs released, and ended */
    uint64_t ran_before;      /* the entity's runtime when the job began */
    uint64_t ends[PLAY_JOBS]; /* when each did */
};

/* Jobs of `work` every `period`, the first at `from`, as many as there is room for. */
void play_every(struct play_load *load, uint64_t from, uint64_t period, uint64_t work);

/* Plays until then. `segments` gets "0-2a 2-5b": what ran, gaps left out. */
void play(struct stand *stand, struct play_load *loads, uint32_t count, uint64_t until,
          char *segments, size_t bytes);

#endif
