/* SPDX-License-Identifier: MIT */
/* Kernel virtual ranges: cases, a model, and every refused frame. */
#include "vm/board.h"

#include <ashlar/vm_ranges.h>

#define PAGE UINT64_C(4096)
#define RW   (ASH_VM_READ | ASH_VM_WRITE)

static void check(struct board *board, struct ash_vm_space *space,
                  const struct ash_vm_ranges *ranges) {
    const char *broken = ash_vm_ranges_check(ranges);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    board_check(board, space, NULL);
}

/* The whole lower half, or, of the formats where that is large, 64 blocks. */
static void begin(struct board *board, struct ash_vm_space *space, struct ash_vm_ranges *ranges) {
    board_space(board, space);
    ash_vaddr_t end =
        ash_min_u64(ash_vm_format_end(board->config.format), 64 * board_block_bytes(board));
    CHECK_EQ(ash_vm_ranges_init(ranges, space, 0, end), 0);
}

static void end(struct board *board, struct ash_vm_space *space, struct ash_vm_ranges *ranges) {
    check(board, space, ranges);
    ash_vm_ranges_fini(ranges);
    CHECK_EQ(board->used, 2); /* the zero page, the root */
    board_space_end(space);
    board_end(board);
}

TEST_CASE(vm_ranges, one_is_as_large_as_asked_for_with_a_guard_on_both_sides) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        struct ash_vm_ranges ranges;
        ash_vaddr_t a, b;
        begin(board, &space, &ranges);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, 2 * PAGE + 1, RW, &a), 0);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, 1, RW, &b), 0);
        CHECK(a >= PAGE && b >= a + 4 * PAGE);
        for (uint64_t i = 0; i < 3; i++)
            CHECK(board_translate(&space, a + i * PAGE, ASH_VM_WRITE) > 0);
        CHECK_EQ(board_translate(&space, a + 3 * PAGE, ASH_VM_READ), -ASH_EFAULT);
        CHECK_EQ(board_translate(&space, a - 1, ASH_VM_READ), -ASH_EFAULT);
        CHECK_EQ(ranges.count, 2);
        CHECK_EQ(ranges.bytes, 4 * PAGE);
        check(board, &space, &ranges);
        CHECK(ash_vm_ranges_find(&ranges, a + 3 * PAGE - 1) == ash_vm_ranges_find(&ranges, a));
        CHECK(ash_vm_ranges_find(&ranges, a - 1) == NULL);
        CHECK(ash_vm_ranges_find(&ranges, a + 3 * PAGE) == NULL);
        CHECK(ash_vm_ranges_find(&ranges, UINT64_MAX) == NULL);
        CHECK_EQ(ash_vm_ranges_find(&ranges, b)->bytes, PAGE);
        ash_vm_ranges_free(&ranges, a);
        check(board, &space, &ranges);
        ash_vm_ranges_free(&ranges, b);
        end(board, &space, &ranges);
    }
}

TEST_CASE(vm_ranges, a_large_one_is_blocks_while_there_are_some) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        struct ash_vm_ranges ranges;
        struct ash_vm_mapping mapping;
        ash_vaddr_t va;
        begin(board, &space, &ranges);
        uint64_t block = board_block_bytes(board);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, 2 * block + PAGE, RW, &va), 0);
        CHECK_EQ(va % block, 0);
        CHECK_EQ(ranges.blocks, 2);
        CHECK(ash_vm_query(&space, va, &mapping));
        CHECK_EQ(mapping.leaf_shift, 12 + board_order(board));
        check(board, &space, &ranges);
        ash_vm_ranges_free(&ranges, va);
        check(board, &space, &ranges);
        for (ash_pfn_t i = 0; i < BOARD_FRAMES; i += block / PAGE)
            if (board->pieces[i] == 0)
                board->pieces[i] = 60; /* nobody's: no block is whole any more */
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, block, RW, &va), 0);
        CHECK_EQ(ranges.blocks, 2);
        check(board, &space, &ranges);
        ash_vm_ranges_free(&ranges, va);
        end(board, &space, &ranges);
    }
}

TEST_CASE(vm_ranges, what_cannot_be_is_refused) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        struct ash_vm_ranges ranges;
        ash_vaddr_t va, last = ash_vm_format_end(board->config.format);
        board_space(board, &space);
        CHECK_EQ(ash_vm_ranges_init(&ranges, &space, 1, PAGE), -ASH_EINVAL);
        CHECK_EQ(ash_vm_ranges_init(&ranges, &space, PAGE, PAGE), -ASH_EINVAL);
        CHECK_EQ(ash_vm_ranges_init(&ranges, &space, 0, last + PAGE), -ASH_EINVAL);
        CHECK_EQ(ash_vm_ranges_init(&ranges, &space, PAGE, 6 * PAGE), 0);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, 0, RW, &va), -ASH_EINVAL);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, UINT64_MAX, RW, &va), -ASH_EINVAL);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, UINT64_MAX - 3 * PAGE, RW, &va), -ASH_EINVAL);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, 4 * PAGE, RW, &va), -ASH_ENOSPC);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, PAGE, RW | ASH_VM_EXECUTE, &va), -ASH_EACCES);
        check(board, &space, &ranges);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, 3 * PAGE, RW, &va), 0);
        CHECK_EQ(va, 2 * PAGE);
        CHECK_EQ(ash_vm_ranges_alloc(&ranges, 1, RW, &va), -ASH_ENOSPC);
        ash_vm_ranges_free(&ranges, va);
        end(board, &space, &ranges);
    }
}

