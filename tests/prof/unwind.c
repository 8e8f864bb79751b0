/* SPDX-License-Identifier: MIT */
/*
 * Chains of frame records: good ones, each kind of link register, and hostile ones.
 */
#include "harness/test.h"

#include <ashlar/prof.h>

enum { WORDS = 64 };

struct rig {
    struct ash_prof *prof;
    uint64_t stack[WORDS];
    struct ash_prof_registers registers;
    uint32_t reads, refused; /* the number of the read that is refused; 0: none */
};

static struct rig *make(void) {
    static const struct ash_prof_config config = {16, 1024, 0};
    struct rig *rig = test_alloc(sizeof(*rig), 16);
    void *storage = test_alloc(ash_prof_storage_size(&config), 16);
    rig->prof = ash_prof_init(storage, &config, 0);
    CHECK(rig->prof != NULL);
    rig->registers = (struct ash_prof_registers){.pc = 0x100,
                                                 .fp = (uintptr_t)rig->stack,
                                                 .low = (uintptr_t)rig->stack,
                                                 .high = (uintptr_t)(rig->stack + WORDS)};
    return rig;
}

/* Records at the words 0, 4, 8 ...: return addresses 0x201, 0x202 ... */
static struct rig *make_chain(uint32_t records) {
    struct rig *rig = make();
    for (uint32_t i = 0; i < records; i++) {
        rig->stack[4 * i] = i + 1 == records ? 0 : (uintptr_t)&rig->stack[4 * i + 4];
        rig->stack[4 * i + 1] = 0x201 + i;
    }
    return rig;
}

/* What the sample's stack is: its frames, ended by 0, and its flags. */
static const uint64_t *take(struct rig *rig, uint32_t *flags, bool is_user) {
    static uint64_t frames[ASH_PROF_FRAMES_MAX + 1];
    const struct ash_prof_registers *here = &rig->registers;
    ash_prof_take(rig->prof, 1, 0, 1, 0, is_user ? NULL : here, is_user ? here : NULL);
    uint32_t first, count;
    uint64_t clock;
    const struct ash_prof_sample *samples = ash_prof_samples(rig->prof, &first, &count, &clock);
    const uint64_t *stack = ash_prof_words(rig->prof) + samples[(first + count - 1) % count].stack;
    uint32_t len = ash_prof_stack_frames(stack[0]);
    memcpy(frames, stack + 1, len * sizeof(uint64_t));
    frames[len] = 0;
    *flags = ash_prof_stack_flags(stack[0]);
    CHECK(ash_prof_check(rig->prof) == NULL);
    return frames;
}

#define CHECK_TAKEN(rig, is_user, expected_flags, ...)             \
    do {                                                           \
        static const uint64_t expected_[] = {__VA_ARGS__, 0};      \
        uint32_t flags_;                                           \
        const uint64_t *frames_ = take((rig), &flags_, (is_user)); \
        CHECK_MEM_EQ(frames_, expected_, sizeof(expected_));       \
        CHECK_EQ(flags_, (expected_flags));                        \
    } while (0)

TEST_CASE(prof_unwind, a_chain_is_followed_to_its_end) {
    CHECK_TAKEN(make_chain(0), false, ASH_PROF_CUT * 0, 0x100);
    CHECK_TAKEN(make_chain(1), false, 0, 0x100, 0x201);
    CHECK_TAKEN(make_chain(3), false, 0, 0x100, 0x201, 0x202, 0x203);
}

TEST_CASE(prof_unwind, a_frame_pointer_of_0_is_the_end) {
    struct rig *rig = make_chain(3);
    rig->registers.fp = 0;
    CHECK_TAKEN(rig, false, 0, 0x100);
    rig->registers.low = 0; /* even where 0 would be inside */
    CHECK_TAKEN(rig, false, 0, 0x100);
}

TEST_CASE(prof_unwind, a_live_link_is_the_second_frame) {
    struct rig *rig = make_chain(2);
    rig->registers.is_link = ASH_PROF_LINK_LIVE;
    rig->registers.link = 0x999;
    CHECK_TAKEN(rig, false, 0, 0x100, 0x999, 0x201, 0x202);
    rig->registers.link = 0;
    CHECK_TAKEN(rig, false, 0, 0x100);
}

