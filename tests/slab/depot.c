/* SPDX-License-Identifier: MIT */
/* Layer 2 alone: whole magazines at rest. */
#include "harness/test.h"

#include "slab_internal.h"

enum { MAGAZINES = 12 };

/* Magazines of the test's own; number i has i objects unless it is emptied. */
struct shelf {
    struct ash__slab_depot depot;
    struct ash__slab_magazine magazines[MAGAZINES];
};

static struct shelf *new_shelf(uint32_t full_max) {
    struct shelf *shelf = test_alloc(sizeof(*shelf), 64);
    ash__depot_init(&shelf->depot, full_max, false);
    for (uint32_t i = 0; i < MAGAZINES; i++)
        shelf->magazines[i].count = i;
    return shelf;
}

static uint32_t length(const struct ash__slab_magazine *chain) {
    uint32_t count = 0;
    for (; chain != NULL; chain = chain->next)
        count++;
    return count;
}

TEST_CASE(depot, nothing_is_in_a_new_one) {
    struct shelf *shelf = new_shelf(4);
    CHECK(ash__depot_take_full(&shelf->depot, NULL) == NULL);
    CHECK(ash__depot_take_empty(&shelf->depot, NULL) == NULL);
    CHECK(ash__depot_take_empty(&shelf->depot, &shelf->magazines[3]) == NULL);
    CHECK(ash__depot_empty_out(&shelf->depot, false) == NULL);
    CHECK(!ash__depot_is_full(&shelf->depot));
}

TEST_CASE(depot, full_is_exchanged_for_empty_and_back) {
    struct shelf *shelf = new_shelf(4);
    struct ash__slab_magazine *empty = &shelf->magazines[0], *full = &shelf->magazines[5];
    CHECK(ash__depot_put(&shelf->depot, empty));
    CHECK(ash__depot_take_empty(&shelf->depot, full) == empty);
    CHECK_EQ(shelf->depot.objects, 5);
    CHECK(ash__depot_take_empty(&shelf->depot, NULL) == NULL);
    CHECK(ash__depot_take_full(&shelf->depot, empty) == full);
    CHECK_EQ(shelf->depot.objects, 0);
    CHECK_EQ(full->count, 5);
    CHECK(ash__depot_take_empty(&shelf->depot, NULL) == empty);
    CHECK_EQ(shelf->depot.full_count + shelf->depot.empty_count, 0);
}

TEST_CASE(depot, latest_full_one_is_the_next) {
    struct shelf *shelf = new_shelf(4);
    for (uint32_t i = 1; i <= 4; i++)
        CHECK(ash__depot_put(&shelf->depot, &shelf->magazines[i]));
    CHECK_EQ(shelf->depot.objects, 1 + 2 + 3 + 4);
    for (uint32_t i = 4; i >= 1; i--)
        CHECK(ash__depot_take_full(&shelf->depot, NULL) == &shelf->magazines[i]);
}

TEST_CASE(depot, no_more_full_ones_than_its_most_are_taken) {
    struct shelf *shelf = new_shelf(2);
    CHECK(ash__depot_put(&shelf->depot, &shelf->magazines[1]));
    CHECK(ash__depot_put(&shelf->depot, &shelf->magazines[2]));
    CHECK(ash__depot_is_full(&shelf->depot));
    CHECK(!ash__depot_put(&shelf->depot, &shelf->magazines[3]));
    shelf->magazines[4].count = shelf->magazines[5].count = shelf->magazines[6].count = 0;
    CHECK(ash__depot_put(&shelf->depot, &shelf->magazines[4]));
    CHECK(ash__depot_take_empty(&shelf->depot, &shelf->magazines[3]) == NULL);
    CHECK(ash__depot_put(&shelf->depot, &shelf->magazines[5]));
    CHECK(!ash__depot_put(&shelf->depot, &shelf->magazines[6]));
    CHECK_EQ(length(ash__depot_empty_out(&shelf->depot, false)), 4);
    CHECK_EQ(shelf->depot.full_count + shelf->depot.empty_count + shelf->depot.objects, 0);
}

/* The working set: of four full ones two at a time are in use; two lie idle. */
TEST_CASE(depot, what_lay_idle_between_two_reaps_is_what_goes) {
    struct shelf *shelf = new_shelf(8);
    for (uint32_t i = 1; i <= 4; i++)
        CHECK(ash__depot_put(&shelf->depot, &shelf->magazines[i]));
    CHECK(ash__depot_empty_out(&shelf->depot, true) == NULL);
    for (uint32_t round = 0; round < 10; round++) {
        struct ash__slab_magazine *a = ash__depot_take_full(&shelf->depot, NULL);
        struct ash__slab_magazine *b = ash__depot_take_full(&shelf->depot, NULL);
        CHECK(ash__depot_put(&shelf->depot, a));
        CHECK(ash__depot_put(&shelf->depot, b));
    }
    CHECK_EQ(length(ash__depot_empty_out(&shelf->depot, true)), 2);
    CHECK_EQ(shelf->depot.full_count, 2);
    CHECK_EQ(length(ash__depot_empty_out(&shelf->depot, true)), 2);
    CHECK_EQ(shelf->depot.full_count, 0);
}

/* Against the naive model: two stacks of numbers. */
TEST_CASE(depot, agrees_with_two_stacks) {
    struct shelf *shelf = new_shelf(3);
    struct test_random random = test_random_from(test_seed());
    struct ash__slab_magazine *full[8], *empty[8], *mine[MAGAZINES];
    uint32_t fulls = 0, empties = 0, held = MAGAZINES;
    for (uint32_t i = 0; i < MAGAZINES; i++)
        mine[i] = &shelf->magazines[i];
    for (uint32_t step = 0; step < 5000; step++) {
        uint32_t at = held == 0 ? 0 : (uint32_t)test_random_below(&random, held);
        struct ash__slab_magazine *got = NULL, *gave = held == 0 ? NULL : mine[at];
        if (gave != NULL)
            gave->count = test_random_chance(&random, 50) ? 0 : 1 + step % 7;
        bool full_one = gave != NULL && gave->count != 0, took = false;
        switch (test_random_below(&random, 3)) {
        case 0:
            took = gave != NULL && fulls + empties < 6 && (!full_one || fulls < 3);
            CHECK_EQ(gave != NULL && ash__depot_put(&shelf->depot, gave), took);
            break;
        case 1:
            gave = full_one ? NULL : gave;
            got = fulls == 0 ? NULL : full[--fulls];
            CHECK(ash__depot_take_full(&shelf->depot, gave) == got);
            took = got != NULL && gave != NULL;
            break;
        default:
            gave = full_one ? gave : NULL;
            if (empties != 0 && (gave == NULL || fulls < 3))
                got = empty[--empties];
            CHECK(ash__depot_take_empty(&shelf->depot, gave) == got);
            took = got != NULL && gave != NULL;
        }
        if (took) {
            mine[at] = mine[--held];
            *(full_one ? &full[fulls++] : &empty[empties++]) = gave;
        }
        if (got != NULL)
            mine[held++] = got;
        CHECK_EQ(shelf->depot.full_count, fulls);
        CHECK_EQ(shelf->depot.empty_count, empties);
        CHECK_EQ(fulls + empties + held, MAGAZINES);
    }
}
