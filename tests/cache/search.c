/* SPDX-License-Identifier: MIT */
/*
 * search.c: the search for a victim, against itself as it is told: a hand that takes one life of
 * each block that it passes, round after round. It must find the same block, leave the same order
 * and the same lives behind, and look at no more than twice as many frames as there are, whatever
 * the blocks are: hot, pinned, dirty.
 */
#include "cache/stand.h"

enum { SIZE_MAX_BLOCKS = 64, KEYS = 200, WANTED = 255 };
enum kind { KIND_MAY_GO, KIND_PASSED, KIND_STOPS };
enum share { SHARE_NONE, SHARE_HALF, SHARE_ALL_BUT_ONE, SHARE_ALL, SHARES };

struct entry {
    uint32_t frame, lives;
    enum kind kind;
};

/* A queue, the oldest first. */
struct row {
    struct entry entries[2 * SIZE_MAX_BLOCKS];
    uint32_t length;
};

struct snapshot {
    const char *policy;
    struct row queues[2];
    uint32_t first_max, size;
    uint32_t victim; /* ASH_CACHE_NONE: there is none */
    bool stopped;
};

/* As the cache has it now. */
static void take_snapshot(struct stand *stand, const bool *pinned, const bool *dirty,
                          struct snapshot *now) {
    struct ash_cache *cache = &stand->cache;
    *now = (struct snapshot){.policy = stand->config.policy,
                             .first_max = cache->queue_max,
                             .size = stand->config.blocks,
                             .victim = ASH_CACHE_NONE};
    for (uint32_t q = 0; q < 2; q++) {
        for (uint32_t frame = cache->queues[q].last; frame != ASH_CACHE_NONE;
             frame = cache->links[0][frame].prev) {
            uint64_t key = cache->table[cache->frames[frame].slot].key;
            bool stops = key < KEYS && dirty[key] && stand->config.strict;
            bool passed = key < KEYS && (pinned[key] || (dirty[key] && !stops));
            now->queues[q].entries[now->queues[q].length++] =
                (struct entry){frame, cache->hot[frame].touched,
                               passed  ? KIND_PASSED
                               : stops ? KIND_STOPS
                                       : KIND_MAY_GO};
        }
    }
}

static struct entry take_first(struct row *row) {
    struct entry first = row->entries[0];
    row->length--;
    memmove(row->entries, row->entries + 1, row->length * sizeof(first));
    return first;
}

static void put_last(struct row *row, struct entry entry) {
    row->entries[row->length++] = entry;
}

/* True: the search is over. */
static bool ends(struct snapshot *now, const struct entry *entry) {
    now->stopped = entry->kind == KIND_STOPS;
    if (entry->kind == KIND_MAY_GO)
        now->victim = entry->frame;
    return entry->kind != KIND_PASSED;
}

/* Those passed over are the newest then. */
static bool walk_fifo(struct snapshot *now) {
    struct row *row = &now->queues[0];
    for (uint32_t i = row->length; i != 0; i--) {
        if (ends(now, &row->entries[0]))
            return true;
        put_last(row, take_first(row));
    }
    return false;
}

/* The second queue's from there on. */
static bool walk_moved(struct snapshot *now, uint32_t from) {
    for (uint32_t i = from; i < now->queues[1].length; i++) {
        if (ends(now, &now->queues[1].entries[i]))
            return true;
    }
    return false;
}

/* In vain: one life of each is all that it costs. */
static bool walk_clock(struct snapshot *now, uint32_t cap) {
    struct row *row = &now->queues[1], before = *row;
    for (uint32_t steps = (cap + 1) * row->length; steps != 0; steps--) {
        if (row->entries[0].lives == 0 && ends(now, &row->entries[0]))
            return true;
        struct entry entry = take_first(row);
        entry.lives -= entry.lives != 0;
        put_last(row, entry);
    }
    *row = before;
    for (uint32_t i = 0; i < row->length; i++)
        row->entries[i].lives -= row->entries[i].lives != 0;
    return false;
}

/* The small FIFO of s3-fifo: who was hit twice moves on. */
static bool walk_small(struct snapshot *now) {
    struct row *row = &now->queues[0];
    for (uint32_t i = row->length; i != 0; i--) {
        bool moves_on = row->entries[0].lives >= 2;
        if (!moves_on && ends(now, &row->entries[0]))
            return true;
        struct entry entry = take_first(row);
        entry.lives = moves_on ? 0 : entry.lives;
        put_last(moves_on ? &now->queues[1] : row, entry);
    }
    return false;
}

static void search_s3(struct snapshot *now) {
    bool main_first =
        now->queues[1].length > now->size - now->first_max || now->queues[0].length == 0;
    uint32_t main = now->queues[1].length;
    bool over = main_first ? walk_clock(now, 3) : walk_small(now);
    if (!over && main_first)
        over = walk_small(now);
    if (!over)
        (void)(main_first ? walk_moved(now, main) : walk_clock(now, 3));
}

