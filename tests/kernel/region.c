/* SPDX-License-Identifier: MIT */
/* Cases of kernel/region.h. */
#include "kernel/region.h"

#include <ashlar/error.h>

#include "harness/test.h"

enum { PAGES = 48, PAGE = ASH_PAGE_SIZE };

/* Memory that fails at the n-th call */

struct limited {
    uint32_t left; /* calls that succeed */
    uint32_t live;
};

static void *take(void *context, size_t size_bytes) {
    struct limited *limited = context;
    if (limited->left == 0)
        return NULL;
    limited->left--;
    limited->live++;
    return test_alloc(size_bytes, 16);
}

static void give_back(void *context, void *pointer) {
    struct limited *limited = context;
    if (pointer != NULL)
        limited->live--;
}

static struct limited limited;
static struct allocator allocator = {take, give_back, &limited};

static void init(struct region_set *set) {
    limited = (struct limited){.left = UINT32_MAX};
    region_set_init(set, &allocator);
}

static int add(struct region_set *set, uint64_t start, uint64_t end, uint32_t rights) {
    const struct region like = {.start = start * PAGE, .end = end * PAGE, .rights = rights};
    return region_add(set, &like);
}

TEST_CASE(region, neighbours_that_go_on_are_one) {
    struct region_set set;
    init(&set);
    CHECK_EQ(add(&set, 1, 2, 1), 0);
    CHECK_EQ(add(&set, 3, 4, 1), 0);
    CHECK_EQ(add(&set, 2, 3, 1), 0);
    CHECK_EQ(set.count, 1);
    CHECK_EQ(add(&set, 4, 5, 3), 0);
    CHECK_EQ(set.count, 2);
    CHECK_EQ(set.bytes, 4 * PAGE);
    CHECK(region_check(&set) == NULL);
}

TEST_CASE(region, a_hole_in_the_middle_leaves_two_and_the_offset_of_the_file) {
    struct region_set set;
    struct file_node *const node = (struct file_node *)&set;
    const struct region like = {.start = 4 * PAGE,
                                .end = 12 * PAGE,
                                .rights = 1,
                                .kind = REGION_FILE,
                                .node = node,
                                .offset = 7 * PAGE};
    init(&set);
    CHECK_EQ(region_add(&set, &like), 0);
    CHECK_EQ(region_remove(&set, 6 * PAGE, 7 * PAGE), 0);
    CHECK_EQ(set.count, 2);
    const struct region *high = region_find(&set, 6 * PAGE);
    CHECK_EQ(high->start, 7 * PAGE);
    CHECK_EQ(high->offset, 10 * PAGE);
    CHECK_EQ(region_remove(&set, 0, 100 * PAGE), 0);
    CHECK_EQ(set.count, 0);
    CHECK_EQ(limited.live, 0);
}

TEST_CASE(region, a_gap_is_looked_for_from_the_top) {
    struct region_set set;
    init(&set);
    CHECK_EQ(region_gap(&set, PAGE, 10 * PAGE, 2 * PAGE), 8 * PAGE);
    CHECK_EQ(add(&set, 7, 9, 1), 0);
    CHECK_EQ(region_gap(&set, PAGE, 10 * PAGE, PAGE), 9 * PAGE);
    CHECK_EQ(region_gap(&set, PAGE, 10 * PAGE, 2 * PAGE), 5 * PAGE);
    CHECK_EQ(region_gap(&set, PAGE, 8 * PAGE, 2 * PAGE), 5 * PAGE);
    CHECK_EQ(region_gap(&set, PAGE, 10 * PAGE, 6 * PAGE), PAGE);
    CHECK_EQ(region_gap(&set, PAGE, 10 * PAGE, 7 * PAGE), 0);
    CHECK_EQ(region_gap(&set, PAGE, 10 * PAGE, UINT64_MAX - PAGE + 1), 0);
}

