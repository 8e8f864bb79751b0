/* SPDX-License-Identifier: MIT */
/*
 * policies.c: each policy against itself written naively, as its paper tells it: arrays that are
 * searched and shifted. Sizes from 1 to 64 frames, traces with loops, scans and favourites; each
 * access must be a hit or a miss in both.
 */
#include "cache/stand.h"

enum { SIZE_MAX_BLOCKS = 64, KEYS = 160, STEPS = 400 };

/* A row of numbers, the newest first. */
struct row {
    uint64_t keys[SIZE_MAX_BLOCKS * 2];
    uint8_t marks[SIZE_MAX_BLOCKS * 2];
    uint32_t length;
};

struct naive {
    uint32_t size;
    struct row first, second, ghosts;
    uint32_t hand;
};

static int find(const struct row *row, uint64_t key) {
    for (uint32_t i = 0; i < row->length; i++) {
        if (row->keys[i] == key)
            return (int)i;
    }
    return -1;
}

static void take_out(struct row *row, uint32_t at) {
    row->length--;
    for (uint32_t i = at; i < row->length; i++) {
        row->keys[i] = row->keys[i + 1];
        row->marks[i] = row->marks[i + 1];
    }
}

static void put_first(struct row *row, uint64_t key, uint8_t mark) {
    for (uint32_t i = row->length++; i > 0; i--) {
        row->keys[i] = row->keys[i - 1];
        row->marks[i] = row->marks[i - 1];
    }
    row->keys[0] = key;
    row->marks[0] = mark;
}

static bool naive_lru(struct naive *n, uint64_t key) {
    int at = find(&n->first, key);
    if (at >= 0)
        take_out(&n->first, (uint32_t)at);
    else if (n->first.length == n->size)
        n->first.length--;
    put_first(&n->first, key, 0);
    return at >= 0;
}

/* The ring is `first` by place: new ones behind the others until it is full. */
static bool naive_clock(struct naive *n, uint64_t key) {
    int at = find(&n->first, key);
    if (at >= 0) {
        n->first.marks[at] = 1;
        return true;
    }
    if (n->first.length < n->size) {
        n->first.keys[n->first.length] = key;
        n->first.marks[n->first.length++] = 0;
        return false;
    }
    while (n->first.marks[n->hand] != 0) {
        n->first.marks[n->hand] = 0;
        n->hand = (n->hand + 1) % n->size;
    }
    n->first.keys[n->hand] = key;
    n->hand = (n->hand + 1) % n->size;
    return false;
}

/* Takes the last of a row out, marked ones going round first with one mark less. */
static uint64_t turn_out(struct row *row) {
    for (;;) {
        uint64_t key = row->keys[row->length - 1];
        uint8_t mark = row->marks[row->length - 1];
        row->length--;
        if (mark == 0)
            return key;
        put_first(row, key, (uint8_t)(mark - 1));
    }
}

static void remember(struct naive *n, uint64_t key, uint32_t capacity) {
    put_first(&n->ghosts, key, 0);
    if (n->ghosts.length > capacity)
        n->ghosts.length = capacity;
}

static bool recall(struct naive *n, uint64_t key) {
    int at = find(&n->ghosts, key);
    if (at >= 0)
        take_out(&n->ghosts, (uint32_t)at);
    return at >= 0;
}

/* first: A1in, second: Am. A victim goes before the ghost of the new one is looked for. */
static bool naive_2q_clock(struct naive *n, uint64_t key) {
    uint32_t share = n->size / 4 == 0 ? 1 : n->size / 4;
    int at = find(&n->second, key);
    if (at >= 0)
        n->second.marks[at] = 1;
    if (at >= 0 || find(&n->first, key) >= 0)
        return true;
    bool known = recall(n, key);
    if (n->first.length + n->second.length == n->size) {
        if (n->first.length >= share || n->second.length == 0)
            remember(n, n->first.keys[--n->first.length], n->size);
        else
            (void)turn_out(&n->second);
    }
    put_first(known ? &n->second : &n->first, key, 0);
    return false;
}

