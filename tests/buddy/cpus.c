/* SPDX-License-Identifier: MIT */
/* Cases of the CPUs' caches: what one CPU's cache holds, another gets before anything fails. */
#include "buddy/fixture.h"
#include "harness/as_cpu.h"

enum { CPUS = 4 };

TEST_CASE(buddy_cpus, frame_freed_is_reused_without_an_exchange) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 1024);
    ash_pfn_t frame = frame_of(&buddy, 0);
    uint64_t map_pages = buddy.map_pages;
    for (uint32_t i = 0; i < 100; i++) {
        ash_buddy_free(&buddy, frame, 0);
        CHECK_EQ(frame_of(&buddy, 0), frame);
    }
    CHECK(buddy.map_pages == map_pages);
}

/* Nearly all is free: no chunk is fuller than another, and only the word at hand was chosen. */
static void check_reuse(const struct ash_buddy_config *config, enum ash_buddy_hint hint) {
    struct ash_buddy buddy;
    ash_pfn_t frames[64], again;
    buddy_by(&buddy, config);
    for (uint32_t i = 0; i < 64; i++)
        CHECK_EQ(ash_buddy_alloc(&buddy, 0, hint, &frames[i]), 0);
    uint64_t map_pages = buddy.map_pages;
    for (uint32_t len = 1; len <= 64; len++) {
        uint64_t out = 0;
        for (uint32_t i = 0; i < len; i++)
            ash_buddy_free(&buddy, frames[i * 37 % 64], 0);
        for (uint32_t i = 0; i < len; i++) {
            CHECK_EQ(ash_buddy_alloc(&buddy, 0, hint, &again), 0);
            CHECK(again - frames[0] < 64 && (out >> (again - frames[0]) & 1) == 0);
            out |= UINT64_C(1) << (again - frames[0]);
        }
    }
    CHECK(buddy.map_pages == map_pages);
    CHECK_EQ(stats_of(&buddy).cached_pages, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_cpus, frames_of_the_word_at_hand_are_reused_without_an_exchange) {
    struct ash_buddy_region region = {0, 4096};
    for (uint32_t i = 0; i < 8; i++) {
        struct ash_buddy_config config = {.regions = &region,
                                          .region_count = 1,
                                          .hardened = (i & 1) != 0,
                                          .interrupts = (i & 2) != 0};
        check_reuse(&config, (i & 4) != 0 ? ASH_BUDDY_UNMOVABLE : ASH_BUDDY_MOVABLE);
    }
}

TEST_CASE(buddy_cpus, double_free_into_either_hints_word_at_hand_is_found_at_once) {
    for (uint32_t hint = 0; hint < 2; hint++) {
        struct ash_buddy buddy;
        ash_pfn_t frames[3];
        buddy_over_one(&buddy, 0, 4096);
        for (uint32_t i = 0; i < 3; i++)
            CHECK_EQ(ash_buddy_alloc(&buddy, 0, (enum ash_buddy_hint)hint, &frames[i]), 0);
        for (uint32_t i = 0; i < 3; i++)
            ash_buddy_free(&buddy, frames[i], 0);
        for (uint32_t i = 0; i < 3; i++)
            CHECK_REFUSED(ash_buddy_free(&buddy, frames[i], 0), "it is free, in a CPU's cache");
        CHECK_REFUSED(ash_buddy_free(&buddy, frames[2] + 1, 0), "it is free, in a CPU's cache");
        CHECK_EQ(stats_of(&buddy).free_pages, 4096);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

/* The place for the frame freed last is empty, and the chunk the fullest there is. */
TEST_CASE(buddy_cpus, double_free_into_the_word_at_hand_does_not_make_the_frame_the_next_one) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 512);
    CHECK_EQ(frame_of(&buddy, 0), 0); /* makes it a chunk for movable ones */
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 256, 8), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 128, 7), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 64, 6), 0);
    ash_pfn_t one = frame_of(&buddy, 0), other = frame_of(&buddy, 0);
    ash_buddy_free(&buddy, one, 0);
    ash_buddy_free(&buddy, other, 0);
    CHECK_EQ(frame_of(&buddy, 0), one);
    CHECK_REFUSED(ash_buddy_free(&buddy, other, 0), "it is free, in a CPU's cache");
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_cpus, drain_gives_back_the_frame_freed_last_with_its_word) {
    for (uint32_t hint = 0; hint < 2; hint++) {
        struct ash_buddy buddy;
        ash_pfn_t frame;
        buddy_over_one(&buddy, 0, 512);
        CHECK_EQ(ash_buddy_alloc(&buddy, 0, (enum ash_buddy_hint)hint, &frame), 0);
        ash_buddy_free(&buddy, frame, 0);
        ash_buddy_drain(&buddy);
        CHECK_EQ(stats_of(&buddy).cached_pages, 0);
        CHECK_EQ(stats_of(&buddy).free_blocks[9], 1);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

TEST_CASE(buddy_cpus, block_freed_is_reused_without_an_exchange) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 4096);
    for (uint32_t order = 1; order <= 8; order++) {
        ash_pfn_t block = frame_of(&buddy, order);
        uint64_t map_pages = buddy.map_pages;
        for (uint32_t i = 0; i < 20; i++) {
            ash_buddy_free(&buddy, block, order);
            CHECK_EQ(frame_of(&buddy, order), block);
        }
        CHECK(buddy.map_pages == map_pages);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

/* Blocks of one order that CPU after CPU frees, or takes more of than it needs, are found. */
TEST_CASE(buddy_cpus, last_block_is_found_in_an_idle_cpus_cache) {
    for (uint32_t order = 1; order <= 8; order++) {
        struct ash_buddy buddy;
        ash_pfn_t blocks[32];
        buddy_over_one(&buddy, 0, UINT64_C(32) << order);
        for (uint32_t i = 0; i < 32; i++) {
            as_cpu(i % CPUS);
            blocks[i] = frame_of(&buddy, order);
        }
        CHECK_EQ(ash_buddy_alloc(&buddy, order, ASH_BUDDY_MOVABLE, &blocks[0]), -ASH_ENOMEM);
        for (uint32_t i = 0; i < 32; i++) {
            as_cpu(i * 3 % CPUS);
            ash_buddy_free(&buddy, blocks[i], order);
        }
        CHECK(stats_of(&buddy).cached_pages != 0);
        CHECK_EQ(stats_of(&buddy).used_pages, 0);
        CHECK_EQ(ash_buddy_free_pages(&buddy), UINT64_C(32) << order);
        as_cpu(1);
        CHECK_EQ(frame_of(&buddy, order + 5), 0);
        CHECK_EQ(stats_of(&buddy).peak_used_pages, UINT64_C(32) << order);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

TEST_CASE(buddy_cpus, last_frame_is_found_in_an_idle_cpus_cache) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 128);
    for (uint32_t cpu = 1; cpu < CPUS; cpu++) {
        as_cpu(cpu); /* takes one, and with it claims the rest, or steals what is left of it */
        (void)frame_of(&buddy, 0);
    }
    as_cpu(0);
    for (uint32_t i = CPUS - 1; i < 128; i++)
        (void)frame_of(&buddy, 0);
    ash_pfn_t none;
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_UNMOVABLE, &none), -ASH_ENOMEM);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* Each CPU has a frame that it freed and kept: together they are the block that is asked for. */
TEST_CASE(buddy_cpus, block_is_put_together_from_all_caches) {
    for (uint32_t order = 1; order <= 10; order++) {
        struct ash_buddy buddy;
        ash_pfn_t first, frames = UINT64_C(1) << order;
        buddy_over_one(&buddy, 0, frames);
        for (ash_pfn_t frame = 0; frame < frames; frame++) {
            CHECK_EQ(ash_buddy_alloc_at(&buddy, frame, 0), 0);
        }
        for (ash_pfn_t frame = 0; frame < frames; frame++) {
            as_cpu((uint32_t)(frame * 7 % CPUS));
            ash_buddy_free(&buddy, frame, 0);
        }
        as_cpu((uint32_t)(order % CPUS));
        CHECK_EQ(ash_buddy_alloc(&buddy, order, ASH_BUDDY_MOVABLE, &first), 0);
        CHECK_EQ(first, 0);
        CHECK_EQ(stats_of(&buddy).cached_pages, 0);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

TEST_CASE(buddy_cpus, ranges_are_taken_out_of_all_caches) {
    struct ash_buddy buddy;
    ash_pfn_t first;
    buddy_over_one(&buddy, 0, 256);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        as_cpu(cpu);
        ash_pfn_t frame = frame_of(&buddy, 0);
        ash_buddy_free(&buddy, frame, 0);
    }
    CHECK(stats_of(&buddy).cached_pages >= 128);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 8), 0);
    ash_buddy_free(&buddy, 0, 8);
    as_cpu(1);
    ash_buddy_free(&buddy, frame_of(&buddy, 0), 0);
    as_cpu(2);
    CHECK_EQ(ash_buddy_reserve(&buddy, 3, 253), 0);
    ash_buddy_release(&buddy, 3, 253);
    as_cpu(3);
    ash_buddy_free(&buddy, frame_of(&buddy, 0), 0);
    as_cpu(0);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 256, 1, &first), 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_cpus, drained_cache_is_empty) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 2048);
    ash_pfn_t frames[100];
    for (uint32_t i = 0; i < 100; i++)
        frames[i] = frame_of(&buddy, 0);
    for (uint32_t i = 0; i < 100; i += 2)
        ash_buddy_free(&buddy, frames[i], 0);
    as_cpu(1);
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_UNMOVABLE, &frames[0]), 0);
    ash_buddy_drain(&buddy);
    uint64_t others = stats_of(&buddy).cached_pages;
    CHECK(others != 0);
    as_cpu(0);
    ash_buddy_drain(&buddy);
    CHECK_EQ(stats_of(&buddy).cached_pages, 0);
    CHECK_EQ(stats_of(&buddy).used_pages, 51);
    as_cpu(1);
    (void)frame_of(&buddy, 0);
    as_cpu(2);
    ash_buddy_drain_all(&buddy);
    CHECK_EQ(stats_of(&buddy).cached_pages, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_cpus, what_a_cache_holds_is_bounded) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 16384);
    ash_pfn_t *live = test_alloc(16384 * sizeof(*live), 8);
    for (uint32_t i = 0; i < 16384; i++)
        live[i] = frame_of(&buddy, 0);
    for (uint32_t i = 0; i < 16384; i++) {
        ash_buddy_free(&buddy, live[i], 0);
        if (i % 64 == 0)
            CHECK(stats_of(&buddy).cached_pages <= ASH_BUDDY_CACHED_MAX);
    }
    ash_buddy_drain(&buddy);
    CHECK_EQ(stats_of(&buddy).free_blocks[14], 1);
    for (uint32_t order = 0; order <= 8; order++) {
        for (uint32_t i = 0; i < 64; i++)
            CHECK_EQ(ash_buddy_alloc(&buddy, order, i % 2 ? ASH_BUDDY_UNMOVABLE : ASH_BUDDY_MOVABLE,
                                     &live[i]),
                     0);
        for (uint32_t i = 0; i < 64; i++)
            ash_buddy_free(&buddy, live[i], order);
        CHECK(stats_of(&buddy).cached_pages <= ASH_BUDDY_CACHED_MAX);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
    ash_buddy_drain(&buddy);
    CHECK_EQ(stats_of(&buddy).free_blocks[14], 1);
}

