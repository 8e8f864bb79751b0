/* SPDX-License-Identifier: MIT */
/* space.c: spaces come and go; blocks are discarded. */
#include "cache/stand.h"

static int open_space(struct stand *stand, uint32_t id, uint64_t blocks) {
    uint32_t slot = id < STAND_SPACES ? id : 1;
    stand->spaces[slot] = (struct ash_cache_space){.id = id, .blocks = blocks};
    return ash_cache_space_open(&stand->cache, &stand->spaces[slot]);
}

TEST_CASE(cache_space, ids_are_below_the_limit_and_used_once) {
    struct stand *stand = stand_started(4);
    CHECK_EQ(open_space(stand, STAND_SPACES, 10), -ASH_EINVAL);
    CHECK_EQ(open_space(stand, UINT32_MAX, 10), -ASH_EINVAL);
    CHECK_EQ(open_space(stand, 1, UINT64_C(1) << ASH_CACHE_INDEX_BITS), -ASH_EINVAL);
    CHECK_EQ(open_space(stand, 1, UINT64_MAX), -ASH_EINVAL);
    CHECK_EQ(open_space(stand, 1, (UINT64_C(1) << ASH_CACHE_INDEX_BITS) - 1), 0);
    struct ash_cache_space again = {.id = 1, .blocks = 10};
    CHECK_EQ(ash_cache_space_open(&stand->cache, &again), -ASH_EEXIST);
    CHECK_EQ(ash_cache_space_close(&stand->cache, &stand->spaces[1]), 0);
    CHECK_EQ(ash_cache_space_open(&stand->cache, &again), 0);
    CHECK_EQ(ash_cache_space_close(&stand->cache, &again), 0);
    stand_end(stand);
}

TEST_CASE(cache_space, same_index_of_two_spaces_is_two_blocks) {
    struct stand *stand = stand_started(8);
    CHECK_EQ(open_space(stand, 1, 256), 0);
    CHECK_EQ(open_space(stand, 2, 256), 0);
    stand->backend.synchronous = false;
    uint32_t frames[3];
    for (uint32_t id = 0; id < 3; id++)
        frames[id] = stand_get(stand, id, 5, 0);
    CHECK(frames[0] != frames[1] && frames[1] != frames[2] && frames[0] != frames[2]);
    for (uint32_t id = 0; id < 3; id++)
        stand_put(stand, frames[id]);
    stand_end(stand);
}

TEST_CASE(cache_space, last_index_of_the_largest_space_is_its_own_block) {
    struct stand *stand = stand_started(8);
    CHECK_EQ(open_space(stand, 1, (UINT64_C(1) << ASH_CACHE_INDEX_BITS) - 1), 0);
    uint64_t last = (UINT64_C(1) << ASH_CACHE_INDEX_BITS) - 2;
    uint32_t frame, other;
    CHECK_EQ(stand_try(stand, 1, last, ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE, &frame), 0);
    CHECK_EQ(stand_try(stand, 1, last + 1, ASH_CACHE_CACHED, &other), -ASH_ERANGE);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    CHECK_EQ(stand_try(stand, 1, last, ASH_CACHE_CACHED, &other), 0);
    CHECK_EQ(other, frame);
    stand_put(stand, frame);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[1], last, UINT64_MAX, true), 0);
    stand_end(stand);
}

TEST_CASE(cache_space, close_forgets_its_clean_blocks_alone) {
    struct stand *stand = stand_started(8);
    CHECK_EQ(open_space(stand, 1, 256), 0);
    for (uint64_t i = 0; i < 3; i++) {
        stand_read(stand, 0, i);
        stand_read(stand, 1, i + 10);
    }
    CHECK_EQ(stand_stats(stand).clean, 6);
    CHECK_EQ(ash_cache_space_close(&stand->cache, &stand->spaces[1]), 0);
    CHECK_EQ(stand_stats(stand).clean, 3);
    CHECK_EQ(open_space(stand, 1, 256), 0);
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 1, 10, ASH_CACHE_CACHED, &frame), -ASH_ENOENT);
    stand_end(stand);
}

