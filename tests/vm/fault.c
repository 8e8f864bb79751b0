/* SPDX-License-Identifier: MIT */
/* Cases of faults: each verdict, in one step and in three, and what may happen in between. */
#include "vm/board.h"

#define PAGE  UINT64_C(4096)
#define WRITE (ASH_VM_WRITE | ASH_VM_USER)
#define READ  (ASH_VM_READ | ASH_VM_USER)

static ash_paddr_t map_pages(struct board *board, struct ash_vm_space *space, ash_vaddr_t va,
                             uint64_t count, uint32_t rights) {
    ash_paddr_t frames = board_pages(board, count);
    for (uint64_t i = 0; i < count; i++)
        *board_at(board, frames + i * PAGE) = i + 1;
    CHECK_EQ(ash_vm_map(space, va, frames, count * PAGE, rights, ASH_VM_SMALL), 0);
    return frames;
}

/* Eight pages in a parent, and its child, both live. */
static ash_paddr_t family(struct board *board, struct ash_vm_space *parent,
                          struct ash_vm_space *child) {
    board_space(board, parent);
    ash_paddr_t frames = map_pages(board, parent, 0, 8, BOARD_RW);
    CHECK_EQ(ash_vm_fork(child, parent, 0), 0);
    child->is_live = true;
    return frames;
}

static void end_both(struct board *board, struct ash_vm_space *a, struct ash_vm_space *b) {
    board_check(board, a, b);
    board_space_end(a);
    board_space_end(b);
    board_end(board);
}

TEST_CASE(vm_fault, what_is_not_allowed_is_a_segv_and_changes_nothing) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space;
        board = board_new(board, format, 0);
        board_space(board, &space);
        map_pages(board, &space, 0, 1, BOARD_R);
        map_pages(board, &space, PAGE, 1, ASH_VM_READ | ASH_VM_WRITE);
        map_pages(board, &space, 2 * PAGE, 1, ASH_VM_USER);
        ash_vaddr_t end = ash_vm_format_end(format);
        const struct {
            ash_vaddr_t va;
            uint32_t access;
        } rows[] = {{0, WRITE},
                    {0, ASH_VM_WRITE},
                    {0, ASH_VM_EXECUTE | ASH_VM_USER},
                    {PAGE, WRITE},
                    {PAGE, READ},
                    {2 * PAGE, READ},
                    {2 * PAGE, ASH_VM_READ},
                    {3 * PAGE, READ},
                    {end - 1, READ},
                    {end, READ},
                    {end, WRITE},
                    {UINT64_C(1) << 63, WRITE},
                    {0 - end, WRITE},
                    {UINT64_MAX, READ}};
        uint64_t sum = board_sum(board);
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++)
            CHECK_EQ(ash_vm_fault(&space, rows[i].va, rows[i].access), ASH_VM_SEGV);
        CHECK_EQ(board_sum(board), sum);
        CHECK_EQ(space.stats.faults, ASH_ARRAY_LEN(rows));
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_fault, what_is_allowed_already_is_spurious_and_flushed) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space;
        board = board_new(board, format, 0);
        board_space(board, &space);
        map_pages(board, &space, 0, 1, BOARD_RW);
        uint64_t sum = board_sum(board), flushes = board->flushes;
        CHECK_EQ(ash_vm_fault(&space, 5, WRITE), ASH_VM_SPURIOUS);
        CHECK_EQ(ash_vm_fault(&space, 5, READ), ASH_VM_SPURIOUS);
        CHECK_EQ(board->flushes, flushes + 2);
        CHECK_EQ(board_sum(board), sum);
        CHECK_EQ(space.stats.spurious, 2);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_fault, a_write_to_the_zero_page_is_a_page_of_zeroes) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space space;
        board = board_new(board, format, 0);
        board_space(board, &space);
        CHECK_EQ(ash_vm_map_zero(&space, 0, 4 * PAGE, BOARD_RW), 0);
        uint64_t flushes = board->flushes;
        CHECK_EQ(ash_vm_fault(&space, PAGE + 8, WRITE), ASH_VM_COPY);
        CHECK_EQ(board->flushes, flushes + 1);
        int64_t page = board_translate(&space, PAGE, WRITE);
        for (uint32_t i = 0; i < PAGE / 8; i++)
            CHECK_EQ(board_at(board, (ash_paddr_t)page)[i], 0);
        CHECK_EQ(space.stats.pages_zeroed, 1);
        CHECK_EQ(space.stats.pages_copied, 0);
        struct ash_vm_pending pending; /* nothing to copy */
        CHECK_EQ(ash_vm_fault_begin(&space, 2 * PAGE, WRITE, &pending), ASH_VM_COPY);
        CHECK_EQ(pending.bytes, 0);
        *board_at(board, (ash_paddr_t)page) = 1;
        CHECK_EQ(board_read(board, &space, 0), 0);
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_fault, the_first_write_copies_the_tables_and_the_page_with_one_flush) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        struct ash_vm_step steps[ASH_VM_LEVELS_MAX];
        board = board_new(board, format, 0);
        ash_paddr_t frames = family(board, &parent, &child);
        uint32_t levels = ash_vm_walk(&parent, 0, steps);
        uint64_t used = board->used, flushes = board->flushes;
        CHECK_EQ(ash_vm_fault(&child, 2 * PAGE, WRITE), ASH_VM_COPY);
        CHECK_EQ(board->flushes, flushes + 1);
        CHECK_EQ(board->used, used + (levels - 1) + 1);
        CHECK_EQ(child.stats.tables_copied, levels - 1);
        board_check(board, &parent, &child);
        CHECK_EQ(ash_vm_fault(&child, 3 * PAGE, WRITE), ASH_VM_COPY);
        CHECK_EQ(board->used, used + (levels - 1) + 2);
        CHECK_EQ(child.stats.pages_copied, 2);
        CHECK_EQ(board_read(board, &child, 3 * PAGE), 4);
        /* The parent has its tables for itself again, and the page. */
        CHECK_EQ(ash_vm_fault(&parent, 2 * PAGE, WRITE), ASH_VM_REUSE);
        CHECK_EQ(board_translate(&parent, 2 * PAGE, WRITE), frames + 2 * PAGE);
        CHECK_EQ(parent.stats.tables_copied + parent.stats.pages_copied, 0);
        end_both(board, &parent, &child);
    }
}

