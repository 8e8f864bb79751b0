/* SPDX-License-Identifier: MIT */
/* peek.c: reading without a pin. */
#include "cache/stand.h"

TEST_CASE(cache_peek, sees_what_is_there_and_says_when_it_goes) {
    struct stand *stand = stand_new(4);
    stand->config.lazy = true;
    stand_start(stand, 256);
    struct ash_cache_view view;
    struct ash_cache *cache = &stand->cache;
    struct ash_cache_space *raw = &stand->spaces[0];
    CHECK(ash_cache_peek(cache, raw, 5, &view) == NULL);
    CHECK(ash_cache_peek(cache, raw, 256, &view) == NULL);
    CHECK(ash_cache_peek(cache, raw, UINT64_MAX, &view) == NULL);
    stand_write(stand, 0, 5, 3);
    const void *bytes = ash_cache_peek(cache, raw, 5, &view);
    CHECK(bytes != NULL && stand_is(stand, bytes, stand_key(0, 5), 3));
    CHECK(ash_cache_peek_valid(&view));
    stand_expect(stand, 0, 5, 3); /* readers do not matter */
    CHECK(ash_cache_peek_valid(&view));
    CHECK_EQ(stand_sync(stand, NULL), 0); /* nor does writing it out */
    CHECK(ash_cache_peek_valid(&view));
    stand_write(stand, 0, 5, 4);
    CHECK(!ash_cache_peek_valid(&view));
    bytes = ash_cache_peek(cache, raw, 5, &view);
    CHECK(bytes != NULL && stand_is(stand, bytes, stand_key(0, 5), 4));
    CHECK_EQ(ash_cache_discard(cache, raw, 5, 1, true), 0);
    CHECK(!ash_cache_peek_valid(&view));
    CHECK(ash_cache_peek(cache, raw, 5, &view) == NULL);
    stand_end(stand);
}

TEST_CASE(cache_peek, sees_nothing_while_somebody_writes_or_reads_it_in) {
    struct stand *stand = stand_started(4);
    struct ash_cache_view view;
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 0, 5, 0, &waiter), ASH_CACHE_PENDING);
    CHECK(ash_cache_peek(&stand->cache, &stand->spaces[0], 5, &view) == NULL);
    backend_drain(&stand->backend);
    stand_put(stand, waiter.waiter.frame);
    CHECK(ash_cache_peek(&stand->cache, &stand->spaces[0], 5, &view) != NULL);
    uint32_t frame = stand_get(stand, 0, 5, ASH_CACHE_WRITE);
    CHECK(!ash_cache_peek_valid(&view));
    CHECK(ash_cache_peek(&stand->cache, &stand->spaces[0], 5, &view) == NULL);
    ash_cache_put_unchanged(&stand->cache, frame);
    CHECK(ash_cache_peek(&stand->cache, &stand->spaces[0], 5, &view) != NULL);
    stand_end(stand);
}

TEST_CASE(cache_peek, says_no_after_its_block_was_evicted_and_came_back) {
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        struct stand *stand = stand_new(3);
        stand->config.policy = ash_cache_policy_name(p);
        stand_start(stand, 256);
        struct ash_cache_view view;
        stand_read(stand, 0, 5);
        CHECK(ash_cache_peek(&stand->cache, &stand->spaces[0], 5, &view) != NULL);
        for (uint64_t i = 10; i < 40; i++)
            stand_read(stand, 0, i % 17 + i);
        uint32_t frame;
        if (stand_try(stand, 0, 5, ASH_CACHE_CACHED, &frame) == 0) {
            stand_put(stand, frame);
            CHECK(ash_cache_peek_valid(&view));
        } else {
            CHECK(!ash_cache_peek_valid(&view));
            stand_read(stand, 0, 5);
            CHECK(!ash_cache_peek_valid(&view));
        }
        stand_end(stand);
    }
}
