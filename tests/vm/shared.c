/* SPDX-License-Identifier: MIT */
/* Cases of changes in a space whose tables are shared with another: the other one sees none. */
#include "vm/board.h"

#define PAGE UINT64_C(4096)

/* Two blocks' worth of pages, the i-th begins with i + 1, and a child that shares them. */
static ash_paddr_t family(struct board *board, struct ash_vm_space *parent,
                          struct ash_vm_space *child) {
    uint64_t pages = 2 * board_block_bytes(board) / PAGE;
    board_space(board, parent);
    ash_paddr_t frames = board_pages(board, pages);
    for (uint64_t i = 0; i < pages; i++)
        *board_at(board, frames + i * PAGE) = i + 1;
    CHECK_EQ(ash_vm_map(parent, 0, frames, pages * PAGE, BOARD_RW, ASH_VM_SMALL), 0);
    CHECK_EQ(ash_vm_fork(child, parent, 0), 0);
    child->is_live = true;
    return frames;
}

/* All of it is there, to be read and to be written. */
static void check_untouched(struct board *board, struct ash_vm_space *space) {
    for (uint64_t i = 0; i < 2 * board_block_bytes(board) / PAGE; i++) {
        CHECK_EQ(board_read(board, space, i * PAGE), i + 1);
        CHECK(board_translate(space, i * PAGE, ASH_VM_WRITE | ASH_VM_USER) > 0);
    }
}

static void end_family(struct board *board, struct ash_vm_space *parent,
                       struct ash_vm_space *child) {
    board_check(board, parent, child);
    check_untouched(board, parent);
    board_space_end(child);
    board_check(board, parent, NULL);
    board_space_end(parent);
    board_end(board);
}

TEST_CASE(vm_shared, a_page_that_one_unmaps_the_other_has) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        (void)family(board, &parent, &child);
        uint64_t flushes = board->flushes;
        CHECK_EQ(ash_vm_unmap(&child, PAGE, PAGE), 0);
        CHECK(board->flushes - flushes <= 2);
        CHECK_EQ(board_translate(&child, PAGE, ASH_VM_READ), -ASH_EFAULT);
        CHECK_EQ(board_read(board, &child, 2 * PAGE), 3);
        end_family(board, &parent, &child);
    }
}

TEST_CASE(vm_shared, all_of_it_goes_by_one_reference) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        (void)family(board, &parent, &child);
        uint64_t used = board->used;
        board->allowed = 0; /* none is needed */
        CHECK_EQ(ash_vm_unmap(&child, 0, ash_vm_format_end(board->config.format)), 0);
        CHECK_EQ(board->used, used);
        CHECK_EQ(child.stats.tables_copied, 0);
        end_family(board, &parent, &child);
    }
}

TEST_CASE(vm_shared, rights_that_one_changes_the_other_keeps) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        ash_paddr_t frames = family(board, &parent, &child);
        uint64_t bytes = 2 * board_block_bytes(board);
        CHECK_EQ(ash_vm_protect(&child, 0, bytes, BOARD_R), 0);
        CHECK_EQ(board_translate(&child, PAGE, ASH_VM_WRITE), -ASH_EACCES);
        board_check(board, &parent, &child);
        CHECK_EQ(ash_vm_protect(&child, 0, bytes, BOARD_RW), 0);
        CHECK_EQ(board_translate(&child, PAGE, ASH_VM_WRITE), frames + PAGE);
        CHECK(board_is_protected(&child, PAGE)); /* allowed, and still the other's, too */
        board_check(board, &parent, &child);
        board_write(board, &child, PAGE, 77);
        end_family(board, &parent, &child);
    }
}

TEST_CASE(vm_shared, the_last_one_writes_at_once_when_it_may_again) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        (void)family(board, &parent, &child);
        board_space_end(&child);
        CHECK(board_is_protected(&parent, PAGE));
        CHECK_EQ(ash_vm_protect(&parent, PAGE, PAGE, BOARD_RW), 0);
        CHECK(!board_is_protected(&parent, PAGE));
        CHECK_EQ(parent.stats.tables_copied, 0);
        CHECK(parent.stats.tables_upgraded != 0);
        board_check(board, &parent, NULL);
        board_space_end(&parent);
        board_end(board);
    }
}

