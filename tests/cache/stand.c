/* SPDX-License-Identifier: MIT */
#include "cache/stand.h"

#include <ashlar/check.h>

struct stand *stand_new(uint32_t blocks) {
    struct stand *stand = test_alloc(sizeof(*stand), 64);
    stand->config = (struct ash_cache_config){
        .blocks = blocks, .block_bytes = ASH_CACHE_SECTOR_BYTES, .spaces_max = STAND_SPACES};
    return stand;
}

/* Memory of a former start is used again where it is enough. */
static void *room(void **memory, size_t *have, size_t bytes, size_t align) {
    if (*memory == NULL || *have < bytes) {
        *memory = test_alloc(bytes, align);
        *have = bytes;
    }
    return *memory;
}

void stand_start(struct stand *stand, uint64_t disk_blocks) {
    uint64_t sectors = disk_blocks * stand->config.block_bytes / ASH_CACHE_SECTOR_BYTES;
    backend_init(&stand->backend, &stand->cache, sectors);
    memset(stand->backend.bytes, 0, sectors * ASH_CACHE_SECTOR_BYTES);
    stand->config.backend = backend_callbacks(&stand->backend);
    size_t bytes = ash_cache_storage_size(&stand->config);
    CHECK(bytes != 0);
    void *storage = room(&stand->storage, &stand->storage_bytes, bytes, ASH_PORT_CACHE_LINE);
    size_t data_bytes = (size_t)stand->config.blocks * stand->config.block_bytes;
    void *data = room(&stand->data, &stand->data_bytes, data_bytes, stand->config.block_bytes);
    memset(storage, 0xa5, bytes); /* init may not count on zeroes */
    memset(data, 0xa5, data_bytes);
    CHECK_EQ(ash_cache_init(&stand->cache, &stand->config, storage, bytes, data), 0);
    stand->spaces[0] = (struct ash_cache_space){.id = 0, .blocks = disk_blocks};
    CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[0]), 0);
}

struct stand *stand_started(uint32_t blocks) {
    struct stand *stand = stand_new(blocks);
    stand_start(stand, 256);
    return stand;
}

void stand_needs_checks(void) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
}

void stand_check(struct stand *stand) {
    const char *broken = ash_cache_check(&stand->cache);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
}

void stand_end(struct stand *stand) {
    CHECK_EQ(stand_sync(stand, NULL), 0);
    backend_drain(&stand->backend);
    stand_check(stand);
    CHECK_EQ(stand->backend.overlaps, 0);
    CHECK_EQ(ash_cache_fini(&stand->cache), 0);
}

static void woken(struct ash_cache_waiter *waiter) {
    ASH_LIST_ENTRY(waiter, struct stand_waiter, waiter)->told++;
}

struct ash_cache_waiter *stand_wait(struct stand_waiter *waiter) {
    *waiter = (struct stand_waiter){.waiter.wake = woken};
    return &waiter->waiter;
}

static void done(struct ash_cache_flush_request *flush) {
    ASH_LIST_ENTRY(flush, struct stand_flush, flush)->told++;
}

struct ash_cache_flush_request *stand_flush(struct stand_flush *flush) {
    *flush = (struct stand_flush){.flush.done = done};
    return &flush->flush;
}

int stand_try(struct stand *stand, uint32_t space, uint64_t index, uint32_t flags,
              uint32_t *frame) {
    return ash_cache_get(&stand->cache, &stand->spaces[space], index, flags, NULL, frame);
}

/* A hit is as if it had been told. */
int stand_ask(struct stand *stand, uint32_t space, uint64_t index, uint32_t flags,
              struct stand_waiter *waiter) {
    uint32_t frame;
    int result = ash_cache_get(&stand->cache, &stand->spaces[space], index, flags,
                               stand_wait(waiter), &frame);
    if (result == 0) {
        waiter->waiter.frame = frame;
        waiter->waiter.status = 0;
        waiter->told++;
    }
    return result;
}