TEST_CASE(prof_unwind, a_link_aside_is_not_looked_at) {
    struct rig *rig = make_chain(1);
    rig->registers.link = 0x999;
    CHECK_TAKEN(rig, false, 0, 0x100, 0x201);
}

TEST_CASE(prof_unwind, an_unsure_link_is_kept_and_told_unless_the_record_says_the_same) {
    struct rig *rig = make_chain(2);
    rig->registers.is_link = ASH_PROF_LINK_UNSURE;
    rig->registers.link = 0x999;
    CHECK_TAKEN(rig, true, ASH_PROF_UNSURE, 0x100, 0x999, 0x201, 0x202);
    rig->registers.link = 0x201;
    CHECK_TAKEN(rig, true, 0, 0x100, 0x201, 0x202);
    rig->registers.link = 0;
    CHECK_TAKEN(rig, true, 0, 0x100, 0x201, 0x202);
    rig->registers.link = 0x999;
    rig->registers.fp = 0;
    CHECK_TAKEN(rig, true, ASH_PROF_UNSURE, 0x100, 0x999);
}

TEST_CASE(prof_unwind, a_kernel_is_never_unsure) {
    struct rig *rig = make_chain(1);
    rig->registers.is_link = ASH_PROF_LINK_UNSURE;
    rig->registers.link = 0x999;
    CHECK_TAKEN(rig, false, 0, 0x100, 0x201);
}

TEST_CASE(prof_unwind, a_hostile_next_record_cuts_the_chain) {
    struct rig *rig = make_chain(3);
    uint64_t low = rig->registers.low, high = rig->registers.high;
    const uint64_t hostile[] = {low,
                                low + 32 /* itself */,
                                low + 8,
                                low + 36,
                                low + 33,
                                low - 16,
                                high - 8,
                                high,
                                high + 16,
                                UINT64_MAX,
                                UINT64_MAX - 7,
                                UINT64_MAX - 15,
                                UINT64_C(1) << 63,
                                8};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(hostile); i++) {
        rig->stack[4] = hostile[i];
        CHECK_TAKEN(rig, false, ASH_PROF_CUT, 0x100, 0x201, 0x202);
    }
    rig->stack[4] = high - 16; /* the last one that fits */
    rig->stack[WORDS - 1] = 0x300;
    CHECK_TAKEN(rig, false, 0, 0x100, 0x201, 0x202, 0x300);
}

TEST_CASE(prof_unwind, a_stack_of_strange_limits_is_not_read) {
    struct rig *rig = make_chain(2);
    uint64_t low = rig->registers.low;
    const uint64_t limits[][2] = {{low, low},      {low, low + 15}, {low + 16, low},
                                  {UINT64_MAX, 0}, {0, 0},          {UINT64_MAX - 8, UINT64_MAX},
                                  {0, 8}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(limits); i++) {
        rig->registers.low = limits[i][0];
        rig->registers.high = limits[i][1];
        CHECK_TAKEN(rig, false, ASH_PROF_CUT, 0x100);
    }
}

TEST_CASE(prof_unwind, a_return_address_of_0_is_the_end) {
    struct rig *rig = make_chain(3);
    rig->stack[5] = 0;
    CHECK_TAKEN(rig, false, 0, 0x100, 0x201);
}

static struct rig *long_chain(uint64_t *stack, uint32_t records) {
    struct rig *rig = make();
    for (uint32_t i = 0; i < records; i++) {
        stack[2 * i] = i + 1 == records ? 0 : (uintptr_t)&stack[2 * i + 2];
        stack[2 * i + 1] = 0x201 + i;
    }
    rig->registers.fp = rig->registers.low = (uintptr_t)stack;
    rig->registers.high = (uintptr_t)(stack + 2 * records);
    return rig;
}

