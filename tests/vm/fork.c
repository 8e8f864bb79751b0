/* SPDX-License-Identifier: MIT */
/* Cases of fork: what the two spaces share, what they do not, and what it costs. */
#include "vm/board.h"

#define PAGE UINT64_C(4096)

/* A parent with `count` pages from va 0 on, the i-th of which begins with i + 1. */
static ash_paddr_t parent_with(struct board *board, struct ash_vm_space *parent, uint64_t count,
                               uint32_t rights) {
    board_space(board, parent);
    ash_paddr_t frames = board_pages(board, count);
    for (uint64_t i = 0; i < count; i++)
        *board_at(board, frames + i * PAGE) = i + 1;
    CHECK_EQ(ash_vm_map(parent, 0, frames, count * PAGE, rights, ASH_VM_SMALL), 0);
    return frames;
}

static void end_both(struct board *board, struct ash_vm_space *a, struct ash_vm_space *b) {
    board_space_end(a);
    board_check(board, b, NULL);
    board_space_end(b);
    board_end(board);
}

TEST_CASE(vm_fork, takes_one_table_and_one_flush_however_much_is_mapped) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        const uint64_t sizes[] = {1, 8, 16};
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
            struct ash_vm_space parent, child;
            board = board_new(board, format, 0);
            ash_paddr_t frames = parent_with(board, &parent, sizes[i], BOARD_RW);
            uint64_t used = board->used, flushes = board->flushes;
            CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
            CHECK_EQ(board->used, used + 1);
            CHECK_EQ(board->flushes, flushes + 1);
            CHECK_EQ(parent.stats.tables_shared, 1);
            CHECK_EQ(parent.stats.forks, 1);
            CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE), 1); /* by the table that both have */
            board_check(board, &parent, &child);
            for (uint64_t j = 0; j < sizes[i]; j++) {
                CHECK_EQ(board_read(board, &child, j * PAGE), j + 1);
                CHECK(board_is_protected(&parent, j * PAGE));
                CHECK(board_is_protected(&child, j * PAGE));
            }
            end_both(board, &child, &parent);
        }
    }
}

TEST_CASE(vm_fork, a_write_is_seen_by_who_wrote) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        (void)parent_with(board, &parent, 8, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        board_write(board, &parent, 2 * PAGE, 100);
        board_check(board, &parent, &child);
        board_write(board, &child, 3 * PAGE, 200);
        board_write(board, &child, 2 * PAGE, 300);
        board_check(board, &parent, &child);
        for (uint64_t i = 0; i < 8; i++) {
            CHECK_EQ(board_read(board, &parent, i * PAGE), i == 2 ? 100 : i + 1);
            CHECK_EQ(board_read(board, &child, i * PAGE), i == 2 ? 300 : i == 3 ? 200 : i + 1);
        }
        end_both(board, &parent, &child);
    }
}

TEST_CASE(vm_fork, each_generation_sees_its_own_writes) {
    enum { GENERATIONS = 8 };
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space spaces[GENERATIONS];
        const struct ash_vm_space *all[GENERATIONS];
        board = board_new(board, format, 0);
        (void)parent_with(board, &spaces[0], GENERATIONS, BOARD_RW);
        all[0] = &spaces[0];
        for (uint32_t i = 1; i < GENERATIONS; i++) {
            board_write(board, &spaces[i - 1], i * PAGE, 1000 + i);
            CHECK_EQ(ash_vm_fork(&spaces[i], &spaces[i - 1], 0), 0);
            spaces[i].is_live = true;
            all[i] = &spaces[i];
            board_write(board, &spaces[i], 0, 100 + i);
            board_audit(board, all, i + 1);
        }
        for (uint32_t i = 0; i < GENERATIONS; i++) {
            CHECK_EQ(board_read(board, &spaces[i], 0), i == 0 ? 1 : 100 + i);
            for (uint32_t j = 1; j < GENERATIONS; j++)
                CHECK_EQ(board_read(board, &spaces[i], j * PAGE), j <= i + 1 ? 1000 + j : j + 1);
        }
        for (uint32_t i = 0; i < GENERATIONS; i++) /* the oldest first */
            board_space_end(&spaces[i]);
        board_end(board);
    }
}