/* Frees of frames that other words than the one at hand have. */

/* All frames of `chunks` chunks are out, and in no cache. */
static void full(struct ash_buddy *buddy, uint64_t chunks) {
    ash_pfn_t frame;
    buddy_over_one(buddy, 0, chunks * 512);
    for (uint64_t i = 0; i < chunks * 512; i++)
        CHECK_EQ(ash_buddy_alloc(buddy, 0, ASH_BUDDY_MOVABLE, &frame), 0);
    ash_buddy_drain(buddy);
}

TEST_CASE(buddy_cpus, frames_of_a_full_chunk_are_the_next_ones_allocated) {
    struct ash_buddy buddy;
    full(&buddy, 2);
    for (uint32_t len = 1; len <= 16; len++) {
        uint64_t seen = 0;
        for (uint32_t i = 0; i < len; i++)
            ash_buddy_free(&buddy, i * 67, 0);
        for (uint32_t i = 0; i < len; i++) {
            ash_pfn_t frame = frame_of(&buddy, 0);
            CHECK(frame % 67 == 0 && frame / 67 < len);
            seen |= UINT64_C(1) << frame / 67;
        }
        CHECK(seen == (UINT64_C(1) << len) - 1);
    }
    CHECK(buddy.map_pages == 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_cpus, frame_of_an_emptier_chunk_is_left_alone) {
    struct ash_buddy buddy;
    full(&buddy, 2);
    for (ash_pfn_t frame = 0; frame < 512; frame += 32)
        ash_buddy_free(&buddy, frame, 0); /* of the fuller chunk: 16 single ones */
    for (ash_pfn_t frame = 512; frame < 1000; frame++)
        ash_buddy_free(&buddy, frame, 0);
    ash_buddy_drain(&buddy);
    for (ash_pfn_t i = 0; i < 8; i++) {
        ash_buddy_free(&buddy, 1001 + 2 * i, 0);
        CHECK(frame_of(&buddy, 0) < 512);
    }
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_cpus, double_free_of_a_frame_to_be_allocated_again_is_found_at_once) {
    for (ash_pfn_t twice = 0; twice < 16; twice++) {
        struct ash_buddy buddy;
        full(&buddy, 2);
        for (ash_pfn_t i = 0; i < 16; i++)
            ash_buddy_free(&buddy, i * 61, 0);
        CHECK_REFUSED(ash_buddy_free(&buddy, twice * 61, 0), "double free of frame 0x");
        CHECK_EQ(stats_of(&buddy).free_pages, 16);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

/* The first free is to go to the map; the second must not make the frame the next one allocated. */
TEST_CASE(buddy_cpus, frame_freed_twice_is_not_allocated_before_that_is_found) {
    struct ash_buddy buddy;
    full(&buddy, 2);
    for (ash_pfn_t i = 0; i < 16; i++)
        ash_buddy_free(&buddy, i, 0); /* as many as are kept to be allocated */
    ash_buddy_free(&buddy, 200, 0);
    ash_buddy_free(&buddy, 300, 0);
    (void)frame_of(&buddy, 0);
    (void)frame_of(&buddy, 0);
    ash_buddy_free(&buddy, 200, 0);
    for (uint32_t i = 0; i < 14; i++)
        CHECK(frame_of(&buddy, 0) < 16);
    CHECK_REFUSED(ash_buddy_drain(&buddy), "double free of frame 0xc8");
    CHECK_EQ(stats_of(&buddy).free_pages, 2);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* It was collected for the map before its word had its turn. */
TEST_CASE(buddy_cpus, frame_freed_before_its_word_came_to_hand_is_no_frame_to_allocate) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 128);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 6, 0), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 96, 5), 0);
    (void)frame_of(&buddy, 0); /* claims what is left of both words */
    for (ash_pfn_t i = 0; i < 20; i++)
        ash_buddy_free(&buddy, 96 + i, 0); /* 16 are kept to be allocated */
    for (uint32_t i = 0; i < 62 + 16; i++)
        (void)frame_of(&buddy, 0);
    ash_pfn_t frame = frame_of(&buddy, 0);
    CHECK(frame > 64 && frame < 96); /* the second word is at hand */
    CHECK_REFUSED(ash_buddy_free(&buddy, 114, 0), "double free of frame 0x72");
    CHECK_REFUSED(ash_buddy_free(&buddy, 115, 0), "double free of frame 0x73");
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* A movable claim of a chunk for unmovable frames, two of which that hint's cache has. */
TEST_CASE(buddy_cpus, double_free_is_found_at_once_if_the_frame_lies_in_the_other_hints_cache) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 128);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 6, 0), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 70, 1), 0);
    (void)frame_of(&buddy, 0); /* claims what is left of both words */
    ash_buddy_free(&buddy, 70, 0);
    ash_buddy_free(&buddy, 71, 0);
    for (uint32_t i = 0; i < 63; i++)
        (void)frame_of(&buddy, 0);
    CHECK(frame_of(&buddy, 0) > 64); /* the second word is at hand */
    CHECK_REFUSED(ash_buddy_free(&buddy, 71, 0), "double free of frame 0x47");
    CHECK_REFUSED(ash_buddy_free(&buddy, 70, 0), "double free of frame 0x46");
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_UNMOVABLE, &first), 0);
    CHECK_EQ(first, 70);
    ash_buddy_free(&buddy, first, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* The unmovable frames' claim is a word of a chunk for movable ones. */
TEST_CASE(buddy_cpus, double_free_is_found_at_once_if_the_other_hints_claim_has_the_frame) {
    struct ash_buddy buddy;
    ash_pfn_t first;
    buddy_over_one(&buddy, 0, 512);
    CHECK_EQ(frame_of(&buddy, 0), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 256, 8), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 128, 7), 0);
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_UNMOVABLE, &first), 0);
    CHECK_EQ(first, 64);
    CHECK_REFUSED(ash_buddy_free(&buddy, 70, 0), "it is free, in a CPU's cache");
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* Else one of them could be of the next claim's word, where claim_push does not look for it. */
TEST_CASE(buddy_cpus, frames_kept_for_allocation_go_before_the_next_claim) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 512);
    for (uint32_t i = 0; i < 64; i++)
        CHECK(frame_of(&buddy, 0) < 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 256, 8), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 128, 7), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 70, 1), 0);
    ash_buddy_free(&buddy, 5, 0);
    ash_buddy_drain(&buddy);
    CHECK_EQ(frame_of(&buddy, 0), 5); /* claims the second word as well, all but two frames */
    ash_buddy_free(&buddy, 70, 0);
    ash_buddy_free(&buddy, 71, 0);
    CHECK_EQ(frame_of(&buddy, 0) + frame_of(&buddy, 0), 141);
    CHECK(frame_of(&buddy, 0) >= 64);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* Single frames that are freed together, while the cache that they came from claims their words. */
