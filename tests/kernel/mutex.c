/* SPDX-License-Identifier: MIT */
/* mutex.c: who waits for whom: chains, circles, owners that sleep, waiters on other CPUs. */
#include "kernel/mutex.h"

#include <ashlar/atomic.h>

#include "kernel/threads_fixture.h"

enum { MS = 1000000, US = 1000, LOCKS = 3 };

static uint32_t start(const char *name, const struct ash_sched_attributes *attributes,
                      void (*body)(void *context), void *context) {
    struct thread_options options = {.name = name};
    uint32_t id = 0;
    if (attributes != NULL)
        options.attributes = *attributes;
    return thread_create(&options, body, context, &id, NULL) == 0 ? id : 0;
}

static void spin_for(ash_ns_t ns) {
    ash_ns_t until_ns = platform_now_ns() + ns;
    while (platform_now_ns() < until_ns) {}
}

static void spin_until_stopped(void *context) {
    (void)context;
    while (!thread_should_stop()) {}
}

static void wait_for(const uint32_t *flag) {
    while (ash_load_acquire(flag) == 0)
        (void)thread_sleep_until(platform_now_ns() + 200 * US);
}

static const struct ash_sched_attributes idle_class = {.flags = ASH_SCHED_IDLEST},
                                         urgent = {.runtime_ns = 20 * MS, .period_ns = 100 * MS};

/* 0 is held by one of the idle class; each further one by a thread that wants the one before. */

struct chain {
    struct mutex mutexes[LOCKS];
    uint32_t held[LOCKS], free_to_go, sleeps, errors;
    ash_ns_t took_ns;
};

struct link {
    struct chain *chain;
    uint32_t number;
};

static void hold_the_first(void *context) {
    struct chain *chain = context;
    mutex_lock(&chain->mutexes[0]);
    ash_store_release(&chain->held[0], 1u);
    if (chain->sleeps)
        wait_for(&chain->free_to_go);
    spin_for(2 * MS);
    mutex_unlock(&chain->mutexes[0]);
}

static void hold_and_want(void *context) {
    struct link *link = context;
    struct chain *chain = link->chain;
    mutex_lock(&chain->mutexes[link->number]);
    ash_store_release(&chain->held[link->number], 1u);
    mutex_lock(&chain->mutexes[link->number - 1]);
    mutex_unlock(&chain->mutexes[link->number - 1]);
    mutex_unlock(&chain->mutexes[link->number]);
}

static void want_the_last(void *context) {
    struct chain *chain = context;
    ash_ns_t since_ns = platform_now_ns();
    ash_store_release(&chain->free_to_go, 1u);
    mutex_lock(&chain->mutexes[LOCKS - 1]);
    chain->took_ns = platform_now_ns() - since_ns;
    mutex_unlock(&chain->mutexes[LOCKS - 1]);
}

static void pull_the_chain(void *context) {
    struct chain *chain = context;
    struct link links[LOCKS];
    uint32_t ids[LOCKS];
    for (uint32_t i = 0; i < LOCKS; i++)
        mutex_init(&chain->mutexes[i]);
    ids[0] = start("first", &idle_class, hold_the_first, chain);
    wait_for(&chain->held[0]);
    for (uint32_t i = 1; i < LOCKS; i++) {
        links[i] = (struct link){chain, i};
        ids[i] = start("link", NULL, hold_and_want, &links[i]);
        wait_for(&chain->held[i]);
    }
    uint32_t hog = start("hog", NULL, spin_until_stopped, NULL);
    uint32_t last = start("urgent", &urgent, want_the_last, chain);
    chain->errors += thread_join(last, platform_now_ns() + 1000 * MS) != 0;
    chain->errors += thread_stop(hog) != 0 || thread_join(hog, UINT64_MAX) != 0;
    for (uint32_t i = 0; i < LOCKS; i++)
        chain->errors += thread_join(ids[i], UINT64_MAX) != 0;
    chain->errors += threads_check() != NULL;
}

