/* SPDX-License-Identifier: MIT */
/* order.c: blocks that may only be written once a flush has succeeded, and what if it has not. */
#include "cache/stand.h"

static const uint32_t ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE;

TEST_CASE(cache_order, block_is_not_written_before_its_flush_succeeded) {
    struct stand *stand = stand_started(16);
    struct stand_flush journal, all;
    stand_write(stand, 0, 3, 1);
    stand_begin_flush(stand, NULL, &journal);
    uint32_t frame = stand_get(stand, 0, 9, ALL_OF_IT);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 9), 1);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    stand_begin_flush(stand, NULL, &all);
    CHECK_EQ(stand->backend.writes, 1);
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    CHECK_EQ(stand->backend.writes, 1);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    CHECK_EQ(journal.told, 1);
    CHECK_EQ(stand->backend.writes, 2);
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    CHECK_EQ(all.told, 1);
    CHECK_EQ(all.flush.status, 0);
    stand_end(stand);
}

/* Block 9 dirty behind a flush that failed. */
static struct stand *order_broken(void) {
    struct stand *stand = stand_new(16);
    stand->config.dirty_max = 16;
    stand_start(stand, 256);
    struct stand_flush journal;
    stand_write(stand, 0, 3, 1);
    stand_begin_flush(stand, NULL, &journal);
    uint32_t frame = stand_get(stand, 0, 9, ALL_OF_IT);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 9), 1);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, -ASH_EIO);
    CHECK_EQ(journal.flush.status, -ASH_EIO);
    stand_check(stand);
    return stand;
}

TEST_CASE(cache_order, block_behind_a_failed_flush_is_not_written) {
    struct stand *stand = order_broken();
    CHECK_EQ(stand_stats(stand).failed, 1);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
    CHECK_EQ(stand->backend.writes, 1);
    uint32_t frame = stand_get(stand, 0, 9, 0);
    CHECK_EQ(ash_cache_frame_error(&stand->cache, frame), -ASH_EIO);
    CHECK(stand_frame_is(stand, frame, 0, 9, 1));
    stand_put(stand, frame);
    stand_write(stand, 0, 9, 2); /* anew */
    stand_check(stand);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 9, 0, 9, 2));
}

TEST_CASE(cache_order, block_behind_a_failed_flush_holds_nobody_up) {
    struct stand *stand = order_broken();
    uint32_t frames[15];
    struct stand_waiter waiter;
    for (uint32_t i = 0; i < 15; i++)
        frames[i] = stand_get(stand, 0, 20 + i, 0);
    /* The one frame left has a block that can be neither written nor evicted. */
    CHECK_EQ(stand_ask(stand, 0, 50, 0, &waiter), -ASH_EAGAIN);
    for (uint32_t i = 0; i < 15; i++)
        stand_put(stand, frames[i]);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 9, 1, true), 0);
    stand_end(stand);
}

TEST_CASE(cache_order, flush_that_has_ended_is_waited_for_no_more) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand_begin_flush(stand, NULL, &flush);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    uint32_t frame = stand_get(stand, 0, 9, ALL_OF_IT);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, flush.flush.number), 0);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, flush.flush.number + 1), -ASH_EINVAL);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    stand_end(stand);
}

/* Of two flushes that end at once, what order says of the second when each is told. */
struct two_flushes {
    struct stand *stand;
    struct ash_cache_flush_request first, second;
    int said[2];
    uint32_t told;
};

static void order_behind_second(struct two_flushes *two) {
    uint32_t frame;
    CHECK_EQ(stand_try(two->stand, 0, 9, ALL_OF_IT, &frame), 0);
    two->said[two->told++] = ash_cache_order(&two->stand->cache, frame, two->second.number);
    ash_cache_put_unchanged(&two->stand->cache, frame);
}

static void first_told(struct ash_cache_flush_request *flush) {
    order_behind_second(ASH_LIST_ENTRY(flush, struct two_flushes, first));
}

static void second_told(struct ash_cache_flush_request *flush) {
    order_behind_second(ASH_LIST_ENTRY(flush, struct two_flushes, second));
}

