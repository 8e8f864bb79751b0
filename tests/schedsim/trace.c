/* SPDX-License-Identifier: MIT */
/*
 * trace.c: a long simulation of all classes at once, as one number, the same wherever it runs: on
 * either architecture, in either world.
 */
#include <ashlar/sched.h>

#include "harness/test.h"

enum { TASKS = 24, STEPS = 20000 };

/* What the trace comes to. A change of what the scheduler does changes it: then the case says what
 * it is now, on both architectures. */
#define TRACE UINT64_C(0x51e3679409a89850)

struct actor {
    uint64_t wakes; /* UINT64_MAX: it is awake */
    uint64_t left;
};

static struct ash_sched_attributes attributes_of(uint32_t task) {
    struct ash_sched_attributes attributes = {0};
    uint64_t period = 1000000 + 777777 * (uint64_t)task;
    switch (task % 6) {
    case 0:
    case 1:
    case 2: /* hard, soft and reclaiming; D < T now and then */
        attributes.runtime_ns = period / 16;
        attributes.deadline_ns = task % 4 == 1 ? period / 2 : period;
        attributes.period_ns = period;
        attributes.flags = task % 6 == 1 ? ASH_SCHED_SOFT : task % 6 == 2 ? ASH_SCHED_RECLAIM : 0u;
        break;
    case 3:
        attributes.flags = ASH_SCHED_NICE;
        attributes.nice = (int32_t)task - 12;
        break;
    case 4: /* interactive */
        break;
    default:
        attributes.flags = ASH_SCHED_IDLEST;
    }
    return attributes;
}

/* FNV-1a, byte by byte: the byte order of the machine has no part in it. */
static uint64_t mix(uint64_t hash, uint64_t value) {
    for (int i = 0; i < 8; i++, value >>= 8)
        hash = (hash ^ (value & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t next_wake(const struct actor *actors) {
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < TASKS; i++)
        next = actors[i].wakes < next ? actors[i].wakes : next;
    return next;
}

static void wake_all(struct ash_sched *sched, struct ash_sched_entity *entities,
                     struct actor *actors, struct test_random *random, uint64_t now) {
    for (uint32_t i = 0; i < TASKS; i++) {
        if (actors[i].wakes > now)
            continue;
        actors[i].wakes = UINT64_MAX;
        actors[i].left = 1000 + test_random_below(random, 3000000);
        CHECK(ash_sched_wake(sched, &entities[i], now) >= 0);
    }
}

static uint64_t trace_of(uint32_t config_flags) {
    struct ash_sched_config config = {.entities_max = TASKS,
                                      .flags = config_flags,
                                      .reserve_runtime_ns = 500000,
                                      .reserve_period_ns = 10000000,
                                      .boost_ns = 100000000};
    size_t bytes = ash_sched_storage_size(&config);
    struct ash_sched *sched = test_alloc(sizeof(*sched), 64);
    struct ash_sched_entity *entities = test_alloc(TASKS * sizeof(*entities), 64);
    struct actor actors[TASKS];
    struct test_random random = test_random_from(20260101);
    uint64_t hash = UINT64_C(0xcbf29ce484222325), now = 0;
    CHECK_EQ(ash_sched_init(sched, &config, test_alloc(bytes, 64), bytes, now), 0);
    for (uint32_t i = 0; i < TASKS; i++) {
        struct ash_sched_attributes attributes = attributes_of(i);
        struct ash_sched_refusal refusal;
        CHECK_EQ(ash_sched_attach(sched, &entities[i], &attributes, now, &refusal), 0);
        actors[i] = (struct actor){.wakes = test_random_below(&random, 5000000)};
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        struct ash_sched_decision decision;
        uint64_t then;
        wake_all(sched, entities, actors, &random, now);
        CHECK_EQ(ash_sched_decide(sched, now, &decision), 0);
        uint32_t runs = decision.run != NULL ? (uint32_t)(decision.run - entities) : TASKS;
        hash = mix(mix(mix(hash, now), runs), decision.timed ? decision.call_at : 0);
        then = next_wake(actors);
        if (decision.timed && decision.call_at < then)
            then = decision.call_at;
        if (runs != TASKS && now + actors[runs].left < then)
            then = now + actors[runs].left;
        if (runs != TASKS)
            actors[runs].left -= then - now;
        now = then;
        if (runs != TASKS && actors[runs].left == 0) {
            CHECK_EQ(ash_sched_block(sched, now), 0);
            actors[runs].wakes = now + 1 + test_random_below(&random, 20000000);
        }
    }
    for (uint32_t i = 0; i < TASKS; i++) {
        struct ash_sched_account account;
        CHECK_EQ(ash_sched_get_account(sched, &entities[i], now, &account), 0);
        hash = mix(mix(hash, account.runtime_ns), account.switches);
    }
    return hash;
}

TEST_CASE(sched_trace, a_seed_gives_one_trace_wherever_it_runs) {
    uint64_t eevdf = trace_of(0), cfs = trace_of(ASH_SCHED_CFS | ASH_SCHED_STRICT_WAKE);
    uint64_t both = mix(eevdf, cfs);
    if (both != TRACE)
        test_fail(__FILE__, __LINE__, "the trace is 0x%016llx, and was 0x%016llx",
                  (unsigned long long)both, (unsigned long long)TRACE);
    CHECK_EQ(trace_of(0), eevdf);
}
