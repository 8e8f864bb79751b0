/* SPDX-License-Identifier: MIT */
/* Cases of mapping, unmapping and protecting in one address space, in each format. */
#include "vm/board.h"

#define PAGE UINT64_C(4096)

TEST_CASE(vm, maps_a_page_and_takes_it_away) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        ash_paddr_t page = board_take(board, 0);
        CHECK_EQ(ash_vm_map(&space, 3 * PAGE, page, PAGE, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_count(&board->vm, page / PAGE), 1);
        CHECK_EQ(board_translate(&space, 3 * PAGE + 5, ASH_VM_WRITE | ASH_VM_USER), page + 5);
        CHECK_EQ(board_translate(&space, 3 * PAGE, ASH_VM_EXECUTE | ASH_VM_USER), -ASH_EACCES);
        CHECK_EQ(board_translate(&space, 2 * PAGE, ASH_VM_READ), -ASH_EFAULT);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_map(&space, 3 * PAGE, page, PAGE, BOARD_RW, 0), -ASH_EEXIST);
        CHECK_EQ(ash_vm_unmap(&space, 0, 8 * PAGE), 0);
        CHECK_EQ(board_translate(&space, 3 * PAGE, ASH_VM_READ), -ASH_EFAULT);
        CHECK_EQ(board->used, 2); /* the zero page, the root */
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, refuses_ranges_that_are_not_the_space_s) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        ash_vaddr_t end = ash_vm_format_end(board->config.format);
        const struct {
            ash_vaddr_t va;
            uint64_t bytes;
        } rows[] = {{0, 0},
                    {1, PAGE},
                    {0, PAGE - 1},
                    {end, PAGE},
                    {end - PAGE, 2 * PAGE},
                    {0, end + PAGE},
                    {UINT64_MAX - PAGE + 1, PAGE},
                    {UINT64_MAX - PAGE + 1, 2 * PAGE},
                    {PAGE, UINT64_MAX - PAGE + 1},
                    {2 * PAGE, UINT64_MAX - PAGE + 1},
                    {end / 2, UINT64_MAX - PAGE + 1}};
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
            ash_vaddr_t va = rows[i].va;
            uint64_t bytes = rows[i].bytes;
            CHECK_EQ(ash_vm_map(&space, va, BOARD_FIRST * PAGE, bytes, BOARD_RW, 0), -ASH_EINVAL);
            CHECK_EQ(ash_vm_map_zero(&space, va, bytes, BOARD_RW), -ASH_EINVAL);
            CHECK_EQ(ash_vm_unmap(&space, va, bytes), -ASH_EINVAL);
            CHECK_EQ(ash_vm_protect(&space, va, bytes, BOARD_RW), -ASH_EINVAL);
        }
        CHECK_EQ(ash_vm_unmap(&space, end - PAGE, PAGE), 0);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, refuses_frames_that_are_not_counted_unless_a_device_s) {
    struct board *board = board_new(NULL, &ash_vm_vmsa4k, 0);
    struct ash_vm_space space;
    board_space(board, &space);
    const ash_paddr_t first = (ash_paddr_t)BOARD_FIRST * PAGE;
    const ash_paddr_t end = first + (ash_paddr_t)BOARD_FRAMES * PAGE;
    CHECK_EQ(ash_vm_map(&space, 0, end, PAGE, BOARD_RW, 0), -ASH_EINVAL);
    CHECK_EQ(ash_vm_map(&space, 0, first - PAGE, 2 * PAGE, BOARD_RW, 0), -ASH_EINVAL);
    CHECK_EQ(
        ash_vm_map(&space, 0, first - PAGE, end - first + 2 * PAGE, BOARD_RW | ASH_VM_DEVICE, 0),
        -ASH_EINVAL);
    CHECK_EQ(ash_vm_map(&space, 0, UINT64_MAX - PAGE + 1, 2 * PAGE, BOARD_RW | ASH_VM_DEVICE, 0),
             -ASH_EINVAL);
    CHECK_EQ(ash_vm_map(&space, 0, 0x9000000, 4 * PAGE, BOARD_RW | ASH_VM_DEVICE, 0), 0);
    CHECK_EQ(board_translate(&space, PAGE, ASH_VM_WRITE), 0x9000000 + PAGE);
    board_check(board, &space, NULL);
    board_space_end(&space);
    board_end(board);
}