TEST_CASE(region, rights_of_what_is_not_there_cannot_be_changed) {
    struct region_set set;
    init(&set);
    CHECK_EQ(add(&set, 1, 3, 1), 0);
    CHECK_EQ(add(&set, 4, 6, 1), 0);
    CHECK_EQ(region_protect(&set, 2 * PAGE, 5 * PAGE, 3), -ASH_ENOMEM);
    CHECK_EQ(set.count, 2);
    CHECK_EQ(region_protect(&set, 5 * PAGE, 7 * PAGE, 3), -ASH_ENOMEM);
    CHECK_EQ(region_protect(&set, 4 * PAGE, 6 * PAGE, 3), 0);
    CHECK_EQ(region_find(&set, 4 * PAGE)->rights, 3);
}

/* Against an array of a word a page */

struct model {
    uint32_t rights[PAGES]; /* 0: nothing is there; else rights + 1 */
};

static void compare(const struct region_set *set, const struct model *model) {
    CHECK(region_check(set) == NULL);
    for (uint64_t page = 0; page < PAGES; page++) {
        const struct region *region = region_find(set, page * PAGE);
        bool is_there = region != NULL && region->start <= page * PAGE;
        CHECK_EQ(is_there ? region->rights + 1 : 0, model->rights[page]);
    }
}

static bool is_all(const struct model *model, uint64_t first, uint64_t end, bool there) {
    for (uint64_t page = first; page < end; page++) {
        if ((model->rights[page] != 0) != there)
            return false;
    }
    return true;
}

static void step(struct region_set *set, struct model *model, struct test_random *random) {
    uint64_t first = test_random_below(random, PAGES - 1);
    uint64_t end = first + 1 + test_random_below(random, ash_min_u64(PAGES - first, 9));
    uint32_t rights = (uint32_t)test_random_below(random, 3), now = 0;
    int result = 0, wanted = 0;
    end = ash_min_u64(end, PAGES);
    limited.left = test_random_chance(random, 20) ? (uint32_t)test_random_below(random, 3) : 9;
    switch (test_random_below(random, 3)) {
    case 0:
        if (!is_all(model, first, end, false))
            return;
        result = add(set, first, end, rights);
        now = rights + 1;
        break;
    case 1:
        result = region_remove(set, first * PAGE, end * PAGE);
        break;
    default:
        wanted = is_all(model, first, end, true) ? 0 : -ASH_ENOMEM;
        result = region_protect(set, first * PAGE, end * PAGE, rights);
        now = rights + 1;
        break;
    }
    if (result == 0) {
        CHECK_EQ(wanted, 0);
        for (uint64_t page = first; page < end; page++)
            model->rights[page] = now;
    } else {
        CHECK_EQ(result, -ASH_ENOMEM);
        CHECK(wanted != 0 || limited.left == 0);
    }
    compare(set, model);
}

TEST_CASE(region, every_change_is_as_an_array_of_pages_has_it_or_fails_and_is_none) {
    struct test_random random = test_random_from(test_seed());
    struct model model = {{0}};
    struct region_set set;
    init(&set);
    for (uint32_t i = 0; i < 3000; i++)
        step(&set, &model, &random);
    limited.left = UINT32_MAX;
    struct region_set copy;
    region_set_init(&copy, &allocator);
    CHECK_EQ(region_set_copy(&copy, &set), 0);
    compare(&copy, &model);
    region_set_clear(&copy);
    region_set_clear(&set);
    CHECK_EQ(limited.live, 0);
}

TEST_CASE(region, a_copy_that_finds_no_memory_is_empty) {
    struct region_set set, copy;
    init(&set);
    for (uint64_t i = 0; i < 8; i += 2)
        CHECK_EQ(add(&set, i, i + 1, 1), 0);
    for (uint32_t n = 0; n < 4; n++) {
        limited.left = n;
        region_set_init(&copy, &allocator);
        CHECK_EQ(region_set_copy(&copy, &set), -ASH_ENOMEM);
        CHECK_EQ(copy.count, 0);
        CHECK_EQ(limited.live, 4);
    }
}