static void search_2q(struct snapshot *now, uint32_t cap) {
    bool in_first = now->queues[0].length >= now->first_max || now->queues[1].length == 0;
    bool over = in_first ? walk_fifo(now) : walk_clock(now, cap);
    if (!over)
        (void)(in_first ? walk_clock(now, cap) : walk_fifo(now));
}

static bool share_has(enum share share, uint32_t i, uint32_t one, struct test_random *random) {
    return share == SHARE_ALL || (share == SHARE_ALL_BUT_ONE && i != one) ||
           (share == SHARE_HALF && test_random_chance(random, 50));
}

/* Blocks in both queues, hit by chance or as often as counts. */
static void warm(struct stand *stand, bool hot, struct test_random *random) {
    uint32_t size = stand->config.blocks, frame;
    for (uint32_t i = 0; i < 3 * size; i++)
        stand_read(stand, 0, test_random_below(random, size + size / 2 + 1));
    for (uint64_t i = 0; i < KEYS; i++) {
        for (uint64_t hits = hot ? 3 : test_random_below(random, 5); hits != 0; hits--) {
            if (stand_try(stand, 0, i, ASH_CACHE_CACHED, &frame) == 0)
                stand_put(stand, frame);
        }
    }
}

/* Pins and dirties a share of what is there. */
static void occupy(struct stand *stand, enum share pins, enum share writes, bool *pinned,
                   bool *dirty, struct test_random *random) {
    uint32_t one = (uint32_t)test_random_below(random, stand->config.blocks), there = 0, frame;
    for (uint64_t key = 0; key < KEYS; key++) {
        pinned[key] = dirty[key] = false;
        if (stand_try(stand, 0, key, ASH_CACHE_CACHED | ASH_CACHE_WRITE, &frame) != 0)
            continue;
        dirty[key] = share_has(writes, there, one, random);
        if (dirty[key])
            CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
        else
            ash_cache_put_unchanged(&stand->cache, frame);
        pinned[key] = share_has(pins, there, one, random);
        if (pinned[key])
            CHECK_EQ(stand_try(stand, 0, key, ASH_CACHE_CACHED, &frame), 0);
        there++;
    }
}

static void release(struct stand *stand, const bool *pinned) {
    uint32_t frame;
    for (uint64_t key = 0; key < KEYS; key++) {
        if (!pinned[key])
            continue;
        CHECK_EQ(stand_try(stand, 0, key, ASH_CACHE_CACHED, &frame), 0);
        stand_put(stand, frame);
        stand_put(stand, frame);
    }
}

/* The new block is where it should be, and the others are as they should be. */
static void compare(struct stand *stand, const struct snapshot *expected, struct snapshot *found) {
    const struct ash_cache *cache = &stand->cache;
    uint32_t at = ASH_CACHE_NONE;
    for (uint32_t q = 0; q < 2; q++) {
        const struct row *row = &expected->queues[q], *other = &found->queues[q];
        for (uint32_t i = 0, k = 0; i < row->length; i++) {
            if (row->entries[i].frame == expected->victim)
                continue;
            while (k < other->length && other->entries[k].frame == expected->victim)
                k++;
            CHECK(k < other->length);
            CHECK_EQ(other->entries[k].frame, row->entries[i].frame);
            CHECK_EQ(other->entries[k].lives, row->entries[i].lives);
            k++;
        }
    }
    for (uint32_t frame = 0; frame < stand->config.blocks; frame++) {
        if (cache->frames[frame].slot != ASH_CACHE_NONE &&
            cache->table[cache->frames[frame].slot].key == WANTED)
            at = frame;
    }
    CHECK_EQ(at, expected->victim);
}

struct situation {
    const char *policy;
    uint32_t size;
    bool hot, strict;
    enum share pins, writes;
};

static void search_in(struct stand *stand, const struct situation *s, struct test_random *random) {
    static bool pinned[KEYS], dirty[KEYS];
    static struct snapshot expected, found;
    uint32_t frame;
    stand->config.policy = s->policy;
    stand->config.blocks = s->size;
    stand->config.dirty_max = s->size;
    stand->config.strict = s->strict;
    stand_start(stand, 256);
    stand->backend.synchronous = true;
    warm(stand, s->hot, random);
    occupy(stand, s->pins, s->writes, pinned, dirty, random);
    stand->backend.synchronous = false;
    take_snapshot(stand, pinned, dirty, &expected);
    if (strcmp(s->policy, "2q-clock") == 0)
        search_2q(&expected, 1);
    else if (strcmp(s->policy, "2q-clock-pro") == 0)
        search_2q(&expected, 2);
    else if (strcmp(s->policy, "s3-fifo") == 0)
        search_s3(&expected);
    uint64_t before = stand->cache.stats.scanned;
    bool full = stand->cache.free_frames.length == 0;
    CHECK_EQ(stand_try(stand, 0, WANTED, 0, &frame), -ASH_EAGAIN);
    CHECK(stand->cache.stats.scanned - before <= 2 * (uint64_t)s->size);
    take_snapshot(stand, pinned, dirty, &found);
    if (full && strchr(s->policy, '-') != NULL)
        compare(stand, &expected, &found);
    stand_check(stand);
    backend_drain(&stand->backend);
    release(stand, pinned);
    stand_end(stand);
}

