/* SPDX-License-Identifier: MIT */
/*
 * Page frames under every order of steps. There are so few that each allocation finds the rest in
 * another CPU's cache, and takes it from there while that CPU goes on.
 */
#include "explore.h"

#include <ashlar/buddy.h>

#include <ashlar/port.h>

enum { FRAMES_MAX = 8, STORAGE_WORDS = 128 };

static struct {
    struct ash_buddy buddy;
    uint64_t storage[STORAGE_WORDS];
    uint32_t owner[FRAMES_MAX]; /* context + 1 while a frame is out */
    uint64_t frames;
    bool hardened, interrupts;
} world;

static void setup_frames(uint64_t frames) {
    struct ash_buddy_region region = {0, frames};
    const struct ash_buddy_config config = {.regions = &region,
                                            .region_count = 1,
                                            .hardened = world.hardened,
                                            .interrupts = world.interrupts};
    memset(world.owner, 0, sizeof(world.owner));
    world.frames = frames;
    EXPLORE_CHECK(ash_buddy_storage_size(&config) <= sizeof(world.storage));
    EXPLORE_CHECK(ash_buddy_init(&world.buddy, &config, world.storage, sizeof(world.storage)) == 0);
}

static void setup_two(void) {
    setup_frames(2);
}

static void setup_four(void) {
    setup_frames(4);
}

/* UINT64_MAX: there was none. */
static ash_pfn_t take_hinted(uint32_t order, enum ash_buddy_hint hint) {
    ash_pfn_t first;
    if (ash_buddy_alloc(&world.buddy, order, hint, &first) != 0)
        return UINT64_MAX;
    for (ash_pfn_t frame = first; frame < first + (UINT64_C(1) << order); frame++) {
        EXPLORE_CHECK(frame < world.frames && world.owner[frame] == 0);
        world.owner[frame] = explore_context() + 1;
    }
    interleave_point();
    return first;
}

static ash_pfn_t take(uint32_t order) {
    return take_hinted(order, ASH_BUDDY_MOVABLE);
}

static void give(ash_pfn_t first, uint32_t order) {
    if (first == UINT64_MAX)
        return;
    for (ash_pfn_t frame = first; frame < first + (UINT64_C(1) << order); frame++) {
        EXPLORE_CHECK(world.owner[frame] == explore_context() + 1);
        world.owner[frame] = 0;
    }
    ash_buddy_free(&world.buddy, first, order);
}

/* All is there, and a single CPU can have it. */
static void finish(void) {
    const char *broken = ash_buddy_check(&world.buddy);
    if (broken != NULL)
        explore_broke(__FILE__, __LINE__, broken);
    EXPLORE_CHECK(ash_buddy_free_pages(&world.buddy) == world.frames);
    for (uint64_t i = 0; i < world.frames; i++)
        EXPLORE_CHECK(take(0) != UINT64_MAX);
    EXPLORE_CHECK(take(0) == UINT64_MAX);
    EXPLORE_CHECK(ash_buddy_check(&world.buddy) == NULL);
}

static void one_by_one(void) {
    for (uint32_t i = 0; i < 2; i++) {
        ash_pfn_t frame = take(0);
        EXPLORE_CHECK(frame != UINT64_MAX); /* there is one for each context, in some cache */
        give(frame, 0);
    }
}

static void two_at_once(void) {
    ash_pfn_t one = take(0), other = take(0);
    give(one, 0);
    give(other, 0);
}

/* Freed into the word at hand: one is the next to be allocated, the other a bit of the word. */
static void two_unmovable(void) {
    ash_pfn_t one = take_hinted(0, ASH_BUDDY_UNMOVABLE);
    ash_pfn_t other = take_hinted(0, ASH_BUDDY_UNMOVABLE);
    give(one, 0);
    give(other, 0);
}

static void one_of_each_hint(void) {
    ash_pfn_t one = take_hinted(0, ASH_BUDDY_UNMOVABLE), other = take(0);
    give(one, 0);
    give(other, 0);
}

static void pair_of_frames(void) {
    for (uint32_t i = 0; i < 2; i++)
        give(take(1), 1);
}

