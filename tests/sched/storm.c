/* SPDX-License-Identifier: MIT */
/*
 * storm.c: every call at random, with attributes of every kind, some of them wrong. After each the
 * full check; and what decide says is never one that sleeps, nor asks to be called before now, and
 * leaves no CPU to a lower class while a higher one wants it. Wake says that decide would say
 * something else because of it if and only if it would.
 */
#include "sched_internal.h"

#include "sched/stand.h"

enum { ENTITIES = 12, STEPS = 300 };

struct storm {
    struct stand stand;
    struct ash_sched_entity entities[ENTITIES];
    struct test_random random;
    bool decided; /* what decide said last is what would be said again */
};

static uint64_t any_time(struct test_random *random) {
    static const uint64_t odd[] = {
        0, 1, 1000, ASH_SCHED_TIME_MAX_NS, ASH_SCHED_TIME_MAX_NS + 1, UINT64_MAX};
    if (test_random_chance(random, 10))
        return odd[test_random_below(random, ASH_ARRAY_LEN(odd))];
    return 1 + test_random_below(random, 1000);
}

static struct ash_sched_attributes any_attributes(struct test_random *random) {
    struct ash_sched_attributes attributes = {.flags = 0};
    switch (test_random_below(random, 5)) {
    case 0:
        attributes.flags = ASH_SCHED_NICE;
        attributes.nice = (int32_t)test_random_below(random, 42) - 21;
        attributes.slice_ns = test_random_chance(random, 50) ? any_time(random) : 0;
        break;
    case 1:
        attributes.flags = ASH_SCHED_IDLEST;
        break;
    case 2:
        attributes.deadline_ns = any_time(random);
        break;
    case 3:
        attributes.runtime_ns = any_time(random) / 4;
        attributes.deadline_ns = test_random_chance(random, 50) ? any_time(random) : 0;
        attributes.period_ns = any_time(random);
        attributes.flags = (uint32_t)test_random_below(random, 8) & ~1u;
        break;
    default:
        break;
    }
    return attributes;
}

static struct ash_sched_config any_config(struct test_random *random) {
    static const uint64_t allotments_ns[] = {100, 700, 50, 3000, 20, 1000};
    struct ash_sched_config config = {.entities_max = ENTITIES - 2, .slice_ns = 50};
    config.flags = (uint32_t)test_random_below(random, 8);
    config.allotments_ns = allotments_ns;
    config.boost_ns = test_random_chance(random, 50) ? 1000 : 0;
    config.starving_ns = test_random_chance(random, 50) ? 5000 : 0;
    config.levels = 1 + (uint32_t)test_random_below(random, ASH_ARRAY_LEN(allotments_ns));
    if (test_random_chance(random, 60)) {
        config.reserve_runtime_ns = 5;
        config.reserve_period_ns = 100;
    }
    return config;
}

static bool wants(const struct storm *storm, enum ash_sched_class class_) {
    for (uint32_t i = 0; i < ENTITIES; i++) {
        const struct ash_sched_entity *entity = &storm->entities[i];
        if (entity->sched != NULL && entity->class_ == class_ && entity->state == ASH_SCHED_READY)
            return true;
    }
    return false;
}

static void decide(struct storm *storm) {
    struct stand *stand = &storm->stand;
    stand_decide(stand);
    storm->decided = true;
    const struct ash_sched_entity *run = stand->decision.run;
    bool shares = wants(storm, ASH_SCHED_FAIR) || wants(storm, ASH_SCHED_INTERACTIVE);
    CHECK(run == NULL || run->state == ASH_SCHED_READY);
    CHECK(run != NULL || !(shares || wants(storm, ASH_SCHED_REALTIME)));
    CHECK(run != NULL || !wants(storm, ASH_SCHED_IDLE));
    CHECK(!stand->decision.timed || (int64_t)(stand->decision.call_at - stand->now) > 0);
    if (run != NULL && run->class_ == ASH_SCHED_IDLE)
        CHECK(!shares && !wants(storm, ASH_SCHED_REALTIME));
    if (run != NULL && run->class_ != ASH_SCHED_REALTIME &&
        stand->sched->config.reserve_runtime_ns == 0)
        CHECK(!wants(storm, ASH_SCHED_REALTIME));
}