TEST_CASE(buddy_cpus, chunk_is_freed_whole_while_words_of_it_are_claimed) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 512);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 256, 8), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 128, 7), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 64, 6), 0);
    (void)frame_of(&buddy, 0);
    CHECK_REFUSED(ash_buddy_free(&buddy, 0, 9), "it is free, in a CPU's cache");
    for (uint32_t i = 1; i < 64; i++)
        (void)frame_of(&buddy, 0);
    ash_buddy_free(&buddy, 0, 9);
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).free_pages, 512);
    ash_buddy_drain(&buddy);
    CHECK_EQ(frame_of(&buddy, 9), 0);
}

TEST_CASE(buddy_cpus, peak_is_never_more_than_was_used) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 8192);
    ash_pfn_t *frames = test_alloc(4096 * sizeof(*frames), 8);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        as_cpu(cpu); /* what the others freed lies in their caches */
        for (uint32_t i = 0; i < 4096; i++)
            frames[i] = frame_of(&buddy, 0);
        CHECK(stats_of(&buddy).peak_used_pages == 4096);
        for (uint32_t i = 0; i < 4096; i++)
            ash_buddy_free(&buddy, frames[i * 67 % 4096], 0);
        CHECK(stats_of(&buddy).cached_pages != 0);
    }
    CHECK(stats_of(&buddy).peak_used_pages == 4096);
}

