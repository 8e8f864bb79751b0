/* SPDX-License-Identifier: MIT */
/* Cases of what a program keeps while others run: every register, over interrupts, switches and
 * moves to other CPUs. */
#include <ashlar/port.h>

#include "platform.h"
#include "qemu-virt/page.h"
#include "qemu/user_space.h"

/*
 * x30 rounds. A round adds n + 1 to each xn but x11..x16, v31 to each other vector, 16 to sp, 1 to
 * the thread pointer; it changes a bit of FPSR and of FPCR; x11 notes flags that were lost.
 */
USER_PROGRAM(
    program_add,
    "1: msr nzcv, x12\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,17,18,19,20,21,22,23,24,25,26,27,28,29\n"
    "add x\\n, x\\n, #(\\n + 1)\n"
    ".endr\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28\n"
    "add v\\n\\().2d, v\\n\\().2d, v31.2d\n"
    ".endr\n"
    "add v29.2d, v29.2d, v31.2d\n"
    "add v30.2d, v30.2d, v31.2d\n"
    "mrs x16, tpidr_el0\n"
    "add x16, x16, #1\n"
    "msr tpidr_el0, x16\n"
    "mrs x15, fpsr\n"
    "eor x15, x15, #1\n"
    "msr fpsr, x15\n"
    "mrs x14, fpcr\n"
    "eor x14, x14, #0x400000\n"
    "msr fpcr, x14\n"
    "add sp, sp, #16\n"
    "mrs x13, nzcv\n"
    "eor x13, x13, x12\n"
    "orr x11, x11, x13\n"
    "subs x30, x30, #1\n"
    "b.ne 1b\n"
    "svc #0");

enum { ROUNDS = 3000 }; /* even */

struct runner {
    struct user_space space;
    struct platform_user *user, *first;
    uint32_t interrupts, wrong;
    void *pages[2]; /* copied while the program does not run: with registers that it has, too */
};

static void runner_init(struct runner *runner, uint32_t number) {
    struct test_random random = test_random_from(test_seed() + number);
    user_space_init(&runner->space, number + 1, program_add, program_add_end);
    runner->pages[0] = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    runner->pages[1] = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    for (uint32_t i = 0; i < ASH_PAGE_SIZE; i++)
        ((uint8_t *)runner->pages[1])[i] = (uint8_t)test_random_u64(&random);
    runner->user = user_new();
    runner->first = user_new();
    for (uint32_t i = 0; i < 30; i++)
        runner->first->x[i] = test_random_u64(&random);
    uint64_t *vectors = (uint64_t *)(void *)runner->first->v;
    for (uint32_t i = 0; i < 64; i++)
        vectors[i] = test_random_u64(&random);
    runner->first->x[11] = 0;
    runner->first->x[12] = test_random_below(&random, 16) << 28;
    runner->first->x[30] = ROUNDS;
    runner->first->sp = test_random_u64(&random);
    runner->first->tls = test_random_u64(&random);
    runner->first->fpcr = test_random_below(&random, 32) << 22; /* RMode, FZ, DN, AHP */
    runner->first->fpsr = test_random_below(&random, 32) | test_random_below(&random, 32) << 27;
    *runner->user = *runner->first;
}

static void is(struct runner *runner, uint64_t actual, uint64_t expected) {
    runner->wrong += actual != expected;
}

static void copy_page(struct runner *runner) {
    platform_page_zero(runner->pages[0]);
    page_copy_by_simd(runner->pages[0], runner->pages[1]); /* perhaps the one that is chosen */
    runner->wrong += memcmp(runner->pages[0], runner->pages[1], ASH_PAGE_SIZE) != 0;
}

