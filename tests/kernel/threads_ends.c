/* SPDX-License-Identifier: MIT */
/* threads_ends.c: where threads come to an end: their number, memory, the machine's last one; and
 * what is left of those that had not ended. */
#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#include "kernel/memory_fixture.h"
#include "kernel/mutex.h"
#include "kernel/threads_fixture.h"
#include "kernel/wait.h"

enum { MEMORY_BYTES = 2 << 20, MS = 1000000, US = 1000 };

static struct kernel_memory *memory;

static void run_threads(uint32_t cpus, void (*body)(void *context), void *context) {
    memory = test_kernel_memory(MEMORY_BYTES);
    test_threads_run_in(memory, cpus, body, context);
}

static void do_nothing(void *context) {
    (void)context;
}

static void sleep_for_ever(void *context) {
    (void)context;
    while (thread_sleep_until(UINT64_MAX)) {}
}

static void spin_for_ever(void *context) {
    uint64_t *turns = context;
    for (;;) {
        ash_store_relaxed(turns, ash_load_relaxed(turns) + 1);
        ash_port_relax(); /* where it asks for interrupts under a sanitizer */
    }
}

/* The machine's end, with threads alive in all states */

struct rest {
    struct mutex mutex;
    struct wait_queue queue;
    uint64_t turns[2];
    uint32_t begun;
};

static bool is_over(void *context) {
    (void)context;
    return false;
}

static void wait_in_the_kernel(void *context) {
    struct rest *rest = context;
    ash_fetch_add(&rest->begun, 1);
    (void)!kernel_wait(is_over, rest, UINT64_MAX);
}

static void wait_in_a_queue(void *context) {
    struct rest *rest = context;
    ash_fetch_add(&rest->begun, 1);
    (void)!wait_queue_wait(&rest->queue, is_over, rest, UINT64_MAX);
}

static void own_and_sleep(void *context) {
    struct rest *rest = context;
    mutex_lock(&rest->mutex);
    ash_fetch_add(&rest->begun, 1);
    sleep_for_ever(NULL);
}

static void want_what_is_owned(void *context) {
    struct rest *rest = context;
    ash_fetch_add(&rest->begun, 1);
    mutex_lock(&rest->mutex);
}

static void leave_them_all(void *context) {
    struct rest *rest = context;
    const struct ash_sched_attributes small = {.runtime_ns = 1 * MS, .period_ns = 20 * MS};
    mutex_init(&rest->mutex);
    wait_queue_init(&rest->queue);
    (void)test_thread_start("kernel_wait", NULL, wait_in_the_kernel, rest);
    (void)test_thread_start("queue", NULL, wait_in_a_queue, rest);
    (void)test_thread_start("owner", NULL, own_and_sleep, rest);
    while (ash_load_relaxed(&rest->begun) != 3)
        (void)thread_sleep_until(platform_now_ns() + 500 * US);
    (void)test_thread_start("lender", NULL, want_what_is_owned, rest);
    (void)test_thread_start("asleep", NULL, sleep_for_ever, NULL);
    (void)test_thread_start("hog", NULL, spin_for_ever, &rest->turns[0]);
    (void)test_thread_start("throttled", &small, spin_for_ever, &rest->turns[1]);
    while (ash_load_relaxed(&rest->begun) != 4 || ash_load_relaxed(&rest->turns[1]) == 0)
        (void)thread_sleep_until(platform_now_ns() + 500 * US);
}

static void check_rest(uint32_t cpus) {
    uint32_t nothing = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct rest rest = {.begun = 0};
        run_threads(cpus, leave_them_all, &rest);
        run_threads(cpus, do_nothing, &nothing);
    }
}

TEST_CASE(threads, that_have_not_ended_with_the_machine_leave_nothing_behind) {
    check_rest(1);
}

TEST_CASE(threads, that_have_not_ended_on_four_cpus_leave_nothing_behind) {
    check_rest(4);
}

