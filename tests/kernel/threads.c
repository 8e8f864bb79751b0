/* SPDX-License-Identifier: MIT */
/* threads.c: threads of the kernel on one CPU and on several. What a thread finds is looked at when
 * all have ended: a CHECK belongs to the case's own stack. */
#include "kernel/thread.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#include "kernel/memory_fixture.h"
#include "kernel/threads_fixture.h"
#include "kernel/mutex.h"

enum { MEMORY_BYTES = 16 << 20, MS = 1000000, US = 1000 };

#define LONG_NS UINT64_C(10000000000)

static struct kernel_memory *memory;

static void run_threads(uint32_t cpus, void (*body)(void *context), void *context) {
    memory = test_kernel_memory(MEMORY_BYTES);
    test_threads_run_in(memory, cpus, body, context);
}

/* For a while, and then for long where it is not reached by then. */
static void sleep_until_counted(const uint64_t *count, uint64_t wanted) {
    ash_ns_t begin_ns = platform_now_ns();
    do {
        (void)thread_sleep_until(platform_now_ns() + MS);
    } while (platform_now_ns() < begin_ns + 40 * MS ||
             (ash_load_relaxed(count) < wanted && platform_now_ns() < begin_ns + LONG_NS));
}

/* Life */

struct counts {
    uint32_t begun, ended, errors;
    uint32_t seen[8];
};

static void count(void *context) {
    struct counts *counts = context;
    ash_fetch_add(&counts->begun, 1);
}

static void create_and_join(void *context) {
    struct counts *counts = context;
    uint32_t ids[20];
    for (uint32_t i = 0; i < 20; i++)
        ids[i] = test_thread_start("counter", NULL, count, counts);
    for (uint32_t i = 0; i < 20; i++)
        counts->errors += ids[i] == 0 || thread_join(ids[i], UINT64_MAX) != 0;
    counts->ended = ash_load_relaxed(&counts->begun);
    counts->errors += threads_check() != NULL;
}

TEST_CASE(threads, each_that_is_created_runs_and_can_be_waited_for) {
    struct counts counts = {0};
    run_threads(1, create_and_join, &counts);
    CHECK_EQ(counts.ended, 20);
    CHECK_EQ(counts.errors, 0);
}

TEST_CASE(threads, run_on_four_cpus_and_give_everything_back) {
    struct counts counts = {0};
    run_threads(4, create_and_join, &counts);
    CHECK_EQ(counts.ended, 20);
    CHECK_EQ(counts.errors, 0);
}

/* Hogs: only the timer takes the CPU from them. */

struct hogs {
    uint64_t turns[6];
    uint32_t ids[6], count;
    uint32_t errors;
    uint32_t switches, cpus_wanted, cpus; /* bits */
    bool shared;
    struct thread_info infos[6];
};

static void hog(void *context) {
    uint64_t *turns = context;
    while (!thread_should_stop())
        ash_store_relaxed(turns, ash_load_relaxed(turns) + 1);
}

/* Until each has had several turns, and a CPU of its own where it is to; or for long. */
static bool have_shared(struct hogs *hogs) {
    bool good = true;
    hogs->cpus = 0;
    for (uint32_t i = 0; i < hogs->count; i++) {
        struct thread_info *info = &hogs->infos[i];
        hogs->errors += !thread_info_from(hogs->ids[i], info);
        hogs->cpus |= 1u << info->cpu;
        good = good && ash_load_relaxed(&hogs->turns[i]) != 0 &&
               info->account.switches >= hogs->switches;
    }
    return good && hogs->cpus == hogs->cpus_wanted;
}

static void let_hogs_run(void *context) {
    struct hogs *hogs = context;
    const struct ash_sched_attributes fair = {.flags = ASH_SCHED_NICE};
    ash_ns_t end_ns = platform_now_ns() + LONG_NS;
    for (uint32_t i = 0; i < hogs->count; i++)
        hogs->ids[i] = test_thread_start("hog", &fair, hog, &hogs->turns[i]);
    while (!(hogs->shared = have_shared(hogs)) && platform_now_ns() < end_ns)
        (void)thread_sleep_until(platform_now_ns() + MS);
    for (uint32_t i = 0; i < hogs->count; i++) {
        hogs->errors += thread_stop(hogs->ids[i]) != 0;
        hogs->errors += thread_join(hogs->ids[i], UINT64_MAX) != 0;
    }
    hogs->errors += threads_check() != NULL;
}

TEST_CASE(threads, that_never_wait_are_preempted_and_share_one_cpu) {
    struct hogs hogs = {.count = 3, .switches = 3, .cpus_wanted = 1};
    run_threads(1, let_hogs_run, &hogs);
    CHECK_EQ(hogs.errors, 0);
    CHECK(hogs.shared);
}