TEST_CASE(vm_ranges, free_of_what_is_no_beginning_panics) {
    struct board *board = board_new(NULL, &ash_vm_toy, 0);
    struct ash_vm_space space;
    struct ash_vm_ranges ranges;
    ash_vaddr_t va;
    begin(board, &space, &ranges);
    CHECK_EQ(ash_vm_ranges_alloc(&ranges, 2 * PAGE, RW, &va), 0);
    CHECK_PANICS(ash_vm_ranges_free(&ranges, va + PAGE), "where no range begins");
    CHECK_PANICS(ash_vm_ranges_free(&ranges, va - PAGE), "where no range begins");
    CHECK_PANICS(ash_vm_ranges_fini(&ranges), "1 ranges are left");
}

TEST_CASE(vm_ranges, nothing_has_changed_when_there_is_no_memory) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        struct ash_vm_ranges ranges;
        ash_vaddr_t va = 0;
        begin(board, &space, &ranges);
        uint64_t used = board->used, n = 0;
        for (;; n++) {
            board->allowed = n;
            int error = ash_vm_ranges_alloc(&ranges, board_block_bytes(board) + 3 * PAGE, RW, &va);
            if (error == 0)
                break;
            CHECK_EQ(error, -ASH_ENOMEM);
            CHECK_EQ(board->used, used);
            CHECK_EQ(ranges.blocks, 0);
            board->allowed = UINT64_MAX;
            check(board, &space, &ranges);
        }
        CHECK(n >= 5);
        board->allowed = UINT64_MAX;
        ash_vm_ranges_free(&ranges, va);
        end(board, &space, &ranges);
    }
}

/* Against a list: where ranges are, that each is the memory it was, and that what is refused had no
 * hole that is large enough. */
enum { LIST = 120 };

struct listed {
    ash_vaddr_t va;
    uint64_t bytes, mark;
};

static uint64_t largest_hole(const struct listed *list, uint32_t count, ash_vaddr_t last) {
    uint64_t largest = 0;
    ash_vaddr_t at = 0;
    for (;;) {
        ash_vaddr_t next = last, after = last;
        for (uint32_t i = 0; i < count; i++)
            if (list[i].va >= at && list[i].va < next) {
                next = list[i].va;
                after = next + list[i].bytes;
            }
        largest = ash_max_u64(largest, next - at);
        if (next == last)
            return largest;
        at = after;
    }
}

static uint64_t *first_word(struct board *board, const struct ash_vm_space *space, ash_vaddr_t va) {
    int64_t address = board_translate(space, va, ASH_VM_WRITE);
    CHECK(address > 0);
    return board_at(board, (ash_paddr_t)address);
}

static void play(struct board *board, struct test_random *random, uint32_t steps) {
    struct ash_vm_space space;
    struct ash_vm_ranges ranges;
    struct listed list[LIST];
    uint32_t count = 0;
    begin(board, &space, &ranges);
    for (uint32_t step = 0; step < steps; step++) {
        bool grows =
            count == 0 || (count < LIST && test_random_chance(random, step < steps / 2 ? 75 : 35));
        if (grows) {
            ash_vaddr_t va;
            uint64_t bytes = 1 + test_random_below(random, 6 * PAGE);
            uint64_t pages = (bytes + PAGE - 1) / PAGE;
            int error = ash_vm_ranges_alloc(&ranges, bytes, RW, &va);
            if (error != 0) {
                CHECK_EQ(error, -ASH_ENOSPC);
                CHECK(largest_hole(list, count, ranges.end.va) < (pages + 2) * PAGE);
                continue;
            }
            list[count] = (struct listed){va, pages * PAGE, test_random_u64(random)};
            *first_word(board, &space, va + (pages - 1) * PAGE) = list[count++].mark;
        } else {
            uint32_t i = (uint32_t)test_random_below(random, count);
            ash_vaddr_t last = list[i].va + list[i].bytes - PAGE;
            CHECK(*first_word(board, &space, last) == list[i].mark);
            CHECK_EQ(ash_vm_ranges_find(&ranges, last)->va, list[i].va);
            ash_vm_ranges_free(&ranges, list[i].va);
            list[i] = list[--count];
        }
        if (step % 32 == 0)
            check(board, &space, &ranges);
        CHECK_EQ(ranges.count, count);
    }
    while (count != 0)
        ash_vm_ranges_free(&ranges, list[--count].va);
    end(board, &space, &ranges);
}

TEST_CASE(vm_ranges, come_and_go_as_a_list_says) {
    struct test_random random = test_random_from(test_seed());
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        bool is_toy = ash_vm_format_end(board->config.format) < UINT64_C(1) << 20;
        play(board, &random, is_toy ? 300 : 200);
    }
}