/* hand: how many are older than the one it is at. */
static bool naive_sieve(struct naive *n, uint64_t key) {
    struct row *row = &n->first;
    int at = find(row, key);
    if (at >= 0) {
        row->marks[at] = 1;
        return true;
    }
    if (row->length == n->size) {
        if (n->hand >= row->length)
            n->hand = 0;
        while (row->marks[row->length - 1 - n->hand] != 0) {
            row->marks[row->length - 1 - n->hand] = 0;
            n->hand = (n->hand + 1) % row->length;
        }
        take_out(row, row->length - 1 - n->hand);
        if (n->hand == row->length) /* it was the newest: begin again */
            n->hand = 0;
    }
    put_first(row, key, 0);
    return false;
}

static void s3_evict(struct naive *n, uint32_t small_max) {
    uint32_t ghosts = n->size * 9 / 10 == 0 ? 1 : n->size * 9 / 10;
    struct row *small = &n->first, *main = &n->second;
    if (main->length > n->size - small_max || small->length == 0) {
        (void)turn_out(main);
        return;
    }
    while (small->length != 0) {
        uint64_t key = small->keys[small->length - 1];
        uint8_t mark = small->marks[small->length - 1];
        small->length--;
        if (mark < 2) {
            remember(n, key, ghosts);
            return;
        }
        put_first(main, key, 0);
    }
    (void)turn_out(main);
}

static bool naive_s3_fifo(struct naive *n, uint64_t key) {
    for (int i = 0; i < 2; i++) {
        struct row *row = i == 0 ? &n->first : &n->second;
        int at = find(row, key);
        if (at >= 0) {
            row->marks[at] = (uint8_t)(row->marks[at] < 3 ? row->marks[at] + 1 : 3);
            return true;
        }
    }
    bool known = recall(n, key);
    if (n->first.length + n->second.length == n->size)
        s3_evict(n, n->size < 10 ? 1 : n->size / 10);
    put_first(known ? &n->second : &n->first, key, 0);
    return false;
}

/* Loops of several lengths, scans, and favourites. */
static uint64_t next_key(struct test_random *random, uint32_t step, uint32_t size) {
    switch (step / 50 % 4) {
    case 0:
        return test_random_below(random, size + 2);
    case 1:
        return step % (size + 1 + size / 3);
    case 2:
        return test_random_chance(random, 60) ? test_random_below(random, 1 + size / 2)
                                              : test_random_below(random, KEYS);
    default:
        return 40 + step % (KEYS - 40);
    }
}

static void compare(const char *policy, bool (*access)(struct naive *naive, uint64_t key)) {
    struct stand *stand = stand_new(SIZE_MAX_BLOCKS);
    stand->config.policy = policy;
    stand_start(stand, KEYS);
    struct test_random random = test_random_from(test_seed());
    static struct naive naive;
    for (uint32_t size = 1; size <= SIZE_MAX_BLOCKS; size += size < 20 ? 1 : 4) {
        stand->config.blocks = size;
        stand_start(stand, KEYS);
        stand->backend.synchronous = true;
        memset(&naive, 0, sizeof(naive));
        naive.size = size;
        if (size % 2 != 0) /* dates are about to begin anew, where blocks come at random */
            stand->cache.now = ASH__CACHE_DATE_MAX - 230;
        for (uint32_t step = 0; step < STEPS; step++) {
            uint64_t key = next_key(&random, step, size), reads = stand->backend.reads;
            stand_read(stand, 0, key);
            bool hit = stand->backend.reads == reads;
            if (hit != access(&naive, key))
                test_fail(__FILE__, __LINE__, "%s of %u, step %u, block %u: %s", policy, size, step,
                          (uint32_t)key,
                          hit ? "a hit, should be a miss" : "a miss, should be a hit");
        }
        CHECK(access != naive_lru || stand->cache.now < ASH__CACHE_DATE_MAX);
        stand_end(stand);
    }
}

