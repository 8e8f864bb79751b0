/* SPDX-License-Identifier: MIT */
/* threads_storm.c: threads of all classes that do at random whatever threads can do. */
#include <ashlar/atomic.h>
#include <ashlar/error.h>

#include "kernel/mutex.h"
#include "kernel/threads_fixture.h"
#include "kernel/wait.h"

enum { US = 1000, MS = 1000000, WORKERS = 10, LOCKS = 4, TOKENS = 8 };

struct storm {
    struct mutex mutexes[LOCKS];
    uint64_t values[LOCKS], copies[LOCKS]; /* each its mutex's: equal but inside */
    uint64_t locked[LOCKS];
    struct wait_queue queue;
    uint64_t tokens[TOKENS];
    uint32_t token_count;
    uint64_t put, taken, put_sum, taken_sum, next_token;
    uint64_t children, children_begun;
    uint64_t seed;
    uint32_t rounds, errors;
    uint32_t ids[WORKERS];
};

struct worker {
    struct storm *storm;
    struct test_random random;
    uint64_t token;
    uint32_t number;
};

static void complain(struct storm *storm, bool is_wrong) {
    if (is_wrong)
        ash_fetch_add(&storm->errors, 1);
}

/* Each token is taken once. */

static bool take_one(void *context) {
    struct worker *worker = context;
    struct storm *storm = worker->storm;
    if (storm->token_count == 0)
        return false;
    worker->token = storm->tokens[--storm->token_count];
    return true;
}

static bool put_one(void *context) {
    struct worker *worker = context;
    struct storm *storm = worker->storm;
    if (storm->token_count == TOKENS)
        return false;
    worker->token = ++storm->next_token;
    storm->tokens[storm->token_count++] = worker->token;
    return true;
}

static void use_tokens(struct worker *worker) {
    struct storm *storm = worker->storm;
    ash_ns_t deadline_ns = platform_now_ns() + test_random_below(&worker->random, 300 * US);
    if (test_random_chance(&worker->random, 50)) {
        if (wait_queue_wait(&storm->queue, put_one, worker, deadline_ns) == 0) {
            ash_fetch_add(&storm->put, 1);
            ash_fetch_add(&storm->put_sum, worker->token);
            wait_queue_wake(&storm->queue, WAIT_QUEUE_ALL);
        }
    } else if (wait_queue_wait(&storm->queue, take_one, worker, deadline_ns) == 0) {
        ash_fetch_add(&storm->taken, 1);
        ash_fetch_add(&storm->taken_sum, worker->token);
        wait_queue_wake(&storm->queue, 1);
    }
}

/* Some are locked in order; each keeps its pair of values. */
static void use_mutexes(struct worker *worker) {
    struct storm *storm = worker->storm;
    uint32_t held = 0;
    for (uint32_t i = 0; i < LOCKS; i++) {
        if (test_random_chance(&worker->random, 50))
            continue;
        if (test_random_chance(&worker->random, 20)) {
            if (!mutex_trylock(&storm->mutexes[i]))
                continue;
        } else {
            mutex_lock(&storm->mutexes[i]);
        }
        held |= 1u << i;
        complain(storm, storm->values[i]++ != storm->copies[i]);
    }
    if (test_random_chance(&worker->random, 30))
        thread_yield();
    if (test_random_chance(&worker->random, 10))
        (void)thread_sleep_until(platform_now_ns() + test_random_below(&worker->random, 30 * US));
    for (uint32_t i = 0; i < LOCKS; i++) {
        if ((held >> i & 1) == 0)
            continue;
        complain(storm, !mutex_is_mine(&storm->mutexes[i]));
        storm->copies[i]++;
        storm->locked[i]++;
        mutex_unlock(&storm->mutexes[i]);
    }
}

static bool never(void *context) {
    (void)context;
    return false;
}

static void wait_in_vain(struct worker *worker) {
    ash_ns_t now_ns = platform_now_ns(), ahead_ns = test_random_below(&worker->random, 60 * US);
    ash_ns_t deadline_ns = test_random_chance(&worker->random, 20) ? 0 : now_ns + ahead_ns;
    if (test_random_chance(&worker->random, 50))
        complain(worker->storm, kernel_wait(never, NULL, deadline_ns) != -ASH_ETIMEDOUT);
    else if (thread_sleep_until(deadline_ns))
        complain(worker->storm, platform_now_ns() < deadline_ns);
}

static void be_born(void *context) {
    struct storm *storm = context;
    ash_fetch_add(&storm->children_begun, 1);
}