TEST_CASE(threads, that_never_wait_spread_over_the_cpus) {
    struct hogs hogs = {.count = 4, .switches = 1, .cpus_wanted = 15};
    run_threads(4, let_hogs_run, &hogs);
    CHECK_EQ(hogs.errors, 0);
    CHECK(hogs.shared);
}

/* Allocators are pinned in their fast paths: preempted at any instruction, they stay whole. */

struct churn {
    struct counts counts;
    struct ash_heap *heap;
    uint64_t rounds;
};

static void churn(void *context) {
    struct churn *churn = context;
    void *kept[16] = {NULL};
    for (uint32_t i = 0; !thread_should_stop(); i++) {
        uint32_t at = i % 16;
        if (kept[at] != NULL && *(uint32_t *)kept[at] != i - 16)
            ash_fetch_add(&churn->counts.errors, 1);
        ash_kfree(churn->heap, kept[at]);
        kept[at] = ash_kmalloc(churn->heap, 16u << i % 4);
        if (kept[at] != NULL)
            *(uint32_t *)kept[at] = i;
        ash_fetch_add(&churn->rounds, 1);
    }
    for (uint32_t i = 0; i < 16; i++)
        ash_kfree(churn->heap, kept[i]);
}

static void let_them_churn(void *context) {
    struct churn *churn_context = context;
    uint32_t ids[6];
    churn_context->heap = &memory->heap;
    for (uint32_t i = 0; i < 6; i++)
        ids[i] = test_thread_start("churn", NULL, churn, churn_context);
    sleep_until_counted(&churn_context->rounds, 1000);
    for (uint32_t i = 0; i < 6; i++) {
        churn_context->counts.errors += thread_stop(ids[i]) != 0;
        churn_context->counts.errors += thread_join(ids[i], UINT64_MAX) != 0;
    }
    churn_context->counts.errors += memory_check(memory) != NULL;
}

TEST_CASE(threads, preempted_inside_of_the_allocators_leave_them_whole) {
    struct churn churn_context = {0};
    run_threads(1, let_them_churn, &churn_context);
    CHECK_EQ(churn_context.counts.errors, 0);
    CHECK(churn_context.rounds >= 1000);
}

TEST_CASE(threads, that_move_between_cpus_inside_of_the_allocators_leave_them_whole) {
    struct churn churn_context = {0};
    run_threads(4, let_them_churn, &churn_context);
    CHECK_EQ(churn_context.counts.errors, 0);
    CHECK(churn_context.rounds >= 1000);
}

/* Waiting */

struct ball {
    struct wait_queue queue;
    uint32_t at, hits, limit;
};

struct player {
    struct ball *ball;
    uint32_t number;
};

static bool is_mine(void *context) {
    const struct player *player = context;
    return ash_load_acquire(&player->ball->at) == player->number;
}

static void play(void *context) {
    struct player *player = context;
    struct ball *ball = player->ball;
    while (ash_load_relaxed(&ball->hits) < ball->limit) {
        (void)!wait_queue_wait(&ball->queue, is_mine, player, UINT64_MAX);
        ash_store_relaxed(&ball->hits, ball->hits + 1);
        ash_store_release(&ball->at, 1 - player->number);
        wait_queue_wake(&ball->queue, WAIT_QUEUE_ALL);
    }
}

static void play_one_game(void *context) {
    struct ball *ball = context;
    struct player players[2] = {{ball, 0}, {ball, 1}};
    uint32_t other = test_thread_start("player", NULL, play, &players[1]);
    play(&players[0]);
    (void)!thread_join(other, UINT64_MAX);
}

static void check_game(uint32_t cpus) {
    struct ball ball = {.limit = 2000};
    wait_queue_init(&ball.queue);
    run_threads(cpus, play_one_game, &ball);
    CHECK(ball.hits >= ball.limit);
}

TEST_CASE(threads, play_ball_over_a_wait_queue_on_one_cpu) {
    check_game(1);
}

TEST_CASE(threads, play_ball_over_a_wait_queue_on_two_cpus) {
    check_game(2);
}

static void sleep_twice(void *context) {
    uint64_t *late_ns = context;
    for (uint32_t i = 0; i < 2; i++) {
        ash_ns_t until_ns = platform_now_ns() + 200 * US;
        if (!thread_sleep_until(until_ns) || platform_now_ns() < until_ns)
            *late_ns = 1;
    }
}

TEST_CASE(threads, sleep_until_their_time_and_not_shorter) {
    uint64_t wrong = 0;
    run_threads(1, sleep_twice, &wrong);
    CHECK_EQ(wrong, 0);
}

