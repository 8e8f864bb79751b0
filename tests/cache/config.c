/* SPDX-License-Identifier: MIT */
/* config.c: what init takes and refuses, policies on the fly, what is counted and shown. */
#include "cache/stand.h"

static struct ash_cache_config plain(struct stand *stand) {
    return (struct ash_cache_config){
        .blocks = 16, .block_bytes = 512, .backend = backend_callbacks(&stand->backend)};
}

static void check_valid(const struct ash_cache_config *config, bool valid) {
    static struct ash_cache cache;
    size_t bytes = ash_cache_storage_size(config);
    CHECK_EQ(bytes != 0, valid);
    if (bytes == 0)
        bytes = 1 << 16;
    if (bytes > 1 << 20)
        return;
    void *storage = test_alloc(bytes, 64);
    size_t align = ash_is_pow2(config->block_bytes) ? config->block_bytes : 64;
    void *data = test_alloc(16 * 512, align);
    CHECK_EQ(ash_cache_init(&cache, config, storage, bytes, data), valid ? 0 : -ASH_EINVAL);
}

#define WITH(field, value, valid)                      \
    do {                                               \
        struct ash_cache_config config = plain(stand); \
        config.field = (value);                        \
        check_valid(&config, (valid));                 \
    } while (0)

TEST_CASE(cache_config, each_limit_holds) {
    struct stand *stand = stand_new(1);
    WITH(blocks, 0, false);
    WITH(blocks, 1, true);
    WITH(blocks, ASH_CACHE_BLOCKS_MAX, true);
    WITH(blocks, ASH_CACHE_BLOCKS_MAX + 1, false);
    WITH(blocks, UINT32_MAX, false);
    WITH(block_bytes, 0, false);
    WITH(block_bytes, 256, false);
    WITH(block_bytes, 513, false);
    WITH(block_bytes, ASH_CACHE_BLOCK_MAX, true);
    WITH(block_bytes, ASH_CACHE_BLOCK_MAX * 2, false);
    WITH(spaces_max, ASH_CACHE_SPACES_MAX, true);
    WITH(spaces_max, ASH_CACHE_SPACES_MAX + 1, false);
    WITH(depth, ASH_CACHE_EXTENTS_MAX - 1, false);
    WITH(depth, ASH_CACHE_EXTENTS_MAX, true);
    WITH(depth, ASH_CACHE_DEPTH_MAX, true);
    WITH(depth, ASH_CACHE_DEPTH_MAX + 1, false);
    WITH(segments_max, 1, true);
    WITH(segments_max, ASH_CACHE_SEGMENTS_MAX, true);
    WITH(segments_max, ASH_CACHE_SEGMENTS_MAX + 1, false);
    WITH(dirty_max, 16, true);
    WITH(dirty_max, 17, false);
    WITH(window_max, ASH_CACHE_WINDOW_MAX, true);
    WITH(window_max, ASH_CACHE_WINDOW_MAX + 1, false);
    WITH(retries_max, 255, true);
    WITH(retries_max, 256, false);
    WITH(policy, "mru", false);
    WITH(policy, "", false);
    WITH(policy, "lr", false);
    WITH(policy, "lru2", false);
    WITH(policy, NULL, true);
    WITH(backend.submit, NULL, false);
    WITH(backend.kick, NULL, true);
}

TEST_CASE(cache_config, policies_are_known_by_name_and_number) {
    struct stand *stand = stand_new(1);
    static const char *const names[] = {"2q-clock", "clock",   "lru",
                                        "sieve",    "s3-fifo", "2q-clock-pro"};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(names); i++) {
        CHECK_STR_EQ(ash_cache_policy_name(i), names[i]);
        WITH(policy, names[i], true);
    }
    CHECK(ash_cache_policy_name(ASH_ARRAY_LEN(names)) == NULL);
    CHECK(ash_cache_policy_name(UINT32_MAX) == NULL);
}