/* The first free lies in the caches of another CPU, in one way or another. */
TEST_CASE(buddy_cpus, double_free_by_another_cpu_is_found_when_it_reaches_the_map) {
    for (uint32_t claimed = 0; claimed < 2; claimed++) {
        struct ash_buddy buddy;
        buddy_over_one(&buddy, 0, 256);
        ash_pfn_t frame = frame_of(&buddy, 0), fill;
        while (claimed == 0 && ash_buddy_alloc(&buddy, 0, ASH_BUDDY_MOVABLE, &fill) == 0)
            continue;
        ash_buddy_free(&buddy, frame, 0);
        as_cpu(1);
        ash_buddy_free(&buddy, frame, 0);
        if (claimed != 0) {
            CHECK_REFUSED(ash_buddy_drain(&buddy), "double free of frame 0x0");
        } else {
            ash_buddy_drain(&buddy);
            as_cpu(0);
            CHECK_REFUSED(ash_buddy_drain(&buddy), "double free of frame 0x0");
        }
        ash_buddy_drain_all(&buddy);
        CHECK(ash_buddy_check(&buddy) == NULL);
        CHECK_EQ(stats_of(&buddy).free_pages, claimed != 0 ? 256 : 1);
        CHECK_REFUSED(ash_buddy_free(&buddy, frame, 0), "double free of frame 0x0");
    }
}