TEST_CASE(vm_fork, a_parent_without_children_writes_again_for_nothing) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        ash_paddr_t frames = parent_with(board, &parent, 8, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        board_space_end(&child);
        uint64_t used = board->used;
        for (uint64_t i = 0; i < 8; i++)
            board_write(board, &parent, i * PAGE, i + 50);
        CHECK_EQ(board->used, used);
        CHECK_EQ(parent.stats.tables_copied + parent.stats.pages_copied, 0);
        CHECK_EQ(board_translate(&parent, 0, ASH_VM_WRITE), frames);
        CHECK(parent.stats.tables_upgraded != 0);
        board_check(board, &parent, NULL);
        board_space_end(&parent);
        board_end(board);
    }
}

TEST_CASE(vm_fork, a_second_one_needs_no_flush_when_nothing_was_written) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child, second;
        board = board_new(board, format, 0);
        (void)parent_with(board, &parent, 8, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        uint64_t flushes = board->flushes;
        CHECK_EQ(ash_vm_fork(&second, &parent, 0), 0);
        CHECK_EQ(board->flushes, flushes);
        board_space_end(&second);
        board_write(board, &parent, 0, 7);
        flushes = board->flushes;
        CHECK_EQ(ash_vm_fork(&second, &parent, 0), 0);
        CHECK_EQ(board->flushes, flushes + 1);
        const struct ash_vm_space *all[] = {&parent, &child, &second};
        board_audit(board, all, 3);
        board_write(board, &second, PAGE, 8);
        CHECK_EQ(board_read(board, &second, 0), 7);
        CHECK_EQ(board_read(board, &child, 0), 1);
        board_audit(board, all, 3);
        board_space_end(&second);
        end_both(board, &parent, &child);
    }
}

/* Where entries of tables protect nothing: they say that no leaf below is writable. */
TEST_CASE(vm_fork, where_leaves_are_protected_each_table_says_so) {
    const struct ash_vm_format *const formats[] = {&ash_vm_sv39, &ash_vm_sv48, &ash_vm_toy_flat};
    struct board *board = NULL;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(formats); i++) {
        struct ash_vm_space parent, child;
        struct ash_vm_step steps[ASH_VM_LEVELS_MAX];
        board = board_new(board, formats[i], 0);
        (void)parent_with(board, &parent, 4, BOARD_RW);
        uint32_t count = ash_vm_walk(&parent, 0, steps);
        CHECK(!steps[count - 1].is_write_protected);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        CHECK_EQ(ash_vm_walk(&parent, 0, steps), count);
        for (uint32_t j = 0; j < count; j++)
            CHECK(steps[j].is_write_protected);
        end_both(board, &parent, &child);
    }
}

TEST_CASE(vm_fork, the_child_of_a_space_with_global_pages_has_them_too) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        (void)parent_with(board, &parent, 1, BOARD_RW | ASH_VM_GLOBAL);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        CHECK(child.has_global);
        end_both(board, &parent, &child);
    }
}

TEST_CASE(vm_fork, an_eager_one_copies_all_tables_and_no_page) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        struct ash_vm_usage usage;
        board = board_new(board, format, 0);
        ash_paddr_t frames = parent_with(board, &parent, 8, BOARD_RW);
        ash_vm_get_usage(&parent, &usage);
        uint64_t used = board->used, flushes = board->flushes;
        CHECK_EQ(ash_vm_fork(&child, &parent, ASH_VM_EAGER), 0);
        CHECK_EQ(board->used, used + usage.tables);
        CHECK_EQ(board->flushes, flushes + 1);
        CHECK_EQ(ash_vm_count(&board->vm, frames / PAGE + 7), 2);
        board_check(board, &parent, &child);
        board_write(board, &parent, 0, 40);
        board_write(board, &child, PAGE, 50);
        CHECK_EQ(board_read(board, &child, 0), 1);
        CHECK_EQ(board_read(board, &parent, PAGE), 2);
        CHECK_EQ(parent.stats.tables_copied, usage.tables - 1);
        CHECK_EQ(child.stats.tables_copied, 0);
        board_check(board, &parent, &child);
        end_both(board, &child, &parent);
    }
}

