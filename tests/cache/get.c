/* SPDX-License-Identifier: MIT */
/* get.c: what a get says, who waits for a read, and who is told what. */
#include "cache/stand.h"

TEST_CASE(cache_get, block_that_is_there_is_pinned_at_once) {
    struct stand *stand = stand_started(4);
    stand_read(stand, 0, 7);
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 0, 7, 0, &frame), 0);
    CHECK(stand_frame_is(stand, frame, 0, 7, 0));
    CHECK_EQ(stand->backend.reads, 1);
    stand_put(stand, frame);
    stand_end(stand);
}

TEST_CASE(cache_get, block_comes_with_the_bytes_of_the_disk) {
    struct stand *stand = stand_started(4);
    stand_fill(stand, stand->backend.bytes + 9 * 512, stand_key(0, 9), 3);
    stand_expect(stand, 0, 9, 3);
    CHECK_EQ(stand->backend.log[0].sector, 9);
    stand_end(stand);
}

TEST_CASE(cache_get, one_read_serves_all_who_ask_meanwhile) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiters[5];
    for (uint32_t i = 0; i < 5; i++)
        CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiters[i]), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.pending_count, 1);
    backend_complete(&stand->backend, 0, 0);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(waiters[i].told, 1);
        CHECK_EQ(waiters[i].waiter.status, 0);
        CHECK_EQ(waiters[i].waiter.frame, waiters[0].waiter.frame);
    }
    for (uint32_t i = 0; i < 5; i++)
        stand_put(stand, waiters[i].waiter.frame);
    CHECK_EQ(stand->backend.reads, 1);
    CHECK_EQ(stand_stats(stand).joined, 4);
    stand_end(stand);
}

TEST_CASE(cache_get, all_waiters_are_told_of_a_failed_read) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiters[3];
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(stand_ask(stand, 0, 3, i == 2 ? ASH_CACHE_WRITE : 0, &waiters[i]),
                 ASH_CACHE_PENDING);
    backend_complete(&stand->backend, 0, -ASH_ENXIO);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(waiters[i].told, 1);
        CHECK_EQ(waiters[i].waiter.status, -ASH_ENXIO);
    }
    CHECK_EQ(stand_stats(stand).read_errors, 1);
    CHECK_EQ(stand_stats(stand).free, 4);
    stand_expect(stand, 0, 3, 0); /* asked again, it is read again */
    CHECK_EQ(stand->backend.reads, 2);
    stand_end(stand);
}

struct in_line {
    struct stand_waiter stand_waiter;
    uint32_t *line, place;
};

static void take_place(struct ash_cache_waiter *waiter) {
    struct in_line *who = ASH_LIST_ENTRY(ASH_LIST_ENTRY(waiter, struct stand_waiter, waiter),
                                         struct in_line, stand_waiter);
    CHECK_EQ(who->place, 0);
    who->place = ++*who->line;
}

TEST_CASE(cache_get, waiters_are_told_in_the_order_of_their_coming) {
    for (int failing = 0; failing < 2; failing++) {
        int error = failing != 0 ? -ASH_EIO : 0;
        struct stand *stand = stand_started(4);
        struct in_line waiters[4];
        uint32_t line = 0, frame;
        for (uint32_t i = 0; i < 4; i++) {
            waiters[i] = (struct in_line){.stand_waiter.waiter.wake = take_place, .line = &line};
            CHECK_EQ(ash_cache_get(&stand->cache, &stand->spaces[0], 3, 0,
                                   &waiters[i].stand_waiter.waiter, &frame),
                     ASH_CACHE_PENDING);
        }
        backend_complete(&stand->backend, 0, error);
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_EQ(waiters[i].place, i + 1);
            CHECK_EQ(waiters[i].stand_waiter.waiter.status, error);
            if (error == 0)
                stand_put(stand, waiters[i].stand_waiter.waiter.frame);
        }
        stand_end(stand);
    }
}

TEST_CASE(cache_get, read_that_had_to_wait_for_the_device_is_joined_by_the_next) {
    for (int failing = 0; failing < 2; failing++) {
        int error = failing != 0 ? -ASH_EIO : 0;
        struct stand *stand = stand_started(4);
        static const uint64_t blocks[] = {100, 3, 3, 4};
        struct stand_waiter waiters[4];
        stand->backend.room = 1;
        for (uint32_t i = 0; i < 4; i++)
            CHECK_EQ(stand_ask(stand, 0, blocks[i], 0, &waiters[i]), ASH_CACHE_PENDING);
        stand_check(stand);
        backend_complete(&stand->backend, 0, error);
        backend_complete(&stand->backend, 0, error);
        CHECK_EQ(stand->backend.log[1].segments, 2);
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_EQ(waiters[i].told, 1);
            CHECK_EQ(waiters[i].waiter.status, error);
            if (error != 0)
                continue;
            CHECK(stand_frame_is(stand, waiters[i].waiter.frame, 0, blocks[i], 0));
            stand_put(stand, waiters[i].waiter.frame);
        }
        stand_end(stand);
    }
}