TEST_CASE(cache_config, storage_too_small_or_misaligned_is_refused) {
    struct stand *stand = stand_new(16);
    struct ash_cache_config config = plain(stand);
    static struct ash_cache cache;
    size_t bytes = ash_cache_storage_size(&config);
    char *storage = test_alloc(bytes + 64, 64), *data = test_alloc(17 * 512, 512);
    CHECK_EQ(ash_cache_init(&cache, &config, storage, bytes - 1, data), -ASH_ENOMEM);
    CHECK_EQ(ash_cache_init(&cache, &config, storage, 0, data), -ASH_ENOMEM);
    CHECK_EQ(ash_cache_init(&cache, &config, storage + 8, bytes, data), -ASH_EINVAL);
    CHECK_EQ(ash_cache_init(&cache, &config, storage, bytes, data + 64), -ASH_EINVAL);
    CHECK_EQ(ash_cache_init(&cache, &config, NULL, bytes, data), -ASH_EINVAL);
    CHECK_EQ(ash_cache_init(&cache, &config, storage, bytes, NULL), -ASH_EINVAL);
    CHECK_EQ(ash_cache_init(&cache, &config, storage, bytes, data), 0);
}

TEST_CASE(cache_config, default_bound_of_dirty_blocks_is_a_quarter_and_at_least_one) {
    for (uint32_t blocks = 1; blocks < 20; blocks++) {
        struct stand *stand = stand_new(blocks);
        stand_start(stand, 256);
        CHECK_EQ(stand->cache.config.dirty_max, blocks < 4 ? 1 : blocks / 4);
    }
}

TEST_CASE(cache_config, metadata_is_at_most_88_bytes_a_block) {
    struct stand *stand = stand_new(1);
    struct ash_cache_config small = plain(stand), large = plain(stand);
    small.blocks = 1 << 16;
    large.blocks = 1 << 17;
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        small.policy = large.policy = ash_cache_policy_name(p);
        size_t more = ash_cache_storage_size(&large) - ash_cache_storage_size(&small);
        CHECK(more <= (size_t)88 << 16);
    }
}

/* Blocks in all states. */
static void mix(struct stand *stand, struct stand_waiter *coming, struct stand_flush *flush) {
    for (uint64_t i = 0; i < 40; i++)
        stand_read(stand, 0, i * i % 23);
    stand_write(stand, 0, 30, 1);
    ash_cache_flush(&stand->cache, NULL, stand_flush(flush));
    stand_write(stand, 0, 31, 1);
    CHECK_EQ(stand_ask(stand, 0, 32, 0, coming), ASH_CACHE_PENDING);
    (void)ash_cache_prefetch(&stand->cache, &stand->spaces[0], 33, 3);
}

TEST_CASE(cache_policy, may_be_changed_from_any_to_any) {
    for (uint32_t from = 0; ash_cache_policy_name(from) != NULL; from++) {
        for (uint32_t to = 0; ash_cache_policy_name(to) != NULL; to++) {
            struct stand *stand = stand_new(20);
            stand->config.policy = "2q-clock"; /* has room for all ghosts */
            stand_start(stand, 256);
            struct stand_waiter coming;
            struct stand_flush flush;
            CHECK_EQ(ash_cache_set_policy(&stand->cache, ash_cache_policy_name(from)), 0);
            stand_check(stand);
            mix(stand, &coming, &flush);
            uint32_t pinned = stand_get(stand, 0, 40, 0);
            CHECK_EQ(ash_cache_set_policy(&stand->cache, ash_cache_policy_name(to)), 0);
            stand_check(stand);
            backend_drain(&stand->backend);
            for (uint64_t i = 0; i < 100; i++) {
                stand_read(stand, 0, i * i % 53);
                stand_check(stand);
            }
            CHECK_EQ(coming.told, 1);
            stand_put(stand, coming.waiter.frame);
            stand_put(stand, pinned);
            stand_end(stand);
        }
    }
}

TEST_CASE(cache_policy, unknown_one_or_one_without_room_for_ghosts_is_refused) {
    struct stand *stand = stand_new(20);
    stand->config.policy = "clock";
    stand_start(stand, 256);
    CHECK_EQ(ash_cache_set_policy(&stand->cache, "fifo"), -ASH_EINVAL);
    CHECK_EQ(ash_cache_set_policy(&stand->cache, "2q-clock"), -ASH_ENOMEM);
    CHECK_EQ(ash_cache_set_policy(&stand->cache, "s3-fifo"), -ASH_ENOMEM);
    CHECK_EQ(ash_cache_set_policy(&stand->cache, "sieve"), 0);
    stand_end(stand);
    stand->config.policy = "s3-fifo";
    stand_start(stand, 256);
    CHECK_EQ(ash_cache_set_policy(&stand->cache, "2q-clock"), -ASH_ENOMEM);
    CHECK_EQ(ash_cache_set_policy(&stand->cache, "s3-fifo"), 0);
    stand_end(stand);
}