/* Its end is told to the others while one of them takes away what ended threads leave. */
static void create_and_create(void *context) {
    uint32_t *count = context;
    for (;;) {
        if (test_thread_start("short", NULL, do_nothing, NULL) != 0)
            ash_fetch_add(count, 1);
    }
}

static void end_beside_them(void *context) {
    uint32_t *count = context;
    for (uint32_t i = 0; i < 3; i++)
        (void)test_thread_start("creator", NULL, create_and_create, count);
    (void)thread_sleep_until(platform_now_ns() + 500 * US);
}

TEST_CASE(threads, go_on_creating_others_while_the_main_one_ends) {
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t count = 0;
        run_threads(4, end_beside_them, &count);
    }
}

/* Numbers */

struct numbers {
    uint32_t created, refused, again, errors;
    int error;
};

static void fill_the_table(void *context) {
    struct numbers *numbers = context;
    const struct thread_options options = {.name = "one", .stack_bytes = THREAD_STACK_MIN_BYTES};
    uint32_t ids[THREADS_MAX];
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t count = 0;
        int error = 0;
        while (count < THREADS_MAX &&
               (error = thread_create(&options, sleep_for_ever, NULL, &ids[count], NULL)) == 0)
            count++;
        numbers->created = count;
        numbers->error = error;
        for (uint32_t i = 0; i < 10; i++) /* what was refused must leave nothing */
            numbers->refused +=
                thread_create(&options, sleep_for_ever, NULL, NULL, NULL) == -ASH_ENOSPC;
        numbers->errors += threads_check() != NULL;
        for (uint32_t i = 0; i < count; i++)
            numbers->errors += thread_stop(ids[i]) != 0;
        for (uint32_t i = 0; i < count; i++)
            numbers->errors += thread_join(ids[i], UINT64_MAX) != 0;
        numbers->errors += threads_check() != NULL;
        thread_reap();
    }
}

static void check_numbers(uint32_t cpus) {
    struct numbers numbers = {.errors = 0};
    memory = test_kernel_memory(4 * MEMORY_BYTES);
    test_threads_run_in(memory, cpus, fill_the_table, &numbers);
    CHECK_EQ(numbers.errors, 0);
    CHECK_EQ(numbers.created, THREADS_MAX - 1);
    CHECK_EQ(numbers.error, -ASH_ENOSPC);
    CHECK_EQ(numbers.refused, 30);
}

TEST_CASE(threads, are_refused_when_there_are_too_many_and_come_when_others_have_gone) {
    check_numbers(1);
}

TEST_CASE(threads, are_refused_when_there_are_too_many_on_four_cpus) {
    check_numbers(4);
}

/* No room: the reason is the admission's, wherever it is looked for. */
struct refusals {
    int errors[4];
    uint32_t reasons[4];
};

static void ask_in_vain(void *context) {
    struct refusals *refusals = context;
    const struct ash_sched_attributes wishes[4] = {
        {.runtime_ns = 90 * MS, .period_ns = 100 * MS},
        {.runtime_ns = 90 * MS, .period_ns = 100 * MS},
        {.runtime_ns = 90 * MS, .period_ns = 100 * MS, .affinity = 1},
        {.affinity = UINT64_C(1) << 40},
    };
    for (uint32_t i = 0; i < 4; i++) {
        const struct thread_options options = {.name = "wish", .attributes = wishes[i]};
        struct ash_sched_refusal refusal = {.reason = ASH_SCHED_OK};
        refusals->errors[i] = thread_create(&options, sleep_for_ever, NULL, NULL, &refusal);
        refusals->reasons[i] = refusal.reason;
    }
}

