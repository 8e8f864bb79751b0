/* SPDX-License-Identifier: MIT */
/*
 * model.c: servers against a model that searches, loops and shares no code: random calls, some of
 * them late, and after each what runs, until when, and every budget and deadline.
 */
#include "sched/stand.h"

enum { ENTITIES = 7, STEPS = 400, BLOCKED = 0, READY, THROTTLED };

struct one {
    struct ash_sched_entity *entity;
    int64_t q;
    uint64_t d, runtime, deadline, period; /* d: since the origin */
    uint64_t order;                        /* of its coming to where it is */
    int state;
    bool soft;
};

struct model {
    struct stand stand;
    struct one ones[ENTITIES];
    struct one *current;
    struct ash_sched_entity *hog; /* idle class, always there */
    int64_t now;                  /* since the origin; deadlines may be before it */
    uint64_t order;
    bool strict, tight, reserve;
    struct test_random random;
};

static int64_t due(const struct one *one) {
    return (int64_t)one->d;
}

static void renew(struct model *model, struct one *one) {
    one->q = (int64_t)one->runtime;
    one->d = (uint64_t)model->now + one->deadline;
}

static void add(struct model *model, struct one *one) {
    while (one->q <= 0) {
        one->q += (int64_t)one->runtime;
        one->d += one->period;
    }
    if (due(one) < model->now)
        renew(model, one);
}

static void go(struct model *model, struct one *one, int state) {
    one->state = state;
    one->order = model->order++;
}

static int64_t next_period(const struct one *one) {
    return due(one) - (int64_t)one->deadline + (int64_t)one->period;
}

static void throttle(struct model *model, struct one *one) {
    one->q = one->q > 0 ? 0 : one->q;
    if (model->now < next_period(one)) {
        go(model, one, THROTTLED);
        return;
    }
    add(model, one);
    go(model, one, READY);
}

static void used_up(struct model *model, struct one *one) {
    if (!one->soft) {
        throttle(model, one);
        return;
    }
    add(model, one);
    go(model, one, READY);
}

static struct one *first(struct model *model, int state) {
    struct one *best = NULL;
    for (uint32_t i = 0; i < ENTITIES; i++) {
        struct one *one = &model->ones[i];
        if (one->entity == NULL || one->state != state)
            continue;
        int64_t key = state == READY ? due(one) : next_period(one);
        int64_t least = best == NULL ? 0 : state == READY ? due(best) : next_period(best);
        if (best == NULL || key < least || (key == least && one->order < best->order))
            best = one;
    }
    return best;
}

static void charge(struct model *model) {
    int64_t now = (int64_t)(model->stand.now - model->stand.origin);
    if (model->current != NULL)
        model->current->q -= now - model->now;
    model->now = now;
}

static void advance(struct model *model) {
    charge(model);
    if (model->current != NULL && model->current->state == READY && model->current->q <= 0)
        used_up(model, model->current);
    for (;;) {
        struct one *one = first(model, THROTTLED);
        if (one == NULL || next_period(one) > model->now)
            return;
        add(model, one);
        go(model, one, READY);
    }
}

static void wake(struct model *model, struct one *one) {
    int64_t left = due(one) - model->now;
    int64_t density = one->q * (int64_t)one->deadline, fluid = left * (int64_t)one->runtime;
    bool over = one->q > 0 && (model->strict ? density > fluid : density >= fluid);
    bool constrained = one->deadline < one->period;
    if (model->now < next_period(one) &&
        (left <= 0 || (model->tight && left < (int64_t)one->deadline))) {
        throttle(model, one);
        return;
    }
    if (left <= 0 || (over && !constrained))
        renew(model, one);
    else if (over)
        one->q = left * (int64_t)one->runtime / (int64_t)one->deadline;
    go(model, one, READY);
    if (one->q <= 0)
        used_up(model, one);
}

static void compare(struct model *model) {
    for (uint32_t i = 0; i < ENTITIES; i++) {
        const struct one *one = &model->ones[i];
        if (one->entity == NULL)
            continue;
        CHECK_EQ(one->entity->state, (int)one->state == READY       ? ASH_SCHED_READY
                                     : (int)one->state == THROTTLED ? ASH_SCHED_THROTTLED
                                                                    : ASH_SCHED_BLOCKED);
        CHECK_EQ(ash_sched_server_budget(one->entity), one->q);
        CHECK_EQ(ash_sched_server_deadline(one->entity) - model->stand.origin, one->d);
    }
    const char *broken = ash_sched_check(model->stand.sched);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
}