TEST_CASE(prof_unwind, a_stack_has_a_limit_of_frames) {
    uint64_t stack[200];
    for (uint32_t records = 59; records < 65; records++) {
        struct rig *rig = long_chain(stack, records);
        uint32_t flags, count = 0;
        for (const uint64_t *frames = take(rig, &flags, false); frames[count] != 0; count++)
            CHECK_EQ(frames[count], count == 0 ? 0x100 : 0x200 + count);
        CHECK_EQ(count, records < 62 ? records + 1 : 62);
        CHECK_EQ(flags, records < 62 ? 0 : ASH_PROF_CUT);
    }
}

TEST_CASE(prof_unwind, a_deep_kernel_leaves_half_of_the_room_to_the_program) {
    uint64_t stack[200];
    struct rig *rig = long_chain(stack, 70);
    struct ash_prof_registers user = rig->registers;
    ash_prof_take(rig->prof, 1, 0, 1, 0, &rig->registers, &user);
    uint64_t head = ash_prof_words(rig->prof)[2];
    CHECK_EQ(ash_prof_stack_frames(head), 62);
    CHECK_EQ(ash_prof_stack_kernel(head), 31);
    CHECK_EQ(ash_prof_words(rig->prof)[2 + 1 + 31], 0x100);
    CHECK_EQ(ash_prof_stack_flags(head), ASH_PROF_CUT);
}

/* Reading by a callback */

static bool read_two(void *context, uint64_t address, uint64_t words[2]) {
    struct rig *rig = context;
    if (++rig->reads == rig->refused)
        return false;
    CHECK(address >= 0x8000 && address <= 0x8000 + (WORDS - 2) * 8 && address % 8 == 0);
    memcpy(words, &rig->stack[(address - 0x8000) / 8], 16);
    return true;
}

TEST_CASE(prof_unwind, a_read_that_is_refused_cuts_the_chain_there) {
    for (uint32_t refused = 0; refused <= 5; refused++) {
        struct rig *rig = make_chain(5);
        for (uint32_t i = 0; i < 4; i++)
            rig->stack[4 * i] = 0x8000 + 32 * (i + 1);
        rig->registers.low = rig->registers.fp = 0x8000;
        rig->registers.high = 0x8000 + WORDS * 8;
        rig->registers.read = read_two;
        rig->registers.context = rig;
        rig->refused = refused;
        uint32_t flags, count = 0;
        for (const uint64_t *frames = take(rig, &flags, true); frames[count] != 0;)
            count++;
        CHECK_EQ(count, refused == 0 ? 6 : refused);
        CHECK_EQ(flags, refused == 0 ? 0 : ASH_PROF_CUT);
        /* What the link register is takes a read of its own; refused, it is not known. */
        rig->registers.is_link = ASH_PROF_LINK_UNSURE;
        rig->registers.link = 0x201;
        rig->reads = 0;
        (void)take(rig, &flags, true);
        CHECK_EQ(flags & ASH_PROF_UNSURE, refused == 1 ? ASH_PROF_UNSURE : 0);
    }
}

TEST_CASE(prof_unwind, any_words_are_taken_without_a_step_outside) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 1500; round++) {
        struct rig *rig = make();
        for (uint32_t i = 0; i < WORDS; i++) {
            uint64_t inside = 0x8000 + test_random_below(&random, WORDS * 8 + 16);
            rig->stack[i] = test_random_chance(&random, 60)   ? inside & ~UINT64_C(7)
                            : test_random_chance(&random, 50) ? inside
                                                              : test_random_u64(&random);
        }
        rig->registers.low = 0x8000;
        rig->registers.high = 0x8000 + WORDS * 8;
        rig->registers.fp = 0x8000 + 8 * test_random_below(&random, WORDS);
        rig->registers.is_link = (enum ash_prof_link)test_random_below(&random, 3);
        rig->registers.link = test_random_below(&random, 2);
        rig->registers.read = read_two;
        rig->registers.context = rig;
        uint32_t flags;
        (void)take(rig, &flags, true);
        CHECK(rig->reads <= WORDS / 2 + 1);
    }
}
