/* SPDX-License-Identifier: MIT */
/*
 * Page frames that wander: more than one word of them, freed by others than who allocated them, as
 * blocks and ranges, at both ends of a region that begins and ends inside a word.
 */
#include "explore.h"

#include <ashlar/buddy.h>

enum { BASE = 61, FRAMES_MAX = 200, CONTEXTS = 3 };

static struct {
    struct ash_buddy buddy;
    uint64_t storage[2048];
    uint64_t frames;
    bool hardened, interrupts;
    uint8_t holder[FRAMES_MAX]; /* context + 1, 0: free */
    ash_pfn_t slot;             /* a frame handed over, or 0 */
    uint32_t got;
} world;

static void setup(void) {
    const struct ash_buddy_region region = {BASE, world.frames};
    const struct ash_buddy_config config = {.regions = &region,
                                            .region_count = 1,
                                            .hardened = world.hardened,
                                            .interrupts = world.interrupts};
    memset(world.holder, 0, sizeof(world.holder));
    world.slot = 0;
    world.got = 0;
    EXPLORE_CHECK(ash_buddy_storage_size(&config) <= sizeof(world.storage));
    EXPLORE_CHECK(ash_buddy_init(&world.buddy, &config, world.storage, sizeof(world.storage)) == 0);
}

static void claim(ash_pfn_t first, uint64_t len) {
    EXPLORE_CHECK(first >= BASE && first + len <= BASE + world.frames);
    for (uint64_t i = first - BASE; i < first - BASE + len; i++) {
        EXPLORE_CHECK(world.holder[i] == 0);
        world.holder[i] = (uint8_t)(1 + explore_context());
    }
    interleave_point();
}

static void give_up(ash_pfn_t first, uint64_t len) {
    for (uint64_t i = first - BASE; i < first - BASE + len; i++) {
        EXPLORE_CHECK(world.holder[i] == 1 + explore_context());
        world.holder[i] = 0;
    }
}

static bool take(uint32_t order, ash_pfn_t *first) {
    int error = ash_buddy_alloc(&world.buddy, order, ASH_BUDDY_MOVABLE, first);
    EXPLORE_CHECK(error == 0 || error == -ASH_ENOMEM);
    if (error == 0)
        claim(*first, UINT64_C(1) << order);
    return error == 0;
}

static void give(ash_pfn_t first, uint32_t order) {
    give_up(first, UINT64_C(1) << order);
    ash_buddy_free(&world.buddy, first, order);
}

static void whole(uint64_t free_pages) {
    const char *broken = ash_buddy_check(&world.buddy);
    if (broken != NULL)
        explore_broke(__FILE__, __LINE__, broken);
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&world.buddy, &stats);
    EXPLORE_CHECK(stats.free_pages == free_pages);
    EXPLORE_CHECK(ash_buddy_free_pages(&world.buddy) == free_pages);
}

/* All is free, as a map that nobody has ever used. */
static void finish(void) {
    whole(world.frames);
    ash_pfn_t first;
    EXPLORE_CHECK(ash_buddy_reserve_run(&world.buddy, world.frames, 1, &first) == 0);
    whole(0);
}

static void take_and_give(void) {
    ash_pfn_t frame;
    EXPLORE_CHECK(take(0, &frame));
    give(frame, 0);
}

static void take_two_and_give(void) {
    ash_pfn_t a, b;
    EXPLORE_CHECK(take(0, &a) && take(0, &b));
    give(a, 0);
    give(b, 0);
}

/* Where another may have reserved all there is. */
static void try_to_take(void) {
    ash_pfn_t frame;
    if (take(0, &frame))
        give(frame, 0);
}

static void take_block_and_give(void) {
    ash_pfn_t first;
    if (take(5, &first))
        give(first, 5);
}

static void drain(void) {
    ash_buddy_drain(&world.buddy);
}

static void drain_all(void) {
    ash_buddy_drain_all(&world.buddy);
}

static void reserve_all(void) {
    if (ash_buddy_reserve(&world.buddy, BASE, world.frames) != 0)
        return;
    claim(BASE, world.frames);
    give_up(BASE, world.frames);
    ash_buddy_release(&world.buddy, BASE, world.frames);
}

static void take_at(void) {
    if (ash_buddy_alloc_at(&world.buddy, BASE, 0) != 0)
        return;
    claim(BASE, 1);
    give(BASE, 0);
}

