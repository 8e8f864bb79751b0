/* SPDX-License-Identifier: MIT */
/* Cases of the kernel's copies from and to programs, by any address that a program can think of. */
#include "vm/board.h"

#define PAGE UINT64_C(4096)

enum { BUFFER = 5 * 4096 };

static unsigned char *buffer_with(uint32_t seed) {
    unsigned char *buffer = test_alloc(BUFFER, 8);
    for (uint32_t i = 0; i < BUFFER; i++)
        buffer[i] = (unsigned char)((i * 7 + i / 251 + seed) % 255 + 1); /* no NUL */
    return buffer;
}

/* Pages 1 to 4 of the space; not one after the other in memory. */
static void space_with(struct board *board, struct ash_vm_space *space, uint32_t rights) {
    board_space(board, space);
    for (uint64_t i = 4; i >= 1; i--) {
        ash_paddr_t frame = board_take(board, 0);
        CHECK_EQ(ash_vm_map(space, i * PAGE, frame, PAGE, rights, 0), 0);
    }
}

TEST_CASE(vm_copy, what_goes_out_comes_in_again_at_any_alignment) {
    struct board *board = NULL;
    unsigned char *from = buffer_with(1), *to = test_alloc(BUFFER, 8);
    const struct {
        uint64_t va;
        size_t bytes;
    } rows[] = {
        {PAGE, 4 * PAGE},         {PAGE + 1, 4 * PAGE - 1}, {2 * PAGE - 1, 2}, {3 * PAGE + 100, 10},
        {2 * PAGE - 7, PAGE + 9}, {5 * PAGE - 1, 1},        {4 * PAGE, 0},     {0, 0},
        {UINT64_MAX, 0}};
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        size_t done;
        space_with(board, &space, BOARD_RW);
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
            memset(to, 0, BUFFER);
            CHECK_EQ(ash_vm_copy_out(&space, rows[i].va, from, rows[i].bytes, &done), 0);
            CHECK_EQ(done, rows[i].bytes);
            CHECK_EQ(ash_vm_copy_in(&space, to, rows[i].va, rows[i].bytes, &done), 0);
            CHECK_EQ(done, rows[i].bytes);
            CHECK_MEM_EQ(to, from, rows[i].bytes);
            CHECK(rows[i].bytes == BUFFER || to[rows[i].bytes] == 0);
        }
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_copy, hostile_ranges_end_where_the_programs_memory_does) {
    struct board *board = NULL;
    unsigned char *from = buffer_with(2), *to = test_alloc(BUFFER, 8);
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        space_with(board, &space, BOARD_RW);
        ash_vaddr_t end = ash_vm_format_end(board->config.format);
        ash_paddr_t last = board_take(board, 0);
        CHECK_EQ(ash_vm_map(&space, end - PAGE, last, PAGE, BOARD_RW, 0), 0);
        const struct {
            ash_vaddr_t va;
            size_t bytes, done;
        } rows[] = {{0, 10, 0},
                    {PAGE - 1, 10, 0},
                    {5 * PAGE - 10, 20, 10},
                    {PAGE, SIZE_MAX, 4 * PAGE},
                    {PAGE, SIZE_MAX - PAGE + 1, 4 * PAGE},
                    {end - 10, 20, 10},
                    {end - 10, SIZE_MAX, 10},
                    {end, 10, 0},
                    {end + PAGE, 10, 0}, /* not a canonical address, but in the toys */
                    {UINT64_C(1) << 63, 10, 0},
                    {0 - end, 10, 0}, /* the kernel's half */
                    {0 - PAGE, 10, 0},
                    {UINT64_MAX, 1, 0},
                    {UINT64_MAX - 4, SIZE_MAX, 0}};
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
            size_t done = 77;
            CHECK_EQ(ash_vm_copy_out(&space, rows[i].va, from, rows[i].bytes, &done), -ASH_EFAULT);
            CHECK_EQ(done, rows[i].done);
            done = 77;
            CHECK_EQ(ash_vm_copy_in(&space, to, rows[i].va, rows[i].bytes, &done), -ASH_EFAULT);
            CHECK_EQ(done, rows[i].done);
            CHECK_MEM_EQ(to, from, rows[i].done);
            if (rows[i].done <= PAGE) /* no NUL on the way */
                CHECK_EQ(ash_vm_copy_string(&space, (char *)to, rows[i].va, 30, &done),
                         -ASH_EFAULT);
        }
        board_check(board, &space, NULL);
        board_space_end(&space);
        board_end(board);
    }
}

