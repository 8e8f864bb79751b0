/* SPDX-License-Identifier: MIT */
/*
 * forktest [GENERATIONS [PAGES]]: a chain of processes, each the child of the one before. Each has
 * its parent's memory at first, writes its own pattern over it, and finds that still there when its
 * child, which has done the same, is over. While a child lives, its parent writes half of the pages
 * again.
 *
 * forktest -n COUNT: as many children one after the other, each of which writes to a page.
 */
#include "../lib/program.h"

enum { PAGE = 4096, WORDS = PAGE / 8 };

static uint64_t *pages;
static uint64_t page_count, last_generation;

static uint64_t word_of(uint64_t generation, uint64_t index) {
    return (generation << 40 ^ index) * UINT64_C(0x9e3779b97f4a7c15);
}

static void write_pages(uint64_t generation, uint64_t step) {
    for (uint64_t page = 0; page < page_count; page += step) {
        for (uint64_t i = page * WORDS; i < (page + 1) * WORDS; i += 61)
            pages[i] = word_of(generation, i);
    }
}

static void check_pages(uint64_t generation, uint64_t seen_by) {
    for (uint64_t page = 0; page < page_count; page++) {
        for (uint64_t i = page * WORDS; i < (page + 1) * WORDS; i += 61) {
            if (pages[i] != word_of(generation, i))
                die("generation %llu: page %llu of generation %llu has changed",
                    (unsigned long long)seen_by, (unsigned long long)page,
                    (unsigned long long)generation);
        }
    }
}

static void live(uint64_t generation) {
    if (generation != 0)
        check_pages(generation - 1, generation);
    write_pages(generation, 1);
    if (generation == last_generation)
        return;
    int64_t parent = sys_getpid();
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        if (sys_getppid() != parent || sys_getpid() == parent)
            die("generation %llu has a wrong parent", (unsigned long long)generation + 1);
        live(generation + 1);
        exit(0);
    }
    write_pages(generation, 2);
    wait_for_success(child);
    check_pages(generation, generation);
}

static void fork_often(uint64_t count) {
    volatile uint64_t mine = 1;
    for (uint64_t i = 0; i < count; i++) {
        int64_t child = must(sys_fork(), "fork");
        if (child == 0) {
            mine = i;
            exit(mine == i ? 0 : 1);
        }
        wait_for_success(child);
        if (mine != 1)
            die("a child has changed its parent's memory");
    }
    printf("forktest: %llu children\n", (unsigned long long)count);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "-n") == 0) {
        fork_often(argument_number(argc, argv, 2, 1000));
        return 0;
    }
    last_generation = argument_number(argc, argv, 1, 16);
    page_count = argument_number(argc, argv, 2, 64);
    pages = map_pages(page_count * PAGE);
    live(0);
    printf("forktest: %llu generations, %llu pages each\n", (unsigned long long)last_generation + 1,
           (unsigned long long)page_count);
    return 0;
}