TEST_CASE(cache_get, error_of_submit_is_the_end_of_the_read) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    stand->backend.refuse_at = 1;
    stand->backend.refuse_error = -ASH_ENODEV;
    CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, -ASH_ENODEV);
    CHECK_EQ(stand_stats(stand).free, 4);
    stand_expect(stand, 0, 3, 0);
    stand_end(stand);
}

TEST_CASE(cache_get, without_a_waiter_it_starts_the_read_and_says_eagain) {
    struct stand *stand = stand_started(4);
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 0, 3, 0, &frame), -ASH_EAGAIN);
    CHECK_EQ(stand->backend.pending_count, 1);
    CHECK_EQ(stand_try(stand, 0, 3, 0, &frame), -ASH_EAGAIN);
    CHECK_EQ(stand->backend.pending_count, 1);
    backend_drain(&stand->backend);
    CHECK_EQ(stand_try(stand, 0, 3, 0, &frame), 0);
    stand_put(stand, frame);
    stand_end(stand);
}

TEST_CASE(cache_get, index_behind_the_space_is_erange) {
    struct stand *stand = stand_started(4);
    uint32_t frame;
    struct stand_waiter waiter;
    static const uint64_t wrong[] = {256, 257, UINT64_C(1) << 40, UINT64_MAX};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        CHECK_EQ(stand_try(stand, 0, wrong[i], 0, &frame), -ASH_ERANGE);
        CHECK_EQ(stand_ask(stand, 0, wrong[i], ASH_CACHE_WRITE, &waiter), -ASH_ERANGE);
    }
    stand_read(stand, 0, 255);
    CHECK_EQ(ash_cache_page_get(&stand->cache, &stand->spaces[0], 256 * 512, 0, NULL, &frame),
             -ASH_ERANGE);
    CHECK_EQ(ash_cache_page_get(&stand->cache, &stand->spaces[0], 256 * 512 - 1, 0, NULL, &frame),
             0);
    stand_put(stand, frame);
    stand_end(stand);
}

TEST_CASE(cache_get, cached_alone_never_reads) {
    struct stand *stand = stand_started(4);
    uint32_t frame;
    struct stand_waiter waiter;
    CHECK_EQ(stand_try(stand, 0, 3, ASH_CACHE_CACHED, &frame), -ASH_ENOENT);
    CHECK_EQ(stand_ask(stand, 0, 3, ASH_CACHE_CACHED | ASH_CACHE_WRITE, &waiter), -ASH_ENOENT);
    CHECK_EQ(stand->backend.submits, 0);
    stand_read(stand, 0, 3);
    CHECK_EQ(stand_try(stand, 0, 3, ASH_CACHE_CACHED, &frame), 0);
    stand_put(stand, frame);
    stand_end(stand);
}

TEST_CASE(cache_get, pinned_block_is_never_evicted) {
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        struct stand *stand = stand_new(4);
        stand->config.policy = ash_cache_policy_name(p);
        stand_start(stand, 256);
        uint32_t frame = stand_get(stand, 0, 0, 0);
        for (uint64_t i = 1; i < 40; i++)
            stand_read(stand, 0, i);
        CHECK(stand_frame_is(stand, frame, 0, 0, 0));
        CHECK_EQ(stand_get(stand, 0, 0, 0), frame);
        CHECK_EQ(stand->backend.reads, 40);
        stand_put(stand, frame);
        stand_put(stand, frame);
        stand_end(stand);
    }
}

TEST_CASE(cache_get, no_frame_is_eagain_where_all_are_pinned) {
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        struct stand *stand = stand_new(3);
        stand->config.policy = ash_cache_policy_name(p);
        stand_start(stand, 256);
        uint32_t frames[3], frame;
        struct stand_waiter waiter;
        for (uint32_t i = 0; i < 3; i++)
            frames[i] = stand_get(stand, 0, i, 0);
        CHECK_EQ(stand_try(stand, 0, 9, 0, &frame), -ASH_EAGAIN);
        CHECK_EQ(stand_ask(stand, 0, 9, 0, &waiter), -ASH_EAGAIN);
        CHECK_EQ(waiter.told, 0);
        stand_put(stand, frames[1]);
        stand_read(stand, 0, 9);
        stand_put(stand, frames[0]);
        stand_put(stand, frames[2]);
        stand_check(stand);
        stand_end(stand);
    }
}