static void check(void) {
    EXPLORE_CHECK(ash_buddy_check(&world.buddy) == NULL);
}

static void ask(void) {
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&world.buddy, &stats);
    EXPLORE_CHECK(stats.total_pages == world.frames && stats.reserved_pages == 0);
}

static void hand_over(void) {
    ash_pfn_t frame, none = 0;
    EXPLORE_CHECK(take(0, &frame));
    give_up(frame, 1);
    frame = ash_exchange(&world.slot, frame);
    if (frame != none)
        ash_buddy_free(&world.buddy, frame, 0);
    frame = ash_exchange(&world.slot, none);
    if (frame != none)
        ash_buddy_free(&world.buddy, frame, 0);
}

static void explore_buddy(uint64_t frames, struct explore_scenario scenario) {
    world.frames = frames;
    scenario.setup = setup;
    if (scenario.finish == NULL)
        scenario.finish = finish;
    CHECK(explore(&scenario) > 1);
}

TEST_CASE(buddy_orders, contexts_take_and_give) {
    explore_buddy(70, (struct explore_scenario){.bodies = {take_two_and_give, take_two_and_give},
                                                .preemptions = 2});
    explore_buddy(70,
                  (struct explore_scenario){.bodies = {take_and_give, take_and_give, take_and_give},
                                            .preemptions = 1});
}

/* Three frames for three: none may be told that there is none. */
static void keep_one(void) {
    ash_pfn_t frame;
    EXPLORE_CHECK(take(0, &frame));
    world.got++;
}

static void finish_all_taken(void) {
    EXPLORE_CHECK(world.got == CONTEXTS);
    whole(0);
}

TEST_CASE(buddy_orders, last_frames_are_found_in_others_caches) {
    explore_buddy(CONTEXTS, (struct explore_scenario){.bodies = {keep_one, keep_one, keep_one},
                                                      .finish = finish_all_taken,
                                                      .preemptions = 2});
}

TEST_CASE(buddy_orders, block_is_made_of_frames_in_caches) {
    explore_buddy(99, (struct explore_scenario){.bodies = {take_block_and_give, take_two_and_give},
                                                .preemptions = 2});
    explore_buddy(99, (struct explore_scenario){
                          .bodies = {take_block_and_give, take_and_give, take_block_and_give},
                          .preemptions = 1});
}

TEST_CASE(buddy_orders, caches_are_drained_meanwhile) {
    explore_buddy(
        70, (struct explore_scenario){.bodies = {take_two_and_give, drain_all}, .preemptions = 2});
    explore_buddy(70, (struct explore_scenario){.bodies = {take_two_and_give, drain, drain_all},
                                                .preemptions = 1});
}

TEST_CASE(buddy_orders, frames_are_freed_by_others) {
    explore_buddy(66,
                  (struct explore_scenario){.bodies = {hand_over, hand_over}, .preemptions = 2});
    explore_buddy(66, (struct explore_scenario){.bodies = {hand_over, hand_over, drain_all},
                                                .preemptions = 1});
}

TEST_CASE(buddy_orders, ranges_are_taken_from_caches) {
    explore_buddy(
        70, (struct explore_scenario){.bodies = {reserve_all, try_to_take}, .preemptions = 2});
    explore_buddy(
        70, (struct explore_scenario){.bodies = {take_at, take_two_and_give}, .preemptions = 2});
}

TEST_CASE(buddy_orders, checker_and_statistics_come_between) {
    explore_buddy(
        70, (struct explore_scenario){.bodies = {take_two_and_give, check, ask}, .preemptions = 1});
}

TEST_CASE(buddy_orders, hardened) {
    world.hardened = true;
    explore_buddy(70, (struct explore_scenario){.bodies = {take_and_give, take_two_and_give},
                                                .preemptions = 2});
    world.hardened = false;
}

TEST_CASE(buddy_orders, interrupt_allocates) {
    world.interrupts = true;
    explore_buddy(70, (struct explore_scenario){.bodies = {take_and_give, take_block_and_give},
                                                .interrupt = take_and_give,
                                                .preemptions = 2});
    world.interrupts = false;
}

TEST_CASE(buddy_orders, long_runs_by_chance) {
    explore_buddy(
        99, (struct explore_scenario){.bodies = {take_two_and_give, take_block_and_give, hand_over},
                                      .preemptions = 50,
                                      .random_runs = 2000});
}