TEST_CASE(vm, maps_blocks_where_they_fit) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t block = board_block_bytes(board);
        uint32_t order = board_order(board);
        ash_paddr_t frames = board_take(board, order);
        CHECK_EQ(ash_vm_map(&space, block, frames, block, BOARD_RW, 0), 0);
        struct ash_vm_mapping run;
        CHECK(ash_vm_query(&space, 0, &run));
        CHECK_EQ(run.va, block);
        CHECK_EQ(run.bytes, block);
        CHECK_EQ(run.leaf_shift, 12 + order);
        CHECK(!run.is_shared && !run.is_write_protected);
        CHECK_EQ(board_translate(&space, block + 3 * PAGE + 1, ASH_VM_READ), frames + 3 * PAGE + 1);
        board_check(board, &space, NULL);
        /* One page of it goes: the rest is pages. */
        CHECK_EQ(ash_vm_unmap(&space, block + PAGE, PAGE), 0);
        CHECK_EQ(board_translate(&space, block + PAGE, ASH_VM_READ), -ASH_EFAULT);
        CHECK_EQ(board_translate(&space, block + 2 * PAGE, ASH_VM_WRITE), frames + 2 * PAGE);
        CHECK_EQ(space.stats.splits, 1);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_unmap(&space, 0, 4 * block), 0);
        CHECK_EQ(board->used, 2);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, other_rights_for_a_part_of_what_is_mapped) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        ash_paddr_t frames = board_pages(board, 8);
        CHECK_EQ(ash_vm_map(&space, 0, frames, 8 * PAGE, BOARD_RW, ASH_VM_SMALL), 0);
        uint64_t flushes = board->flushes;
        CHECK_EQ(ash_vm_protect(&space, 2 * PAGE, 4 * PAGE, BOARD_R), 0);
        CHECK_EQ(board->flushes, flushes + 1);
        for (uint64_t i = 0; i < 8; i++)
            CHECK_EQ(board_translate(&space, i * PAGE, ASH_VM_WRITE),
                     i >= 2 && i < 6 ? -ASH_EACCES : (int64_t)(frames + i * PAGE));
        CHECK_EQ(ash_vm_protect(&space, 0, 8 * PAGE, BOARD_RW | ASH_VM_EXECUTE), -ASH_EACCES);
        CHECK_EQ(ash_vm_protect(&space, 0, 8 * PAGE, BOARD_RW), 0);
        struct ash_vm_mapping run;
        CHECK(ash_vm_query(&space, 0, &run));
        CHECK_EQ(run.bytes, 8 * PAGE);
        CHECK(!run.is_write_protected);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, pages_of_zeroes_are_one_frame) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t bytes = 6 * board_block_bytes(board);
        CHECK_EQ(ash_vm_map_zero(&space, 2 * PAGE, bytes, BOARD_RW), 0);
        struct ash_vm_mapping run;
        CHECK(ash_vm_query(&space, 0, &run));
        CHECK_EQ(run.va, 2 * PAGE);
        CHECK_EQ(run.bytes, bytes);
        CHECK(run.is_write_protected);
        CHECK_EQ(board_translate(&space, bytes, ASH_VM_READ), board->vm.zero_frame * PAGE);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_unmap(&space, 2 * PAGE, bytes), 0);
        CHECK_EQ(board->used, 2);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm, nothing_has_changed_when_there_is_no_memory) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        ash_paddr_t frames = board_pages(board, 8);
        uint64_t used = board->used;
        for (uint64_t n = 0;; n++) {
            board->allowed = n;
            int error = ash_vm_map(&space, board_block_bytes(board) - 4 * PAGE, frames, 8 * PAGE,
                                   BOARD_RW, ASH_VM_SMALL);
            board_check(board, &space, NULL);
            if (error == 0)
                break;
            CHECK_EQ(error, -ASH_ENOMEM);
            CHECK_EQ(board->used, used);
        }
        CHECK(board->used > used);
    }
}

TEST_CASE(vm, unmapping_a_table_s_pages_is_one_flush) {
    struct board *board = board_new(NULL, &ash_vm_vmsa4k, 0);
    struct ash_vm_space space;
    board_space(board, &space);
    for (uint64_t i = 0; i < 1024; i++)
        CHECK_EQ(ash_vm_map(&space, (i + 100) * PAGE, board_take(board, 0), PAGE, BOARD_RW, 0), 0);
    CHECK_EQ(board->flushes, 0);
    CHECK_EQ(ash_vm_unmap(&space, 200 * PAGE, 512 * PAGE), 0);
    CHECK_EQ(board->flushes, 1);
    CHECK_EQ(ash_vm_unmap(&space, 100 * PAGE, 1024 * PAGE), 0);
    CHECK_EQ(board->flushes, 2);
    CHECK_EQ(board->used, 2);
    board_space_end(&space);
    board_end(board);
}

TEST_CASE(vm, zeroes_of_any_size_take_as_many_tables_as_a_page) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t half = ash_vm_format_end(board->config.format) / 2;
        uint64_t used = board->used;
        struct ash_vm_mapping run;
        CHECK_EQ(ash_vm_map_zero(&space, half, half, BOARD_RW), 0);
        CHECK(board->used - used <= 3);
        CHECK(ash_vm_query(&space, 0, &run));
        CHECK_EQ(run.va, half);
        CHECK_EQ(run.bytes, half);
        CHECK_EQ(run.address, board->vm.zero_frame * PAGE);
        board_check(board, &space, NULL);
        CHECK_EQ(board_translate(&space, half + 5 * PAGE + 1, ASH_VM_READ),
                 board->vm.zero_frame * PAGE + 1);
        CHECK_EQ(ash_vm_unmap(&space, half + 2 * PAGE, PAGE), 0);
        CHECK_EQ(board_translate(&space, half + 2 * PAGE, ASH_VM_READ), -ASH_EFAULT);
        CHECK_EQ(board_translate(&space, half + half / 2 + 2 * PAGE, ASH_VM_READ),
                 board->vm.zero_frame * PAGE);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_protect(&space, half + half / 2 + 2 * PAGE, PAGE, BOARD_R), 0);
        board_check(board, &space, NULL);
        CHECK_EQ(ash_vm_unmap(&space, half, half), 0);
        CHECK_EQ(board->used, 2);
        board_space_end(&space);
        board_end(board);
    }
}