TEST_CASE(buddy_cpus, double_free_of_a_block_by_another_cpu_is_found_when_it_reaches_the_map) {
    for (uint32_t order = 1; order <= 8; order++) {
        struct ash_buddy buddy;
        buddy_over_one(&buddy, 0, 1024);
        ash_pfn_t block = frame_of(&buddy, order);
        ash_buddy_free(&buddy, block, order);
        as_cpu(1);
        ash_buddy_free(&buddy, block, order);
        ash_buddy_drain(&buddy);
        CHECK_REFUSED(ash_buddy_free(&buddy, block, order), "of it is free");
        as_cpu(0);
        CHECK_REFUSED(ash_buddy_drain(&buddy), "double free of frame 0x");
        CHECK(ash_buddy_check(&buddy) == NULL);
        CHECK_EQ(stats_of(&buddy).free_pages, 1024);
        CHECK_EQ(stats_of(&buddy).cached_pages, 0);
    }
}

/* Of a block that lies in this CPU's cache: the part, or the whole around it, as found later. */
TEST_CASE(buddy_cpus, double_free_with_another_order_is_found_when_it_reaches_the_map) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 1024);
    ash_pfn_t block = frame_of(&buddy, 4);
    ash_buddy_free(&buddy, block, 4);
    ash_buddy_free(&buddy, block + 4, 2);
    CHECK_REFUSED(ash_buddy_drain(&buddy), "double free of frame 0x");
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).free_pages, 1024);
    CHECK_REFUSED(ash_buddy_free(&buddy, block + 8, 3), "of it is free");
}