TEST_CASE(vm_fork, shared_memory_stays_shared_by_both_ways) {
    struct board *board = NULL;
    const uint32_t ways[] = {0, ASH_VM_EAGER};
    EACH_FORMAT(format) {
        for (uint32_t way = 0; way < 2; way++) {
            struct ash_vm_space parent, child;
            board = board_new(board, format, 0);
            ash_paddr_t frames = parent_with(board, &parent, 4, BOARD_RW | ASH_VM_SHARED);
            CHECK_EQ(ash_vm_fork(&child, &parent, ways[way]), 0);
            CHECK_EQ(board_is_protected(&parent, 0), ways[way] == 0);
            board_write(board, &child, 0, 70);
            board_write(board, &parent, PAGE, 71);
            CHECK_EQ(board_read(board, &parent, 0), 70);
            CHECK_EQ(board_read(board, &child, PAGE), 71);
            CHECK_EQ(board_translate(&child, 0, ASH_VM_WRITE), frames);
            CHECK_EQ(child.stats.pages_copied + parent.stats.pages_copied, 0);
            board_check(board, &parent, &child);
            end_both(board, &parent, &child);
        }
    }
}

TEST_CASE(vm_fork, what_was_not_to_be_written_is_not_by_a_fork) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        (void)parent_with(board, &parent, 4, BOARD_R);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        CHECK_EQ(ash_vm_fault(&child, 0, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        CHECK_EQ(ash_vm_fault(&parent, 0, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        /* And what was, is not any more once it is protected. */
        CHECK_EQ(ash_vm_protect(&parent, 0, 2 * PAGE, BOARD_RW), 0);
        CHECK_EQ(ash_vm_protect(&parent, 0, PAGE, BOARD_R), 0);
        CHECK_EQ(ash_vm_fault(&parent, 0, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        board_write(board, &parent, PAGE, 9);
        CHECK_EQ(board_read(board, &child, PAGE), 2);
        board_check(board, &parent, &child);
        end_both(board, &parent, &child);
    }
}

TEST_CASE(vm_fork, a_pinned_page_stays_the_parents_and_the_child_has_a_copy) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child, second;
        ash_paddr_t pinned;
        board = board_new(board, format, 0);
        ash_paddr_t frames = parent_with(board, &parent, 8, BOARD_RW);
        CHECK_EQ(ash_vm_pin(&parent, 3 * PAGE, ASH_VM_READ, &pinned), 0);
        CHECK_EQ(pinned, frames + 3 * PAGE);
        board->held[pinned / PAGE - BOARD_FIRST]++;
        board_check(board, &parent, NULL);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        board_check(board, &parent, &child);
        *board_at(board, pinned) = 99; /* the device */
        CHECK_EQ(board_read(board, &child, 3 * PAGE), 4);
        CHECK_EQ(board_read(board, &parent, 3 * PAGE), 99);
        CHECK(!board_is_protected(&parent, 3 * PAGE));
        CHECK(!board_is_protected(&child, 3 * PAGE));
        CHECK(board_is_protected(&child, 2 * PAGE));
        CHECK_EQ(parent.stats.pages_copied, 1);
        board_write(board, &parent, 2 * PAGE, 5);
        CHECK_EQ(board_read(board, &child, 2 * PAGE), 3);
        board_check(board, &parent, &child);
        board_space_end(&child);

        /* With the pin gone, so are the copies. */
        ash_vm_unpin(&board->vm, pinned);
        board->held[pinned / PAGE - BOARD_FIRST]--;
        uint64_t used = board->used, copied = parent.stats.tables_copied;
        CHECK_EQ(ash_vm_fork(&second, &parent, 0), 0);
        CHECK_EQ(board->used, used + 1);
        CHECK_EQ(parent.stats.tables_copied, copied);
        CHECK(board_is_protected(&parent, 3 * PAGE));
        board_check(board, &parent, &second);
        board_write(board, &second, 3 * PAGE, 6);
        CHECK_EQ(board_read(board, &parent, 3 * PAGE), 99);
        end_both(board, &second, &parent);
    }
}

/* Pages at both ends of what the format has: their tables have only the root in common. */
TEST_CASE(vm_fork, tables_without_pins_are_shared_beside_those_with) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        ash_paddr_t pinned;
        board = board_new(board, format, 0);
        (void)parent_with(board, &parent, 2, BOARD_RW);
        ash_vaddr_t last = ash_vm_format_end(format) - PAGE;
        ash_paddr_t frames = board_pages(board, 1);
        CHECK_EQ(ash_vm_map(&parent, last, frames, PAGE, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_pin(&parent, last, ASH_VM_WRITE, &pinned), 0);
        board->held[pinned / PAGE - BOARD_FIRST]++;
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        CHECK_EQ(parent.stats.tables_shared, 1);
        CHECK(board_is_protected(&child, 0) && !board_is_protected(&child, last));
        board_check(board, &parent, &child);
        board_space_end(&parent); /* the device still has it */
        board_check(board, &child, NULL);
        ash_vm_unpin(&board->vm, pinned);
        board->held[pinned / PAGE - BOARD_FIRST]--;
        board_check(board, &child, NULL);
        board_space_end(&child);
        board_end(board);
    }
}

TEST_CASE(vm_fork, a_count_that_cannot_go_higher_refuses_it_before_anything_changed) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        struct ash_vm_step steps[ASH_VM_LEVELS_MAX];
        board = board_new(board, format, 0);
        (void)parent_with(board, &parent, 4, BOARD_RW);
        CHECK(ash_vm_walk(&parent, 0, steps) > 1);
        ash_pfn_t table = board->vm.zero_frame;
        for (ash_pfn_t frame = BOARD_FIRST; frame < BOARD_FIRST + BOARD_FRAMES; frame++)
            if (frame * PAGE == (steps[1].entry_address & ~(PAGE - 1)))
                table = frame;
        uint32_t *count = &board->storage[table - BOARD_FIRST];
        CHECK_EQ(*count, 1);
        *count = ASH_VM_SATURATED - 1;
        uint64_t sum = board_sum(board);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), -ASH_ENOMEM);
        CHECK_EQ(board_sum(board), sum);
        *count = 1;
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        end_both(board, &child, &parent);
    }
}

