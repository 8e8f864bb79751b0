/* SPDX-License-Identifier: MIT */
/*
 * Trails: stacks that are taken again and again, of which any word may have changed meanwhile,
 * beside a walk that remembers nothing.
 */
#include "harness/test.h"

#include <ashlar/prof.h>

#include "trail.h"

enum {
    WORDS = 48,
    SAMPLES = 64,
    EVERY = 32 * 4 /* bytes of code between two of a trail's place */
};

struct rig {
    struct ash_prof *prof;
    uint64_t stack[WORDS + 32]; /* some are not of it */
    struct ash_prof_registers registers;
    uint64_t clock;
};

static struct rig *make(uint32_t words) {
    const struct ash_prof_config config = {SAMPLES, words, 0};
    struct rig *rig = test_alloc(sizeof(*rig), 16);
    void *storage = test_alloc(ash_prof_storage_size(&config), 16);
    rig->prof = ash_prof_init(storage, &config, 0);
    CHECK(rig->prof != NULL);
    memset(rig->stack, 0, sizeof(rig->stack));
    rig->clock = 0;
    rig->registers = (struct ash_prof_registers){.pc = 0x1000,
                                                 .fp = (uintptr_t)rig->stack,
                                                 .low = (uintptr_t)rig->stack,
                                                 .high = (uintptr_t)(rig->stack + WORDS)};
    return rig;
}

/* Records one behind the other, the first `records` of the stack. */
static struct rig *make_chain(uint32_t records) {
    struct rig *rig = make(4096);
    for (uint32_t i = 0; i < records; i++) {
        rig->stack[2 * i] = i + 1 == records ? 0 : (uintptr_t)&rig->stack[2 * i + 2];
        rig->stack[2 * i + 1] = 0x2001 + 16 * i;
    }
    return rig;
}

static bool has_trail(const struct rig *rig) {
    return prof_recall(rig->prof, &rig->registers) != 0;
}

/* What the rules of prof.h make of it, word by word. */
static uint32_t walk(const struct ash_prof_registers *registers, uint64_t *frames, bool *is_cut) {
    uint64_t fp = registers->fp, low = registers->low;
    uint32_t count = 0;
    *is_cut = false;
    frames[count++] = registers->pc;
    if (registers->is_link == ASH_PROF_LINK_LIVE) {
        if (registers->link == 0)
            return count;
        frames[count++] = registers->link;
    }
    while (fp != 0) {
        const uint64_t *record = (const uint64_t *)(uintptr_t)fp;
        *is_cut = fp % 8 != 0 || fp < low || fp >= registers->high || registers->high - fp < 16 ||
                  count == ASH_PROF_FRAMES_MAX;
        if (*is_cut || record[1] == 0)
            break;
        frames[count++] = record[1];
        low = fp + 16;
        fp = record[0];
    }
    return count;
}

static void take_once(struct rig *rig) {
    uint64_t frames[ASH_PROF_FRAMES_MAX], clock;
    uint32_t first, count;
    bool is_cut;
    ash_prof_take(rig->prof, ++rig->clock, 0, 1, 0, &rig->registers, NULL);
    const struct ash_prof_sample *samples = ash_prof_samples(rig->prof, &first, &count, &clock);
    const uint64_t *stack =
        ash_prof_words(rig->prof) + samples[(first + count - 1) % SAMPLES].stack;
    uint32_t expected = walk(&rig->registers, frames, &is_cut);
    CHECK_EQ(clock, rig->clock);
    CHECK_EQ(ash_prof_stack_frames(stack[0]), expected);
    CHECK_EQ(ash_prof_stack_kernel(stack[0]), expected);
    CHECK_EQ(ash_prof_stack_flags(stack[0]), is_cut ? ASH_PROF_CUT : 0);
    CHECK_MEM_EQ(stack + 1, frames, expected * sizeof(uint64_t));
}

/* Seen once, it is no trail. */
static void take(struct rig *rig) {
    take_once(rig);
    take_once(rig);
}

