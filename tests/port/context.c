/* SPDX-License-Identifier: MIT */
/* The conformance suite's part about contexts: platform_context_*. */
#include <ashlar/port.h>

#include "harness/asan.h"
#include "harness/test.h"
#include "platform.h"

enum { STACK_BYTES = 32 << 10, RING_MAX = 8 };

#define MINUTE_NS UINT64_C(60000000000)

/* Contexts that give each other the turn, the first of them on the case's own stack. */
struct ring {
    struct platform_context contexts[RING_MAX];
    uint32_t count;
    uint32_t turns;
    uint64_t log; /* who ran, a digit each, the last one lowest */
};

struct member {
    struct ring *ring;
    uint32_t index;
    uint64_t sum;
    uintptr_t frame;
    uint32_t cpu;
};

static void pass_on(struct ring *ring, uint32_t index) {
    ring->turns++;
    ring->log = ring->log * 10 + index;
    platform_context_switch(&ring->contexts[index], &ring->contexts[(index + 1) % ring->count]);
}

/* Made where the test wants it to begin. */
static void add(struct ring *ring, struct member *member, void (*entry)(void *argument)) {
    member->ring = ring;
    member->index = ring->count;
    platform_context_init(&ring->contexts[ring->count++], test_alloc(STACK_BYTES, 16), STACK_BYTES,
                          entry, member);
}

static void end(struct ring *ring) {
    for (uint32_t i = 1; i < ring->count; i++)
        platform_context_fini(&ring->contexts[i]);
}

static void run_for_ever(void *argument) {
    struct member *member = argument;
    for (;;)
        pass_on(member->ring, member->index);
}

TEST_CASE(context, runs_from_its_entry_and_goes_on_where_it_left) {
    struct ring ring = {.count = 1};
    struct member members[2];
    for (uint32_t i = 0; i < 2; i++)
        add(&ring, &members[i], run_for_ever);
    for (uint32_t round = 0; round < 3; round++)
        pass_on(&ring, 0);
    CHECK_EQ(ring.turns, 9);
    CHECK_EQ(ring.log, 12012012);
    end(&ring);
}

static void note_frame(void *argument) {
    struct member *member = argument;
    member->frame = (uintptr_t)__builtin_frame_address(0);
    for (;;)
        pass_on(member->ring, member->index);
}

TEST_CASE(context, is_on_its_own_stack_aligned) {
    struct ring ring = {.count = 1};
    struct member member;
    add(&ring, &member, note_frame);
    uintptr_t stack = (uintptr_t)ring.contexts[1].stack;
    pass_on(&ring, 0);
    CHECK(member.frame > stack && member.frame <= stack + STACK_BYTES);
    CHECK(member.frame > stack + STACK_BYTES - 512);
    CHECK_EQ(member.frame % 16, 0);
    end(&ring);
}

