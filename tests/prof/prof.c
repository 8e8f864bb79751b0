/* SPDX-License-Identifier: MIT */
/*
 * The sampler's ring and table, beside a list of all samples with their whole stacks. Stacks are
 * made of words in an array: frame records of any shape.
 */
#include "harness/test.h"

#include <ashlar/prof.h>

#include "prof_internal.h"

enum { STACK_WORDS = 256 };

static struct ash_prof *make(uint32_t samples, uint32_t words, uint64_t clock) {
    struct ash_prof_config config = {samples, words, 3};
    size_t bytes = ash_prof_storage_size(&config);
    CHECK(bytes != 0 && bytes % 16 == 0);
    struct ash_prof *prof = ash_prof_init(test_alloc(bytes, 16), &config, clock);
    CHECK(prof != NULL);
    return prof;
}

static void check_sound(const struct ash_prof *prof) {
    const char *broken = ash_prof_check(prof);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

static struct ash_prof_registers at(uint64_t pc) {
    return (struct ash_prof_registers){.pc = pc, .is_link = ASH_PROF_LINK_RECORD};
}

static struct ash_prof_sample newest(const struct ash_prof *prof) {
    uint32_t first, count;
    uint64_t clock;
    const struct ash_prof_sample *samples = ash_prof_samples(prof, &first, &count, &clock);
    uint32_t length = count; /* a ring that is not full begins at 0 */
    return samples[(first + count - 1) % length];
}

TEST_CASE(prof, a_configuration_out_of_limits_has_no_size) {
    static const struct ash_prof_config bad[] = {{ASH_PROF_SAMPLES_MIN - 1, 256, 0},
                                                 {ASH_PROF_SAMPLES_MAX + 1, 256, 0},
                                                 {16, 128, 0},
                                                 {16, 257, 0},
                                                 {16, 0, 0}};
    void *storage = test_alloc(65536, 16);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++) {
        CHECK_EQ(ash_prof_storage_size(&bad[i]), 0);
        CHECK(ash_prof_init(storage, &bad[i], 0) == NULL);
    }
    static const struct ash_prof_config good = {16, 256, 0};
    CHECK(ash_prof_init((uint8_t *)storage + 8, &good, 0) == NULL);
    CHECK(ash_prof_init(storage, &good, 0) != NULL);
}

TEST_CASE(prof, the_default_is_in_its_budget) {
    struct ash_prof_config config = {ASH_PROF_SAMPLES_DEFAULT, ASH_PROF_WORDS_DEFAULT, 0};
    CHECK(ash_prof_storage_size(&config) <= 168 * 1024 + 12 * ASH_PROF_WORDS_DEFAULT);
}

TEST_CASE(prof, a_sample_of_nothing_panics) {
    struct ash_prof *prof = make(16, 256, 0);
    CHECK_PANICS(ash_prof_take(prof, 1, 7, 1, 0, NULL, NULL), "of task 7");
}

TEST_CASE(prof, a_sample_keeps_what_it_is_given) {
    struct ash_prof *prof = make(16, 256, 1000);
    struct ash_prof_registers kernel = at(0x4000);
    ash_prof_take(prof, 1500, 42, 3, ASH_PROF_IDLE | ASH_PROF_LATE, &kernel, NULL);
    struct ash_prof_sample sample = newest(prof);
    CHECK_EQ(sample.ticks, 500);
    CHECK_EQ(sample.task, 42);
    CHECK_EQ(sample.weight, 3);
    CHECK_EQ(sample.cpu, 3);
    CHECK_EQ(sample.flags, ASH_PROF_IDLE | ASH_PROF_LATE);
    CHECK_EQ(ash_prof_words(prof)[sample.stack + 1], 0x4000);
    check_sound(prof);
}

TEST_CASE(prof, a_weight_saturates_in_the_sample_and_not_in_the_sum) {
    struct ash_prof *prof = make(16, 256, 0);
    struct ash_prof_registers kernel = at(0x4000);
    ash_prof_take(prof, 1, 0, 70000, 0, &kernel, NULL);
    CHECK_EQ(newest(prof).weight, UINT16_MAX);
    ash_prof_take(prof, 2, 0, 0, 0, &kernel, NULL);
    CHECK_EQ(newest(prof).weight, 1);
    struct ash_prof_counts counts;
    ash_prof_count(prof, &counts);
    CHECK_EQ(counts.weight, 70001);
}

TEST_CASE(prof, ticks_that_do_not_fit_are_a_gap) {
    struct ash_prof *prof = make(16, 256, 0);
    struct ash_prof_registers kernel = at(0x4000);
    ash_prof_take(prof, UINT32_MAX, 0, 1, 0, &kernel, NULL);
    CHECK_EQ(newest(prof).flags, 0);
    ash_prof_take(prof, UINT64_C(0x1ffffffff), 0, 1, 0, &kernel, NULL);
    CHECK_EQ(newest(prof).flags, ASH_PROF_GAP);
    CHECK_EQ(newest(prof).ticks, UINT32_MAX);
    ash_prof_take(prof, UINT64_C(0x200000000), 0, 1, 0, &kernel, NULL);
    CHECK_EQ(newest(prof).ticks, 1);
}

