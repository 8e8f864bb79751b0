/* SPDX-License-Identifier: MIT */
/*
 * threads.c: four CPUs at once, each with its instance and its lock, that run, wake, steal and move
 * one set of entities. Time is a counter that is read with the locks held.
 */
#include <ashlar/port.h>
#include <ashlar/sched_smp.h>

#include "sched/stand.h"

enum { CPUS = 4, ENTITIES = 24, STEPS = 6000 };

struct world {
    struct ash_sched scheds[CPUS];
    struct ash_spinlock locks[CPUS];
    struct ash_sched_cpus cpus;
    struct ash_sched_entity entities[ENTITIES];
    uint32_t running[ENTITIES]; /* CPU + 1 */
    uint64_t clock, seed;
    uint64_t moves, steals, runs;
};

static uint64_t time_of(struct world *world) {
    return ash_fetch_add(&world->clock, 100) + 100;
}

static void lock_both(struct world *world, uint32_t a, uint32_t b) {
    ash_spin_lock(&world->locks[a < b ? a : b]);
    if (a != b)
        ash_spin_lock(&world->locks[a < b ? b : a]);
}

static void unlock_both(struct world *world, uint32_t a, uint32_t b) {
    if (a != b)
        ash_spin_unlock(&world->locks[a < b ? b : a]);
    ash_spin_unlock(&world->locks[a < b ? a : b]);
}

/* Says who runs here: nobody may, elsewhere. */
static void note(struct world *world, uint32_t cpu, struct ash_sched_entity **mine,
                 struct ash_sched_entity *run) {
    if (*mine == run)
        return;
    if (*mine != NULL)
        CHECK_EQ(ash_exchange(&world->running[*mine - world->entities], 0u), cpu + 1);
    *mine = run;
    if (run == NULL)
        return;
    CHECK_EQ(ash_exchange(&world->running[run - world->entities], cpu + 1), 0);
    CHECK(run->attributes.affinity == 0 || (run->attributes.affinity >> cpu & 1) != 0);
    ash_fetch_add(&world->runs, 1);
}

static void run_own(struct world *world, uint32_t cpu, struct ash_sched_entity **mine,
                    struct test_random *random) {
    struct ash_sched *sched = &world->scheds[cpu];
    struct ash_sched_decision decision;
    ash_spin_lock(&world->locks[cpu]);
    if (*mine != NULL && test_random_chance(random, 40)) {
        struct ash_sched_entity *blocked = *mine;
        note(world, cpu, mine, NULL);
        CHECK(sched->current == blocked);
        CHECK_EQ(ash_sched_block(sched, time_of(world)), 0);
    } else if (*mine != NULL && test_random_chance(random, 10)) {
        CHECK_EQ(ash_sched_yield(sched, time_of(world)), 0);
    }
    CHECK_EQ(ash_sched_decide(sched, time_of(world), &decision), 0);
    note(world, cpu, mine, decision.run);
    ash_spin_unlock(&world->locks[cpu]);
}

static void wake_any(struct world *world, struct ash_sched_entity *entity) {
    uint32_t own = ash_sched_owner(entity)->config.cpu;
    ash_spin_lock(&world->locks[own]);
    bool asleep =
        ash_sched_owner(entity) == &world->scheds[own] && entity->state == ASH_SCHED_BLOCKED;
    uint32_t to = asleep ? ash_sched_place(&world->cpus, entity) : own;
    if (asleep && to == own)
        CHECK(ash_sched_wake(&world->scheds[own], entity, time_of(world)) >= 0);
    ash_spin_unlock(&world->locks[own]);
    if (to == own)
        return;
    lock_both(world, own, to);
    uint64_t now = time_of(world);
    if (ash_sched_owner(entity) == &world->scheds[own] && entity->state == ASH_SCHED_BLOCKED &&
        ash_sched_move(&world->scheds[own], &world->scheds[to], entity, now, NULL) == 0) {
        CHECK(ash_sched_wake(&world->scheds[to], entity, now) >= 0);
        ash_fetch_add(&world->moves, 1);
    }
    unlock_both(world, own, to);
}