TEST_CASE(vm_fork, nothing_has_changed_when_there_is_no_memory) {
    struct board *board = NULL;
    const uint32_t ways[] = {0, ASH_VM_EAGER};
    EACH_FORMAT(format) {
        for (uint32_t way = 0; way < 2; way++) {
            struct ash_vm_space parent, child;
            ash_paddr_t pinned;
            board = board_new(board, format, 0);
            (void)parent_with(board, &parent, 8, BOARD_RW);
            CHECK_EQ(ash_vm_pin(&parent, 3 * PAGE, ASH_VM_READ, &pinned), 0);
            board->held[pinned / PAGE - BOARD_FIRST]++;
            uint64_t sum = board_sum(board), n = 0;
            for (;; n++) {
                board->allowed = n;
                int error = ash_vm_fork(&child, &parent, ways[way]);
                if (error == 0)
                    break;
                CHECK_EQ(error, -ASH_ENOMEM);
                CHECK_EQ(board_sum(board), sum);
            }
            board->allowed = UINT64_MAX;
            CHECK(n > 2);
            board_check(board, &parent, &child);
            board_space_end(&parent);
            ash_vm_unpin(&board->vm, pinned);
            board->held[pinned / PAGE - BOARD_FIRST]--;
            board_check(board, &child, NULL);
            board_space_end(&child);
            board_end(board);
        }
    }
}

TEST_CASE(vm_fork, a_block_is_shared_and_goes_as_one_piece) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        for (uint32_t order = 0; order < 2; order++) {
            board = board_new(board, format, 0);
            uint64_t bytes = board_block_bytes(board);
            board_space(board, &parent);
            ash_paddr_t block = board_take(board, board_order(board));
            CHECK_EQ(ash_vm_map(&parent, bytes, block, bytes, BOARD_RW, 0), 0);
            CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
            CHECK_EQ(ash_vm_unmap(&child, bytes + PAGE, PAGE), 0);
            board_check(board, &parent, &child);
            CHECK_EQ(board_translate(&parent, bytes + PAGE, ASH_VM_READ), block + PAGE);
            if (order == 0)
                end_both(board, &child, &parent);
            else
                end_both(board, &parent, &child);
        }
    }
}

TEST_CASE(vm_fork, the_child_ends_first_or_last_and_nothing_is_left) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        for (uint32_t order = 0; order < 2; order++) {
            struct ash_vm_space parent, child;
            board = board_new(board, format, 0);
            (void)parent_with(board, &parent, 12, BOARD_RW);
            CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
            for (uint64_t i = 0; i < 12; i += 5)
                board_write(board, &child, i * PAGE, 3);
            CHECK_EQ(ash_vm_unmap(&parent, 4 * PAGE, 4 * PAGE), 0);
            CHECK_EQ(board_read(board, &child, 6 * PAGE), 7);
            board_check(board, &parent, &child);
            if (order == 0)
                end_both(board, &child, &parent);
            else
                end_both(board, &parent, &child);
        }
    }
}