TEST_CASE(cache_stats, counts_add_up) {
    struct stand *stand = stand_new(20);
    stand->config.window_max = 8;
    stand_start(stand, 256);
    struct test_random random = test_random_from(test_seed());
    uint64_t gets = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        uint64_t index =
            test_random_below(&random, 4) != 0 ? i % 200 : test_random_below(&random, 250);
        gets++;
        if (test_random_chance(&random, 20)) {
            stand_write(stand, 0, index, 1);
        } else {
            stand_read(stand, 0, index);
        }
        struct ash_cache_stats s = stand_stats(stand);
        CHECK_EQ(s.hits + s.misses, gets);
        CHECK_EQ(s.free + s.filling + s.clean + s.dirty + s.writing + s.failed, 20);
        CHECK_EQ(s.blocks, 20);
        CHECK_EQ(s.reads, stand->backend.reads);
        CHECK_EQ(s.writes, stand->backend.writes);
        CHECK(s.blocks_read >= s.reads && s.blocks_written >= s.writes);
        CHECK(s.prefetched >= s.prefetch_used + s.prefetch_wasted);
        CHECK(s.prefetched - s.prefetch_used - s.prefetch_wasted <= 20);
        CHECK_EQ(s.pinned, 0);
        if (i % 16 == 0)
            backend_drain(&stand->backend);
    }
    stand_end(stand);
}

struct seen {
    uint32_t count, pins, space;
    uint64_t index;
    const void *pinner;
};

static void see(void *context, uint32_t space, uint64_t index, uint32_t pins, const void *pinner) {
    struct seen *seen = context;
    seen->count++;
    seen->pins += pins;
    seen->space = space;
    seen->index = index;
    seen->pinner = pinner;
}

/* Two places that pin. */
__attribute__((noinline)) static void pin_here(struct stand *stand) {
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 0, 9, 0, &frame), 0);
}

__attribute__((noinline)) static void pin_there(struct stand *stand) {
    uint32_t frame;
    CHECK_EQ(ash_cache_get(&stand->cache, &stand->spaces[0], 9, 0, NULL, &frame), 0);
    stand->backend.kicks++; /* not a call in tail position */
}

__attribute__((noinline)) static void peek_here(struct stand *stand) {
    struct ash_cache_view view;
    CHECK(ash_cache_peek(&stand->cache, &stand->spaces[0], 9, &view) != NULL);
    CHECK(ash_cache_peek_valid(&view));
}

TEST_CASE(cache_stats, pins_are_shown_with_who_has_them) {
    struct stand *stand = stand_new(8);
    stand->config.trace_pins = true;
    stand_start(stand, 256);
    struct seen seen = {0};
    ash_cache_visit_pins(&stand->cache, see, &seen);
    CHECK_EQ(seen.count, 0);
    uint32_t frame = stand_get(stand, 0, 9, 0);
    for (uint32_t i = 0; i < 5; i++) {
        pin_here(stand);
        seen = (struct seen){0};
        ash_cache_visit_pins(&stand->cache, see, &seen);
        CHECK_EQ(seen.count, 1);
        CHECK_EQ(seen.pins, 2 + i * 2);
        CHECK_EQ(seen.index, 9);
        const void *here = seen.pinner;
        CHECK(here != NULL);
        pin_there(stand);
        ash_cache_visit_pins(&stand->cache, see, &seen);
        CHECK(seen.pinner != here); /* the last one, of hits too */
        const void *there = seen.pinner;
        peek_here(stand);
        ash_cache_visit_pins(&stand->cache, see, &seen);
        CHECK(seen.pinner == there); /* who peeks pins nothing */
    }
    for (uint32_t i = 0; i < 11; i++)
        stand_put(stand, frame);
    stand_end(stand);
}

TEST_CASE(cache_stats, pins_are_shown_without_places_where_none_are_kept) {
    struct stand *stand = stand_started(8);
    struct seen seen = {0};
    uint32_t frame = stand_get(stand, 0, 9, ASH_CACHE_WRITE);
    ash_cache_visit_pins(&stand->cache, see, &seen);
    CHECK_EQ(seen.count, 1);
    CHECK(seen.pinner == NULL);
    ash_cache_put_unchanged(&stand->cache, frame);
    stand_end(stand);
}