/* Nothing wraps around from the last address to the first. */
TEST_CASE(vm_copy, the_end_of_the_upper_half_is_an_end) {
    struct board *board = NULL;
    unsigned char *from = buffer_with(3);
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        size_t done;
        ash_vaddr_t end = ash_vm_format_end(board->config.format);
        CHECK_EQ(ash_vm_space_init(&space, &board->vm, 0 - end, 0), 0);
        ash_paddr_t page = board_take(board, 0);
        CHECK_EQ(ash_vm_map(&space, 0 - PAGE, page, PAGE, BOARD_RW, 0), 0);
        CHECK_EQ(ash_vm_copy_out(&space, 0 - PAGE, from, PAGE, &done), 0);
        CHECK_EQ(ash_vm_copy_out(&space, 0 - PAGE, from, PAGE + 1, &done), -ASH_EFAULT);
        CHECK_EQ(done, PAGE);
        CHECK_EQ(ash_vm_copy_in(&space, from, 0 - PAGE, 2 * PAGE, &done), -ASH_EFAULT);
        CHECK_EQ(done, PAGE);
        CHECK_EQ(ash_vm_copy_string(&space, (char *)from, UINT64_MAX - 1, 100, &done), -ASH_EFAULT);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_copy, the_programs_rights_are_the_kernels) {
    struct board *board = NULL;
    const struct {
        uint32_t rights;
        bool in, out;
    } rows[] = {{BOARD_RW, true, true},
                {BOARD_R, true, false},
                {ASH_VM_READ | ASH_VM_WRITE, false, false},
                {ASH_VM_USER, false, false},
                {BOARD_R | ASH_VM_EXECUTE, true, false},
                {BOARD_RW | ASH_VM_SHARED, true, true}};
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        char byte = 1;
        size_t done;
        board_space(board, &space);
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
            ash_paddr_t frame = board_take(board, 0);
            CHECK_EQ(ash_vm_map(&space, 0, frame, PAGE, rows[i].rights, 0), 0);
            CHECK_EQ(ash_vm_copy_in(&space, &byte, 0, 1, &done), rows[i].in ? 0 : -ASH_EFAULT);
            CHECK_EQ(ash_vm_copy_out(&space, 0, &byte, 1, &done), rows[i].out ? 0 : -ASH_EFAULT);
            CHECK_EQ(ash_vm_unmap(&space, 0, PAGE), 0);
        }
        /* Registers of a device are where the direct map has nothing. */
        CHECK_EQ(ash_vm_map(&space, 0, 0x9000000, PAGE, BOARD_RW | ASH_VM_DEVICE, 0), 0);
        CHECK_EQ(ash_vm_copy_in(&space, &byte, 0, 1, &done), -ASH_EFAULT);
        CHECK_EQ(ash_vm_copy_out(&space, 0, &byte, 1, &done), -ASH_EFAULT);
        board_space_end(&space);
        board_end(board);
    }
}