static void sleep_long(void *context) {
    uint32_t *woken = context;
    *woken = !thread_sleep_until(UINT64_MAX);
}

static void stop_a_sleeper(void *context) {
    uint32_t id = test_thread_start("sleeper", NULL, sleep_long, context);
    (void)thread_sleep_until(platform_now_ns() + 100 * US);
    if (thread_stop(id) != 0 || thread_join(id, UINT64_MAX) != 0 || thread_stop(id) != -ASH_ENOENT)
        *(uint32_t *)context = 2;
}

TEST_CASE(threads, that_sleep_hear_that_they_are_to_stop) {
    uint32_t woken = 0;
    run_threads(2, stop_a_sleeper, &woken);
    CHECK_EQ(woken, 1);
}

/* Mutexes */

struct shared {
    struct mutex mutex;
    uint64_t value, copies[4];
    uint32_t errors;
};

static void add_slowly(void *context) {
    struct shared *shared = context;
    while (!thread_should_stop()) {
        mutex_lock(&shared->mutex);
        uint64_t value = shared->value;
        for (uint32_t i = 0; i < 4; i++)
            shared->errors += shared->copies[i] != value;
        if (value % 7 == 0)
            thread_yield();
        for (uint32_t i = 0; i < 4; i++)
            shared->copies[i] = value + 1;
        if (value % 64 == 0)
            (void)thread_sleep_until(platform_now_ns() + 5 * US);
        ash_store_relaxed(&shared->value, value + 1);
        mutex_unlock(&shared->mutex);
    }
}

static void fight_for_a_mutex(void *context) {
    struct shared *shared = context;
    const struct ash_sched_attributes kinds[6] = {
        {0},
        {.flags = ASH_SCHED_NICE, .nice = -10},
        {.flags = ASH_SCHED_NICE, .nice = 10},
        {.runtime_ns = 100 * US, .period_ns = 1 * MS},
        {.runtime_ns = 100 * US, .period_ns = 2 * MS, .flags = ASH_SCHED_SOFT},
        {.flags = ASH_SCHED_IDLEST},
    };
    uint32_t ids[6], errors = 0;
    mutex_init(&shared->mutex);
    for (uint32_t i = 0; i < 6; i++)
        ids[i] = test_thread_start("fighter", &kinds[i], add_slowly, shared);
    sleep_until_counted(&shared->value, 100);
    for (uint32_t i = 0; i < 6; i++) {
        errors += thread_stop(ids[i]) != 0;
        errors += thread_join(ids[i], UINT64_MAX) != 0;
    }
    shared->errors += errors + (threads_check() != NULL);
}

TEST_CASE(threads, one_at_a_time_has_the_mutex_on_one_cpu) {
    struct shared shared = {.value = 0};
    run_threads(1, fight_for_a_mutex, &shared);
    CHECK_EQ(shared.errors, 0);
    CHECK(shared.value >= 100);
}

TEST_CASE(threads, one_at_a_time_has_the_mutex_on_four_cpus) {
    struct shared shared = {.value = 0};
    run_threads(4, fight_for_a_mutex, &shared);
    CHECK_EQ(shared.errors, 0);
    CHECK(shared.value >= 100);
}

/* Mars Pathfinder, 1997: a task of no urgency holds what an urgent one wants, and a third runs. */

struct inversion {
    struct mutex mutex;
    uint64_t turns;
    uint32_t has_it, is_wanted, was_had;
};

static void hold(void *context) {
    struct inversion *inversion = context;
    mutex_lock(&inversion->mutex);
    ash_store_release(&inversion->has_it, 1u);
    while (ash_load_acquire(&inversion->is_wanted) == 0 && !thread_should_stop()) {}
    ash_ns_t spent_ns = platform_now_ns() + MS;
    while (platform_now_ns() < spent_ns) {}
    mutex_unlock(&inversion->mutex);
}

static void want(void *context) {
    struct inversion *inversion = context;
    ash_store_release(&inversion->is_wanted, 1u);
    mutex_lock(&inversion->mutex);
    ash_store_release(&inversion->was_had, 1u);
    mutex_unlock(&inversion->mutex);
}