TEST_CASE(prof, stacks_of_one_slot_and_hash_are_told_apart_by_their_frames) {
    /* Frames that differ in the lowest bits by what the product loses: found by search. */
    struct ash_prof *prof = make(4096, 8192, 0);
    for (uint64_t i = 0; i < 2000; i++) {
        struct ash_prof_registers kernel = at(0x4000 + (i << 58) + i);
        ash_prof_take(prof, i, 0, 1, 0, &kernel, NULL);
        CHECK_EQ(ash_prof_words(prof)[newest(prof).stack + 1], kernel.pc);
    }
    check_sound(prof);
}

TEST_CASE(prof, a_kernel_frame_is_not_a_program_frame) {
    struct ash_prof *prof = make(16, 256, 0);
    struct ash_prof_registers here = at(0x4000);
    ash_prof_take(prof, 1, 0, 1, 0, &here, NULL);
    uint32_t kernel = newest(prof).stack;
    ash_prof_take(prof, 2, 0, 1, ASH_PROF_USER, NULL, &here);
    uint32_t user = newest(prof).stack;
    CHECK(kernel != user);
    CHECK_EQ(ash_prof_stack_kernel(ash_prof_words(prof)[kernel]), 1);
    CHECK_EQ(ash_prof_stack_kernel(ash_prof_words(prof)[user]), 0);
    ash_prof_take(prof, 3, 0, 1, ASH_PROF_USER, NULL, &here);
    CHECK_EQ(newest(prof).stack, user);
}

TEST_CASE(prof, a_full_table_keeps_places_and_then_the_unknown_place) {
    struct ash_prof *prof = make(16, 256, 0);
    uint64_t stack[4] = {0, 0, 0, 0x7777};
    for (uint32_t i = 0; i < 200; i++) {
        struct ash_prof_registers kernel = at(0x4000 + i);
        kernel.low = (uintptr_t)stack;
        kernel.high = (uintptr_t)(stack + 4);
        kernel.fp = (uintptr_t)&stack[2];
        ash_prof_take(prof, i, 0, 1, 0, &kernel, NULL);
        struct ash_prof_sample sample = newest(prof);
        const uint64_t *words = ash_prof_words(prof);
        bool is_whole = 2 + 3 * (i + 1) <= 192;
        CHECK_EQ((sample.flags & ASH_PROF_LEAF) == 0, is_whole);
        CHECK_EQ(ash_prof_stack_frames(words[sample.stack]), is_whole ? 2 : 1);
        CHECK(words[sample.stack + 1] == kernel.pc || sample.stack == 0);
        CHECK_EQ(sample.stack == 0, i >= 63 + 32);
        check_sound(prof);
    }
    struct ash_prof_counts counts;
    ash_prof_count(prof, &counts);
    CHECK_EQ(counts.leaves, 200 - 63);
    CHECK_EQ(counts.stacks, 63 + 32);
    CHECK_EQ(counts.overwritten, 184);
    CHECK(counts.words_used <= 256);
}

TEST_CASE(prof, each_invariant_is_seen_when_it_is_broken) {
    static const char *const numbers[] = {"S1", "S2", "S3", "S4", "S5", "S6"};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(numbers); i++) {
        struct ash_prof *prof = make(16, 256, 0);
        struct ash_prof_registers kernel = at(0x4000);
        ash_prof_take(prof, 1, 0, 1, 0, &kernel, NULL);
        check_sound(prof);
        uint32_t slot = prof_slot(prof, prof->words[2]);
        switch (i) {
        case 0:
            prof->taken++;
            break;
        case 1:
            prof->words[3]++;
            break;
        case 2:
            prof->slots[slot] = 0;
            break;
        case 3:
            prof->slots[(slot + 7) & prof->slot_mask] = 2;
            break;
        case 4:
            prof->samples[0].stack = 3;
            break;
        default:
            prof->samples[0].weight = 0;
        }
        const char *broken = ash_prof_check(prof);
        CHECK(broken != NULL);
        CHECK_MEM_EQ(broken, numbers[i], 2);
    }
}

/* Model */

enum { MODEL_SAMPLES = 1500, MODEL_RING = 700 };

struct model_sample {
    uint64_t clock;
    uint32_t task, frames, kernel;
    uint16_t weight;
    uint8_t flags;
    uint64_t frame[24];
};

struct model {
    struct test_random random;
    struct ash_prof *prof;
    struct model_sample *samples;
    uint32_t taken;
    uint64_t clock, weight, stack[STACK_WORDS];
};

/* A chain of `records` in a stack, upwards by any steps, few different addresses; the model's
 * frames are those that were written. */