TEST_CASE(threads, that_find_no_room_at_all_hear_the_reason) {
    struct refusals refusals = {.errors = {0}};
    run_threads(1, ask_in_vain, &refusals);
    CHECK_EQ(refusals.errors[0], 0);
    CHECK_EQ(refusals.errors[1], -ASH_EBUSY);
    CHECK_EQ(refusals.reasons[1], ASH_SCHED_OVER_BANDWIDTH);
    CHECK_EQ(refusals.errors[2], -ASH_EBUSY);
    CHECK_EQ(refusals.reasons[2], ASH_SCHED_OVER_BANDWIDTH);
    CHECK_EQ(refusals.errors[3], -ASH_EINVAL);
    CHECK_EQ(refusals.reasons[3], ASH_SCHED_BAD_AFFINITY);
}

/* Memory that ends at each of a creation's allocations */

struct scarcity {
    void *taken[4096];
    uint32_t count, created, refused, errors;
};

/* One page after the other is given back, and a creation fails at each thing that it needs. */
static void create_with_little_memory(void *context) {
    struct scarcity *scarcity = context;
    const struct thread_options options = {.name = "poor", .stack_bytes = THREAD_STACK_MIN_BYTES};
    uint32_t id;
    while (scarcity->count < 4096 &&
           (scarcity->taken[scarcity->count] = memory_pages_alloc(memory, 0)) != NULL)
        scarcity->count++;
    while (scarcity->count != 0 && scarcity->created < 20) {
        int error = thread_create(&options, do_nothing, NULL, &id, NULL);
        if (error == 0) {
            scarcity->created++;
            scarcity->errors += thread_join(id, UINT64_MAX) != 0;
            thread_reap();
        } else {
            scarcity->refused += error == -ASH_ENOMEM;
            scarcity->errors += error != -ASH_ENOMEM;
        }
        memory_pages_free(memory, scarcity->taken[--scarcity->count], 0);
    }
    while (scarcity->count != 0)
        memory_pages_free(memory, scarcity->taken[--scarcity->count], 0);
    scarcity->errors += threads_check() != NULL;
}

TEST_CASE(threads, that_find_no_memory_are_refused_and_leave_nothing) {
    struct scarcity *scarcity = test_alloc(sizeof(*scarcity), 16);
    run_threads(1, create_with_little_memory, scarcity);
    CHECK_EQ(scarcity->errors, 0);
    CHECK(scarcity->refused != 0);
    CHECK(scarcity->created != 0);
}

TEST_CASE(threads, do_not_run_where_there_is_no_memory_for_their_schedulers) {
    static void *taken[4096];
    uint32_t count = 0, refused = 0;
    memory = test_kernel_memory(1 << 20);
    while (count < 4096 && (taken[count] = memory_pages_alloc(memory, 0)) != NULL)
        count++;
    for (uint32_t i = 0, run = 0; i < count && run < 3; i++) {
        uint64_t before = test_free_pages(memory);
        int error = threads_init(memory, NULL);
        if (error == 0)
            error = threads_run(do_nothing, NULL);
        if (error != 0) {
            CHECK_EQ(error, -ASH_ENOMEM);
            refused++;
        } else {
            run++;
        }
        CHECK_EQ(threads_cpu_count(), 0);
        if (error != 0)
            CHECK_EQ(test_free_pages(memory), before);
        memory_pages_free(memory, taken[i], 0);
    }
    CHECK(refused != 0);
    CHECK(refused < count);
}

/* Alone */

static void run_a_machine(void *context) {
    uint32_t *count = context;
    uint32_t id = 0;
    for (uint32_t i = 0; i < 3; i++) {
        id = test_thread_start("inner", NULL, do_nothing, NULL);
        *count += id != 0 && thread_join(id, UINT64_MAX) == 0;
    }
}

struct nested {
    struct kernel_memory *memory;
    uint32_t cpus, inner, errors;
    uint64_t turns;
};

