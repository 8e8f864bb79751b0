/* SPDX-License-Identifier: MIT */
/* Cases of blocks: split into pages, and pages made a block. */
#include "vm/board.h"

#define PAGE UINT64_C(4096)

static uint32_t shift_at(const struct ash_vm_space *space, ash_vaddr_t va) {
    struct ash_vm_mapping run;
    CHECK(ash_vm_query(space, va, &run));
    return run.va <= va ? run.leaf_shift : 0;
}

TEST_CASE(vm, a_block_is_split_and_stands_where_it_stood) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t block = board_block_bytes(board);
        ash_paddr_t frames = board_take(board, board_order(board));
        CHECK_EQ(ash_vm_map(&space, block, frames, block, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_split(&space, block, 11), -ASH_EINVAL);
        CHECK_EQ(ash_vm_split(&space, block + PAGE, 63), 0); /* none is that large */
        CHECK_EQ(shift_at(&space, block), 12 + board_order(board));
        uint64_t flushes = board->flushes;
        CHECK_EQ(ash_vm_split(&space, block + PAGE, 12), 0);
        CHECK_EQ(board->flushes, flushes + 1);
        CHECK_EQ(shift_at(&space, block), 12);
        struct ash_vm_mapping run;
        CHECK(ash_vm_query(&space, 0, &run));
        CHECK_EQ(run.bytes, block);
        CHECK_EQ(run.address, frames);
        CHECK(!run.is_write_protected);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_split(&space, block + PAGE, 12), 0);
        CHECK_EQ(space.stats.splits, 1);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, pages_in_a_row_become_a_block_where_they_stand) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t block = board_block_bytes(board);
        ash_paddr_t frames = board_pages(board, block / PAGE);
        CHECK_EQ(ash_vm_map(&space, block, frames, block, BOARD_RW, ASH_VM_SMALL), 0);
        uint64_t used = board->used;
        CHECK_EQ(ash_vm_collapse(&space, block + PAGE), 0);
        CHECK_EQ(board->used, used - 1); /* its table */
        CHECK_EQ(shift_at(&space, block), 12 + board_order(board));
        CHECK_EQ(board_translate(&space, block + PAGE, ASH_VM_WRITE), frames + PAGE);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_collapse(&space, block), 0);
        CHECK_EQ(space.stats.collapses, 1);
        CHECK_EQ(ash_vm_protect(&space, block, PAGE, BOARD_R), 0);
        CHECK_EQ(ash_vm_collapse(&space, block), -ASH_EBUSY);
        CHECK_EQ(ash_vm_protect(&space, block, PAGE, BOARD_RW), 0);
        CHECK_EQ(ash_vm_collapse(&space, block), 0);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, scattered_pages_become_a_block_by_a_copy) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t block = board_block_bytes(board), pages = block / PAGE;
        for (uint64_t i = 0; i < pages; i++) {
            ash_paddr_t page = board_take(board, 0);
            *board_at(board, page) = i;
            CHECK_EQ(ash_vm_map(&space, block + (i ^ 1) * PAGE, page, PAGE, BOARD_RW, 0), 0);
        }
        CHECK_EQ(ash_vm_collapse(&space, 0), -ASH_EBUSY);
        board->allowed = 0;
        CHECK_EQ(ash_vm_collapse(&space, block), -ASH_ENOMEM);
        board_check(board, &space, NULL);
        board->allowed = UINT64_MAX;
        uint64_t used = board->used;
        CHECK_EQ(ash_vm_collapse(&space, block), 0);
        CHECK_EQ(board->used, used - 1);
        CHECK_EQ(shift_at(&space, block), 12 + board_order(board));
        for (uint64_t i = 0; i < pages; i++) {
            int64_t page = board_translate(&space, block + (i ^ 1) * PAGE, ASH_VM_WRITE);
            CHECK_EQ(*board_at(board, (ash_paddr_t)page), i);
        }
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, two_pages_that_changed_places_are_copied_and_a_clean_one_is_no_obstacle) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t block = board_block_bytes(board), pages = block / PAGE, accessed;
        ash_paddr_t frames = board_pages(board, pages), last = frames + block - PAGE;
        for (uint64_t i = 0; i < pages; i++)
            *board_at(board, frames + i * PAGE) = i;
        CHECK_EQ(ash_vm_map(&space, 0, frames, block - 2 * PAGE, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_map(&space, block - 2 * PAGE, last, PAGE, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_map(&space, block - PAGE, last - PAGE, PAGE, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_clean(&space, 0, PAGE, &accessed), 0);
        CHECK_EQ(ash_vm_collapse(&space, 0), 0);
        CHECK_EQ(board_read(board, &space, block - PAGE), pages - 2);
        CHECK_EQ(board_read(board, &space, block - 2 * PAGE), pages - 1);
        CHECK_EQ(board_read(board, &space, 0), 0);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_split(&space, 0, 12), 0);
        CHECK_EQ(ash_vm_clean(&space, 0, PAGE, &accessed), 0);
        int64_t place = board_translate(&space, 0, ASH_VM_READ);
        CHECK_EQ(ash_vm_collapse(&space, 0), 0); /* where it stands: its second page is dirty */
        CHECK_EQ(board_translate(&space, 0, ASH_VM_READ), place);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, a_held_block_is_split_and_freed_as_it_was_taken) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space a, b;
        board_space(board, &a);
        board_space(board, &b);
        uint64_t block = board_block_bytes(board), pages = block / PAGE;
        uint32_t order = board_order(board);
        ash_paddr_t frames = board_take(board, order);
        CHECK_EQ(ash_vm_map(&a, 0, frames, block, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_map(&b, block, frames, block, BOARD_R, 0), 0);
        CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE), 2);
        CHECK_EQ(ash_vm_unmap(&b, block, PAGE), 0);
        CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE + 1), pages);
        CHECK_EQ(board_translate(&b, block + PAGE, ASH_VM_READ), frames + PAGE);
        CHECK_EQ(ash_vm_unmap(&b, block, block), 0);
        CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE), 1);
        board_space_end(&a);
        board_space_end(&b);
        for (uint64_t i = 0; i < pages; i++)
            CHECK_EQ(board->vm.counts[frames / PAGE - BOARD_FIRST + i], 0);
        board_end(board);
    }
}
