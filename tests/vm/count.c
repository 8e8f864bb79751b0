/* SPDX-License-Identifier: MIT */
/* References to frames: saturation, underflow, pieces of blocks, runs. */
#include "harness/test.h"
#include "lib/vm/format_toy.h"
/* Of the toy format, a block of level 1 is 4 frames, one of level 2 is 16. */
#include "lib/vm/count.h"

#define FIRST  16u
#define FRAMES 512u

static struct ash_vm machine(void) {
    return (struct ash_vm){
        .config = {.first_frame = FIRST, .frame_count = FRAMES},
        .counts = test_alloc(FRAMES * sizeof(uint32_t), sizeof(uint32_t)),
    };
}

TEST_CASE(vm_count, the_last_drop_says_so) {
    struct ash_vm vm = machine();
    count_set(&vm, FIRST, 1);
    CHECK(count_is_one(&vm, FIRST));
    count_add(&vm, FIRST, 2);
    CHECK(!count_is_one(&vm, FIRST));
    CHECK(!count_drop(&vm, FIRST) && !count_drop(&vm, FIRST));
    CHECK(count_is_one(&vm, FIRST));
    CHECK(count_drop(&vm, FIRST));
    CHECK_EQ(count_load(&vm, FIRST), 0);
}

TEST_CASE(vm_count, a_drop_of_what_nobody_refers_to_panics) {
    struct ash_vm vm = machine();
    CHECK_PANICS((void)count_drop(&vm, FIRST + 3), "frame 0x13 is given back");
    count_set(&vm, FIRST + 3, COUNT_PART_MIDDLE);
    CHECK_PANICS((void)count_drop(&vm, FIRST + 3), "no reference left");
}

TEST_CASE(vm_count, a_saturated_count_stays) {
    struct ash_vm vm = machine();
    count_set(&vm, FIRST, ASH_VM_SATURATED - 3);
    CHECK(!count_is_full(&vm, FIRST, 2) && count_is_full(&vm, FIRST, 3));
    count_add(&vm, FIRST, 2);
    CHECK_EQ(count_load(&vm, FIRST), ASH_VM_SATURATED - 1);
    CHECK(!count_drop(&vm, FIRST));
    count_add(&vm, FIRST, 511); /* beyond */
    CHECK_EQ(count_load(&vm, FIRST), ASH_VM_SATURATED);
    CHECK(!count_is_full(&vm, FIRST, 1));
    for (uint32_t i = 0; i < 1000; i++)
        CHECK(!count_drop(&vm, FIRST));
    count_add(&vm, FIRST, UINT32_C(1) << 31);
    CHECK_EQ(count_load(&vm, FIRST), ASH_VM_SATURATED);
}

TEST_CASE(vm_count, frames_outside_are_not_counted) {
    struct ash_vm vm = machine();
    CHECK(!count_has(&vm, 0) && !count_has(&vm, FIRST - 1) && !count_has(&vm, UINT64_MAX));
    CHECK(count_has(&vm, FIRST) && count_has(&vm, FIRST + FRAMES - 1));
    CHECK(!count_has(&vm, FIRST + FRAMES));
}

TEST_CASE(vm_count, pieces_of_a_shared_block_count_at_its_head) {
    struct ash_vm vm = machine();
    const ash_pfn_t head = 32;
    count_set(&vm, head, 2);
    count_split_shared(&vm, head, 1);
    CHECK_EQ(count_load(&vm, head), 5);
    for (ash_pfn_t i = 0; i < 4; i++)
        CHECK_EQ(count_head(&vm, head + i), head);
    CHECK_EQ(count_head(&vm, head + 4), head + 4);
    CHECK_EQ(count_block_level(&vm, head, 0), 1);
    CHECK(!count_is_whole(&vm, head, 0) && !count_is_whole(&vm, head + 1, 0));
    CHECK(count_is_whole(&vm, head, 1)); /* to who has not split it */
    for (uint32_t i = 0; i < 4; i++)
        CHECK(!count_drop(&vm, head));
    CHECK(count_drop(&vm, head));
    count_clear_parts(&vm, head, 1);
    for (uint32_t i = 0; i < FRAMES; i++)
        CHECK_EQ(vm.counts[i], 0);
}