/* And begins again, from where it is. */
static void check_rounds(struct runner *runner) {
    struct platform_user *user = runner->user, *first = runner->first;
    const uint64_t *before = (const uint64_t *)(const void *)first->v;
    const uint64_t *after = (const uint64_t *)(const void *)user->v;
    for (uint32_t i = 0; i < 30; i++) {
        if (i < 11 || i > 16)
            is(runner, user->x[i], first->x[i] + ROUNDS * (i + 1));
    }
    is(runner, user->x[11], 0);
    is(runner, user->x[12], first->x[12]);
    is(runner, user->x[30], 0);
    is(runner, user->sp, first->sp + 16 * ROUNDS);
    is(runner, user->tls, first->tls + ROUNDS);
    is(runner, user->fpcr, first->fpcr);
    is(runner, user->fpsr, first->fpsr);
    is(runner, user->pstate, 0x60000000); /* 1 - 1: Z, C */
    for (uint32_t i = 0; i < 64; i++)
        is(runner, after[i], before[i] + (i < 62 ? ROUNDS * before[62 + i % 2] : 0));
    user->x[30] = ROUNDS;
    user->pc = USER_CODE;
    *first = *user;
}

/* Two contexts of CPU 0, which every interrupt makes take turns; the first is the case's own. */

enum { STACK_BYTES = 16 << 10, SLICE_NS = 20000, TURNS = 4000 };
enum { PROGRAMS = 8, CPUS = 4, RUNS = 6, MOVES_MIN = 200 };

static struct {
    struct runner runners[2];
    struct platform_context contexts[2];
    uint32_t current, turns;
    ash_irq_t unmasked;
    void (*hook_before)(bool may_switch);
} pair;

static void take_turns(bool may_switch) {
    uint32_t from = pair.current;
    if (!may_switch || pair.turns == TURNS)
        return;
    pair.current = 1 - from;
    pair.turns++;
    platform_context_switch(&pair.contexts[from], &pair.contexts[1 - from]);
}

static void ring(void *context) {
    if (pair.turns < TURNS)
        (void)!platform_timer_arm(platform_now_ns() + SLICE_NS, ring, context);
}

static void run_until_over(uint32_t index) {
    struct runner *runner = &pair.runners[index];
    struct platform_user_event event;
    while (ash_load_relaxed(&pair.turns) < TURNS) {
        platform_user_run(runner->user, &runner->space.translation, &event);
        if (event.cause == PLATFORM_USER_INTERRUPT) {
            if (++runner->interrupts % 16 == 0)
                copy_page(runner);
        } else {
            runner->wrong += event.cause != PLATFORM_USER_CALL;
            check_rounds(runner);
        }
    }
}

/* The number of turns is even: it is switched away last, and stays there. */
static void be_the_second(void *argument) {
    (void)argument;
    ash_port_irq_restore(pair.unmasked);
    run_until_over(1);
    for (;;)
        ash_port_relax();
}

TEST_CASE(user, two_programs_on_a_cpu_keep_every_register) {
    memset(&pair, 0, sizeof(pair));
    runner_init(&pair.runners[0], 0);
    runner_init(&pair.runners[1], 1);
    pair.unmasked = ash_port_irq_save();
    platform_context_init(&pair.contexts[1], test_alloc(STACK_BYTES, 16), STACK_BYTES,
                          be_the_second, NULL);
    pair.hook_before = platform_after_interrupt;
    platform_after_interrupt = take_turns;
    (void)!platform_timer_arm(platform_now_ns() + SLICE_NS, ring, NULL);
    ash_port_irq_restore(pair.unmasked);
    run_until_over(0);
    platform_timer_disarm();
    platform_after_interrupt = pair.hook_before;
    CHECK_EQ(pair.turns, TURNS);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(pair.runners[i].wrong, 0);
        CHECK(pair.runners[i].interrupts > 100);
        user_space_fini(&pair.runners[i].space);
    }
}

/*
 * Contexts with a program each, and CPUs that take the first of a queue, until an interrupt sends
 * them back to their own context; that puts it at the end, for any CPU: so it goes on, in the
 * middle of platform_user_run, wherever it is taken next.
 */

static struct {
    struct runner runners[PROGRAMS];
    struct platform_context contexts[PROGRAMS], own[CPUS];
    bool has_finished[PROGRAMS];
    uint32_t running[CPUS]; /* PROGRAMS: its own context */
    struct ash_spinlock lock;
    uint32_t queue[PROGRAMS], queued, finished, moves;
    ash_irq_t unmasked;
    ash_ns_t limit_ns;
} crowd;

static uint32_t cpu_now(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_port_unpin();
    return cpu;
}