static void check_sound(const struct rig *rig) {
    const char *broken = ash_prof_check(rig->prof);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

TEST_CASE(prof_trail, a_stack_is_walked_twice) {
    for (uint32_t records = 1; records < WORDS / 2; records++) {
        struct rig *rig = make_chain(records);
        take_once(rig);
        CHECK(!has_trail(rig));
        take_once(rig);
        CHECK_EQ(has_trail(rig), records <= PROF_TRAIL_RECORDS);
        take_once(rig);
        check_sound(rig);
    }
}

TEST_CASE(prof_trail, each_word_of_a_stack_is_looked_at) {
    for (uint32_t word = 0; word < 2 * 5; word++) {
        struct rig *rig = make_chain(5);
        take(rig);
        uint64_t before = rig->stack[word];
        for (uint32_t bit = 0; bit < 64; bit++) {
            rig->stack[word] = before ^ UINT64_C(1) << bit;
            CHECK(!has_trail(rig));
        }
        rig->stack[word] = 0;
        CHECK(before == 0 || !has_trail(rig));
        take(rig);
        rig->stack[word] = before;
        take(rig);
        take(rig);
        check_sound(rig);
    }
}

TEST_CASE(prof_trail, each_register_is_looked_at) {
    struct rig *rig = make_chain(3);
    rig->registers.is_link = ASH_PROF_LINK_LIVE;
    rig->registers.link = 0x3001;
    take(rig);
    CHECK(has_trail(rig));
    struct ash_prof_registers before = rig->registers;
#define CHANGE(field, value)          \
    do {                              \
        rig->registers.field = value; \
        CHECK(!has_trail(rig));       \
        take(rig);                    \
        rig->registers = before;      \
        take(rig);                    \
        CHECK(has_trail(rig));        \
    } while (0)
    CHANGE(pc, before.pc + EVERY);
    CHANGE(fp, (uintptr_t)&rig->stack[2]);
    memcpy(&rig->stack[EVERY / 2], rig->stack,
           16); /* a record of the same words, not in the stack */
    CHANGE(fp, (uintptr_t)&rig->stack[EVERY / 2]);
    CHANGE(low, (uintptr_t)&rig->stack[2]);
    CHANGE(high, (uintptr_t)&rig->stack[2]);
    CHANGE(link, 0x3011);
    CHANGE(is_link, ASH_PROF_LINK_RECORD);
#undef CHANGE
    check_sound(rig);
}

TEST_CASE(prof_trail, none_is_followed_by_an_unusual_sample) {
    const struct ash_prof_registers user = {.pc = 0x9000};
    struct rig *rig = make_chain(3);
    struct ash_prof_counts counts;
    uint32_t first, count;
    uint64_t clock;
    take(rig);
    CHECK(has_trail(rig));
    ash_prof_take(rig->prof, 3, 0, 0, 0, &rig->registers, NULL);
    ash_prof_take(rig->prof, 4, 0, 70000, 0, &rig->registers, NULL);
    ash_prof_take(rig->prof, UINT64_C(1) << 40, 0, 1, 0, &rig->registers, NULL);
    ash_prof_take(rig->prof, UINT64_C(1) << 40, 0, 1, 0, &rig->registers, &user);
    const struct ash_prof_sample *samples = ash_prof_samples(rig->prof, &first, &count, &clock);
    CHECK_EQ(count, 6);
    CHECK_EQ(samples[2].weight, 1);
    CHECK_EQ(samples[3].weight, UINT16_MAX);
    CHECK_EQ(samples[4].flags, ASH_PROF_GAP);
    CHECK_EQ(ash_prof_stack_frames(ash_prof_words(rig->prof)[samples[4].stack]), 4);
    CHECK_EQ(ash_prof_stack_frames(ash_prof_words(rig->prof)[samples[5].stack]), 5);
    ash_prof_count(rig->prof, &counts);
    CHECK_EQ(counts.weight, 2 + 1 + 70000 + 1 + 1);
    check_sound(rig);
}

static bool no_read(void *context, uint64_t address, uint64_t words[2]) {
    (void)context, (void)address, (void)words;
    return false;
}

TEST_CASE(prof_trail, none_is_of_what_is_not_read_plainly) {
    struct rig *rig = make_chain(3);
    rig->registers.read = no_read;
    CHECK(!has_trail(rig));
    ash_prof_take(rig->prof, 1, 0, 1, 0, &rig->registers, NULL);
    rig->registers.read = NULL;
    CHECK(!has_trail(rig));
    take(rig);
    rig->registers.read = no_read;
    CHECK(!has_trail(rig));
}

/* A chain that is cut has a last record with a next one. */
TEST_CASE(prof_trail, none_is_of_a_chain_that_is_cut) {
    struct rig *rig = make_chain(4);
    rig->stack[6] = 0x10;
    take(rig);
    CHECK(!has_trail(rig));
    rig->stack[6] = 0;
    rig->stack[7] = 0; /* it ends by its return address */
    take(rig);
    CHECK(has_trail(rig));
    take(rig);
    rig->stack[6] = 0x10;
    take(rig);
    take(rig);
    rig->registers.fp = 0; /* no record at all */
    take(rig);
    CHECK(!has_trail(rig));
    check_sound(rig);
}

TEST_CASE(prof_trail, places_alone_are_counted_each_time) {
    struct rig *rig = make(256);
    struct ash_prof_counts counts;
    rig->stack[1] = 0x2001;
    for (uint32_t i = 0; i < 400; i++) { /* stacks of 3 words, of which 64 fit */
        rig->registers.pc = 0x1000 + 4 * (i / 4);
        ash_prof_take(rig->prof, i, 0, 1, 0, &rig->registers, NULL);
    }
    ash_prof_count(rig->prof, &counts);
    CHECK_EQ(counts.leaves % 4, 0);
    CHECK(counts.leaves > 50);
    check_sound(rig);
}

/* Few places, and words that are right or nearly so. */
TEST_CASE(prof_trail, whatever_changes_the_stack_is_that_of_a_walk) {
    struct test_random random = test_random_from(test_seed());
    uint32_t recalled = 0;
    for (uint32_t round = 0; round < 60; round++) {
        struct rig *rig = make_chain(2 + (uint32_t)test_random_below(&random, 14));
        for (uint32_t step = 0; step < 120; step++) {
            uint32_t word = (uint32_t)test_random_below(&random, WORDS);
            uint64_t kept = rig->stack[word];
            if (test_random_chance(&random, 30))
                rig->registers.pc = 0x1000 + EVERY * test_random_below(&random, 2);
            if (test_random_chance(&random, 10))
                rig->registers.fp = (uintptr_t)&rig->stack[test_random_below(&random, 4)];
            if (test_random_chance(&random, 10))
                rig->registers.is_link = (enum ash_prof_link)test_random_below(&random, 2);
            if (test_random_chance(&random, 10))
                rig->registers.link = 0x3000 + test_random_below(&random, 2);
            if (test_random_chance(&random, 10))
                rig->registers.low = (uintptr_t)&rig->stack[test_random_below(&random, 3)];
            if (test_random_chance(&random, 10))
                rig->registers.high =
                    (uintptr_t)&rig->stack[WORDS - test_random_below(&random, 20)];
            if (test_random_chance(&random, 30))
                rig->stack[word] = test_random_chance(&random, 50)
                                       ? (uintptr_t)&rig->stack[test_random_below(&random, WORDS)]
                                       : test_random_below(&random, 2);
            recalled += has_trail(rig);
            take_once(rig);
            if (test_random_chance(&random, 80))
                rig->stack[word] = kept;
        }
        check_sound(rig);
    }
    CHECK(recalled > 300);
}

TEST_CASE(prof_trail, the_law_sees_a_trail_that_leads_elsewhere) {
    struct rig *rig = make_chain(3);
    take(rig);
    struct prof_trail *trail = prof_trail_of(rig->prof, &rig->registers);
    struct prof_trail good = *trail;
#define BREAK(change)                                                                      \
    do {                                                                                   \
        trail->change;                                                                     \
        CHECK_STR_EQ(ash_prof_check(rig->prof), "S7: a trail does not lead to its stack"); \
        *trail = good;                                                                     \
        check_sound(rig);                                                                  \
    } while (0)
    BREAK(stack = 0xffff);
    BREAK(stack++);
    BREAK(pc += EVERY);
    BREAK(pc += 4);
    BREAK(is_link = ASH_PROF_LINK_LIVE);
    BREAK(records[0].address++);
    BREAK(records[2].address = 0);
    BREAK(records[1].next = 0);
#undef BREAK
}