/* Freed by another CPU, and gone to the map; this CPU has the word at hand. */
TEST_CASE(buddy_cpus, double_free_into_the_word_at_hand_is_found_at_once) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 256);
    ash_pfn_t frame = frame_of(&buddy, 0);
    (void)frame_of(&buddy, 0);
    as_cpu(1);
    ash_buddy_free(&buddy, frame, 0);
    ash_buddy_drain(&buddy);
    as_cpu(0);
    CHECK_REFUSED(ash_buddy_free(&buddy, frame, 0), "frame 0x0 of it is free");
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).free_pages, 255);
}

TEST_CASE(buddy_cpus, double_free_by_another_cpu_is_found_at_once_if_hardened) {
    struct ash_buddy buddy;
    buddy_hardened(&buddy, 0, 256);
    ash_pfn_t frame = frame_of(&buddy, 0);
    ash_buddy_free(&buddy, frame, 0);
    as_cpu(1);
    CHECK_REFUSED(ash_buddy_free(&buddy, frame, 0), "in a CPU's cache");
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* An interrupt handler that frees what the interrupted allocation's CPU has in its hands. */
TEST_CASE(buddy_cpus, instance_with_interrupts_works_the_same) {
    struct ash_buddy buddy;
    struct ash_buddy_region region = {0, 512};
    struct ash_buddy_config config = {.regions = &region, .region_count = 1, .interrupts = true};
    buddy_by(&buddy, &config);
    ash_pfn_t frame = frame_of(&buddy, 0), block = frame_of(&buddy, 5);
    ash_buddy_free(&buddy, frame, 0);
    CHECK_REFUSED(ash_buddy_free(&buddy, frame, 0), "double free");
    ash_buddy_free(&buddy, block, 5);
    ash_buddy_drain(&buddy);
    CHECK_EQ(stats_of(&buddy).free_blocks[9], 1);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* Watermarks */

struct listener {
    struct ash_buddy buddy;
    uint32_t calls;
    uint64_t free_pages;
    ash_pfn_t spare;
};

static void on_low(void *context, uint64_t free_pages) {
    struct listener *listener = context;
    listener->calls++;
    listener->free_pages = free_pages;
    if (listener->spare != UINT64_MAX)
        ash_buddy_free(&listener->buddy, listener->spare, 5); /* no lock is held */
    listener->spare = UINT64_MAX;
}

TEST_CASE(buddy_cpus, low_memory_is_told_once_until_there_is_enough_again) {
    struct listener *listener = test_alloc(sizeof(*listener), 64);
    struct ash_buddy_region region = {0, 256};
    struct ash_buddy_config config = {.regions = &region,
                                      .region_count = 1,
                                      .low_pages = 100,
                                      .high_pages = 200,
                                      .low = on_low,
                                      .context = listener};
    buddy_by(&listener->buddy, &config);
    ash_pfn_t blocks[8];
    listener->spare = frame_of(&listener->buddy, 5);
    for (uint32_t i = 0; i < 4; i++)
        blocks[i] = frame_of(&listener->buddy, 5);
    CHECK_EQ(listener->calls, 1);
    CHECK_EQ(listener->free_pages, 96);
    blocks[4] = frame_of(&listener->buddy, 5);
    CHECK_EQ(listener->calls, 1);
    for (uint32_t i = 0; i < 4; i++)
        ash_buddy_free(&listener->buddy, blocks[i], 5);
    ash_buddy_drain(&listener->buddy);
    for (uint32_t i = 0; i < 4; i++)
        blocks[i] = frame_of(&listener->buddy, 5);
    CHECK_EQ(listener->calls, 2);
    CHECK(ash_buddy_check(&listener->buddy) == NULL);
}
