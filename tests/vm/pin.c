/* SPDX-License-Identifier: MIT */
/* Cases of pins: a device's page stays where it is, and stays one process's. */
#include "vm/board.h"

#define PAGE  UINT64_C(4096)
#define WRITE (ASH_VM_WRITE | ASH_VM_USER)

static ash_paddr_t pin(struct board *board, struct ash_vm_space *space, ash_vaddr_t va) {
    ash_paddr_t address;
    CHECK_EQ(ash_vm_pin(space, va, ASH_VM_READ, &address), 0);
    board->held[address / PAGE - BOARD_FIRST]++;
    return address;
}

static void unpin(struct board *board, ash_paddr_t address) {
    ash_vm_unpin(&board->vm, address);
    board->held[address / PAGE - BOARD_FIRST]--;
}

static ash_paddr_t space_with(struct board *board, struct ash_vm_space *space, uint64_t count,
                              uint32_t rights) {
    board_space(board, space);
    ash_paddr_t frames = board_pages(board, count);
    CHECK_EQ(ash_vm_map(space, 0, frames, count * PAGE, rights, ASH_VM_SMALL), 0);
    return frames;
}

TEST_CASE(vm_pin, refuses_what_cannot_stay) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space;
        ash_paddr_t address;
        board = board_new(board, format, 0);
        (void)space_with(board, &space, 2, BOARD_R);
        uint64_t bytes = board_block_bytes(board);
        ash_paddr_t block = board_take(board, board_order(board));
        CHECK_EQ(ash_vm_map(&space, bytes, block, bytes, BOARD_RW, 0), 0);
        uint64_t sum = board_sum(board);
        CHECK_EQ(ash_vm_pin(&space, 0, ASH_VM_READ, &address), -ASH_EACCES);
        CHECK_EQ(ash_vm_pin(&space, 0, ASH_VM_WRITE, &address), -ASH_EACCES);
        CHECK_EQ(ash_vm_pin(&space, 3 * PAGE, ASH_VM_READ, &address), -ASH_EFAULT);
        CHECK_EQ(ash_vm_pin(&space, UINT64_MAX, ASH_VM_READ, &address), -ASH_EFAULT);
        CHECK_EQ(ash_vm_pin(&space, bytes + PAGE, ASH_VM_WRITE, &address), -ASH_ENOTSUP);
        CHECK_EQ(board_sum(board), sum);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

/* CVE-2020-29374: the page that the child's device reads must not be the one that the parent goes
 * on to write to. */
TEST_CASE(vm_pin, for_reading_too_it_is_the_spaces_own_page) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        ash_paddr_t frames = space_with(board, &parent, 4, BOARD_RW);
        board_write(board, &parent, PAGE, 1);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        ash_paddr_t pinned = pin(board, &child, PAGE + 16);
        CHECK(pinned != frames + PAGE + 16 && (pinned & (PAGE - 1)) == 16);
        CHECK_EQ(ash_vm_unmap(&child, PAGE, PAGE), 0);
        board_write(board, &parent, PAGE, 2); /* a secret */
        CHECK_EQ(*board_at(board, pinned - 16), 1);
        board_check(board, &parent, &child);
        unpin(board, pinned);
        board_check(board, &parent, &child);
        board_space_end(&child);
        board_space_end(&parent);
        board_end(board);
    }
}