static void check_chain(bool sleeps) {
    struct chain chain = {.sleeps = sleeps};
    test_threads_run(1, pull_the_chain, &chain);
    CHECK_EQ(chain.errors, 0);
    CHECK(chain.took_ns != 0);
    CHECK(chain.took_ns < 50 * MS);
}

TEST_CASE(mutex, an_urgent_waiter_lends_over_three_mutexes) {
    check_chain(false);
}

TEST_CASE(mutex, an_owner_that_sleeps_is_lent_to_when_it_wakes) {
    check_chain(true);
}

/* Broken contracts */

struct bad {
    struct mutex a, b;
    uint32_t is_held;
};

static void take_b_and_want_a(void *context) {
    struct bad *bad = context;
    mutex_lock(&bad->b);
    ash_store_release(&bad->is_held, 1u);
    mutex_lock(&bad->a);
    for (;;) /* what the panic left locked is not to be unlocked */
        (void)thread_sleep_until(UINT64_MAX);
}

static void close_a_circle(void *context) {
    struct bad *bad = context;
    mutex_lock(&bad->a);
    (void)start("other", NULL, take_b_and_want_a, bad);
    while (ash_load_acquire(&bad->is_held) == 0) /* asleep, it would not be lent to */
        thread_yield();
    for (uint32_t i = 0; i < 10; i++)
        thread_yield();
    CHECK_PANICS(mutex_lock(&bad->b), "waits for a mutex whose owner waits for it");
    mutex_unlock(&bad->a);
}

TEST_CASE(mutex, a_circle_of_owners_panics) {
    struct bad bad = {.is_held = 0};
    mutex_init(&bad.a);
    mutex_init(&bad.b);
    test_threads_run(1, close_a_circle, &bad);
}

static void misuse(void *context) {
    struct bad *bad = context;
    CHECK_PANICS(mutex_unlock(&bad->a), "has not locked it");
    mutex_lock(&bad->a);
    CHECK_PANICS(mutex_lock(&bad->a), "has locked it already");
    CHECK_PANICS(thread_exit(), "still owns 1 mutexes");
    mutex_unlock(&bad->a);
}

TEST_CASE(mutex, locking_twice_unlocking_anothers_and_ending_with_one_panic) {
    struct bad bad = {.is_held = 0};
    mutex_init(&bad.a);
    test_threads_run(1, misuse, &bad);
}

/* A waiter on another CPU, and an owner who wants the mutex again at once */

struct greedy {
    struct mutex mutex;
    uint64_t taken;
    uint32_t turns, errors;
};

static void take_again_and_again(void *context) {
    struct greedy *greedy = context;
    while (!thread_should_stop()) {
        mutex_lock(&greedy->mutex);
        spin_for(50 * US);
        ash_store_relaxed(&greedy->taken, greedy->taken + 1);
        mutex_unlock(&greedy->mutex);
    }
}

static void take_a_few_times(void *context) {
    struct greedy *greedy = context;
    for (uint32_t i = 0; i < 20; i++) {
        mutex_lock(&greedy->mutex);
        ash_store_relaxed(&greedy->turns, greedy->turns + 1);
        mutex_unlock(&greedy->mutex);
    }
}

static void be_greedy(void *context) {
    struct greedy *greedy = context;
    const struct ash_sched_attributes here = {.affinity = 1}, there = {.affinity = 2};
    mutex_init(&greedy->mutex);
    uint32_t first = start("greedy", &here, take_again_and_again, greedy);
    uint32_t other = start("patient", &there, take_a_few_times, greedy);
    greedy->errors += thread_join(other, platform_now_ns() + 500 * MS) != 0;
    greedy->errors += thread_stop(first) != 0 || thread_join(first, UINT64_MAX) != 0;
    (void)!thread_join(other, UINT64_MAX);
}

TEST_CASE(mutex, a_waiter_on_another_cpu_has_its_turn) {
    struct greedy greedy = {.errors = 0};
    test_threads_run(2, be_greedy, &greedy);
    CHECK_EQ(greedy.errors, 0);
    CHECK_EQ(greedy.turns, 20);
}
