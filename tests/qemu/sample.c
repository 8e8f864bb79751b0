/* SPDX-License-Identifier: MIT */
/*
 * Cases of platform/sample.h that are aarch64's: the caller of whatever function is interrupted, at
 * each of its instructions, prologue and epilogue included. Under -icount with a fixed shift the
 * period walks over the loop, and every instruction must have been seen.
 */
#include <ashlar/port.h>

#include "harness/test.h"

#include "platform.h"
#include "qemu/user_space.h"
#include "sample.h"

enum { ROUNDS = 1000, PERIODS = 200, INSTRUCTIONS_MAX = 64, WALKED = 4 };

__attribute__((noinline)) static uint64_t walked_leaf(uint64_t x) {
    __asm__ volatile("" : "+r"(x));
    return x * 3 + 1;
}

__attribute__((noinline)) static uint64_t walked_frame(uint64_t x) {
    return walked_leaf(x) ^ walked_leaf(x + 1);
}

__attribute__((noinline)) static uint64_t walked_large(uint64_t x) {
    volatile uint64_t local[700];
    local[x % 700] = walked_leaf(x);
    return local[x % 700] + 1;
}

__attribute__((noinline)) static uint64_t walked_tail(uint64_t x) {
    uint64_t y = walked_leaf(x) + 5;
    __asm__ volatile("" : "+r"(y));
    return walked_leaf(y);
}

static const uintptr_t starts[WALKED] = {(uintptr_t)walked_leaf, (uintptr_t)walked_frame,
                                         (uintptr_t)walked_large, (uintptr_t)walked_tail};

static struct {
    struct {
        uint64_t low, high;
        uint8_t seen[INSTRUCTIONS_MAX];
    } functions[WALKED + 1]; /* the last is who calls them */
    uint64_t taken, wrong, wrong_pc, wrong_caller;
} walk;

static bool is_in(uint32_t function, uint64_t address) {
    return address >= walk.functions[function].low && address < walk.functions[function].high;
}

/* The return address: behind a call, in a walked function or the one that calls them. */
static uint64_t caller_of(const struct platform_sample *sample) {
    return sample->is_link_live ? sample->link : ((const uint64_t *)(uintptr_t)sample->fp)[1];
}

static void note(void *context, const struct platform_sample *sample) {
    (void)context;
    walk.taken++;
    for (uint32_t i = 0; i < WALKED; i++) {
        if (!is_in(i, sample->pc))
            continue;
        uint64_t caller = caller_of(sample) - 4;
        bool is_right = is_in(WALKED, caller);
        for (uint32_t j = 1; j < WALKED && i == 0; j++)
            is_right = is_right || is_in(j, caller);
        if (!is_right && walk.wrong++ == 0) {
            walk.wrong_pc = sample->pc;
            walk.wrong_caller = caller;
        }
        walk.functions[i].seen[(sample->pc - walk.functions[i].low) / 4] = 1;
    }
}

__attribute__((noinline)) static uint64_t walked_caller(uint64_t rounds) {
    uint64_t x = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        x += walked_leaf(x);
        x += walked_frame(x);
        x += walked_large(x);
        x += walked_tail(x);
    }
    return x;
}

/* A compiler that sees the call may call a copy of it, for this number of rounds alone. */
static uint64_t (*volatile call_walked)(uint64_t) = walked_caller;

/* Up to its last RET or B: what fills the place up to the next function is not executed. */
static void find(uint32_t index, uintptr_t address) {
    uint64_t start, end;
    const char *name;
    for (uint32_t i = 0; platform_code_function(i, &start, &end, &name); i++) {
        if (start != address)
            continue;
        const uint32_t *words = (const uint32_t *)address;
        uint64_t n = (end - start) / 4;
        while (n > 0 && words[n - 1] != 0xd65f03c0 && words[n - 1] >> 26 != 5)
            n--;
        walk.functions[index].low = start;
        walk.functions[index].high = start + n * 4;
        CHECK(n > 0 && (n <= INSTRUCTIONS_MAX || index == WALKED));
        return;
    }
    test_fail(__FILE__, __LINE__, "function %u is in no table", index);
}

static uint32_t unseen(uint64_t *pc) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < WALKED; i++) {
        for (uint64_t n = 0; n < (walk.functions[i].high - walk.functions[i].low) / 4; n++) {
            if (walk.functions[i].seen[n] == 0) {
                *pc = walk.functions[i].low + n * 4;
                count++;
            }
        }
    }
    return count;
}

TEST_CASE(sample_qemu, the_caller_is_right_at_every_instruction) {
    memset(&walk, 0, sizeof(walk));
    for (uint32_t i = 0; i < WALKED; i++)
        find(i, starts[i]);
    find(WALKED, (uintptr_t)walked_caller);
    uint64_t pc = 0;
    for (uint32_t i = 0; i < PERIODS; i++) {
        if (platform_sample_start(PLATFORM_TRIGGER_CYCLES, PLATFORM_SAMPLE_CYCLES_MIN + i, note,
                                  NULL) != 0)
            test_skip("no overflow of a cycle counter");
        call_walked(ROUNDS);
        platform_sample_stop();
    }
    if (walk.wrong != 0)
        test_fail(__FILE__, __LINE__, "%llu of %llu callers are wrong, first at %llx: %llx",
                  (unsigned long long)walk.wrong, (unsigned long long)walk.taken,
                  (unsigned long long)walk.wrong_pc, (unsigned long long)walk.wrong_caller);
    CHECK(walk.taken != 0);
    if (platform_counts_instructions() && unseen(&pc) != 0)
        test_fail(__FILE__, __LINE__, "%u instructions were never interrupted, one at %llx",
                  unseen(&pc), (unsigned long long)pc);
}