TEST_CASE(cache_policies, lru_is_lru_in_every_size) {
    compare("lru", naive_lru);
}

TEST_CASE(cache_policies, clock_is_clock_in_every_size) {
    compare("clock", naive_clock);
}

TEST_CASE(cache_policies, two_queues_are_as_their_paper_says_in_every_size) {
    compare("2q-clock", naive_2q_clock);
}

TEST_CASE(cache_policies, sieve_is_sieve_in_every_size) {
    compare("sieve", naive_sieve);
}

TEST_CASE(cache_policies, s3_fifo_is_as_its_paper_says_in_every_size) {
    compare("s3-fifo", naive_s3_fifo);
}

/* One that was asked for very often, and then all others a moment ago. */
TEST_CASE(cache_policies, lru_is_exact_where_dates_lie_close_together) {
    enum { OFTEN = 20000 };
    struct stand *stand = stand_new(SIZE_MAX_BLOCKS);
    stand->config.policy = "lru";
    stand_start(stand, KEYS);
    stand->backend.synchronous = true;
    struct test_random random = test_random_from(test_seed());
    uint64_t order[SIZE_MAX_BLOCKS];
    for (uint32_t i = 0; i < SIZE_MAX_BLOCKS; i++) {
        stand_read(stand, 0, i);
        order[i] = i;
    }
    for (uint32_t i = 0; i < OFTEN; i++)
        stand_read(stand, 0, 0);
    for (uint32_t i = SIZE_MAX_BLOCKS - 1; i != 0; i--) {
        uint64_t other = 1 + test_random_below(&random, i), key = order[other];
        order[other] = order[i];
        order[i] = key;
    }
    for (uint32_t i = 1; i < SIZE_MAX_BLOCKS; i++)
        stand_read(stand, 0, order[i]);
    for (uint32_t i = 0; i < SIZE_MAX_BLOCKS; i++) {
        uint32_t frame;
        stand_read(stand, 0, KEYS - 1 - i);
        CHECK_EQ(stand_try(stand, 0, order[i], ASH_CACHE_CACHED, &frame), -ASH_ENOENT);
        CHECK_EQ(stand_stats(stand).evictions, i + 1);
        stand_check(stand);
    }
    stand_end(stand);
}

/* Hits are told to the policy until it counts no more. Who reads without a pin does not see it. */
static void hit_often(const char *policy, bool shared) {
    struct stand *stand = stand_new(4);
    stand->config.policy = policy;
    stand->config.shared = shared;
    stand_start(stand, KEYS);
    stand_read(stand, 0, 0);
    const uint32_t *stamp = &stand->cache.table[stand->cache.frames[0].slot].stamp;
    for (uint32_t hits = 1; hits <= 4; hits++) {
        struct ash_cache_view view;
        CHECK(ash_cache_peek(&stand->cache, &stand->spaces[0], 0, &view) != NULL);
        CHECK(ash_cache_peek_valid(&view));
        stand_read(stand, 0, 0);
        CHECK(ash_cache_peek_valid(&view));
        stand_check(stand);
    }
    bool counts = stand->cache.touch_cap < UINT8_MAX;
    if (counts)
        CHECK_EQ(stand->cache.hot[0].touched, stand->cache.touch_cap);
    CHECK_EQ(ash__cache_is_quiet(*stamp), counts && !shared);
    stand_write(stand, 0, 0, 1); /* as it was */
    CHECK_EQ(ash__cache_is_quiet(*stamp), counts && !shared);
    stand_end(stand);
}

TEST_CASE(cache_policies, block_that_was_hit_often_enough_is_quiet_to_one_owner) {
    const char *policy;
    for (uint32_t i = 0; (policy = ash_cache_policy_name(i)) != NULL; i++) {
        hit_often(policy, false);
        hit_often(policy, true);
    }
}