TEST_CASE(vm_count, pieces_of_pieces_count_at_the_same_head) {
    /* Every piece of a large block is split in turn: all frames find the head, and the marks go. */
    for (uint32_t which = 0; which < 16; which++) {
        struct ash_vm vm = machine();
        const ash_pfn_t head = 64;
        uint32_t leaves = 4;
        count_set(&vm, head, 2);
        count_set(&vm, head - 1, 1);
        count_set(&vm, head + 16, 1);
        count_split_shared(&vm, head, 2);
        for (uint32_t piece = 0; piece < 4; piece++) {
            CHECK(!count_is_whole(&vm, head + 4 * piece, 1));
            if ((which >> piece & 1) == 0)
                continue;
            count_split_shared(&vm, head + 4 * piece, 1);
            leaves += 3;
            for (uint32_t i = 0; i < 4; i++) {
                CHECK_EQ(count_head(&vm, head + 4 * piece + i), head);
                CHECK(!count_is_whole(&vm, head + 4 * piece + i, 0));
            }
            if (piece == 0)
                CHECK_EQ(count_block_level(&vm, head, 0), 2);
        }
        CHECK_EQ(count_load(&vm, head), leaves + 1);
        CHECK_EQ(count_block_level(&vm, head, 1), 2);
        CHECK_EQ(count_block_level(&vm, head, 2), 2);
        CHECK_EQ(count_block_level(&vm, head - 1, 0), 0);
        count_clear_parts(&vm, head, 2);
        for (uint32_t i = 0; i < FRAMES; i++)
            CHECK_EQ(vm.counts[i] != 0,
                     i + FIRST == head - 1 || i + FIRST == head || i + FIRST == head + 16);
    }
}

TEST_CASE(vm_count, two_who_split_the_same_block_count_twice) {
    struct ash_vm vm = machine();
    count_set(&vm, 32, 2);
    count_split_shared(&vm, 32, 1);
    count_split_shared(&vm, 32, 1);
    CHECK_EQ(count_load(&vm, 32), 8);
}

TEST_CASE(vm_count, a_block_at_the_end_of_memory_is_whole) {
    struct ash_vm vm = machine();
    ash_pfn_t last = FIRST + FRAMES - 4;
    count_set(&vm, last, 1);
    CHECK(count_is_whole(&vm, last, 1));
    CHECK_EQ(count_block_level(&vm, FIRST + FRAMES - 1, 0), 0);
    count_clear_parts(&vm, last, 1);
    count_clear_parts(&vm, last, 0);
}

/* A run is one by one, whatever the counts are: ones, others, saturated, pieces. */
TEST_CASE(vm_count, a_run_counts_as_one_by_one_would) {
    struct test_random random = test_random_from(test_seed());
    struct ash_vm vm = machine();
    struct ash_vm model = machine();
    const uint32_t values[] = {
        1, 2, 3, ASH_VM_SATURATED - 2, ASH_VM_SATURATED - 1, ASH_VM_SATURATED};
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t kinds = (uint32_t)test_random_below(&random, ASH_ARRAY_LEN(values)) + 1;
        for (uint32_t i = 0; i < FRAMES; i++)
            vm.counts[i] = values[test_random_below(&random, kinds)];
        uint64_t odd = test_random_below(&random, FRAMES);
        vm.counts[odd] = test_random_chance(&random, 50) ? 1 : vm.counts[odd];
        if (test_random_chance(&random, 50)) {
            vm.counts[16] = 2;
            count_split_shared(&vm, FIRST + 16, 1);
        }
        memcpy(model.counts, vm.counts, FRAMES * sizeof(uint32_t));
        ash_pfn_t first = FIRST + test_random_below(&random, FRAMES);
        uint64_t frames = test_random_below(&random, FIRST + FRAMES - first + 1);
        count_add_run(&vm, first, frames);
        for (uint64_t i = 0; i < frames; i++)
            count_add(&model, count_head(&model, first + i), 1);
        CHECK_MEM_EQ(vm.counts, model.counts, FRAMES * sizeof(uint32_t));

        uint32_t some = (uint32_t)ash_min_u64(frames, COUNT_RUN), done = UINT32_MAX;
        if (test_random_chance(&random, 50)) { /* all the same: what the fast path is for */
            for (uint32_t i = 0; i < some; i++)
                vm.counts[first - FIRST + i] = 1 + (round & 1);
            memcpy(model.counts, vm.counts, FRAMES * sizeof(uint32_t));
        }
        uint64_t last = count_drop_run(&vm, first, some, &done);
        for (uint32_t i = 0; i < done; i++) {
            CHECK(count_head(&model, first + i) == first + i);
            CHECK_EQ(count_drop(&model, first + i), (last >> i & 1) != 0);
        }
        CHECK(done == some || count_head(&model, first + done) != first + done);
        CHECK_MEM_EQ(vm.counts, model.counts, FRAMES * sizeof(uint32_t));
    }
}
