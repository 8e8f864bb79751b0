/* SPDX-License-Identifier: MIT */
/* fixture.h: a buddy over given regions, in memory of the case, with a canary behind its
 * storage. */
#ifndef ASHLAR_TESTS_BUDDY_FIXTURE_H
#define ASHLAR_TESTS_BUDDY_FIXTURE_H

#include "harness/test.h"

#include <ashlar/buddy.h>
#include <ashlar/check.h>

enum { CANARY_BYTES = 16, CANARY = 0xa5 };

/* A broken contract: a panic that says `part`, or where ASH_REQUIRE is compiled out, nothing. */
#define CHECK_REFUSED(statement, part)     \
    do {                                   \
        if (ASH_ENABLED(ASH_CHECKS >= 1))  \
            CHECK_PANICS(statement, part); \
        else                               \
            statement;                     \
    } while (0)

/* A buddy by the config; returns the canary, for canary_is_alive. */
static inline const uint8_t *buddy_by(struct ash_buddy *buddy,
                                      const struct ash_buddy_config *config) {
    size_t bytes = ash_buddy_storage_size(config);
    CHECK(bytes != 0);
    uint8_t *storage = test_alloc(bytes + CANARY_BYTES, ASH_BUDDY_STORAGE_ALIGN);
    memset(storage, 0xff, bytes); /* init may not count on zeroes */
    memset(storage + bytes, CANARY, CANARY_BYTES);
    CHECK_EQ(ash_buddy_init(buddy, config, storage, bytes), 0);
    CHECK(ash_buddy_check(buddy) == NULL);
    return storage + bytes;
}

static inline const uint8_t *buddy_over(struct ash_buddy *buddy,
                                        const struct ash_buddy_region *regions, uint32_t count) {
    struct ash_buddy_config config = {.regions = regions, .region_count = count};
    return buddy_by(buddy, &config);
}

static inline bool canary_is_alive(const uint8_t *canary) {
    for (uint32_t i = 0; i < CANARY_BYTES; i++) {
        if (canary[i] != CANARY)
            return false;
    }
    return true;
}

/* A buddy over one region. */
static inline void buddy_over_one(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) {
    struct ash_buddy_region region = {first, len_pages};
    buddy_over(buddy, &region, 1);
}

static inline void buddy_hardened(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) {
    struct ash_buddy_region region = {first, len_pages};
    struct ash_buddy_config config = {.regions = &region, .region_count = 1, .hardened = true};
    buddy_by(buddy, &config);
}

static inline ash_pfn_t frame_of(struct ash_buddy *buddy, uint32_t order) {
    ash_pfn_t first = UINT64_MAX;
    CHECK_EQ(ash_buddy_alloc(buddy, order, ASH_BUDDY_MOVABLE, &first), 0);
    return first;
}

static inline struct ash_buddy_stats stats_of(struct ash_buddy *buddy) {
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(buddy, &stats);
    return stats;
}

#endif