TEST_CASE(vm_fault, neighbours_that_were_written_to_are_given_back_with_a_page) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        (void)family(board, &parent, &child);
        board_write(board, &child, 0, 9); /* its tables are copied, so all leaves are protected */
        board_space_end(&child);
        CHECK_EQ(ash_vm_fault(&parent, PAGE, WRITE), ASH_VM_REUSE);
        bool is_toy = format == &ash_vm_toy || format == &ash_vm_toy_flat;
        for (uint64_t i = 0; i < 8; i++)
            CHECK_EQ(board_is_protected(&parent, i * PAGE), is_toy && i >= 4);
        /* One that has been clean since then is not: its next write is to be seen. */
        uint64_t dirty;
        CHECK_EQ(ash_vm_clean(&parent, 0, 8 * PAGE, &dirty), 0);
        CHECK_EQ(ash_vm_fault(&parent, PAGE, WRITE), ASH_VM_REUSE);
        CHECK(board_is_protected(&parent, 0) && board_is_protected(&parent, 2 * PAGE));
        /* Nor is one that has not been accessed: that, too. */
        board_write(board, &parent, 2 * PAGE, 1);
        CHECK_EQ(ash_vm_fork(&child, &parent, ASH_VM_EAGER), 0);
        board_space_end(&child);
        CHECK_EQ(ash_vm_age(&parent, 2 * PAGE, PAGE, &dirty), 0);
        CHECK_EQ(ash_vm_fault(&parent, PAGE, WRITE), ASH_VM_REUSE);
        CHECK(board_is_protected(&parent, 2 * PAGE) && !board_is_protected(&parent, PAGE));
        board_check(board, &parent, NULL);
        board_space_end(&parent);
        board_end(board);
    }
}