static void leave_for_others(bool may_switch) {
    uint32_t cpu = cpu_now(), program = crowd.running[cpu];
    if (may_switch && program != PROGRAMS)
        platform_context_switch(&crowd.contexts[program], &crowd.own[cpu]);
}

static void ring_here(void *context) {
    (void)!platform_timer_arm(platform_now_ns() + SLICE_NS, ring_here, context);
}

/* In its own context. */
static void run_a_program(void *argument) {
    struct runner *runner = argument;
    struct platform_user_event event;
    uint32_t cpu = cpu_now();
    ash_port_irq_restore(crowd.unmasked);
    for (uint32_t runs = 0; runs < RUNS || ash_load_relaxed(&crowd.moves) < MOVES_MIN;) {
        platform_user_run(runner->user, &runner->space.translation, &event);
        if (cpu_now() != cpu)
            ash_fetch_add(&crowd.moves, 1u);
        cpu = cpu_now();
        if (event.cause == PLATFORM_USER_INTERRUPT) {
            if (++runner->interrupts % 16 == 0)
                copy_page(runner);
        } else {
            runner->wrong += event.cause != PLATFORM_USER_CALL;
            check_rounds(runner);
            runs++;
        }
        if (platform_now_ns() > crowd.limit_ns)
            break;
    }
    (void)ash_port_irq_save();
    cpu = cpu_now();
    crowd.has_finished[runner - crowd.runners] = true;
    platform_context_exit(&crowd.contexts[runner - crowd.runners], &crowd.own[cpu]);
}

/* PROGRAMS: none waits. */
static uint32_t take_first(void) {
    uint32_t first = PROGRAMS;
    ash_spin_lock(&crowd.lock);
    if (crowd.queued != 0) {
        first = crowd.queue[0];
        crowd.queued--;
        memmove(crowd.queue, crowd.queue + 1, crowd.queued * sizeof(crowd.queue[0]));
    }
    ash_spin_unlock(&crowd.lock);
    return first;
}

static void put_last(uint32_t program) {
    ash_spin_lock(&crowd.lock);
    if (crowd.has_finished[program])
        crowd.finished++;
    else
        crowd.queue[crowd.queued++] = program;
    ash_spin_unlock(&crowd.lock);
}

static void run_the_crowd(void *context, uint32_t cpu) {
    (void)context;
    ash_irq_t state = ash_port_irq_save();
    ring_here(NULL);
    while (ash_load_relaxed(&crowd.finished) < PROGRAMS) {
        uint32_t program = take_first();
        if (program != PROGRAMS) {
            crowd.running[cpu] = program;
            platform_context_switch(&crowd.own[cpu], &crowd.contexts[program]);
            crowd.running[cpu] = PROGRAMS;
            put_last(program);
        }
        ash_port_irq_restore(state);
        ash_port_relax();
        (void)ash_port_irq_save();
    }
    platform_timer_disarm();
    ash_port_irq_restore(state);
}

TEST_CASE(user, programs_that_move_between_cpus_keep_every_register) {
    if (platform_cpu_count() < CPUS)
        test_skip("needs %u CPUs, %u are online", CPUS, platform_cpu_count());
    memset(&crowd, 0, sizeof(crowd));
    for (uint32_t i = 0; i < PROGRAMS; i++) {
        runner_init(&crowd.runners[i], i);
        platform_context_init(&crowd.contexts[i], test_alloc(STACK_BYTES, 16), STACK_BYTES,
                              run_a_program, &crowd.runners[i]);
        crowd.queue[crowd.queued++] = i;
    }
    for (uint32_t i = 0; i < CPUS; i++)
        crowd.running[i] = PROGRAMS;
    crowd.limit_ns = platform_now_ns() + UINT64_C(10000000000);
    crowd.unmasked = ash_port_irq_save();
    ash_port_irq_restore(crowd.unmasked);
    pair.hook_before = platform_after_interrupt;
    platform_after_interrupt = leave_for_others;
    test_run_on_cpus(run_the_crowd, NULL, CPUS);
    platform_after_interrupt = pair.hook_before;
    for (uint32_t i = 0; i < PROGRAMS; i++) {
        CHECK_EQ(crowd.runners[i].wrong, 0);
        user_space_fini(&crowd.runners[i].space);
    }
    CHECK(crowd.moves >= MOVES_MIN);
}