static void steal(struct world *world, uint32_t cpu) {
    uint32_t victim = ash_sched_busiest(&world->cpus, cpu);
    if (victim == ASH_SCHED_NO_CPU)
        return;
    lock_both(world, cpu, victim);
    if (ash_sched_steal(&world->scheds[cpu], &world->scheds[victim], time_of(world)) != NULL)
        ash_fetch_add(&world->steals, 1);
    unlock_both(world, cpu, victim);
}

/* To a CPU of chance, whatever it is doing: refused if it runs, or finds no room. */
static void move_any(struct world *world, struct ash_sched_entity *entity, uint32_t to) {
    uint32_t own = ash_sched_owner(entity)->config.cpu;
    if (own == to)
        return;
    lock_both(world, own, to);
    if (ash_sched_owner(entity) == &world->scheds[own] &&
        ash_sched_move(&world->scheds[own], &world->scheds[to], entity, time_of(world), NULL) == 0)
        ash_fetch_add(&world->moves, 1);
    unlock_both(world, own, to);
}

static void body(void *context, uint32_t cpu) {
    struct world *world = context;
    struct test_random random = test_random_from(world->seed + cpu);
    struct ash_sched_entity *mine = NULL;
    for (uint32_t step = 0; step < STEPS; step++) {
        struct ash_sched_entity *any = &world->entities[test_random_below(&random, ENTITIES)];
        run_own(world, cpu, &mine, &random);
        wake_any(world, any);
        if (mine == NULL || test_random_chance(&random, 5))
            steal(world, cpu);
        if (test_random_chance(&random, 10))
            move_any(world, any, (uint32_t)test_random_below(&random, CPUS));
        if (step % 512 == 0) {
            ash_spin_lock(&world->locks[cpu]);
            CHECK(ash_sched_check(&world->scheds[cpu]) == NULL);
            ash_spin_unlock(&world->locks[cpu]);
        }
    }
}

static void attach(struct world *world, uint32_t i) {
    const struct ash_sched_attributes kinds[] = {
        {.flags = ASH_SCHED_NICE, .nice = (int32_t)(i % 40) - 20},
        {.flags = 0},
        {.runtime_ns = 1000, .period_ns = 20000 + i},
        {.runtime_ns = 500, .period_ns = 9000 + i, .flags = ASH_SCHED_SOFT},
        {.flags = ASH_SCHED_NICE, .affinity = 6},
    };
    uint32_t cpu = 1 + i % 2; /* where all may be */
    CHECK_EQ(ash_sched_attach(&world->scheds[cpu], &world->entities[i],
                              &kinds[i % ASH_ARRAY_LEN(kinds)], 0, NULL),
             0);
}

TEST_CASE(sched_threads, four_cpus_share_their_entities_and_run_none_twice) {
    struct world *world = test_alloc(sizeof(*world), 64);
    struct ash_sched_config config = {
        .entities_max = ENTITIES, .reserve_runtime_ns = 50, .reserve_period_ns = 1000};
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        config.cpu = cpu;
        size_t bytes = ash_sched_storage_size(&config);
        CHECK_EQ(ash_sched_init(&world->scheds[cpu], &config, test_alloc(bytes, 64), bytes, 0), 0);
        ash_spin_init(&world->locks[cpu]);
        world->cpus.cpu[cpu] = &world->scheds[cpu];
    }
    world->cpus.count = CPUS;
    world->seed = test_seed();
    for (uint32_t i = 0; i < ENTITIES; i++)
        attach(world, i);
    test_run_on_cpus(body, world, CPUS);
    uint32_t attached = 0;
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        CHECK(ash_sched_check(&world->scheds[cpu]) == NULL);
        attached += ENTITIES - world->scheds[cpu].free_count;
    }
    CHECK_EQ(attached, ENTITIES);
    CHECK(world->moves > 100 && world->steals > 10 && world->runs > 1000);
}