static void decide(struct model *model) {
    struct stand *stand = &model->stand;
    CHECK_EQ(ash_sched_decide(stand->sched, stand->now, &stand->decision), 0);
    advance(model);
    model->current = first(model, READY);
    CHECK(stand->decision.run == (model->current != NULL ? model->current->entity : model->hog));
    const struct one *timer = first(model, THROTTLED);
    int64_t until = INT64_MAX;
    if (model->current != NULL)
        until = model->now + model->current->q;
    if (timer != NULL && next_period(timer) < until)
        until = next_period(timer);
    CHECK_EQ(stand->decision.timed, until != INT64_MAX);
    if (stand->decision.timed)
        CHECK_EQ(stand->decision.call_at - stand->origin, until);
}

static void attach(struct model *model, uint32_t i) {
    static const uint8_t periods[] = {4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60, 120};
    struct test_random *random = &model->random;
    uint64_t period = periods[test_random_below(random, ASH_ARRAY_LEN(periods))];
    uint64_t deadline = periods[test_random_below(random, ASH_ARRAY_LEN(periods))];
    deadline = deadline > period || test_random_chance(random, 50) ? period : deadline;
    struct ash_sched_attributes attributes = {
        .runtime_ns = 1 + test_random_below(random, deadline / 2),
        .deadline_ns = deadline,
        .period_ns = period,
        .flags = test_random_chance(random, 40) ? ASH_SCHED_SOFT : 0};
    struct ash_sched_entity *entity = test_alloc(sizeof(*entity), 64);
    if (ash_sched_attach(model->stand.sched, entity, &attributes, model->stand.now, NULL) != 0)
        return;
    model->ones[i] = (struct one){.entity = entity,
                                  .d = (uint64_t)model->now + deadline - period,
                                  .runtime = attributes.runtime_ns,
                                  .deadline = deadline,
                                  .period = period,
                                  .soft = (attributes.flags & ASH_SCHED_SOFT) != 0};
}

/* In units of 1/120, which all deadlines divide. */
static bool is_dense(const struct model *model) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ENTITIES; i++) {
        if (model->ones[i].entity != NULL)
            sum += model->ones[i].runtime * (120 / model->ones[i].deadline);
    }
    return sum > 120;
}

static void step(struct model *model) {
    struct stand *stand = &model->stand;
    struct one *one = &model->ones[test_random_below(&model->random, ENTITIES)];
    uint64_t what = test_random_below(&model->random, 10);
    if (what < 4 && one->entity != NULL) {
        int result = ash_sched_wake(stand->sched, one->entity, stand->now);
        CHECK_EQ(result < 0, one->state != BLOCKED);
        if (result < 0)
            return;
        advance(model);
        wake(model, one);
        if (first(model, READY) != model->current)
            CHECK_EQ(result, ASH_SCHED_PREEMPTS);
    } else if (what < 6 && model->current != NULL) {
        CHECK_EQ(ash_sched_block(stand->sched, stand->now), 0);
        charge(model);
        model->current->state = BLOCKED;
        model->current = NULL;
    } else if (what == 6 && model->current != NULL) {
        CHECK_EQ(ash_sched_yield(stand->sched, stand->now), 0);
        charge(model);
        if (model->current->state == READY)
            throttle(model, model->current);
    }
    compare(model);
    decide(model);
    compare(model);
}

/* To when it was asked for, mostly; sometimes before, and sometimes late. */
static void pass_time(struct model *model) {
    struct stand *stand = &model->stand;
    uint64_t ahead = test_random_below(&model->random, 12);
    if (stand->decision.timed && test_random_chance(&model->random, 70))
        ahead = stand->decision.call_at - stand->now;
    if (test_random_chance(&model->random, 15))
        ahead += test_random_below(&model->random, 100);
    stand->now += ahead;
}

static void run(uint64_t seed, uint64_t origin) {
    struct model *model = test_alloc(sizeof(*model), 64);
    model->random = test_random_from(seed);
    model->strict = test_random_chance(&model->random, 50);
    stand_begin(&model->stand,
                (struct ash_sched_config){.entities_max = ENTITIES + 1,
                                          .flags = model->strict ? ASH_SCHED_STRICT_WAKE : 0},
                origin);
    model->hog =
        stand_attach(&model->stand, (struct ash_sched_attributes){.flags = ASH_SCHED_IDLEST});
    stand_wake(&model->stand, model->hog);
    for (uint32_t i = 0; i < ENTITIES; i++)
        attach(model, i);
    model->tight = is_dense(model);
    decide(model);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(model);
        pass_time(model);
    }
}

TEST_CASE(sched_model, servers_do_what_a_naive_model_says) {
    static const uint64_t origins[] = {0, UINT64_MAX - 1000, (UINT64_C(1) << 32) - 100,
                                       (UINT64_C(1) << 63) - 500};
    for (uint64_t round = 0; round < 60; round++)
        run(test_seed() * 1000 + round, origins[round % ASH_ARRAY_LEN(origins)]);
}