/* Nothing but this wake has happened since decide. What also asks for a call: the reservation for
 * fair, once it is used; the watchdog; and less than a nanosecond of budget, which decide takes
 * away. */
static void check_wake(struct storm *storm, const struct ash_sched_entity *woken, bool preempts) {
    struct stand *stand = &storm->stand;
    struct ash_sched_decision before = stand->decision, *after = &stand->decision;
    if (before.timed && !ash__sched_before(stand->now, before.call_at)) {
        CHECK(preempts);
        return;
    }
    decide(storm);
    bool earlier =
        after->timed && (!before.timed || ash__sched_before(after->call_at, before.call_at));
    if (!preempts) {
        CHECK(after->run == before.run || after->run != woken);
        CHECK(after->run != before.run || !earlier);
    } else if (stand->sched->config.reserve_runtime_ns == 0 &&
               stand->sched->config.starving_ns == 0 && woken->state == ASH_SCHED_READY) {
        CHECK(after->run != before.run || earlier);
    }
}

/* Returns may be refusals: each leaves a scheduler that is whole. */
static void call(struct storm *storm) {
    struct stand *stand = &storm->stand;
    struct ash_sched *sched = stand->sched;
    struct ash_sched_entity *entity = &storm->entities[test_random_below(&storm->random, ENTITIES)];
    struct ash_sched_attributes attributes = any_attributes(&storm->random);
    struct ash_sched_account account;
    int result;
    bool decided = storm->decided;
    storm->decided = false;
    switch (test_random_below(&storm->random, 10)) {
    case 0:
        result = ash_sched_attach(sched, entity, &attributes, stand->now, NULL);
        CHECK(result != 0 || entity->sched == sched);
        break;
    case 1:
        result = ash_sched_detach(sched, entity, stand->now);
        CHECK_EQ(result == 0 || result == -ASH_ENOENT, true);
        break;
    case 2:
        result = ash_sched_change(sched, entity, &attributes, stand->now, NULL);
        CHECK(result <= 0);
        break;
    case 3:
        result = ash_sched_block(sched, stand->now);
        CHECK_EQ(result == 0 || sched->current == NULL, true);
        break;
    case 4:
        result = ash_sched_yield(sched, stand->now);
        CHECK(result <= 0);
        break;
    case 5:
        result = ash_sched_deadline_in(sched, entity, any_time(&storm->random), stand->now);
        CHECK(result <= 0);
        break;
    case 6:
        result = ash_sched_get_account(sched, entity, stand->now, &account);
        CHECK(result != 0 || account.completions <= account.releases);
        break;
    default:
        result = ash_sched_wake(sched, entity, stand->now);
        CHECK(result >= 0 || entity->sched != sched || entity->state != ASH_SCHED_BLOCKED);
        if (result >= 0 && decided)
            check_wake(storm, entity, result == ASH_SCHED_PREEMPTS);
        break;
    }
    const char *broken = ash_sched_check(sched);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
}

static void pass_time(struct storm *storm) {
    struct stand *stand = &storm->stand;
    uint64_t ahead = test_random_below(&storm->random, 200);
    if (stand->decision.timed && (int64_t)(stand->decision.call_at - stand->now) > 0 &&
        test_random_chance(&storm->random, 60))
        ahead = stand->decision.call_at - stand->now;
    if (test_random_chance(&storm->random, 1))
        ahead = any_time(&storm->random) >> 2;
    stand->now += ahead;
}

TEST_CASE(sched_storm, no_order_of_calls_breaks_an_invariant) {
    for (uint32_t round = 0; round < 60; round++) {
        struct storm *storm = test_alloc(sizeof(*storm), 64);
        storm->random = test_random_from(test_seed() * 1000 + round);
        stand_begin(&storm->stand, any_config(&storm->random), test_random_u64(&storm->random));
        for (uint32_t step = 0; step < STEPS; step++) {
            call(storm);
            if (test_random_chance(&storm->random, 70))
                decide(storm);
            pass_time(storm);
        }
    }
}