TEST_CASE(vm_shared, what_one_maps_beside_it_the_other_has_not) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        (void)family(board, &parent, &child);
        CHECK_EQ(ash_vm_unmap(&parent, 0, PAGE), 0);
        ash_paddr_t page = board_take(board, 0);
        CHECK_EQ(ash_vm_map(&parent, 0, page, PAGE, BOARD_RW, 0), 0);
        *board_at(board, page) = 1;
        board_write(board, &child, 0, 55);
        CHECK_EQ(board_read(board, &parent, 0), 1);
        end_family(board, &parent, &child);
    }
}

TEST_CASE(vm_shared, pages_become_a_block_of_one_by_a_copy) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        ash_paddr_t frames = family(board, &parent, &child);
        CHECK_EQ(ash_vm_collapse(&child, 0), 0);
        CHECK(board_translate(&child, 0, ASH_VM_READ) != (int64_t)frames);
        CHECK(!board_is_protected(&child, 0));
        board_check(board, &parent, &child);
        check_untouched(board, &child);
        board_write(board, &child, PAGE, 99);
        end_family(board, &parent, &child);
    }
}

TEST_CASE(vm_shared, a_block_that_one_splits_the_other_has_whole) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        uint64_t block = board_block_bytes(board), pages = block / PAGE;
        board_space(board, &parent);
        ash_paddr_t frames = board_take(board, board_order(board));
        CHECK_EQ(ash_vm_map(&parent, 0, frames, block, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        child.is_live = true;
        CHECK_EQ(ash_vm_split(&child, 0, 12), 0);
        board_check(board, &parent, &child);
        CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE), pages + 1);
        struct ash_vm_mapping run;
        CHECK(ash_vm_query(&parent, 0, &run));
        CHECK_EQ(run.leaf_shift, 12 + board_order(board));
        /* Together again, in the same frames: all are pieces of one block. */
        uint64_t used = board->used;
        CHECK_EQ(ash_vm_collapse(&child, 0), 0);
        CHECK_EQ(board->used, used - 1);
        CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE), 2);
        CHECK_EQ(board_translate(&child, PAGE, ASH_VM_READ), frames + PAGE);
        board_check(board, &parent, &child);
        board_space_end(&child);
        board_space_end(&parent);
        for (uint64_t i = 0; i < pages; i++)
            CHECK_EQ(board->vm.counts[frames / PAGE - BOARD_FIRST + i], 0);
        board_end(board);
    }
}

static int change(struct ash_vm_space *space, uint32_t which, uint64_t block) {
    switch (which) {
    case 0:
        return ash_vm_unmap(space, PAGE, block);
    case 1:
        return ash_vm_protect(space, PAGE, block, BOARD_R);
    case 2:
        return ash_vm_collapse(space, block);
    default:
        return ash_vm_map_zero(space, 2 * block, PAGE, BOARD_RW);
    }
}

TEST_CASE(vm_shared, a_change_without_memory_changes_nothing_anywhere) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        for (uint32_t which = 0; which < 4; which++) {
            struct ash_vm_space parent, child;
            board = board_new(board, board->config.format, 0);
            (void)family(board, &parent, &child);
            uint64_t n = 0, sum = board_sum(board);
            for (;; n++) {
                board->allowed = n;
                int error = change(&child, which, board_block_bytes(board));
                board_check(board, &parent, &child);
                if (error == 0)
                    break;
                CHECK_EQ(error, -ASH_ENOMEM);
                CHECK(n > 1 || board_sum(board) == sum);
            }
            CHECK(n != 0);
            board->allowed = UINT64_MAX;
            end_family(board, &parent, &child);
        }
    }
}