TEST_CASE(cache_space, close_is_busy_while_something_of_it_is) {
    struct stand *stand = stand_started(8);
    struct ash_cache_space *space = &stand->spaces[1];
    struct stand_waiter waiter;
    struct stand_flush flush;
    CHECK_EQ(open_space(stand, 1, 256), 0);
    CHECK_EQ(stand_ask(stand, 1, 5, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(ash_cache_space_close(&stand->cache, space), -ASH_EBUSY); /* being read */
    backend_drain(&stand->backend);
    CHECK_EQ(ash_cache_space_close(&stand->cache, space), -ASH_EBUSY); /* pinned */
    stand_put(stand, waiter.waiter.frame);
    stand_write(stand, 1, 6, 1);
    CHECK_EQ(ash_cache_space_close(&stand->cache, space), -ASH_EBUSY); /* dirty */
    ash_cache_flush(&stand->cache, space, stand_flush(&flush));
    CHECK_EQ(ash_cache_space_close(&stand->cache, space), -ASH_EBUSY); /* being written */
    backend_complete_all(&stand->backend);
    CHECK_EQ(ash_cache_space_close(&stand->cache, space), -ASH_EBUSY); /* being flushed */
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(ash_cache_space_close(&stand->cache, space), 0);
    stand_needs_checks();
    CHECK_PANICS(CHECK_EQ(ash_cache_space_close(&stand->cache, space), 0), "is not open");
}

/* Whoever waits for any frame, or for room among the dirty ones, has none of the space's yet. */
TEST_CASE(cache_space, close_is_busy_while_somebody_waits_for_a_block_of_it) {
    struct stand *stand = stand_new(4);
    stand->config.dirty_max = 1;
    stand_start(stand, 256);
    struct stand_waiter coming[3], late, writer;
    CHECK_EQ(open_space(stand, 1, 256), 0);
    CHECK_EQ(open_space(stand, 2, 256), 0);
    uint32_t frame = stand_get(stand, 0, 0, ASH_CACHE_WRITE);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(stand_ask(stand, 0, 1 + i, 0, &coming[i]), ASH_CACHE_PENDING);
    CHECK_EQ(stand_ask(stand, 1, 5, 0, &late), ASH_CACHE_PENDING);
    CHECK_EQ(stand_ask(stand, 2, 5, ASH_CACHE_WRITE, &writer), ASH_CACHE_PENDING);
    CHECK_EQ(stand_stats(stand).waits_frame, 1);
    CHECK_EQ(stand_stats(stand).waits_dirty, 1);
    CHECK_EQ(ash_cache_space_close(&stand->cache, &stand->spaces[1]), -ASH_EBUSY);
    CHECK_EQ(ash_cache_space_close(&stand->cache, &stand->spaces[2]), -ASH_EBUSY);
    ash_cache_put_unchanged(&stand->cache, frame);
    backend_drain(&stand->backend);
    for (uint32_t i = 0; i < 3; i++)
        stand_put(stand, coming[i].waiter.frame);
    backend_drain(&stand->backend);
    CHECK_EQ(late.told + writer.told, 2);
    if (late.waiter.status == 0)
        stand_put(stand, late.waiter.frame);
    if (writer.waiter.status == 0)
        ash_cache_put_unchanged(&stand->cache, writer.waiter.frame);
    CHECK_EQ(ash_cache_space_close(&stand->cache, &stand->spaces[1]), 0);
    CHECK_EQ(ash_cache_space_close(&stand->cache, &stand->spaces[2]), 0);
    stand_end(stand);
}

TEST_CASE(cache_discard, forgets_a_range_and_nothing_else) {
    static const uint64_t counts[] = {0, 1, 3, 100, UINT64_MAX};
    for (uint32_t c = 0; c < ASH_ARRAY_LEN(counts); c++) {
        struct stand *stand = stand_started(16);
        CHECK_EQ(open_space(stand, 1, 256), 0);
        for (uint64_t i = 0; i < 6; i++) {
            stand_read(stand, 0, i);
            stand_read(stand, 1, i);
        }
        CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 2, counts[c], false), 0);
        stand_check(stand);
        for (uint64_t i = 0; i < 6; i++) {
            uint32_t frame;
            bool gone = i >= 2 && i - 2 < counts[c];
            int result = stand_try(stand, 0, i, ASH_CACHE_CACHED, &frame);
            CHECK_EQ(result, gone ? -ASH_ENOENT : 0);
            if (result == 0)
                stand_put(stand, frame);
            CHECK_EQ(stand_try(stand, 1, i, ASH_CACHE_CACHED, &frame), 0);
            stand_put(stand, frame);
        }
        stand_end(stand);
    }
}

TEST_CASE(cache_discard, dirty_blocks_stay_unless_they_are_meant) {
    struct stand *stand = stand_started(16);
    stand_write(stand, 0, 5, 1);
    stand_read(stand, 0, 6);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 0, 20, false), -ASH_EBUSY);
    CHECK_EQ(stand_stats(stand).dirty, 1);
    CHECK_EQ(stand_stats(stand).clean, 0); /* the others are forgotten */
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 0, 20, true), 0);
    CHECK_EQ(stand_stats(stand).free, 16);
    stand_expect(stand, 0, 5, 0); /* as the disk has it */
    stand_end(stand);
    CHECK_EQ(stand->backend.writes, 0);
}

