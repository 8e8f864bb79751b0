/* SPDX-License-Identifier: MIT */
/* stand.h: a scheduler with a clock, a few entities, and what their jobs have left to do. */
#ifndef ASHLAR_TESTS_SCHED_STAND_H
#define ASHLAR_TESTS_SCHED_STAND_H

#include <ashlar/sched.h>

#include "harness/test.h"

struct stand {
    struct ash_sched *sched;
    char *storage;
    size_t storage_bytes;
    uint64_t origin, now;
    struct ash_sched_decision decision;
};

/* A scheduler of `config` (entities_max 0: 32) whose clock begins at `now`. */
void stand_begin(struct stand *stand, struct ash_sched_config config, uint64_t now);

/* A new entity, asleep: attributes that must be taken. */
struct ash_sched_entity *stand_attach(struct stand *stand, struct ash_sched_attributes attributes);
/* Hard, of Q within D every T. */
struct ash_sched_entity *stand_server(struct stand *stand, uint64_t runtime, uint64_t deadline,
                                      uint64_t period, uint32_t flags);
/* A copy of all that the scheduler knows, and whether it is still the same (what admission used to
 * reckon with left aside). */
struct stand_copy {
    struct ash_sched sched;
    char *storage;
};
void stand_copy(const struct stand *stand, struct stand_copy *copy);
void stand_is_same(const struct stand *stand, const struct stand_copy *copy);

/* The reason why attributes are refused; nothing else has changed. */
enum ash_sched_reason stand_refused(struct stand *stand, struct ash_sched_attributes attributes);

void stand_wake(struct stand *stand, struct ash_sched_entity *entity);
void stand_block(struct stand *stand);
void stand_decide(struct stand *stand);

/* Decides now, and at each time that is asked for, until `until`; what runs then. */
struct ash_sched_entity *stand_run(struct stand *stand, uint64_t until);
/* The same, for so long. */
struct ash_sched_entity *stand_go(struct stand *stand, uint64_t ahead_ns);

/* Since its beginning. */
static inline uint64_t stand_time(const struct stand *stand) {
    return stand->now - stand->origin;
}

/* What it has run so far. */
uint64_t stand_ran(struct stand *stand, struct ash_sched_entity *entity);

#endif