TEST_CASE(cache_order, flush_that_failed_is_refused_until_who_asked_for_it_was_told) {
    for (int failing = 0; failing < 2; failing++) {
        struct stand *stand = stand_started(16);
        struct two_flushes two = {
            .stand = stand, .first.done = first_told, .second.done = second_told};
        stand_read(stand, 0, 9);
        stand_write(stand, 0, 3, 1);
        ash_cache_flush(&stand->cache, NULL, &two.first);
        ash_cache_flush(&stand->cache, NULL, &two.second);
        stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
        stand_end_io(stand, ASH_CACHE_OP_FLUSH, failing != 0 ? -ASH_EIO : 0);
        CHECK_EQ(two.told, 2);
        for (uint32_t i = 0; i < 2; i++)
            CHECK_EQ(two.said[i], failing != 0 ? -ASH_EIO : 0);
        uint32_t frame = stand_get(stand, 0, 9, ALL_OF_IT);
        CHECK_EQ(ash_cache_order(&stand->cache, frame, two.second.number), 0);
        ash_cache_put_unchanged(&stand->cache, frame);
        stand_end(stand);
    }
}

TEST_CASE(cache_order, block_that_the_flush_itself_waits_for_is_refused) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand_write(stand, 0, 9, 1);
    uint32_t frame = stand_get(stand, 0, 9, ASH_CACHE_WRITE);
    stand_begin_flush(stand, NULL, &flush);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, flush.flush.number), -ASH_EBUSY);
    ash_cache_put_unchanged(&stand->cache, frame);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    frame = stand_get(stand, 0, 9, ASH_CACHE_WRITE);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, flush.flush.number), 0);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    stand_end(stand);
}

TEST_CASE(cache_order, block_waits_for_one_flush_at_a_time) {
    struct stand *stand = stand_started(16);
    struct stand_flush first, second;
    stand_write(stand, 0, 3, 1);
    stand_begin_flush(stand, NULL, &first);
    stand_write(stand, 0, 4, 1);
    stand_begin_flush(stand, NULL, &second);
    uint32_t frame = stand_get(stand, 0, 9, ALL_OF_IT);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, second.flush.number), 0);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, first.flush.number), -ASH_EBUSY);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, second.flush.number), 0);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    backend_drain(&stand->backend);
    stand_end(stand);
}

TEST_CASE(cache_order, two_flushes_cannot_wait_for_each_others_blocks) {
    struct stand *stand = stand_started(16);
    for (uint32_t id = 1; id < 3; id++) {
        stand->spaces[id] = (struct ash_cache_space){.id = id, .blocks = 256};
        CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[id]), 0);
    }
    struct stand_flush first, second;
    stand_write(stand, 1, 10, 1);
    uint32_t x = stand_get(stand, 1, 10, ASH_CACHE_WRITE);
    stand_begin_flush(stand, &stand->spaces[1], &first); /* waits for x */
    uint32_t y = stand_get(stand, 2, 20, ALL_OF_IT);
    CHECK_EQ(ash_cache_order(&stand->cache, y, first.flush.number), 0);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, y, NULL), 0);
    stand_begin_flush(stand, &stand->spaces[2],
                      &second); /* waits for y, which waits for the first */
    CHECK_EQ(ash_cache_order(&stand->cache, x, second.flush.number), -ASH_EBUSY);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, x, NULL), 0);
    backend_drain(&stand->backend);
    CHECK_EQ(first.told + second.told, 2);
    stand_end(stand);
}

TEST_CASE(cache_order, of_what_was_not_got_for_writing_panics) {
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    uint32_t frame = stand_get(stand, 0, 9, 0);
    CHECK_PANICS(CHECK_EQ(ash_cache_order(&stand->cache, frame, 1), 0), "not got for writing");
}