static void search_everywhere(bool strict) {
    struct stand *stand = stand_new(SIZE_MAX_BLOCKS);
    struct test_random random = test_random_from(test_seed());
    struct situation s = {.strict = strict};
    stand->config.lazy = true;
    stand->config.policy = "2q-clock";
    stand_start(stand, 256); /* memory for the largest */
    for (uint32_t p = 0; (s.policy = ash_cache_policy_name(p)) != NULL; p++) {
        for (s.size = 1; s.size <= SIZE_MAX_BLOCKS; s.size += s.size < 12 ? 1 : 13) {
            for (uint32_t i = 0; i < 2 * SHARES * SHARES; i++) {
                s.hot = i % 2 != 0;
                s.pins = i / 2 % SHARES;
                s.writes = i / 2 / SHARES;
                search_in(stand, &s, &random);
            }
        }
    }
}

TEST_CASE(cache_search, finds_what_a_hand_that_takes_a_life_a_round_finds_in_two_rounds) {
    search_everywhere(false);
}

TEST_CASE(cache_search, strict_one_stops_where_that_hand_does_in_two_rounds) {
    search_everywhere(true);
}

/* With s3-fifo: the only block that may go is in the small FIFO, hit twice, and moves on. */
TEST_CASE(cache_search, block_that_moves_on_to_a_pinned_queue_can_go) {
    struct stand *stand = stand_new(20);
    stand->config.policy = "s3-fifo";
    stand_start(stand, 256);
    uint32_t frames[20], count = 0, frame;
    for (uint64_t i = 0; i < 20; i++) {
        stand_read(stand, 0, i);
        stand_read(stand, 0, i);
        stand_read(stand, 0, i);
    }
    stand_read(stand, 0, 100); /* all moved on; one of them went */
    stand_read(stand, 0, 100);
    stand_read(stand, 0, 100);
    CHECK_EQ(stand->cache.queues[0].length, 1);
    CHECK_EQ(stand->cache.queues[1].length, 19);
    for (uint64_t i = 0; i < 20; i++) {
        if (stand_try(stand, 0, i, ASH_CACHE_CACHED, &frame) == 0)
            frames[count++] = frame;
    }
    CHECK_EQ(count, 19);
    stand_read(stand, 0, 101);
    CHECK_EQ(stand_try(stand, 0, 100, ASH_CACHE_CACHED, &frame), -ASH_ENOENT);
    while (count != 0)
        stand_put(stand, frames[--count]);
    stand_end(stand);
}

/* Each miss would look at 48 of them, where they are the oldest. */
TEST_CASE(cache_search, pinned_blocks_are_passed_once_a_round) {
    enum { BLOCKS = 64, PINNED = 48, MISSES = 320 };
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        struct stand *stand = stand_new(BLOCKS);
        stand->config.policy = ash_cache_policy_name(p);
        stand_start(stand, 1024);
        uint32_t frames[PINNED];
        for (uint32_t i = 0; i < PINNED; i++)
            frames[i] = stand_get(stand, 0, i, 0);
        for (uint64_t i = PINNED; i < BLOCKS; i++)
            stand_read(stand, 0, i);
        uint64_t before = stand_stats(stand).scanned;
        for (uint64_t i = BLOCKS; i < BLOCKS + MISSES; i++)
            stand_read(stand, 0, i);
        uint64_t rounds = MISSES / (BLOCKS - PINNED) + 1;
        CHECK(stand_stats(stand).scanned - before <= MISSES + 2 * rounds * PINNED);
        for (uint32_t i = 0; i < PINNED; i++)
            stand_put(stand, frames[i]);
        stand_end(stand);
    }
}

TEST_CASE(cache_search, dirty_blocks_with_lives_left_are_written_for_who_needs_a_frame) {
    for (uint32_t policy = 0; ash_cache_policy_name(policy) != NULL; policy++) {
        for (uint32_t blocks = 1; blocks <= 4; blocks++) {
            struct stand *stand = stand_new(blocks);
            struct stand_waiter waiter;
            stand->config.policy = ash_cache_policy_name(policy);
            stand->config.dirty_max = blocks;
            stand->config.lazy = true;
            stand_start(stand, 256);
            for (uint64_t i = 0; i < blocks; i++)
                stand_write(stand, 0, i, 1);
            for (uint64_t i = 0; i < 4 * blocks; i++)
                stand_read(stand, 0, i % blocks);
            CHECK_EQ(stand_ask(stand, 0, 100, 0, &waiter), ASH_CACHE_PENDING);
            CHECK(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL) != 0);
            backend_drain(&stand->backend);
            CHECK_EQ(waiter.told, 1);
            CHECK_EQ(waiter.waiter.status, 0);
            stand_put(stand, waiter.waiter.frame);
            stand_end(stand);
        }
    }
}