TEST_CASE(vm_copy, out_goes_to_a_copy_of_what_others_have_too) {
    struct board *board = NULL;
    unsigned char *from = buffer_with(5), *to = test_alloc(BUFFER, 8);
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        size_t done;
        space_with(board, &parent, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        child.is_live = true;
        CHECK_EQ(ash_vm_copy_out(&child, PAGE + 1000, from, 2 * PAGE, &done), 0);
        board_check(board, &parent, &child);
        CHECK_EQ(ash_vm_copy_in(&parent, to, PAGE, 4 * PAGE, &done), 0);
        for (uint32_t i = 0; i < 4 * PAGE; i++)
            CHECK_EQ(to[i], 0);
        CHECK_EQ(ash_vm_copy_in(&child, to, PAGE + 1000, 2 * PAGE, &done), 0);
        CHECK_MEM_EQ(to, from, 2 * PAGE);
        CHECK_EQ(child.stats.pages_copied, 3);
        CHECK(board_is_protected(&child, 4 * PAGE));
        /* In needs nothing. */
        CHECK_EQ(parent.stats.tables_copied + parent.stats.pages_copied, 0);
        board_space_end(&parent);
        board_space_end(&child);
        board_end(board);
    }
}

TEST_CASE(vm_copy, out_without_memory_says_how_far_it_came) {
    struct board *board = NULL;
    unsigned char *from = buffer_with(6), *to = test_alloc(BUFFER, 8);
    EACH_BOARD(board, 0) {
        struct ash_vm_space parent, child;
        size_t done = 77;
        space_with(board, &parent, BOARD_RW);
        CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
        board->allowed = 0;
        CHECK_EQ(ash_vm_copy_out(&child, PAGE, from, 10, &done), -ASH_ENOMEM);
        CHECK_EQ(done, 0);
        board->allowed = UINT64_MAX;
        CHECK_EQ(ash_vm_copy_out(&child, PAGE, from, 10, &done), 0);
        board->allowed = 1;
        CHECK_EQ(ash_vm_copy_out(&child, 2 * PAGE - 10, from, 4 * PAGE, &done), -ASH_ENOMEM);
        CHECK(done >= 10);
        board->allowed = UINT64_MAX;
        CHECK_EQ(ash_vm_copy_in(&child, to, 2 * PAGE - 10, done, &done), 0);
        CHECK_MEM_EQ(to, from, done);
        board_check(board, &parent, &child);
        board_space_end(&parent);
        board_space_end(&child);
        board_end(board);
    }
}

TEST_CASE(vm_copy, a_string_ends_at_its_nul_wherever_that_is) {
    struct board *board = NULL;
    EACH_BOARD(board, 0) {
        struct ash_vm_space space;
        unsigned char *from = buffer_with(7);
        char *to = test_alloc(BUFFER, 8);
        size_t done, length;
        space_with(board, &space, BOARD_RW);
        CHECK_EQ(ash_vm_copy_out(&space, PAGE, from, 4 * PAGE, &done), 0);
        for (uint64_t at = 2 * PAGE - 20; at < 2 * PAGE + 20; at++) {
            CHECK_EQ(ash_vm_copy_out(&space, at, "", 1, &done), 0);
            for (uint64_t start = 2 * PAGE - 25; start <= at; start += 3) {
                size_t expected = at - start;
                memset(to, 0x55, 100);
                CHECK_EQ(ash_vm_copy_string(&space, to, start, 64, &length), 0);
                CHECK_EQ(length, expected);
                CHECK_MEM_EQ(to, from + (start - PAGE), expected);
                CHECK_EQ(to[expected], 0);
                CHECK_EQ(to[64], 0x55);
                /* Room for all but the NUL. */
                CHECK_EQ(ash_vm_copy_string(&space, to, start, expected, &length),
                         -ASH_ENAMETOOLONG);
                CHECK_EQ(ash_vm_copy_string(&space, to, start, expected + 1, &length), 0);
            }
            CHECK_EQ(ash_vm_copy_out(&space, at, from + (at - PAGE), 1, &done), 0);
        }
        CHECK_EQ(ash_vm_copy_string(&space, to, PAGE, 0, &length), -ASH_ENAMETOOLONG);
        CHECK_EQ(ash_vm_copy_string(&space, to, 5 * PAGE - 8, 8, &length), -ASH_ENAMETOOLONG);
        CHECK_EQ(ash_vm_copy_string(&space, to, 5 * PAGE - 8, 9, &length), -ASH_EFAULT);
        CHECK_EQ(length, 8);
        board_space_end(&space);
        board_end(board);
    }
}