static void use_others(struct worker *worker) {
    struct storm *storm = worker->storm;
    const struct thread_options options = {.name = "child", .stack_bytes = THREAD_STACK_MIN_BYTES};
    uint32_t other = ash_load_relaxed(&storm->ids[test_random_below(&worker->random, WORKERS)]), id;
    int nice = (int)test_random_below(&worker->random, 40) - 20;
    const struct ash_sched_attributes nicer = {.flags = ASH_SCHED_NICE, .nice = (int8_t)nice};
    struct thread_info info;
    switch (test_random_below(&worker->random, 5)) {
    case 0:
        if (thread_create(&options, be_born, storm, &id, NULL) != 0)
            break;
        ash_fetch_add(&storm->children, 1);
        if (test_random_chance(&worker->random, 50))
            complain(storm, thread_join(id, UINT64_MAX) != 0);
        break;
    case 1: /* it may have ended, or not be of that class */
        (void)!thread_change(other, &nicer, NULL);
        break;
    case 2:
        (void)!thread_stop(other);
        break;
    case 3:
        for (id = 0; thread_info_from(id, &info); id = info.id + 1)
            complain(storm, info.id < id || info.cpu >= threads_cpu_count());
        break;
    default:
        complain(storm, threads_check() != NULL);
        break;
    }
}

static void work(void *context) {
    struct worker *worker = context;
    for (uint32_t i = 0; i < worker->storm->rounds; i++) {
        switch (test_random_below(&worker->random, 6)) {
        case 0:
        case 1:
            use_mutexes(worker);
            break;
        case 2:
            use_tokens(worker);
            break;
        case 3:
            wait_in_vain(worker);
            break;
        case 4:
            use_others(worker);
            break;
        default:
            thread_yield();
            break;
        }
    }
}

static void let_it_rage(void *context) {
    struct storm *storm = context;
    const struct ash_sched_attributes kinds[5] = {
        {0},
        {.flags = ASH_SCHED_NICE, .nice = -5},
        {.runtime_ns = 100 * US, .period_ns = 2 * MS},
        {.runtime_ns = 50 * US, .period_ns = 1 * MS, .flags = ASH_SCHED_SOFT},
        {.flags = ASH_SCHED_IDLEST},
    };
    static struct worker workers[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        const struct thread_options options = {.name = "worker", .attributes = kinds[i % 5]};
        uint32_t id = 0;
        workers[i] = (struct worker){storm, test_random_from(storm->seed + i), 0, i};
        complain(storm, thread_create(&options, work, &workers[i], &id, NULL) != 0);
        ash_store_relaxed(&storm->ids[i], id);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        complain(storm, thread_join(storm->ids[i], UINT64_MAX) != 0);
    ash_ns_t deadline_ns = platform_now_ns() + 1000 * MS;
    while (ash_load_relaxed(&storm->children_begun) != storm->children &&
           platform_now_ns() < deadline_ns)
        (void)thread_sleep_until(platform_now_ns() + 50 * US);
    complain(storm, threads_check() != NULL);
}

static void check_storm(uint32_t cpus, uint32_t rounds) {
    struct storm *storm = test_alloc(sizeof(*storm), 64);
    storm->seed = test_seed();
    storm->rounds = rounds;
    wait_queue_init(&storm->queue);
    for (uint32_t i = 0; i < LOCKS; i++)
        mutex_init(&storm->mutexes[i]);
    test_threads_run(cpus, let_it_rage, storm);
    CHECK_EQ(storm->errors, 0);
    CHECK_EQ(storm->children_begun, storm->children);
    for (uint32_t i = 0; i < LOCKS; i++) {
        CHECK_EQ(storm->values[i], storm->locked[i]);
        CHECK_EQ(storm->copies[i], storm->locked[i]);
    }
    for (uint32_t i = 0; i < storm->token_count; i++)
        storm->taken_sum += storm->tokens[i];
    CHECK_EQ(storm->put, storm->taken + storm->token_count);
    CHECK_EQ(storm->put_sum, storm->taken_sum);
    CHECK_EQ(storm->put, storm->next_token);
}

TEST_CASE(threads, do_anything_at_random_on_one_cpu) {
    check_storm(1, 150);
}

TEST_CASE(threads, do_anything_at_random_on_two_cpus) {
    check_storm(2, 150);
}

TEST_CASE(threads, do_anything_at_random_on_four_cpus) {
    check_storm(4, 150);
}