/* More values than there are registers that a call keeps, all of them live across each switch. */
static uint64_t compute(struct ring *ring, uint32_t index, uint64_t seed, uint32_t turns) {
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13;
    uint64_t g = seed * 17, h = seed * 19, i = seed * 23, j = seed * 29, k = seed * 31;
    for (uint32_t turn = 0; turn < turns; turn++) {
        if (ring != NULL)
            pass_on(ring, index);
        a += b ^ turn, b += c, c += d, d += e, e += f, f += g;
        g += h, h += i, i += j, j += k, k += a;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k;
}

enum { TURNS = 50 };

static void compute_and_pass(void *argument) {
    struct member *member = argument;
    member->sum = compute(member->ring, member->index, member->sum, TURNS);
    for (;;)
        pass_on(member->ring, member->index);
}

TEST_CASE(context, keeps_what_a_call_keeps) {
    struct ring ring = {.count = 1};
    struct member members[RING_MAX];
    for (uint32_t i = 1; i < RING_MAX; i++) {
        members[i].sum = test_seed() + i;
        add(&ring, &members[i], compute_and_pass);
    }
    CHECK_EQ(compute(&ring, 0, test_seed(), TURNS + 1), compute(NULL, 0, test_seed(), TURNS + 1));
    for (uint32_t i = 1; i < RING_MAX; i++)
        CHECK_EQ(members[i].sum, compute(NULL, 0, test_seed() + i, TURNS));
    end(&ring);
}

/* What one context leaves in a register must not reach the next one. */
static void spoil(void *argument) {
    struct member *member = argument;
    for (uint64_t x = ~UINT64_C(0);; x--) {
        member->sum = compute(NULL, 0, x, 3);
#if defined(__x86_64__)
        __asm__ volatile("movq %0, %%rbx\n\tmovq %0, %%r12\n\tmovq %0, %%r13\n\t"
                         "movq %0, %%r14\n\tmovq %0, %%r15"
                         :
                         : "r"(x)
                         : "rbx", "r12", "r13", "r14", "r15");
#elif defined(__aarch64__)
        __asm__ volatile("mov x19, %0\n\tmov x20, %0\n\tmov x21, %0\n\tmov x22, %0\n\t"
                         "mov x23, %0\n\tmov x24, %0\n\tmov x25, %0\n\tmov x26, %0\n\t"
                         "mov x27, %0\n\tmov x28, %0"
                         :
                         : "r"(x)
                         : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28");
#endif
        pass_on(member->ring, member->index);
    }
}

TEST_CASE(context, takes_over_no_register_of_another) {
    struct ring ring = {.count = 1};
    struct member member = {0};
    add(&ring, &member, spoil);
    CHECK_EQ(compute(&ring, 0, test_seed(), TURNS), compute(NULL, 0, test_seed(), TURNS));
    end(&ring);
}

static void raise_interrupt(void *argument) {
    struct member *member = argument;
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    ash_store_relaxed((uint32_t *)&member->cpu, 1u);
}

static void be_interrupted(void *argument) {
    struct member *member = argument;
    for (;;) {
        member->sum = (uint64_t)platform_interrupt_self(raise_interrupt, member);
        while (member->sum == 0 && ash_load_relaxed(&member->cpu) == 0)
            ash_port_relax();
        pass_on(member->ring, member->index);
    }
}

TEST_CASE(context, is_interrupted_as_any_code) {
    struct ring ring = {.count = 1};
    struct member member = {0};
    add(&ring, &member, be_interrupted);
    for (uint32_t i = 0; i < 3; i++) {
        member.cpu = 0;
        pass_on(&ring, 0);
        CHECK_EQ(member.sum, 0);
        CHECK_EQ(member.cpu, 1);
    }
    end(&ring);
}

static void end_at_once(void *argument) {
    struct member *member = argument;
    member->sum++;
    platform_context_exit(&member->ring->contexts[member->index], &member->ring->contexts[0]);
}

TEST_CASE(context, that_has_ended_leaves_its_stack_to_the_next) {
    struct ring ring = {.count = 1};
    struct member member = {.ring = &ring, .index = 1};
    void *stack = test_alloc(STACK_BYTES, 16);
    for (uint32_t i = 0; i < 100; i++) {
        platform_context_init(&ring.contexts[1], stack, STACK_BYTES, end_at_once, &member);
        platform_context_switch(&ring.contexts[0], &ring.contexts[1]);
        platform_context_fini(&ring.contexts[1]);
    }
    CHECK_EQ(member.sum, 100);
}

TEST_CASE(context, that_never_ran_can_be_finished) {
    struct platform_context context;
    platform_context_init(&context, test_alloc(STACK_BYTES, 16), STACK_BYTES, end_at_once, NULL);
    platform_context_fini(&context);
}

/* Contexts begin and end on CPU 0, and each that runs wakes CPU 1, if there is one. */
struct beginners {
    struct platform_context here, contexts[2];
    void *stacks[2];
    uint32_t came, lost, is_over;
};

static void note_alarm(void *context) {
    ash_store_relaxed((uint32_t *)context, 1u);
}

static void wake_and_end(void *argument) {
    struct beginners *beginners = argument;
    platform_wake(1);
    platform_context_exit(&beginners->contexts[0], &beginners->here);
}

/* Whatever of it the timer falls into; a minute late is never. */
static bool timer_comes(struct beginners *beginners, ash_ns_t deadline_ns) {
    beginners->came = 0;
    int error = platform_timer_arm(deadline_ns, note_alarm, &beginners->came);
    while (ash_load_relaxed(&beginners->came) == 0 && error == 0 &&
           platform_now_ns() < deadline_ns + MINUTE_NS) {
        for (uint32_t i = 0; i < 2; i++)
            platform_context_init(&beginners->contexts[i], beginners->stacks[i], STACK_BYTES,
                                  wake_and_end, beginners);
        platform_context_switch(&beginners->here, &beginners->contexts[0]);
        for (uint32_t i = 0; i < 2; i++) /* the second has never run */
            platform_context_fini(&beginners->contexts[i]);
    }
    platform_timer_disarm();
    return ash_load_relaxed(&beginners->came) != 0;
}

static void begin_and_end(void *argument, uint32_t cpu) {
    enum { ROUNDS = 150, AHEAD_NS = 20000, STEP_NS = 7001 };
    struct beginners *beginners = argument;
    for (uint32_t i = 0; i < ROUNDS && cpu == 0 && beginners->lost == 0; i++)
        beginners->lost += !timer_comes(beginners, platform_now_ns() + AHEAD_NS + i * STEP_NS);
    ash_irq_t state = ash_port_irq_save();
    if (cpu == 0) {
        ash_store_release(&beginners->is_over, 1u);
        platform_wake(1);
    }
    while (ash_load_acquire(&beginners->is_over) == 0)
        platform_wait(UINT64_MAX);
    ash_port_irq_restore(state);
}

TEST_CASE(context, that_begins_or_ends_loses_no_interrupt) {
    struct beginners beginners = {0};
    for (uint32_t i = 0; i < 2; i++)
        beginners.stacks[i] = test_alloc(STACK_BYTES, 16);
    test_run_on_cpus(begin_and_end, &beginners, platform_cpu_count() == 1 ? 1 : 2);
    CHECK_EQ(beginners.lost, 0);
}

static void start_contexts_on_this_cpu(void *argument, uint32_t cpu) {
    struct member *members = argument;
    struct ring ring = {.count = 1};
    struct member member = {.sum = members[cpu].sum};
    void *stack = (void *)members[cpu].frame;
    member.ring = &ring;
    member.index = ring.count++;
    platform_context_init(&ring.contexts[1], stack, STACK_BYTES, compute_and_pass, &member);
    for (uint32_t i = 0; i <= TURNS; i++)
        pass_on(&ring, 0);
    platform_context_fini(&ring.contexts[1]);
    members[cpu].sum = member.sum;
}

TEST_CASE(context, each_cpu_has_its_own) {
    struct member members[ASH_PORT_CPUS_MAX];
    uint32_t cpus = platform_cpu_count();
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        members[cpu].frame = (uintptr_t)test_alloc(STACK_BYTES, 16);
        members[cpu].sum = test_seed() + cpu;
    }
    test_run_on_cpus(start_contexts_on_this_cpu, members, cpus);
    for (uint32_t cpu = 0; cpu < cpus; cpu++)
        CHECK_EQ(members[cpu].sum, compute(NULL, 0, test_seed() + cpu, TURNS));
}

static void return_at_once(void *argument) {
    (void)argument;
}

TEST_CASE(context, entry_that_returns_panics) {
    struct platform_context here = {0}, context;
    if (TEST_STACK_IS_WATCHED)
        test_skip("a sanitizer does not follow the jump from its stack back to the case's");
    platform_context_init(&context, test_alloc(STACK_BYTES, 16), STACK_BYTES, return_at_once, NULL);
    CHECK_PANICS(platform_context_switch(&here, &context), "an entry returned");
}

TEST_CASE(context, stack_that_is_none_panics) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct platform_context context;
    char *stack = test_alloc(STACK_BYTES, 16);
    CHECK_PANICS(platform_context_init(&context, stack + 8, 4096, return_at_once, NULL),
                 "is no stack");
    CHECK_PANICS(platform_context_init(&context, stack, 512, return_at_once, NULL), "is no stack");
}