/* One block for each context, in the map or in some cache. */
static void block_by_block(void) {
    for (uint32_t i = 0; i < 2; i++) {
        ash_pfn_t block = take(1);
        EXPLORE_CHECK(block != UINT64_MAX);
        give(block, 1);
    }
}

/* The second is freed while the first lies in this CPU's cache. */
static void two_blocks(void) {
    ash_pfn_t one = take(1), other = take(1);
    give(one, 1);
    give(other, 1);
}

static void drain(void) {
    ash_buddy_drain(&world.buddy);
    ash_buddy_drain_all(&world.buddy);
}

static void drain_all(void) {
    ash_buddy_drain_all(&world.buddy);
}

static void range(void) {
    ash_pfn_t first;
    if (ash_buddy_reserve_run(&world.buddy, 2, 1, &first) != 0)
        return;
    EXPLORE_CHECK(world.owner[first] == 0 && world.owner[first + 1] == 0);
    ash_buddy_release(&world.buddy, first, 2);
}

static void check(void) {
    EXPLORE_CHECK(ash_buddy_check(&world.buddy) == NULL);
    EXPLORE_CHECK(ash_buddy_free_pages(&world.buddy) <= 2 * world.frames); /* a moving number */
}

static void explore_two(void (*setup)(void), void (*a)(void), void (*b)(void)) {
    explore(&(struct explore_scenario){
        .setup = setup, .bodies = {a, b}, .finish = finish, .preemptions = 2});
}

TEST_CASE(interleave_buddy, last_frame_comes_from_the_other_cpus_cache) {
    explore_two(setup_two, one_by_one, one_by_one);
}

TEST_CASE(interleave_buddy, caches_are_emptied_while_their_cpu_takes_and_gives) {
    explore_two(setup_four, two_at_once, drain);
}

TEST_CASE(interleave_buddy, unmovable_frames_are_taken_while_their_cpu_uses_them) {
    explore_two(setup_four, two_unmovable, drain);
    explore_two(setup_four, two_unmovable, one_by_one);
    explore_two(setup_four, one_of_each_hint, pair_of_frames);
}

TEST_CASE(interleave_buddy, block_is_put_together_from_caches_in_use) {
    explore_two(setup_four, two_at_once, pair_of_frames);
}

TEST_CASE(interleave_buddy, last_block_comes_from_the_other_cpus_cache) {
    explore_two(setup_four, block_by_block, block_by_block);
}

TEST_CASE(interleave_buddy, cached_blocks_are_taken_while_their_cpu_uses_them) {
    explore_two(setup_four, block_by_block, drain);
    explore_two(setup_four, two_blocks, drain);
    explore_two(setup_four, block_by_block, one_by_one);
}

TEST_CASE(interleave_buddy, range_is_put_together_from_caches_in_use) {
    explore_two(setup_four, one_by_one, range);
}

TEST_CASE(interleave_buddy, check_keeps_the_others_out) {
    explore_two(setup_four, two_at_once, check);
    explore_two(setup_four, block_by_block, check);
}

TEST_CASE(interleave_buddy, three_cpus_take_from_each_other) {
    explore(&(struct explore_scenario){.setup = setup_four,
                                       .bodies = {one_by_one, two_at_once, one_by_one},
                                       .finish = finish,
                                       .preemptions = 4,
                                       .random_runs = 3000});
}

TEST_CASE(interleave_buddy, hardened_instance_is_as_safe) {
    world.hardened = true;
    explore_two(setup_two, one_by_one, one_by_one);
    explore_two(setup_four, block_by_block, block_by_block);
    explore_two(setup_four, block_by_block, drain);
    explore(&(struct explore_scenario){.setup = setup_four,
                                       .bodies = {two_blocks, drain_all},
                                       .finish = finish,
                                       .preemptions = 3});
    world.hardened = false;
}

static void handler(void) {
    give(take(0), 0);
    give(take(1), 1);
}

TEST_CASE(interleave_buddy, interrupt_handler_allocates_at_any_point) {
    world.interrupts = true;
    explore(&(struct explore_scenario){.setup = setup_four,
                                       .bodies = {two_at_once, one_by_one},
                                       .interrupt = handler,
                                       .finish = finish,
                                       .preemptions = 1});
    world.interrupts = false;
}