TEST_CASE(vm_fault, shared_memory_below_shared_tables_is_unshared) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        board_space(board, &parent);
        ash_paddr_t frames = map_pages(board, &parent, 0, 4, BOARD_RW | ASH_VM_SHARED);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        CHECK_EQ(ash_vm_fault(&child, PAGE, WRITE), ASH_VM_UNSHARE);
        CHECK_EQ(board_translate(&child, PAGE, WRITE), frames + PAGE);
        CHECK(!board_is_protected(&child, PAGE));
        CHECK_EQ(ash_vm_fault(&parent, PAGE, WRITE), ASH_VM_REUSE);
        CHECK(!board_is_protected(&parent, PAGE));
        end_both(board, &parent, &child);
    }
}

/* In steps */

static enum ash_vm_verdict begin(struct ash_vm_space *space, ash_vaddr_t va,
                                 struct ash_vm_pending *pending) {
    enum ash_vm_verdict verdict = ash_vm_fault_begin(space, va, WRITE, pending);
    CHECK_EQ(verdict, ASH_VM_COPY);
    CHECK(pending->bytes != 0);
    ash_vm_fault_copy(pending);
    return verdict;
}

TEST_CASE(vm_fault, in_steps_it_is_the_same) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        struct ash_vm_pending pending;
        board = board_new(board, format, 0);
        (void)family(board, &parent, &child);
        begin(&child, 3 * PAGE + 1, &pending);
        CHECK_EQ(pending.bytes, PAGE);
        CHECK_EQ(ash_vm_fault_end(&pending), ASH_VM_COPY);
        CHECK_EQ(pending.bytes, 0);
        CHECK_EQ(board_read(board, &child, 3 * PAGE), 4);
        CHECK(!board_is_protected(&child, 3 * PAGE));
        CHECK_EQ(child.stats.faults, 1);
        /* Without a page to copy there is one step. */
        CHECK_EQ(ash_vm_fault_begin(&child, 3 * PAGE, WRITE, &pending), ASH_VM_SPURIOUS);
        CHECK_EQ(pending.bytes, 0);
        CHECK_EQ(ash_vm_fault_begin(&child, 8 * PAGE, WRITE, &pending), ASH_VM_SEGV);
        CHECK_EQ(pending.bytes, 0);
        end_both(board, &parent, &child);
    }
}

TEST_CASE(vm_fault, an_end_without_anything_pending_panics) {
    struct board *board = board_new(NULL, &ash_vm_toy, 0);
    struct ash_vm_space space;
    struct ash_vm_pending pending;
    board_space(board, &space);
    CHECK_EQ(ash_vm_fault_begin(&space, 0, WRITE, &pending), ASH_VM_SEGV);
    CHECK_PANICS((void)ash_vm_fault_end(&pending), "was answered before");
}

/* What another thread of the program, or its relatives, do between begin and end. */
enum between {
    BETWEEN_NOTHING,
    BETWEEN_UNMAP,
    BETWEEN_REMAP,
    BETWEEN_ZERO,
    BETWEEN_PROTECT,
    BETWEEN_UNREADABLE,
    BETWEEN_FORK,
    BETWEEN_FAULT,
    BETWEEN_PARENT_ENDS,
    BETWEEN_PARENT_WRITES,
    BETWEEN_NO_MEMORY,
    BETWEENS
};

struct between_row {
    enum ash_vm_verdict verdict;
    uint64_t value; /* that is read then */
};

#define NOTHING UINT64_MAX /* it cannot be read */