/* What put_unchanged ends left no trace: whoever writes the block next waits for nobody. */
TEST_CASE(cache_order, tag_of_what_was_not_changed_is_forgotten) {
    struct stand *stand = stand_new(8);
    stand->config.dirty_max = 8;
    stand_start(stand, 256);
    struct stand_flush journal;
    stand_read(stand, 0, 9);
    stand_write(stand, 0, 3, 1);
    stand_begin_flush(stand, NULL, &journal);
    uint32_t frame = stand_get(stand, 0, 9, ASH_CACHE_WRITE);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
    ash_cache_put_unchanged(&stand->cache, frame);
    stand_write(stand, 0, 9, 1);
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, -ASH_EIO);
    CHECK_EQ(journal.flush.status, -ASH_EIO);
    CHECK_EQ(stand_stats(stand).failed, 0);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 9, 0, 9, 1));
}

/* Whoever has block 9 for writing. */
enum holder { CLEAN, NEW, DIRTY_BEFORE, HOLDERS };

static uint32_t hold_9(struct stand *stand, enum holder holder) {
    return stand_get(stand, 0, 9, holder == NEW ? ALL_OF_IT : ASH_CACHE_WRITE);
}

static void put_9(struct stand *stand, uint32_t frame, uint64_t version) {
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 9), version);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    stand_check(stand);
}

/* A journal's flush, of another space than block 9's, which the holder is going to get. */
static struct stand *with_journal(struct stand_flush *journal, enum holder holder) {
    struct stand *stand = stand_new(8);
    stand->config.dirty_max = 8;
    stand_start(stand, 256);
    stand->spaces[1] = (struct ash_cache_space){.id = 1, .blocks = 256};
    CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[1]), 0);
    if (holder == CLEAN)
        stand_read(stand, 0, 9);
    if (holder == DIRTY_BEFORE)
        stand_write(stand, 0, 9, 1);
    stand_write(stand, 1, 3, 1);
    stand_begin_flush(stand, &stand->spaces[1], journal);
    return stand;
}

static void fail_journal(struct stand *stand, const struct stand_flush *journal) {
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, -ASH_EIO);
    CHECK_EQ(journal->told, 1);
    stand_check(stand);
}

static void expect_error(struct stand *stand, uint32_t frame, int error) {
    CHECK_EQ(ash_cache_frame_error(&stand->cache, frame), error);
}

TEST_CASE(cache_order, block_whose_flush_fails_while_its_writer_has_it_is_not_written) {
    for (enum holder holder = CLEAN; holder < HOLDERS; holder++) {
        struct stand_flush journal;
        struct stand *stand = with_journal(&journal, holder);
        uint32_t frame = hold_9(stand, holder);
        CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
        stand_check(stand);
        fail_journal(stand, &journal);
        expect_error(stand, frame, -ASH_EIO);
        CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), -ASH_EIO);
        put_9(stand, frame, 2);
        for (uint32_t i = 0; i < 2; i++)
            CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
        CHECK(!stand_disk_is(stand, 9, 0, 9, 2));
        CHECK_EQ(stand_stats(stand).failed, 1);
        stand_write(stand, 0, 9, 3); /* anew */
        stand_end(stand);
        CHECK(stand_disk_is(stand, 9, 0, 9, 3));
    }
}

TEST_CASE(cache_order, who_waits_for_the_write_is_told_that_its_flush_had_failed) {
    struct stand_flush journal;
    struct stand *stand = with_journal(&journal, CLEAN);
    struct stand_waiter waiter;
    uint32_t frame = hold_9(stand, CLEAN);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
    fail_journal(stand, &journal);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&waiter)), ASH_CACHE_PENDING);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, -ASH_EIO);
    stand_check(stand);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 9, 1, true), 0);
    stand_end(stand);
}

/* What was in the block before did not rely on the journal. */
TEST_CASE(cache_order, tag_of_who_changed_nothing_goes_with_him) {
    for (uint32_t i = 0; i < 2 * HOLDERS; i++) {
        enum holder holder = i / 2;
        bool fails_first = i % 2 != 0;
        struct stand_flush journal;
        struct stand *stand = with_journal(&journal, holder);
        uint32_t frame = hold_9(stand, holder);
        CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
        if (fails_first)
            fail_journal(stand, &journal);
        ash_cache_put_unchanged(&stand->cache, frame);
        stand_check(stand);
        if (!fails_first)
            fail_journal(stand, &journal);
        CHECK_EQ(stand_stats(stand).failed, 0);
        CHECK_EQ(stand_sync(stand, NULL), 0);
        CHECK(stand_disk_is(stand, 9, 0, 9, holder == DIRTY_BEFORE));
        stand_end(stand);
    }
}

