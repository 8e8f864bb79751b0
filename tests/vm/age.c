/* SPDX-License-Identifier: MIT */
/* Cases of what has been accessed and written to. */
#include "vm/board.h"

#define PAGE  UINT64_C(4096)
#define WRITE (ASH_VM_WRITE | ASH_VM_USER)
#define READ  (ASH_VM_READ | ASH_VM_USER)

static void space_with(struct board *board, struct ash_vm_space *space, uint32_t rights) {
    board_space(board, space);
    ash_paddr_t frames = board_pages(board, 8);
    CHECK_EQ(ash_vm_map(space, 0, frames, 8 * PAGE, rights, ASH_VM_SMALL), 0);
}

static uint64_t age(struct ash_vm_space *space, uint64_t pages) {
    uint64_t accessed;
    CHECK_EQ(ash_vm_age(space, 0, pages * PAGE, &accessed), 0);
    return accessed;
}

static uint64_t clean(struct ash_vm_space *space, uint64_t pages) {
    uint64_t dirty;
    CHECK_EQ(ash_vm_clean(space, 0, pages * PAGE, &dirty), 0);
    return dirty;
}

TEST_CASE(vm_age, an_access_is_seen_once) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        space_with(board, &space, BOARD_RW);
        CHECK_EQ(age(&space, 8), 8);
        CHECK_EQ(age(&space, 8), 0);
        uint64_t flushes = board->flushes;
        CHECK_EQ(ash_vm_fault(&space, 2 * PAGE, READ), ASH_VM_REUSE);
        CHECK_EQ(board->flushes, flushes + 1);
        CHECK_EQ(ash_vm_fault(&space, 2 * PAGE, READ), ASH_VM_SPURIOUS);
        CHECK_EQ(ash_vm_fault(&space, 5 * PAGE, WRITE), ASH_VM_REUSE);
        CHECK_EQ(ash_vm_fault(&space, 7 * PAGE, READ), ASH_VM_REUSE);
        flushes = board->flushes;
        CHECK_EQ(age(&space, 6), 2);
        CHECK(board->flushes > flushes);
        CHECK_EQ(age(&space, 8), 1);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_age, a_write_is_seen_once) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        space_with(board, &space, BOARD_RW);
        CHECK_EQ(clean(&space, 8), 8); /* writable from the start: they may have been */
        CHECK_EQ(clean(&space, 8), 0);
        CHECK(board_is_protected(&space, 3 * PAGE));
        uint64_t used = board->used;
        CHECK_EQ(ash_vm_fault(&space, 3 * PAGE, READ), ASH_VM_SPURIOUS);
        CHECK_EQ(clean(&space, 8), 0);
        CHECK_EQ(ash_vm_fault(&space, 3 * PAGE, WRITE), ASH_VM_REUSE);
        CHECK_EQ(ash_vm_fault(&space, 3 * PAGE, WRITE), ASH_VM_SPURIOUS);
        CHECK_EQ(board->used, used);
        CHECK_EQ(clean(&space, 3), 0);
        CHECK_EQ(clean(&space, 4), 1);
        CHECK_EQ(clean(&space, 8), 0);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_age, shared_memory_is_clean_until_it_is_written_to) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        space_with(board, &space, BOARD_RW | ASH_VM_SHARED);
        (void)clean(&space, 8);
        CHECK_EQ(ash_vm_fault(&space, PAGE, WRITE), ASH_VM_REUSE);
        /* What was written stays dirty when it is protected. */
        CHECK_EQ(ash_vm_protect(&space, 0, 8 * PAGE, BOARD_R), 0);
        CHECK_EQ(clean(&space, 8), 1);
        CHECK_EQ(clean(&space, 8), 0);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_age, a_pinned_page_is_never_clean) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        ash_paddr_t pinned;
        space_with(board, &space, BOARD_RW);
        CHECK_EQ(ash_vm_pin(&space, PAGE, ASH_VM_WRITE, &pinned), 0);
        board->held[pinned / PAGE - BOARD_FIRST]++;
        CHECK_EQ(clean(&space, 8), 8);
        CHECK_EQ(clean(&space, 8), 1);
        CHECK(!board_is_protected(&space, PAGE));
        board_check(board, &space, NULL);
        board_space_end(&space);
        ash_vm_unpin(&board->vm, pinned);
        board_end(board);
    }
}

TEST_CASE(vm_age, what_others_share_is_theirs) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        space_with(board, &parent, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        CHECK_EQ(age(&child, 8), 8);
        CHECK_EQ(age(&parent, 8), 8);
        board_check(board, &parent, &child);
        CHECK_EQ(clean(&child, 8), 8);
        CHECK_EQ(clean(&parent, 8), 8);
        CHECK_EQ(ash_vm_fault(&child, 0, WRITE), ASH_VM_COPY);
        CHECK_EQ(clean(&child, 8), 1);
        board_check(board, &parent, &child);
        board_space_end(&parent);
        board_space_end(&child);
        board_end(board);
    }
}

/* Below tables that were shared since it was aged: they are its own first. */
TEST_CASE(vm_age, an_access_below_shared_tables_unshares_them) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        space_with(board, &parent, BOARD_RW);
        (void)age(&parent, 8);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        CHECK_EQ(ash_vm_fault(&child, PAGE, READ), ASH_VM_UNSHARE);
        CHECK_EQ(age(&child, 8), 1);
        CHECK_EQ(age(&parent, 8), 0);
        CHECK(board_is_protected(&child, PAGE));
        board_check(board, &parent, &child);
        board_space_end(&parent);
        board_space_end(&child);
        board_end(board);
    }
}

TEST_CASE(vm_age, a_block_counts_as_its_pages) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        board_space(board, &space);
        uint64_t bytes = board_block_bytes(board);
        ash_paddr_t block = board_take(board, board_order(board));
        CHECK_EQ(ash_vm_map(&space, 0, block, bytes, BOARD_RW, 0), 0);
        CHECK_EQ(age(&space, 2), 2);
        CHECK_EQ(age(&space, bytes / PAGE), 0);
        CHECK_EQ(clean(&space, bytes / PAGE), bytes / PAGE);
        CHECK_EQ(ash_vm_fault(&space, PAGE, WRITE), ASH_VM_REUSE);
        CHECK_EQ(clean(&space, bytes / PAGE), bytes / PAGE);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_age, nothing_has_changed_when_there_is_no_memory) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        space_with(board, &parent, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        uint64_t sum = board_sum(board), found, n = 0;
        for (;; n++) {
            board->allowed = n;
            int error = ash_vm_age(&child, 0, 8 * PAGE, &found);
            if (error == 0)
                break;
            CHECK_EQ(error, -ASH_ENOMEM);
            CHECK_EQ(ash_vm_clean(&child, 0, 8 * PAGE, &found), -ASH_ENOMEM);
            CHECK_EQ(board_sum(board), sum);
        }
        board->allowed = UINT64_MAX;
        CHECK(n >= 2);
        CHECK_EQ(found, 8);
        CHECK_EQ(ash_vm_age(&child, 1, PAGE, &found), -ASH_EINVAL);
        CHECK_EQ(ash_vm_clean(&child, 0, 0, &found), -ASH_EINVAL);
        board_check(board, &parent, &child);
        board_space_end(&parent);
        board_space_end(&child);
        board_end(board);
    }
}