static void run_inside(void *context) {
    struct nested *nested = context;
    const struct threads_config config = {.cpus = nested->cpus};
    nested->errors += threads_cpu_count() != 0;
    nested->errors += threads_init(nested->memory, &config) != 0;
    nested->errors += threads_run(run_a_machine, &nested->inner) != 0;
}

static void be_alone_with_a_machine(void *context) {
    struct nested *nested = context;
    uint32_t hog = test_thread_start("hog", NULL, spin_for_ever, &nested->turns);
    uint32_t waiter = test_thread_start("waiter", NULL, sleep_for_ever, NULL);
    (void)thread_sleep_until(platform_now_ns() + 50 * US);
    threads_alone(run_inside, nested);
    nested->errors += threads_cpu_count() != nested->cpus || threads_check() != NULL;
    nested->errors += thread_stop(waiter) != 0 || thread_join(waiter, UINT64_MAX) != 0;
    uint64_t turns = ash_load_relaxed(&nested->turns);
    while (ash_load_relaxed(&nested->turns) == turns)
        (void)thread_sleep_until(platform_now_ns() + 500 * US);
    nested->errors += hog == 0;
}

static void check_nested(uint32_t cpus) {
    struct nested nested = {.cpus = cpus};
    nested.memory = test_kernel_memory(4 << 20);
    run_threads(cpus, be_alone_with_a_machine, &nested);
    CHECK_EQ(nested.errors, 0);
    CHECK_EQ(nested.inner, 3);
}

TEST_CASE(threads, one_that_is_alone_can_run_threads_of_its_own) {
    check_nested(1);
}

TEST_CASE(threads, one_that_is_alone_can_run_threads_on_four_cpus) {
    check_nested(4);
}

/* All ask at once, while others ask them to stop: each job is done once, when its owner waits. */

struct many_alone {
    uint32_t ids[4], jobs, done, errors;
    uint32_t is_inside;
};

static void count_job(void *context) {
    struct many_alone *many = context;
    many->errors += many->is_inside++ != 0;
    many->jobs++;
    many->is_inside--;
}

static void be_alone_often(void *context) {
    struct many_alone *many = context;
    for (uint32_t i = 0; i < 8; i++) {
        (void)thread_sleep_until(platform_now_ns() + 5 * US);
        threads_alone(count_job, many);
        ash_fetch_add(&many->done, 1);
        if (ash_load_relaxed(&many->jobs) < ash_load_relaxed(&many->done))
            ash_fetch_add(&many->errors, 1);
    }
}

static void let_all_be_alone(void *context) {
    struct many_alone *many = context;
    const struct ash_sched_attributes kinds[4] = {
        {0},
        {.flags = ASH_SCHED_NICE, .nice = 5},
        {.runtime_ns = 200 * US, .period_ns = 1 * MS},
        {.flags = ASH_SCHED_IDLEST},
    };
    for (uint32_t i = 0; i < 4; i++)
        many->ids[i] = test_thread_start("alone", &kinds[i], be_alone_often, many);
    for (uint32_t i = 0; ash_load_relaxed(&many->done) < 32; i++) {
        (void)!thread_stop(many->ids[i % 4]);
        (void)thread_sleep_until(platform_now_ns() + 200 * US);
    }
    for (uint32_t i = 0; i < 4; i++)
        many->errors += thread_join(many->ids[i], UINT64_MAX) != 0;
}

TEST_CASE(threads, all_may_ask_to_be_alone_and_to_stop_at_once_on_one_cpu) {
    struct many_alone many = {.errors = 0};
    run_threads(1, let_all_be_alone, &many);
    CHECK_EQ(many.errors, 0);
    CHECK_EQ(many.jobs, 32);
}

TEST_CASE(threads, all_may_ask_to_be_alone_and_to_stop_at_once_on_four_cpus) {
    struct many_alone many = {.errors = 0};
    run_threads(4, let_all_be_alone, &many);
    CHECK_EQ(many.errors, 0);
    CHECK_EQ(many.jobs, 32);
}