/* A first writer's tag stays, whatever a second one does: twice the same, and changes nothing. */
TEST_CASE(cache_order, tag_of_what_is_in_the_block_stays_when_another_writer_has_it) {
    for (uint32_t i = 0; i < 4; i++) {
        bool tags = i % 2 != 0, fails_first = i / 2 != 0;
        struct stand_flush journal;
        struct stand *stand = with_journal(&journal, CLEAN);
        uint32_t frame = hold_9(stand, CLEAN);
        CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
        put_9(stand, frame, 2);
        frame = stand_get(stand, 0, 9, ASH_CACHE_WRITE);
        if (tags)
            CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
        if (fails_first)
            fail_journal(stand, &journal);
        ash_cache_put_unchanged(&stand->cache, frame);
        if (!fails_first)
            fail_journal(stand, &journal);
        CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
        CHECK(!stand_disk_is(stand, 9, 0, 9, 2));
        stand_write(stand, 0, 9, 3);
        stand_end(stand);
    }
}

/* Dirtied anew: unless what is new relies on the same flush. */
TEST_CASE(cache_order, second_writer_is_held_up_by_his_own_tag_alone) {
    for (uint32_t tags = 0; tags < 2; tags++) {
        struct stand_flush journal;
        struct stand *stand = with_journal(&journal, CLEAN);
        uint32_t frame = hold_9(stand, CLEAN);
        CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
        put_9(stand, frame, 2);
        frame = stand_get(stand, 0, 9, ASH_CACHE_WRITE);
        if (tags != 0)
            CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
        fail_journal(stand, &journal);
        put_9(stand, frame, 3);
        CHECK_EQ(stand_sync(stand, NULL), tags != 0 ? -ASH_EIO : 0);
        CHECK_EQ(stand_disk_is(stand, 9, 0, 9, 3), tags == 0);
        stand_write(stand, 0, 9, 4);
        stand_end(stand);
    }
}

/* Changed through a mapping while a writer has it, tagged: his tag holds for all of it. */
TEST_CASE(cache_order, tagged_block_may_be_changed_behind_its_writers_back) {
    for (uint32_t i = 0; i < 4; i++) {
        bool fails = i % 2 != 0, changes = i / 2 != 0;
        struct stand_flush journal;
        struct stand *stand = with_journal(&journal, CLEAN);
        uint32_t reader = stand_get(stand, 0, 9, 0), frame = hold_9(stand, CLEAN);
        CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
        ash_cache_mark_dirty(&stand->cache, reader);
        stand_check(stand);
        if (fails)
            fail_journal(stand, &journal);
        if (changes)
            put_9(stand, frame, 2);
        else
            ash_cache_put_unchanged(&stand->cache, frame);
        stand_check(stand);
        CHECK_EQ(stand_sync(stand, NULL), fails && changes ? -ASH_EIO : 0);
        stand_put(stand, reader);
        stand_write(stand, 0, 9, 3);
        stand_end(stand);
    }
}

TEST_CASE(cache_order, tag_can_be_exchanged_for_one_of_a_later_flush) {
    struct stand_flush journal, later;
    struct stand *stand = with_journal(&journal, CLEAN);
    uint32_t frame = hold_9(stand, CLEAN);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    stand_write(stand, 1, 4, 1);
    stand_begin_flush(stand, &stand->spaces[1], &later);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, later.flush.number), 0);
    put_9(stand, frame, 2);
    fail_journal(stand, &later);
    CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
    CHECK(!stand_disk_is(stand, 9, 0, 9, 2));
    stand_write(stand, 0, 9, 3);
    stand_end(stand);
}
