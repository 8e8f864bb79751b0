/* SPDX-License-Identifier: MIT */
/* Cases of whole pages, user.h. */
#include "harness/test.h"
#include "user.h"

enum { PAGES = 3 };

static uint8_t *random_pages(struct test_random *random) {
    uint8_t *pages = test_alloc(PAGES * ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    for (uint32_t i = 0; i < PAGES * ASH_PAGE_SIZE; i++)
        pages[i] = (uint8_t)test_random_u64(random);
    return pages;
}

TEST_CASE(pages, a_copy_is_of_a_whole_page_and_no_more) {
    struct test_random random = test_random_from(test_seed());
    uint8_t *to = random_pages(&random), *from = random_pages(&random);
    uint8_t *before = test_alloc(PAGES * ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    memcpy(before, to, PAGES * ASH_PAGE_SIZE);
    platform_page_copy(to + ASH_PAGE_SIZE, from + 2 * ASH_PAGE_SIZE);
    CHECK_MEM_EQ(to, before, ASH_PAGE_SIZE);
    CHECK_MEM_EQ(to + ASH_PAGE_SIZE, from + 2 * ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    CHECK_MEM_EQ(to + 2 * ASH_PAGE_SIZE, before + 2 * ASH_PAGE_SIZE, ASH_PAGE_SIZE);
}

TEST_CASE(pages, a_whole_page_is_zeroed_and_no_more) {
    struct test_random random = test_random_from(test_seed());
    uint8_t *to = random_pages(&random);
    uint8_t *expected = test_alloc(PAGES * ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    memcpy(expected, to, PAGES * ASH_PAGE_SIZE);
    memset(expected + ASH_PAGE_SIZE, 0, ASH_PAGE_SIZE);
    platform_page_zero(to + ASH_PAGE_SIZE);
    CHECK_MEM_EQ(to, expected, PAGES * ASH_PAGE_SIZE);
}