static const struct between_row between_rows[BETWEENS] = {
    [BETWEEN_NOTHING] = {ASH_VM_COPY, 4},      [BETWEEN_UNMAP] = {ASH_VM_SEGV, NOTHING},
    [BETWEEN_REMAP] = {ASH_VM_SPURIOUS, 1},    [BETWEEN_ZERO] = {ASH_VM_COPY, 0},
    [BETWEEN_PROTECT] = {ASH_VM_SEGV, 4},      [BETWEEN_UNREADABLE] = {ASH_VM_SEGV, NOTHING},
    [BETWEEN_FORK] = {ASH_VM_COPY, 4},         [BETWEEN_FAULT] = {ASH_VM_SPURIOUS, 77},
    [BETWEEN_PARENT_ENDS] = {ASH_VM_REUSE, 4}, [BETWEEN_PARENT_WRITES] = {ASH_VM_REUSE, 4},
    [BETWEEN_NO_MEMORY] = {ASH_VM_NOMEM, 4},
};

static void do_between(struct board *board, enum between what, struct ash_vm_space *space,
                       struct ash_vm_space *parent, struct ash_vm_space *grandchild) {
    ash_vaddr_t va = 3 * PAGE;
    switch (what) {
    case BETWEEN_UNMAP:
        CHECK_EQ(ash_vm_unmap(space, va, PAGE), 0);
        break;
    case BETWEEN_REMAP:
        CHECK_EQ(ash_vm_unmap(space, va, PAGE), 0);
        map_pages(board, space, va, 1, BOARD_RW);
        break;
    case BETWEEN_ZERO: /* a page that is to be copied, but another one */
        CHECK_EQ(ash_vm_unmap(space, va, PAGE), 0);
        CHECK_EQ(ash_vm_map_zero(space, va, PAGE, BOARD_RW), 0);
        break;
    case BETWEEN_PROTECT:
        CHECK_EQ(ash_vm_protect(space, va, PAGE, BOARD_R), 0);
        break;
    case BETWEEN_UNREADABLE:
        CHECK_EQ(ash_vm_protect(space, va, PAGE, 0), 0);
        break;
    case BETWEEN_FORK:
        CHECK_EQ(ash_vm_fork(grandchild, space, 0), 0);
        break;
    case BETWEEN_FAULT:
        board_write(board, space, va, 77);
        break;
    case BETWEEN_PARENT_ENDS:
        board_space_end(parent);
        break;
    case BETWEEN_PARENT_WRITES:
        board_write(board, parent, va, 55); /* it copies, as somebody else has the page, too */
        break;
    case BETWEEN_NO_MEMORY:
        board->allowed = 0;
        break;
    default:
        break;
    }
}

TEST_CASE(vm_fault, its_end_looks_again_at_what_has_changed_meanwhile) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        for (uint32_t what = 0; what < BETWEENS; what++) {
            struct ash_vm_space parent, child, grandchild;
            struct ash_vm_pending pending;
            const struct ash_vm_space *spaces[3] = {&child, &parent, &grandchild};
            bool parent_ends = what == BETWEEN_PARENT_ENDS, forks = what == BETWEEN_FORK;
            board = board_new(board, format, 0);
            (void)family(board, &parent, &child);
            begin(&child, 3 * PAGE, &pending);
            do_between(board, (enum between)what, &child, &parent, &grandchild);
            CHECK_EQ(ash_vm_fault_end(&pending), between_rows[what].verdict);
            board->allowed = UINT64_MAX;
            board_audit(board, spaces, parent_ends ? 1 : forks ? 3 : 2);
            if (between_rows[what].value == NOTHING)
                CHECK(board_translate(&child, 3 * PAGE, READ) < 0);
            else
                CHECK_EQ(board_read(board, &child, 3 * PAGE), between_rows[what].value);
            if (!parent_ends) {
                CHECK_EQ(board_read(board, &parent, 3 * PAGE),
                         what == BETWEEN_PARENT_WRITES ? 55 : 4);
                board_space_end(&parent);
            }
            if (forks) {
                CHECK_EQ(board_read(board, &grandchild, 3 * PAGE), 4);
                board_space_end(&grandchild);
            }
            board_space_end(&child);
            board_end(board);
        }
    }
}