uint32_t stand_get(struct stand *stand, uint32_t space, uint64_t index, uint32_t flags) {
    struct stand_waiter waiter;
    int result = stand_ask(stand, space, index, flags, &waiter);
    CHECK(result == 0 || result == ASH_CACHE_PENDING);
    while (waiter.told == 0) {
        CHECK(stand->backend.pending_count != 0);
        backend_complete(&stand->backend, 0, 0);
    }
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, 0);
    return waiter.waiter.frame;
}

void stand_put(struct stand *stand, uint32_t frame) {
    ash_cache_put(&stand->cache, frame);
}

void stand_read(struct stand *stand, uint32_t space, uint64_t index) {
    stand_put(stand, stand_get(stand, space, index, 0));
}

static uint64_t word_of(uint64_t key, uint64_t version, uint32_t i) {
    return version == 0 ? 0 : (key + 1) * UINT64_C(0x9e3779b97f4a7c15) + (version << 20) + i;
}

void stand_fill(struct stand *stand, void *bytes, uint64_t key, uint64_t version) {
    uint64_t *words = bytes;
    for (uint32_t i = 0; i < stand->config.block_bytes / 8; i++)
        words[i] = word_of(key, version, i);
}

bool stand_is(struct stand *stand, const void *bytes, uint64_t key, uint64_t version) {
    const uint64_t *words = bytes;
    for (uint32_t i = 0; i < stand->config.block_bytes / 8; i++) {
        if (words[i] != word_of(key, version, i))
            return false;
    }
    return true;
}

bool stand_frame_is(struct stand *stand, uint32_t frame, uint32_t space, uint64_t index,
                    uint64_t version) {
    return stand_is(stand, ash_cache_data(&stand->cache, frame), stand_key(space, index), version);
}

void stand_write(struct stand *stand, uint32_t space, uint64_t index, uint64_t version) {
    uint32_t frame = stand_get(stand, space, index, ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(space, index), version);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
}

void stand_expect(struct stand *stand, uint32_t space, uint64_t index, uint64_t version) {
    uint32_t frame = stand_get(stand, space, index, 0);
    CHECK(stand_frame_is(stand, frame, space, index, version));
    stand_put(stand, frame);
}

bool stand_disk_is(struct stand *stand, uint64_t block, uint32_t space, uint64_t index,
                   uint64_t version) {
    return stand_is(stand, stand->backend.bytes + block * stand->config.block_bytes,
                    stand_key(space, index), version);
}

void stand_begin_flush(struct stand *stand, struct ash_cache_space *space,
                       struct stand_flush *flush) {
    ash_cache_flush(&stand->cache, space, stand_flush(flush));
}

struct stand *stand_in_flight(uint32_t blocks, struct stand_flush *flush) {
    struct stand *stand = stand_started(blocks);
    stand_write(stand, 0, 5, 1);
    ash_cache_flush(&stand->cache, NULL, stand_flush(flush));
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
    return stand;
}

void stand_end_io(struct stand *stand, enum ash_cache_op op, int status) {
    uint32_t which, count = backend_count(&stand->backend, op, &which);
    CHECK(count == 1 || (count != 0 && op != ASH_CACHE_OP_FLUSH));
    backend_complete(&stand->backend, which, status);
}

int stand_sync(struct stand *stand, struct ash_cache_space *space) {
    struct stand_flush flush;
    stand_begin_flush(stand, space, &flush);
    while (flush.told == 0) {
        CHECK(stand->backend.pending_count != 0);
        backend_complete_all(&stand->backend);
    }
    CHECK_EQ(flush.told, 1);
    return flush.flush.status;
}

struct ash_cache_stats stand_stats(struct stand *stand) {
    struct ash_cache_stats stats;
    ash_cache_get_stats(&stand->cache, &stats);
    return stats;
}