/* Beside a hog a thread of the idle class runs in another's turns, or not at all. */
static void invert(void *context) {
    struct inversion *inversion = context;
    const struct ash_sched_attributes least = {.flags = ASH_SCHED_IDLEST},
                                      most = {.runtime_ns = 20 * MS, .period_ns = 100 * MS};
    mutex_init(&inversion->mutex);
    uint32_t holder = test_thread_start("holder", &least, hold, inversion);
    while (ash_load_acquire(&inversion->has_it) == 0)
        (void)thread_sleep_until(platform_now_ns() + 20 * US);
    uint32_t other = test_thread_start("hog", NULL, hog, &inversion->turns);
    uint32_t urgent = test_thread_start("urgent", &most, want, inversion);
    (void)!thread_join(urgent, platform_now_ns() + LONG_NS);
    (void)!thread_stop(holder);
    (void)!thread_stop(other);
    (void)!thread_join(other, UINT64_MAX);
    (void)!thread_join(holder, UINT64_MAX);
}

TEST_CASE(threads, an_urgent_waiter_lends_its_turns_to_who_holds_the_mutex) {
    struct inversion inversion = {.turns = 0};
    run_threads(1, invert, &inversion);
    CHECK_EQ(inversion.was_had, 1);
}

/* Alone */

static void run_everywhere(void *context, uint32_t cpu) {
    uint32_t *seen = context;
    ash_fetch_add(&seen[cpu], 1);
}

static void use_all_cpus(void *context) {
    if (platform_run_on_cpus(run_everywhere, context, platform_cpu_count()) != 0)
        *(uint32_t *)context = 99;
}

struct alone {
    uint32_t seen[ASH_PORT_CPUS_MAX];
    uint64_t turns[3];
    uint32_t errors;
};

static void be_alone_beside_hogs(void *context) {
    struct alone *alone = context;
    uint32_t ids[3];
    for (uint32_t i = 0; i < 3; i++)
        ids[i] = test_thread_start("hog", NULL, hog, &alone->turns[i]);
    for (uint32_t i = 0; i < 3; i++) {
        (void)thread_sleep_until(platform_now_ns() + 200 * US);
        threads_alone(use_all_cpus, alone->seen);
    }
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t turns = ash_load_relaxed(&alone->turns[i]);
        while (ash_load_relaxed(&alone->turns[i]) == turns)
            thread_yield();
        alone->errors += thread_stop(ids[i]) != 0;
        alone->errors += thread_join(ids[i], UINT64_MAX) != 0;
    }
}

TEST_CASE(threads, one_can_have_the_machine_alone_and_the_others_go_on_afterwards) {
    struct alone alone = {.errors = 0};
    run_threads(platform_cpu_count() < 4 ? 1 : 4, be_alone_beside_hogs, &alone);
    CHECK_EQ(alone.errors, 0);
    for (uint32_t cpu = 0; cpu < platform_cpu_count(); cpu++)
        CHECK_EQ(alone.seen[cpu], 3);
}

/* Refusals */

static void ask_for_too_much(void *context) {
    struct counts *counts = context;
    const struct ash_sched_attributes half = {.runtime_ns = 50 * MS, .period_ns = 100 * MS};
    struct ash_sched_refusal refusal = {.reason = ASH_SCHED_OK};
    struct thread_options options = {.name = "a name that is too long", .attributes = half};
    uint32_t id = test_thread_start("half", &half, sleep_long, &counts->begun);
    counts->seen[0] = (uint32_t)-thread_create(&options, count, counts, NULL, &refusal);
    counts->seen[1] = refusal.reason;
    options.attributes = (struct ash_sched_attributes){.flags = ASH_SCHED_NICE, .nice = 20};
    counts->seen[2] = (uint32_t)-thread_create(&options, count, counts, NULL, &refusal);
    counts->seen[3] = refusal.reason;
    options = (struct thread_options){.name = "small", .stack_bytes = ASH_PAGE_SIZE};
    counts->seen[6] = (uint32_t)-thread_create(&options, count, counts, NULL, &refusal);
    counts->seen[4] = (uint32_t)-thread_change(1000, &half, NULL);
    counts->seen[5] = (uint32_t)-thread_join(id, platform_now_ns() + 10 * US);
    counts->errors += thread_stop(id) != 0 || thread_join(id, UINT64_MAX) != 0;
}

TEST_CASE(threads, that_do_not_fit_are_refused_with_the_reason) {
    struct counts counts = {0};
    run_threads(1, ask_for_too_much, &counts);
    CHECK_EQ(counts.errors, 0);
    CHECK_EQ(counts.seen[0], ASH_EBUSY);
    CHECK_EQ(counts.seen[1], ASH_SCHED_OVER_BANDWIDTH);
    CHECK_EQ(counts.seen[2], ASH_ERANGE);
    CHECK_EQ(counts.seen[3], ASH_SCHED_BAD_NICE);
    CHECK_EQ(counts.seen[4], ASH_ENOENT);
    CHECK_EQ(counts.seen[5], ASH_ETIMEDOUT);
    CHECK_EQ(counts.seen[6], ASH_EINVAL);
}