TEST_CASE(vm_fault, nothing_has_changed_when_there_is_no_memory) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        (void)family(board, &parent, &child);
        uint64_t sum = board_sum(board), n = 0;
        for (;; n++) {
            board->allowed = n;
            enum ash_vm_verdict verdict = ash_vm_fault(&child, 3 * PAGE, WRITE);
            if (verdict == ASH_VM_COPY)
                break;
            CHECK_EQ(verdict, ASH_VM_NOMEM);
            CHECK_EQ(board_sum(board), sum);
        }
        board->allowed = UINT64_MAX;
        CHECK(n >= 3);
        end_both(board, &parent, &child);
    }
}

/* Blocks */

/* A block at its own size from 0 on, each page of which begins with its number; and a child. */
static ash_paddr_t block_family(struct board *board, struct ash_vm_space *parent,
                                struct ash_vm_space *child) {
    uint64_t bytes = board_block_bytes(board);
    board_space(board, parent);
    ash_paddr_t block = board_take(board, board_order(board));
    for (uint64_t i = 0; i < bytes / PAGE; i++)
        *board_at(board, block + i * PAGE) = i + 1;
    CHECK_EQ(ash_vm_map(parent, bytes, block, bytes, BOARD_RW, 0), 0);
    CHECK_EQ(ash_vm_fork(child, parent, 0), 0);
    return block;
}

static uint32_t leaf_shift(const struct ash_vm_space *space, ash_vaddr_t va) {
    struct ash_vm_mapping mapping;
    CHECK(ash_vm_query(space, va, &mapping) && mapping.va <= va);
    return mapping.leaf_shift;
}

TEST_CASE(vm_fault, a_block_is_copied_whole) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        struct ash_vm_space parent, child;
        board = board_new(board, format, 0);
        ash_paddr_t block = block_family(board, &parent, &child);
        uint64_t bytes = board_block_bytes(board);
        CHECK_EQ(ash_vm_fault(&child, bytes + 2 * PAGE, WRITE), ASH_VM_COPY);
        CHECK_EQ(leaf_shift(&child, bytes), 12 + board_order(board));
        CHECK_EQ(child.stats.pages_copied, bytes / PAGE);
        for (uint64_t i = 0; i < bytes; i += PAGE)
            CHECK_EQ(board_read(board, &child, bytes + i), i / PAGE + 1);
        CHECK(!board_is_protected(&child, bytes));
        CHECK_EQ(ash_vm_fault(&parent, bytes, WRITE), ASH_VM_REUSE);
        CHECK_EQ(board_translate(&parent, bytes, WRITE), block);
        end_both(board, &parent, &child);
    }
}

TEST_CASE(vm_fault, a_block_is_split_where_that_is_the_policy_or_no_other_block_is_left) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        for (uint32_t flags = 0; flags <= ASH_VM_SPLIT_HUGE; flags += ASH_VM_SPLIT_HUGE) {
            struct ash_vm_space parent, child;
            ash_pfn_t pinched[BOARD_FRAMES];
            uint32_t taken = 0;
            board = board_new(board, format, flags);
            ash_paddr_t block = block_family(board, &parent, &child);
            uint64_t bytes = board_block_bytes(board);
            if (flags == 0) /* a page of each block that is left */
                for (ash_pfn_t i = 0; i < BOARD_FRAMES; i += bytes / PAGE)
                    if (board->pieces[i] == 0) {
                        board->pieces[i] = 1;
                        pinched[taken++] = i;
                    }
            CHECK_EQ(ash_vm_fault(&child, bytes + 2 * PAGE, WRITE), ASH_VM_COPY);
            CHECK_EQ(leaf_shift(&child, bytes + 2 * PAGE), 12);
            CHECK_EQ(child.stats.pages_copied, 1);
            CHECK_EQ(child.stats.splits, 1);
            for (uint64_t i = 0; i < bytes; i += PAGE) {
                CHECK_EQ(board_read(board, &child, bytes + i), i / PAGE + 1);
                CHECK_EQ(board_is_protected(&child, bytes + i), i != 2 * PAGE);
            }
            board_check(board, &parent, &child);
            board_space_end(&parent);
            /* The pieces are nobody else's now but the other pieces': the last one is reused. */
            CHECK_EQ(ash_vm_fault(&child, bytes, WRITE), ASH_VM_COPY);
            CHECK_EQ(ash_vm_unmap(&child, bytes, bytes - PAGE), 0);
            CHECK_EQ(ash_vm_fault(&child, 2 * bytes - PAGE, WRITE), ASH_VM_REUSE);
            CHECK_EQ(board_translate(&child, 2 * bytes - PAGE, WRITE), block + bytes - PAGE);
            board_check(board, &child, NULL);
            board_space_end(&child);
            for (uint32_t i = 0; i < taken; i++)
                board->pieces[pinched[i]] = 0;
            board_end(board);
        }
    }
}