static struct { uint64_t previous, least, most, taken; } interval;

static void measure(void *context, const struct platform_sample *sample) {
    (void)context;
    if (interval.taken++ != 0) {
        interval.least = ash_min_u64(interval.least, sample->clock - interval.previous);
        interval.most = ash_max_u64(interval.most, sample->clock - interval.previous);
    }
    interval.previous = sample->clock;
}

TEST_CASE(sample_qemu, under_icount_intervals_are_exact) {
    if (!platform_counts_instructions())
        test_skip("time is the host's");
    interval.least = UINT64_MAX;
    interval.most = interval.taken = 0;
    CHECK_EQ(platform_sample_start(PLATFORM_TRIGGER_TIMER, 1000000, measure, NULL), 0);
    while (ash_load_relaxed(&interval.taken) < 20)
        ash_port_compiler_fence();
    platform_sample_stop();
    CHECK_EQ(interval.least, interval.most);
}

/* Programs */

/* A loop that calls a function without a frame, for ever; the caller's record is at x29. */
USER_PROGRAM(program_calls, "1: bl 2f\n"
                            "b 1b\n"
                            "2: add x0, x0, #1\n"
                            "add x0, x0, #2\n"
                            "ret");

#define LEAF        (USER_CODE + 8)
#define LEAF_END    (USER_CODE + 20)
#define BEHIND_CALL (USER_CODE + 4)
#define RECORD      (USER_DATA + 16)

/* Nothing is there, or it is the kernel's alone, or not aligned: none may be read. */
static const uint64_t unreadable[] = {0,
                                      USER_DATA + 2 * ASH_PAGE_SIZE,
                                      USER_DATA + ASH_PAGE_SIZE, /* the kernel's alone */
                                      UINT64_C(0xfffffffffffff000),
                                      UINT64_C(0xffff000000000000),
                                      UINT64_C(0x0001000000000000),
                                      RECORD + 8,
                                      RECORD + 1};

static struct {
    uint64_t root, other_root; /* that program has run here before */
    uint64_t taken, in_leaf;
    uint64_t wrong_place, wrong_link, unread, read_too_much;
} program;

static bool can_read(uint64_t root, uint64_t address) {
    uint64_t words[2] = {0, 0};
    return platform_sample_read_user(root, address, words) && words[0] == 0x1234 &&
           words[1] == 0x5678;
}

static void try_to_read(void) {
    uint64_t words[2];
    program.unread += !can_read(program.root, RECORD);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(unreadable); i++)
        program.read_too_much += platform_sample_read_user(program.root, unreadable[i], words);
    program.read_too_much += platform_sample_read_user(program.other_root, RECORD, words);
}

static void note_program(void *context, const struct platform_sample *sample) {
    (void)context;
    if (!sample->is_user)
        return;
    program.taken++;
    program.wrong_place += sample->pc < USER_CODE || sample->pc >= LEAF_END ||
                           sample->sp != USER_DATA || sample->fp != RECORD ||
                           sample->is_link_live || sample->is_waiting;
    program.in_leaf += sample->pc >= LEAF;
    program.wrong_link += sample->pc >= LEAF && sample->link != BEHIND_CALL;
    try_to_read();
}

static void run_until(struct platform_user *user, const struct user_space *space, uint64_t count) {
    struct platform_user_event event;
    for (uint64_t begin = program.taken; program.taken < begin + count;) {
        platform_user_run(user, &space->translation, &event);
        CHECK_EQ(event.cause, PLATFORM_USER_INTERRUPT);
    }
}

static void sample_program(struct platform_user *user, const struct user_space *space,
                           uint64_t period_ns) {
    CHECK_EQ(platform_sample_start(PLATFORM_TRIGGER_TIMER, period_ns, note_program, NULL), 0);
    run_until(user, space, 2);
    platform_sample_stop();
}

TEST_CASE(sample_qemu, a_program_is_told_with_its_link_and_its_stack_alone_is_read) {
    struct user_space before, space;
    uint64_t *data = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    data[2] = 0x1234;
    data[3] = 0x5678;
    user_space_init(&before, 1, program_calls, program_calls_end);
    user_space_init(&space, 2, program_calls, program_calls_end);
    user_space_map(&before, 0, data, USER_READ);
    user_space_map(&space, 0, data, USER_READ);
    user_space_map(&space, 1, test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE), USER_NONE);
    struct platform_user *user = user_new();
    user->x[29] = RECORD;
    memset(&program, 0, sizeof(program));
    program.root = before.translation.root;
    sample_program(user, &before, PLATFORM_SAMPLE_NS_MIN);
    program.other_root = before.translation.root;
    program.root = space.translation.root;
    for (uint32_t i = 0; i < 64; i++)
        sample_program(user, &space, PLATFORM_SAMPLE_NS_MIN + 999 * i);
    /* On a busy machine the way to the program may take longer than a period: it stands still. */
    for (uint32_t i = 0; i < 200 && program.in_leaf == 0; i++)
        sample_program(user, &space, 1000000 * (1 + i % 16) + 997 * i);
    ash_irq_t state = ash_port_irq_save();
    try_to_read(); /* as in a call of it */
    ash_port_irq_restore(state);
    CHECK(program.in_leaf != 0);
    CHECK_EQ(program.wrong_place, 0);
    CHECK_EQ(program.wrong_link, 0);
    CHECK_EQ(program.unread, 0);
    CHECK_EQ(program.read_too_much, 0);
    user_space_fini(&before);
    CHECK(can_read(program.root, RECORD));
    user_space_fini(&space);
    CHECK(!can_read(program.root, RECORD));
}