static struct ash_prof_registers make_piece(struct model *model, struct model_sample *sample,
                                            uint64_t *stack, uint32_t words) {
    uint32_t records = (uint32_t)test_random_below(&model->random, 6), place = 0;
    struct ash_prof_registers registers = at(0x1000 + test_random_below(&model->random, 5) * 4);
    registers.low = (uintptr_t)stack;
    registers.high = (uintptr_t)(stack + words);
    uint64_t *next = &registers.fp;
    sample->frame[sample->frames++] = registers.pc;
    if (test_random_chance(&model->random, 50)) {
        registers.is_link = ASH_PROF_LINK_LIVE;
        registers.link = 0x2000 + test_random_below(&model->random, 3) * 4;
        sample->frame[sample->frames++] = registers.link;
    } else {
        registers.link = test_random_u64(&model->random);
    }
    for (uint32_t i = 0; i < records; i++) {
        place += 2 * (uint32_t)test_random_below(&model->random, 8);
        *next = (uintptr_t)&stack[place];
        stack[place + 1] = 0x3000 + test_random_below(&model->random, 3) * 4;
        sample->frame[sample->frames++] = stack[place + 1];
        next = &stack[place];
        place += 2;
    }
    *next = 0;
    return registers;
}

static void take_one(struct model *model) {
    struct model_sample *sample = &model->samples[model->taken++];
    uint32_t which = 1 + (uint32_t)test_random_below(&model->random, 3);
    model->clock += test_random_below(&model->random, UINT64_C(1) << 31);
    sample->clock = model->clock;
    sample->task = (uint32_t)test_random_u64(&model->random);
    sample->weight = (uint16_t)(1 + test_random_below(&model->random, 4));
    sample->flags = (uint8_t)test_random_below(&model->random, 8);
    struct ash_prof_registers kernel = {0}, user = {0};
    if (which & 1)
        kernel = make_piece(model, sample, model->stack, 128);
    sample->kernel = sample->frames;
    if (which & 2)
        user = make_piece(model, sample, model->stack + 128, 128);
    ash_prof_take(model->prof, model->clock, sample->task, sample->weight, sample->flags,
                  which & 1 ? &kernel : NULL, which & 2 ? &user : NULL);
    model->weight += sample->weight;
}

static void check_counts(const struct model *model) {
    struct ash_prof_counts counts;
    ash_prof_count(model->prof, &counts);
    CHECK_EQ(counts.taken, model->taken);
    CHECK_EQ(counts.weight, model->weight);
    CHECK_EQ(counts.leaves, 0);
    CHECK_EQ(counts.overwritten, model->taken > MODEL_RING ? model->taken - MODEL_RING : 0);
}

/* Every sample that is left is the model's, stack and all; equal stacks are one. */
static void check_samples(const struct model *model) {
    uint32_t first, count;
    uint64_t clock;
    const struct ash_prof_sample *samples = ash_prof_samples(model->prof, &first, &count, &clock);
    CHECK_EQ(clock, model->clock);
    CHECK_EQ(count, model->taken < MODEL_RING ? model->taken : MODEL_RING);
    for (uint32_t i = 0; i < count; i++) {
        const struct ash_prof_sample *have = &samples[(first + i) % MODEL_RING];
        uint32_t number = model->taken - count + i;
        const struct model_sample *want = &model->samples[number];
        uint64_t before = number == 0 ? 0 : want[-1].clock;
        const uint64_t *stack = ash_prof_words(model->prof) + have->stack;
        CHECK_EQ(have->ticks, want->clock - before);
        CHECK(have->task == want->task && have->weight == want->weight);
        CHECK_EQ(have->flags, want->flags);
        CHECK_EQ(ash_prof_stack_frames(stack[0]), want->frames);
        CHECK_EQ(ash_prof_stack_kernel(stack[0]), want->kernel);
        CHECK_EQ(ash_prof_stack_flags(stack[0]), 0);
        CHECK_MEM_EQ(stack + 1, want->frame, want->frames * sizeof(uint64_t));
    }
}

static void check_unique(const struct ash_prof *prof) {
    const uint64_t *words = ash_prof_words(prof);
    struct ash_prof_counts counts;
    ash_prof_count(prof, &counts);
    for (uint32_t a = 2; a < counts.words_used; a += 1 + ash_prof_stack_frames(words[a])) {
        uint32_t len = 1 + ash_prof_stack_frames(words[a]);
        uint32_t b = a + len;
        for (; b < counts.words_used; b += 1 + ash_prof_stack_frames(words[b]))
            CHECK(words[b] != words[a] || memcmp(&words[a], &words[b], len * 8) != 0);
    }
}

TEST_CASE(prof, samples_are_those_of_a_list_with_whole_stacks) {
    for (uint64_t round = 0; round < 3; round++) {
        struct model *model = test_alloc(sizeof(*model), 16);
        model->random = test_random_from(test_seed() + round);
        model->prof = make(MODEL_RING, 1u << 14, 0);
        model->samples = test_alloc(MODEL_SAMPLES * sizeof(*model->samples), 8);
        while (model->taken < MODEL_SAMPLES) {
            take_one(model);
            check_counts(model);
            if (model->taken % 128 == 0)
                check_sound(model->prof);
        }
        check_samples(model);
        check_unique(model->prof);
        check_sound(model->prof);
    }
}