TEST_CASE(vm_fault, a_block_in_steps_stays_while_it_is_copied) {
    struct board *board = NULL;
    EACH_FORMAT(format) {
        for (uint32_t way = 0; way < 4; way++) {
            struct ash_vm_space parent, child;
            struct ash_vm_pending pending;
            board = board_new(board, format, (way & 1) != 0 ? ASH_VM_SPLIT_HUGE : 0);
            (void)block_family(board, &parent, &child);
            uint64_t bytes = board_block_bytes(board);
            begin(&child, bytes + PAGE, &pending);
            CHECK_EQ(pending.bytes, (way & 1) != 0 ? PAGE : bytes);
            if ((way & 2) != 0) { /* all go but who copies */
                CHECK_EQ(ash_vm_unmap(&child, bytes + 2 * PAGE, PAGE), 0);
                board_space_end(&parent);
                CHECK_EQ(ash_vm_unmap(&child, bytes, bytes), 0);
                CHECK_EQ(ash_vm_fault_end(&pending), ASH_VM_SEGV);
                board_space_end(&child);
                board_end(board);
                continue;
            }
            CHECK_EQ(ash_vm_fault_end(&pending), ASH_VM_COPY);
            CHECK_EQ(board_read(board, &child, bytes + PAGE), 2);
            end_both(board, &parent, &child);
        }
    }
}

/* The toy's root has leaves of 16 pages, two levels up. */
TEST_CASE(vm_fault, a_large_block_becomes_smaller_ones_and_one_of_them_is_copied) {
    struct board *board = NULL;
    const struct ash_vm_format *const formats[] = {&ash_vm_toy, &ash_vm_toy_flat};
    for (uint32_t i = 0; i < 4; i++) {
        struct ash_vm_space parent, child;
        bool splits = (i & 1) != 0;
        board = board_new(board, formats[i / 2], splits ? ASH_VM_SPLIT_HUGE : 0);
        board_space(board, &parent);
        ash_paddr_t block = board_take(board, 4);
        for (uint64_t j = 0; j < 16; j++)
            *board_at(board, block + j * PAGE) = j + 1;
        CHECK_EQ(ash_vm_map(&parent, 16 * PAGE, block, 16 * PAGE, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        board_check(board, &parent, &child);
        CHECK_EQ(ash_vm_fault(&child, 22 * PAGE, WRITE), ASH_VM_COPY);
        CHECK_EQ(leaf_shift(&child, 22 * PAGE), splits ? 12 : 14);
        CHECK_EQ(leaf_shift(&child, 24 * PAGE), 14);
        CHECK_EQ(leaf_shift(&parent, 22 * PAGE), 16);
        board_check(board, &parent, &child);
        for (uint64_t j = 0; j < 16; j++)
            CHECK_EQ(board_read(board, &child, (16 + j) * PAGE), j + 1);
        board_write(board, &parent, 16 * PAGE, 70);
        CHECK_EQ(board_read(board, &child, 16 * PAGE), 1);
        end_both(board, &child, &parent);
    }
}