TEST_CASE(cache_discard, blocks_pinned_or_in_flight_stay) {
    struct stand *stand = stand_started(16);
    struct stand_waiter waiter;
    struct stand_flush flush;
    uint32_t pinned = stand_get(stand, 0, 1, 0);
    uint32_t writer = stand_get(stand, 0, 2, ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE);
    stand_write(stand, 0, 3, 1);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    CHECK_EQ(stand_ask(stand, 0, 4, 0, &waiter), ASH_CACHE_PENDING);
    for (uint64_t i = 1; i <= 4; i++)
        CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], i, 1, true), -ASH_EBUSY);
    stand_put(stand, pinned);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 1, 1, true), 0);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, writer, NULL), 0);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 2, 1, true), 0);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    CHECK(stand_disk_is(stand, 3, 0, 3, 1));
    stand_put(stand, waiter.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_discard, who_waits_for_a_write_is_told_that_there_will_be_none) {
    struct stand *stand = stand_started(16);
    struct stand_waiter waiter;
    stand->backend.room = 1;
    CHECK_EQ(stand_ask(stand, 0, 1, 0, &waiter), ASH_CACHE_PENDING); /* keeps the disk busy */
    struct stand_flush flush;
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    uint32_t frame = stand_get(stand, 0, 5, ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, flush.flush.number), 0);
    struct stand_waiter written;
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&written)), ASH_CACHE_PENDING);
    CHECK_EQ(written.told, 0);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 5, 1, true), 0);
    CHECK_EQ(written.told, 1);
    CHECK_EQ(written.waiter.status, -ASH_ENOENT);
    backend_drain(&stand->backend);
    stand_put(stand, waiter.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_discard, put_behind_forgets_what_nobody_else_has) {
    struct stand *stand = stand_started(16);
    uint32_t a = stand_get(stand, 0, 1, 0), b = stand_get(stand, 0, 1, 0), frame;
    ash_cache_put_behind(&stand->cache, a);
    CHECK_EQ(stand_try(stand, 0, 1, ASH_CACHE_CACHED, &frame), 0);
    stand_put(stand, frame);
    ash_cache_put_behind(&stand->cache, b);
    CHECK_EQ(stand_try(stand, 0, 1, ASH_CACHE_CACHED, &frame), -ASH_ENOENT);
    stand_write(stand, 0, 2, 1);
    ash_cache_put_behind(&stand->cache, stand_get(stand, 0, 2, 0)); /* dirty: it stays */
    stand_expect(stand, 0, 2, 1);
    stand_end(stand);
}

static void put_at_once(struct ash_cache_waiter *waiter) {
    struct stand_waiter *late = ASH_LIST_ENTRY(waiter, struct stand_waiter, waiter);
    late->told++;
    ash_cache_put(&((struct stand *)waiter->space->context)->cache, waiter->frame);
}

/* Who waits for a frame gets this one, and has let it go again before put_behind returns. */
TEST_CASE(cache_discard, put_behind_leaves_what_took_its_frame_alone) {
    struct stand *stand = stand_started(2);
    struct stand_waiter coming, late;
    uint32_t frame = stand_get(stand, 0, 0, 0), found;
    stand->spaces[0].context = stand;
    CHECK_EQ(stand_ask(stand, 0, 1, 0, &coming), ASH_CACHE_PENDING);
    stand_wait(&late)->wake = put_at_once;
    CHECK_EQ(ash_cache_get(&stand->cache, &stand->spaces[0], 2, 0, &late.waiter, &found),
             ASH_CACHE_PENDING);
    stand->backend.synchronous = true;
    ash_cache_put_behind(&stand->cache, frame);
    CHECK_EQ(late.told, 1);
    CHECK_EQ(stand_try(stand, 0, 2, ASH_CACHE_CACHED, &found), 0);
    CHECK_EQ(found, frame);
    stand_put(stand, frame);
    backend_drain(&stand->backend);
    stand_put(stand, coming.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_discard, put_behind_of_what_is_not_pinned_panics) {
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    stand_read(stand, 0, 1);
    for (uint32_t frame = 0; frame < 4; frame++)
        CHECK_PANICS(ash_cache_put_behind(&stand->cache, frame), "which nobody has pinned");
}