TEST_CASE(vm_pin, the_page_stays_whatever_the_program_does) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space, child;
        board = board_new(board, format, 0);
        ash_paddr_t frames = space_with(board, &space, 4, BOARD_RW);
        ash_paddr_t pinned = pin(board, &space, PAGE);
        CHECK_EQ(pinned, frames + PAGE);
        /* Pinned, so not to be copied away from: not after a fork, a protect, an aging. */
        CHECK_EQ(ash_vm_fork(&child, &space, 0), 0);
        CHECK_EQ(ash_vm_protect(&space, 0, 4 * PAGE, BOARD_R), 0);
        board_check(board, &space, &child);
        CHECK_EQ(ash_vm_fault(&space, PAGE, WRITE), ASH_VM_SEGV);
        CHECK_EQ(ash_vm_protect(&space, 0, 4 * PAGE, BOARD_RW), 0);
        uint64_t found;
        CHECK_EQ(ash_vm_age(&space, 0, 4 * PAGE, &found), 0);
        CHECK_EQ(ash_vm_clean(&space, 0, 4 * PAGE, &found), 0);
        if (board_is_protected(&space, PAGE))
            CHECK_EQ(ash_vm_fault(&space, PAGE, WRITE), ASH_VM_REUSE);
        CHECK_EQ(board_translate(&space, PAGE, WRITE), pinned);
        struct ash_vm_mapping mapping;
        CHECK(ash_vm_query(&space, PAGE, &mapping) && mapping.va == PAGE && mapping.is_pinned);
        board_check(board, &space, &child);
        board_space_end(&child);
        board_space_end(&space);
        CHECK_EQ(board->used, 2); /* the zero page and this one */
        unpin(board, pinned);
        board_end(board);
    }
}

TEST_CASE(vm_pin, twice_is_two_references_and_the_same_page) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space;
        board = board_new(board, format, 0);
        ash_paddr_t frames = space_with(board, &space, 1, BOARD_RW);
        CHECK_EQ(pin(board, &space, 0), frames);
        CHECK_EQ(pin(board, &space, 0), frames);
        CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE), 3);
        board_check(board, &space, NULL);
        unpin(board, frames);
        board_check(board, &space, NULL);
        unpin(board, frames);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_pin, one_unpin_too_many_panics) {
    struct board *board = board_new(NULL, &ash_vm_toy, 0);
    ash_paddr_t frame = board_take(board, 0);
    CHECK_PANICS(ash_vm_unpin(&board->vm, frame), "no reference left");
}

TEST_CASE(vm_pin, shared_memory_and_a_devices_own_are_pinned_as_they_are) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space, child;
        ash_paddr_t address;
        board = board_new(board, format, 0);
        ash_paddr_t frames = space_with(board, &space, 2, BOARD_R | ASH_VM_SHARED);
        CHECK_EQ(ash_vm_fork(&child, &space, 0), 0);
        CHECK_EQ(pin(board, &child, PAGE), frames + PAGE);
        CHECK_EQ(child.stats.tables_copied, 0);
        CHECK_EQ(ash_vm_map(&space, 4 * PAGE, 0x9000000, PAGE, BOARD_RW | ASH_VM_DEVICE, 0), 0);
        CHECK_EQ(ash_vm_pin(&space, 4 * PAGE, ASH_VM_WRITE, &address), 0);
        CHECK_EQ(address, 0x9000000);
        ash_vm_unpin(&board->vm, address);
        board_check(board, &space, &child);
        unpin(board, frames + PAGE);
        board_space_end(&space);
        board_space_end(&child);
        board_end(board);
    }
}

TEST_CASE(vm_pin, nothing_has_changed_when_there_is_no_memory) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space, child;
        ash_paddr_t address;
        board = board_new(board, format, 0);
        (void)space_with(board, &space, 4, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &space, 0), 0);
        uint64_t sum = board_sum(board), n = 0;
        for (;; n++) {
            board->allowed = n;
            int error = ash_vm_pin(&child, PAGE, ASH_VM_WRITE, &address);
            if (error == 0)
                break;
            CHECK_EQ(error, -ASH_ENOMEM);
            CHECK_EQ(board_sum(board), sum);
        }
        board->allowed = UINT64_MAX;
        CHECK(n >= 3);
        board->held[address / PAGE - BOARD_FIRST]++;
        board_check(board, &space, &child);
        unpin(board, address);
        board_space_end(&space);
        board_space_end(&child);
        board_end(board);
    }
}
