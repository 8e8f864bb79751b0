/* SPDX-License-Identifier: MIT */
/*
 * Cases that tell, by the reason of a skip, what ways to copy and to zero a page cost: instructions
 * where the CPU counts them (-icount shift=0,sleep=off), else steps of the counter.
 */
#include <stdio.h>

#include "harness/test.h"

#include <ashlar/port.h>

#include "platform.h"
#include "qemu-virt/page.h"
#include "user.h"

enum { RUNS = 20000, BLOCK = 64 };

static uint8_t *to, *from;

static void copy_pairs(void) {
    page_copy_pairs(to, from);
}

static void copy_simd(void) {
    page_copy_by_simd(to, from);
}

static void copy_memcpy(void) {
    memcpy(to, from, ASH_PAGE_SIZE);
}

static void copy_chosen(void) {
    platform_page_copy(to, from);
}

static void zero_pairs(void) {
    page_zero_pairs(to);
}

static void zero_blocks(void) {
    page_zero_blocks(to, BLOCK);
}

static void zero_memset(void) {
    memset(to, 0, ASH_PAGE_SIZE);
}

static void zero_chosen(void) {
    platform_page_zero(to);
}

struct way {
    const char *name;
    void (*run)(void);
};

static void measure(const struct way *ways, uint32_t count) {
    char text[200];
    size_t len = 0;
    to = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    from = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    for (uint32_t i = 0; i < count; i++) {
        ways[i].run();
        uint32_t start = platform_cost();
        ways[i].run();
        uint32_t cost = platform_cost() - start;
        ash_ns_t begin_ns = platform_now_ns();
        for (uint32_t k = 0; k < RUNS; k++)
            ways[i].run();
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %u (%llu ns)",
                                i == 0 ? "" : ", ", ways[i].name, cost,
                                (unsigned long long)((platform_now_ns() - begin_ns) / RUNS));
    }
    test_skip("%s: %s", platform_counts_instructions() ? "instructions" : "counter steps", text);
}

TEST_CASE(_page_costs, of_copies) {
    static const struct way ways[] = {{"memcpy", copy_memcpy},
                                      {"LDP and STP", copy_pairs},
                                      {"SIMD", copy_simd},
                                      {"platform_page_copy", copy_chosen}};
    measure(ways, ASH_ARRAY_LEN(ways));
}

TEST_CASE(_page_costs, of_zeroes) {
    static const struct way ways[] = {{"memset", zero_memset},
                                      {"STP", zero_pairs},
                                      {"DC ZVA", zero_blocks},
                                      {"platform_page_zero", zero_chosen}};
    measure(ways, ASH_ARRAY_LEN(ways));
}