TEST_CASE(cache_get, waiter_for_a_frame_is_served_when_one_comes_free) {
    struct stand *stand = stand_started(2);
    struct stand_waiter coming, late;
    uint32_t frame = stand_get(stand, 0, 0, 0);
    CHECK_EQ(stand_ask(stand, 0, 1, 0, &coming), ASH_CACHE_PENDING);
    CHECK_EQ(stand_ask(stand, 0, 2, 0, &late), ASH_CACHE_PENDING);
    CHECK_EQ(stand_stats(stand).waits_frame, 1);
    stand_put(stand, frame); /* the first frame to come free is this one */
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_READ, NULL), 2);
    backend_drain(&stand->backend);
    CHECK_EQ(late.told, 1);
    CHECK(stand_frame_is(stand, late.waiter.frame, 0, 2, 0));
    stand_put(stand, coming.waiter.frame);
    stand_put(stand, late.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_get, waiter_for_a_frame_is_told_when_there_will_be_none) {
    struct stand *stand = stand_started(2);
    struct stand_waiter coming, late;
    uint32_t frame = stand_get(stand, 0, 0, 0);
    CHECK_EQ(stand_ask(stand, 0, 1, 0, &coming), ASH_CACHE_PENDING);
    CHECK_EQ(stand_ask(stand, 0, 2, 0, &late), ASH_CACHE_PENDING);
    backend_drain(&stand->backend); /* block 1 is there, and pinned: all are */
    CHECK_EQ(coming.told, 1);
    CHECK_EQ(late.told, 1);
    CHECK_EQ(late.waiter.status, -ASH_EAGAIN);
    stand_put(stand, coming.waiter.frame);
    stand_put(stand, frame);
    stand_end(stand);
}

TEST_CASE(cache_get, pins_of_a_block_are_counted_to_their_limit) {
    struct stand *stand = stand_started(2);
    uint32_t frame = stand_get(stand, 0, 5, 0), again;
    for (uint32_t i = 1; i < ASH_CACHE_PINS_MAX; i++)
        CHECK_EQ(stand_try(stand, 0, 5, 0, &again), 0);
    CHECK_EQ(stand_try(stand, 0, 5, 0, &again), -ASH_EAGAIN);
    CHECK_EQ(stand_try(stand, 0, 5, ASH_CACHE_WRITE, &again), -ASH_EAGAIN);
    stand_check(stand);
    for (uint32_t i = 0; i < ASH_CACHE_PINS_MAX; i++)
        stand_put(stand, frame);
    stand_needs_checks();
    CHECK_PANICS(stand_put(stand, frame), "which nobody has pinned");
    stand_start(stand, 256);
    stand_end(stand);
}

static void get_another(struct ash_cache_waiter *waiter);

struct chain {
    struct stand_waiter stand_waiter;
    struct stand *stand;
    uint64_t next;
    uint32_t hits;
};

static void get_another(struct ash_cache_waiter *waiter) {
    struct chain *chain = ASH_LIST_ENTRY(ASH_LIST_ENTRY(waiter, struct stand_waiter, waiter),
                                         struct chain, stand_waiter);
    CHECK_EQ(waiter->status, 0);
    ash_cache_put(&chain->stand->cache, waiter->frame);
    uint32_t frame;
    while (chain->next != 100) {
        int result = ash_cache_get(&chain->stand->cache, &chain->stand->spaces[0], chain->next++, 0,
                                   waiter, &frame);
        if (result == ASH_CACHE_PENDING)
            return;
        CHECK_EQ(result, 0);
        chain->hits++;
        ash_cache_put(&chain->stand->cache, frame);
    }
}

TEST_CASE(cache_get, wake_may_get_again_while_the_device_answers_within_submit) {
    struct stand *stand = stand_started(4);
    struct chain chain = {.stand = stand, .next = 1, .stand_waiter.waiter.wake = get_another};
    uint32_t frame;
    stand->backend.synchronous = true;
    CHECK_EQ(
        ash_cache_get(&stand->cache, &stand->spaces[0], 0, 0, &chain.stand_waiter.waiter, &frame),
        ASH_CACHE_PENDING);
    CHECK_EQ(chain.next, 100);
    CHECK_EQ(stand->backend.reads, 100);
    stand_end(stand);
}

TEST_CASE(cache_get, overwrite_and_copy_are_for_write_alone) {
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    uint32_t frame;
    CHECK_PANICS(CHECK_EQ(stand_try(stand, 0, 1, ASH_CACHE_OVERWRITE, &frame), 0), "are for WRITE");
    CHECK_PANICS(CHECK_EQ(stand_try(stand, 0, 1, ASH_CACHE_COPY, &frame), 0), "are for WRITE");
}

TEST_CASE(cache_get, put_of_what_is_not_pinned_panics) {
    stand_needs_checks();
    for (uint32_t shared = 0; shared < 2; shared++) {
        struct stand *stand = stand_new(4);
        stand->config.shared = shared != 0;
        stand_start(stand, 256);
        stand_read(stand, 0, 1);
        for (uint32_t frame = 0; frame < 4; frame++)
            CHECK_PANICS(stand_put(stand, frame), "which nobody has pinned");
    }
}
