/* SPDX-License-Identifier: MIT */
/* fixture.h: a buddy over given regions, in memory of the case. */
#ifndef ASHLAR_TESTS_BUDDY_FIXTURE_H
#define ASHLAR_TESTS_BUDDY_FIXTURE_H

#include "harness/test.h"

#include <ashlar/buddy.h>

static inline void buddy_over(struct ash_buddy *buddy, const struct ash_buddy_region *regions,
                              uint32_t count) {
    struct ash_buddy_config config = {regions, count};
    size_t bytes = ash_buddy_storage_size(&config);
    CHECK(bytes != 0);
    CHECK_EQ(ash_buddy_init(buddy, &config, test_alloc(bytes, ASH_BUDDY_STORAGE_ALIGN), bytes), 0);
}

#endif
