/* SPDX-License-Identifier: MIT */
/*
 * The block cache against a model that knows one thing of each block: the version that was put
 * last. Spaces with and without a map, pins, writers, copies, flushes, orders, discards, reading
 * ahead and policies on the fly, while the disk answers in any order, fails, and has no room. After
 * each step the cache's own audit holds and whoever has a block pinned sees its last version; a
 * flush that said 0 left all that it covers on the medium; in the end nothing is lost and nobody
 * still waits.
 */
#include "cache/stand.h"
#include "choices.h"

enum { SPACES = 3, BLOCKS = 20, PINS = 10, WAITERS = 12, FLUSHES = 4, SECTOR = 512, SECTORS = 2 };
enum { FILE_SECTOR = 64, THROUGH_SECTOR = 200, DISK_SECTORS = 320, BLOCK_MAX = 1024 };

struct block {
    uint32_t versions[SECTORS]; /* put last, of each sector (a torn one may have been found on the
                                 * disk); 0: zeros */
    uint32_t newest;            /* that there ever was */
    bool has_writer;
    uint32_t ordered; /* the version that must not reach the disk ... */
    uint32_t behind;  /* ... before this flush has succeeded; 0: none */
    bool broken;      /* which failed */
};

struct pin {
    uint32_t space, frame;
    uint64_t index;
    bool writes;
    uint32_t tag; /* what is put is behind this flush; 0: none */
    bool broken;  /* which failed */
};

struct asked {
    struct ash_cache_waiter waiter;
    struct world *world;
    uint32_t space;
    uint64_t index;
    uint32_t flags;
    bool waits, written; /* written: for a put_dirty to have reached the disk */
};

struct flushing {
    struct ash_cache_flush_request request;
    struct world *world;
    uint32_t space; /* SPACES: all */
    uint32_t versions[SPACES][BLOCKS][SECTORS];
    bool runs;
};

struct world {
    struct choices *choices;
    struct stand *stand;
    struct block blocks[SPACES][BLOCKS];
    struct pin pins[PINS];
    uint32_t pin_count;
    struct asked asked[WAITERS];
    struct flushing flushes[FLUSHES];
    bool calm; /* nothing goes wrong any more */
    uint8_t expected[BLOCK_MAX];
    struct ash_cache_view view;
    uint32_t view_space, view_version;
    uint64_t view_index;
    bool viewing;
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

/* Where blocks lie. Space 0: the raw disk's first ones; 1: a file in pieces, whose every 8th block
 * is a hole, with a last block that ends within a sector; 2: written through. */
static int map_file(void *context, uint64_t index, struct ash_cache_map *map) {
    struct world *world = context;
    uint32_t sectors = world->stand->config.block_bytes / SECTOR;
    map->extent_count = 0;
    map->valid_bytes = world->stand->config.block_bytes;
    if (!world->calm && pick(world, 50) == 49)
        return -ASH_ENXIO;
    if (index % 8 == 7)
        return 0;
    for (uint32_t i = 0; i < sectors; i++) /* backwards: no two are one piece */
        map->extents[map->extent_count++] = (struct ash_cache_extent){
            .sector = FILE_SECTOR + (BLOCKS * sectors - 1) - (index * sectors + i), .sectors = 1};
    if (index == BLOCKS - 1)
        map->valid_bytes -= SECTOR / 2 + 3;
    return 0;
}

static uint64_t disk_sector(const struct world *world, uint32_t space, uint64_t index, uint32_t i) {
    uint32_t sectors = world->stand->config.block_bytes / SECTOR;
    uint64_t at = index * sectors + i;
    return space == 0   ? at
           : space == 1 ? FILE_SECTOR + (BLOCKS * sectors - 1) - at
                        : THROUGH_SECTOR + at;
}

static int map_through(void *context, uint64_t index, struct ash_cache_map *map) {
    struct world *world = context;
    uint32_t sectors = world->stand->config.block_bytes / SECTOR;
    *map = (struct ash_cache_map){
        .extents = {{.sector = disk_sector(world, 2, index, 0), .sectors = sectors}},
        .extent_count = 1,
        .valid_bytes = world->stand->config.block_bytes};
    return 0;
}

static bool is_hole(uint32_t space, uint64_t index) {
    return space == 1 && index % 8 == 7;
}

static uint32_t valid_bytes(const struct world *world, uint32_t space, uint64_t index) {
    uint32_t bytes = world->stand->config.block_bytes;
    return space == 1 && index == BLOCKS - 1 ? bytes - SECTOR / 2 - 3 : bytes;
}

/* The first bytes of each sector are the version. */
static void fill(const struct world *world, uint8_t *bytes, uint32_t space, uint64_t index,
                 const uint32_t *versions) {
    uint32_t size = world->stand->config.block_bytes, valid = valid_bytes(world, space, index);
    for (uint32_t i = 0; i < size / SECTOR; i++) {
        uint8_t *sector = bytes + (size_t)i * SECTOR;
        memset(sector, versions[i] == 0 ? 0 : (int)(versions[i] * 31 + space * 7 + index), SECTOR);
        memcpy(sector, &versions[i], sizeof(versions[i]));
    }
    memset(bytes + valid, 0, size - valid);
}

static struct block *block_of(struct world *world, uint32_t space, uint64_t index) {
    return &world->blocks[space][index];
}

static void check_content(struct world *world, const void *bytes, uint32_t space, uint64_t index) {
    fill(world, world->expected, space, index, block_of(world, space, index)->versions);
    CHECK_MEM_EQ((const uint8_t *)bytes, world->expected, world->stand->config.block_bytes);
}

static uint32_t version_at(const struct world *world, const uint8_t *disk, uint32_t space,
                           uint64_t index, uint32_t sector) {
    uint32_t version;
    memcpy(&version, disk + disk_sector(world, space, index, sector) * SECTOR, sizeof(version));
    return version;
}

static uint32_t sectors_of(const struct world *world) {
    return world->stand->config.block_bytes / SECTOR;
}

static bool is_zero(const uint8_t *bytes, uint32_t len) {
    for (uint32_t i = 0; i < len; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static void add_pin(struct world *world, uint32_t space, uint64_t index, uint32_t flags,
                    uint32_t frame) {
    struct block *block = block_of(world, space, index);
    const void *bytes = ash_cache_data(&world->stand->cache, frame);
    bool writes = (flags & ASH_CACHE_WRITE) != 0;
    CHECK(!writes || !block->has_writer);
    block->has_writer |= writes;
    CHECK(world->pin_count < PINS);
    world->pins[world->pin_count++] = (struct pin){space, frame, index, writes, 0, false};
    if ((flags & ASH_CACHE_OVERWRITE) == 0 || !is_zero(bytes, world->stand->config.block_bytes))
        check_content(world, bytes, space, index);
}

static void woken(struct ash_cache_waiter *waiter) {
    struct asked *asked = ASH_LIST_ENTRY(waiter, struct asked, waiter);
    CHECK(asked->waits);
    asked->waits = false;
    CHECK(waiter->status <= 0);
    if (!asked->written && waiter->status == 0)
        add_pin(asked->world, asked->space, asked->index, asked->flags, waiter->frame);
}

static struct asked *free_waiter(struct world *world) {
    struct asked *free = NULL;
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < WAITERS; i++) {
        waiting += world->asked[i].waits && !world->asked[i].written;
        if (!world->asked[i].waits)
            free = &world->asked[i];
    }
    return waiting + world->pin_count < PINS ? free : NULL;
}

static void step_get(struct world *world) {
    static const uint32_t kinds[] = {0,
                                     0,
                                     ASH_CACHE_MORE,
                                     ASH_CACHE_CACHED,
                                     ASH_CACHE_WRITE,
                                     ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE,
                                     ASH_CACHE_WRITE | ASH_CACHE_COPY,
                                     ASH_CACHE_WRITE | ASH_CACHE_CACHED,
                                     ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE | ASH_CACHE_COPY};
    struct asked *asked = free_waiter(world);
    uint32_t space = pick(world, SPACES), flags = kinds[pick(world, ASH_ARRAY_LEN(kinds))], frame;
    uint64_t index = pick(world, BLOCKS);
    if (asked == NULL)
        return;
    if (is_hole(space, index))
        flags &= ASH_CACHE_MORE;
    bool waits = pick(world, 4) != 0;
    *asked = (struct asked){.waiter.wake = woken,
                            .world = world,
                            .space = space,
                            .index = index,
                            .flags = flags,
                            .waits = waits};
    struct stand *stand = world->stand;
    int result = ash_cache_get(&stand->cache, &stand->spaces[space], index, flags,
                               waits ? &asked->waiter : NULL, &frame);
    if (result == ASH_CACHE_PENDING) {
        CHECK(waits);
        return;
    }
    asked->waits = false;
    CHECK(result <= 0);
    CHECK(result != -ASH_ENOENT || (flags & ASH_CACHE_CACHED) != 0);
    if (result == 0)
        add_pin(world, space, index, flags, frame);
}

static void new_version(struct world *world, const struct pin *pin) {
    struct block *block = block_of(world, pin->space, pin->index);
    block->newest++;
    for (uint32_t i = 0; i < SECTORS; i++)
        block->versions[i] = block->newest;
    if (block->broken) /* what is new is not held up */
        block->behind = 0;
    block->broken = false;
    fill(world, ash_cache_data(&world->stand->cache, pin->frame), pin->space, pin->index,
         block->versions);
}

/* Some of the writers want what they write behind a flush that is on its way. */
static void order(struct world *world, struct pin *pin) {
    struct flushing *flush = &world->flushes[pick(world, FLUSHES)];
    if (!flush->runs)
        return;
    int result = ash_cache_order(&world->stand->cache, pin->frame, flush->request.number);
    CHECK(result == 0 || result == -ASH_EBUSY || result == -ASH_EIO);
    CHECK_EQ(result == -ASH_EIO, pin->broken);
    if (result == 0)
        pin->tag = flush->request.number;
}

static void step_order(struct world *world) {
    for (uint32_t i = 0; i < world->pin_count; i++) {
        if (world->pins[i].writes)
            order(world, &world->pins[i]);
    }
}

/* The new version is behind the flush that its writer named, if that has not succeeded yet. */
static void put_behind_flush(struct world *world, const struct pin *pin) {
    struct block *block = block_of(world, pin->space, pin->index);
    if (pin->tag == 0)
        return;
    if (block->behind == 0)
        block->ordered = block->newest;
    block->behind = pin->tag;
    block->broken = pin->broken;
}

static void end_writer(struct world *world, struct pin *pin) {
    struct stand *stand = world->stand;
    struct block *block = block_of(world, pin->space, pin->index);
    struct asked *asked = pick(world, 6) == 0 ? free_waiter(world) : NULL;
    block->has_writer = false;
    if (pick(world, 5) == 0) {
        ash_cache_put_unchanged(&stand->cache, pin->frame);
        return;
    }
    if (pick(world, 4) == 0)
        order(world, pin);
    new_version(world, pin);
    put_behind_flush(world, pin);
    if (asked != NULL)
        *asked =
            (struct asked){.waiter.wake = woken, .world = world, .waits = true, .written = true};
    int result =
        ash_cache_put_dirty(&stand->cache, pin->frame, asked != NULL ? &asked->waiter : NULL);
    CHECK_EQ(result, asked != NULL ? ASH_CACHE_PENDING : 0);
}

static void step_put(struct world *world) {
    if (world->pin_count == 0)
        return;
    uint32_t at = pick(world, world->pin_count);
    struct pin pin = world->pins[at];
    struct block *block = block_of(world, pin.space, pin.index);
    world->pins[at] = world->pins[--world->pin_count];
    struct ash_cache *cache = &world->stand->cache;
    uint32_t how = pick(world, 8);
    if (pin.writes) {
        end_writer(world, &pin);
        return;
    }
    check_content(world, ash_cache_data(cache, pin.frame), pin.space, pin.index);
    if (how == 0 && !block->has_writer && block->behind == 0 && !is_hole(pin.space, pin.index)) {
        new_version(world, &pin);
        ash_cache_mark_dirty(cache, pin.frame);
        world->viewing = false; /* a view says nothing of what a mapping does */
    }
    if (how == 1)
        ash_cache_put_behind(cache, pin.frame);
    else
        ash_cache_put(cache, pin.frame);
}

static void step_complete(struct world *world) {
    struct backend *backend = &world->stand->backend;
    if (backend->pending_count == 0)
        return;
    uint32_t which = pick(world, backend->pending_count);
    bool fails = !world->calm && pick(world, 10) == 9;
    backend_complete(backend, which, fails ? (pick(world, 2) == 0 ? -ASH_EIO : 5) : 0);
}

/* What it covers is on the medium, or something newer is, or it was discarded since. */
static void flushed(struct ash_cache_flush_request *request) {
    struct flushing *flush = ASH_LIST_ENTRY(request, struct flushing, request);
    struct world *world = flush->world;
    const struct stand *stand = world->stand;
    CHECK(flush->runs);
    CHECK(request->status <= 0);
    flush->runs = false;
    for (uint32_t i = 0; i < world->pin_count; i++) {
        struct pin *pin = &world->pins[i];
        if (pin->tag != request->number || pin->broken)
            continue;
        pin->broken = request->status != 0;
        pin->tag = pin->broken ? pin->tag : 0;
    }
    for (uint32_t space = 0; space < SPACES; space++) {
        for (uint64_t index = 0; index < BLOCKS; index++) {
            struct block *block = block_of(world, space, index);
            if (block->behind == request->number && !block->broken) {
                block->broken = request->status != 0;
                block->behind = block->broken ? request->number : 0;
            }
            bool covered = flush->space == SPACES || flush->space == space;
            if (request->status != 0 || !covered || is_hole(space, index))
                continue;
            for (uint32_t i = 0; i < sectors_of(world); i++)
                CHECK(version_at(world, stand->backend.durable, space, index, i) >=
                      flush->versions[space][index][i]);
        }
    }
}

static void step_flush(struct world *world) {
    struct flushing *flush = &world->flushes[pick(world, FLUSHES)];
    uint32_t space = pick(world, SPACES + 1);
    struct stand *stand = world->stand;
    if (flush->runs)
        return;
    *flush =
        (struct flushing){.request.done = flushed, .world = world, .space = space, .runs = true};
    for (uint32_t s = 0; s < SPACES; s++) {
        for (uint32_t i = 0; i < BLOCKS; i++)
            memcpy(flush->versions[s][i], world->blocks[s][i].versions, sizeof(uint32_t) * SECTORS);
    }
    ash_cache_flush(&stand->cache, space == SPACES ? NULL : &stand->spaces[space], &flush->request);
}

/* A block that is not there any more is as the disk has it. */
static void step_discard(struct world *world) {
    struct stand *stand = world->stand;
    uint32_t space = pick(world, SPACES);
    uint64_t first = pick(world, BLOCKS), count = 1 + pick(world, 4);
    bool dirty = pick(world, 2) == 0;
    int result = ash_cache_discard(&stand->cache, &stand->spaces[space], first, count, dirty);
    CHECK(result == 0 || result == -ASH_EBUSY);
    for (uint64_t index = first; index < BLOCKS && index < first + count; index++) {
        struct block *block = block_of(world, space, index);
        uint32_t frame;
        if (is_hole(space, index)) /* may be back already */
            continue;
        if (stand_try(stand, space, index, ASH_CACHE_CACHED, &frame) == 0) {
            CHECK_EQ(result, -ASH_EBUSY);
            stand_put(stand, frame);
            continue;
        }
        for (uint32_t i = 0; i < sectors_of(world); i++) {
            uint32_t there = version_at(world, stand->backend.bytes, space, index, i);
            CHECK(dirty || there == block->versions[i]);
            block->versions[i] = there;
        }
        block->behind = 0;
        block->broken = false;
        for (uint32_t i = 0; i < FLUSHES; i++)
            memset(world->flushes[i].versions[space][index], 0, sizeof(uint32_t) * SECTORS);
    }
}

/* What was read without a pin is the block's if the cache says so, even much later. */
static void step_peek(struct world *world) {
    struct stand *stand = world->stand;
    if (world->viewing && ash_cache_peek_valid(&world->view))
        CHECK_EQ(world->view_version,
                 block_of(world, world->view_space, world->view_index)->versions[0]);
    world->viewing = false;
    uint32_t space = pick(world, SPACES);
    uint64_t index = pick(world, BLOCKS);
    const void *bytes = ash_cache_peek(&stand->cache, &stand->spaces[space], index, &world->view);
    /* What is read ahead for this one may take its frame. */
    if (bytes == NULL || !ash_cache_peek_valid(&world->view))
        return;
    check_content(world, bytes, space, index);
    world->viewing = true;
    world->view_space = space;
    world->view_index = index;
    world->view_version = block_of(world, space, index)->versions[0];
}

/* A space may be closed where nothing of it is in use, and comes back at once. */
static void step_close(struct world *world) {
    struct stand *stand = world->stand;
    uint32_t space = pick(world, SPACES);
    if (ash_cache_space_close(&stand->cache, &stand->spaces[space]) == 0)
        CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[space]), 0);
}

static void step_backend(struct world *world) {
    struct backend *backend = &world->stand->backend;
    uint32_t how = pick(world, 4);
    if (how == 0)
        backend->room = pick(world, 6);
    else if (how == 1)
        backend->eagain_at = backend->submits + 1 + pick(world, 3);
    else if (how == 2)
        backend->refuse_at = backend->submits + 1 + pick(world, 3);
    else
        ash_cache_pump(&world->stand->cache);
}

static void step_rare(struct world *world) {
    struct stand *stand = world->stand;
    switch (pick(world, 6)) {
    case 0: {
        const char *name = ash_cache_policy_name(pick(world, 6));
        if (name != NULL) {
            int result = ash_cache_set_policy(&stand->cache, name);
            CHECK(result == 0 || result == -ASH_ENOMEM);
        }
        break;
    }
    case 1:
        step_close(world);
        break;
    case 2:
        step_discard(world);
        break;
    case 3:
        (void)ash_cache_prefetch(&stand->cache, &stand->spaces[pick(world, SPACES)],
                                 pick(world, BLOCKS), pick(world, 6));
        break;
    case 4:
        step_order(world);
        break;
    default:
        step_backend(world);
    }
}

/* What must hold whenever nothing of the cache runs. */
static void check_world(struct world *world) {
    stand_check(world->stand);
    CHECK_EQ(world->stand->backend.overlaps, 0);
    for (uint32_t i = 0; i < world->pin_count; i++) {
        const struct pin *pin = &world->pins[i];
        if (!block_of(world, pin->space, pin->index)->has_writer)
            check_content(world, ash_cache_data(&world->stand->cache, pin->frame), pin->space,
                          pin->index);
    }
    for (uint32_t s = 0; s < SPACES; s++) {
        for (uint32_t i = 0; i < BLOCKS; i++) {
            const struct block *block = &world->blocks[s][i];
            for (uint32_t k = 0; block->behind != 0 && k < sectors_of(world); k++)
                CHECK(version_at(world, world->stand->backend.bytes, s, i, k) < block->ordered);
        }
    }
}

static void make_world(struct world *world) {
    struct stand *stand = world->stand;
    struct ash_cache_config *config = &stand->config;
    *config = (struct ash_cache_config){.blocks = 1 + pick(world, 14), .spaces_max = STAND_SPACES};
    config->block_bytes = pick(world, 3) == 0 ? BLOCK_MAX : BLOCK_MAX / 2;
    config->policy = ash_cache_policy_name(pick(world, 6));
    config->depth = ASH_CACHE_EXTENTS_MAX + pick(world, 8);
    config->segments_max = 1 + pick(world, 4);
    config->dirty_max = pick(world, config->blocks + 1);
    config->window_max = pick(world, 3) == 0 ? 1 + pick(world, 16) : 0;
    config->retries_max = pick(world, 3);
    config->shared = pick(world, 2) != 0;
    config->strict = pick(world, 4) == 0;
    config->lazy = pick(world, 3) == 0;
    config->trace_pins = pick(world, 4) == 0;
    stand_start(stand, (uint64_t)DISK_SECTORS * SECTOR / config->block_bytes);
    backend_keep_durable(&stand->backend, 64);
    if (pick(world, 4) == 0) { /* numbers that are about to begin anew */
        stand->cache.epoch = UINT32_MAX - pick(world, 4);
        stand->cache.stamp = ASH__CACHE_STAMP_MAX - pick(world, 16);
        stand->cache.now = ASH__CACHE_DATE_MAX - pick(world, 64);
    }
    CHECK_EQ(ash_cache_space_close(&stand->cache, &stand->spaces[0]), 0);
    stand->spaces[0] = (struct ash_cache_space){.id = 0, .blocks = BLOCKS};
    stand->spaces[1] =
        (struct ash_cache_space){.id = 1, .map = map_file, .context = world, .blocks = BLOCKS};
    stand->spaces[2] = (struct ash_cache_space){
        .id = 2, .map = map_through, .context = world, .blocks = BLOCKS, .write_through = true};
    for (uint32_t i = 0; i < SPACES; i++)
        CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[i]), 0);
}

static bool somebody_waits(const struct world *world) {
    for (uint32_t i = 0; i < WAITERS; i++) {
        if (world->asked[i].waits)
            return true;
    }
    for (uint32_t i = 0; i < FLUSHES; i++) {
        if (world->flushes[i].runs)
            return true;
    }
    return false;
}

/* In good weather all that was begun comes to its end. */
static void settle(struct world *world) {
    enum { ENDLESS = 2000 };
    struct backend *backend = &world->stand->backend;
    backend->room = 0;
    backend->eagain_at = backend->refuse_at = 0;
    for (uint32_t i = 0;
         world->pin_count != 0 || somebody_waits(world) || backend->pending_count != 0; i++) {
        CHECK(i < ENDLESS);
        ash_cache_pump(&world->stand->cache);
        step_put(world);
        if (backend->pending_count != 0)
            backend_complete(backend, 0, 0);
        if (i % 64 == 0)
            check_world(world);
    }
}

/* -ASH_EIO: it is clean, and those that cannot be written are as many as may be dirty. */
static void put_anew(struct world *world, uint32_t space, uint64_t index) {
    struct stand_waiter waiter;
    int result = stand_ask(world->stand, space, index, ASH_CACHE_WRITE, &waiter);
    while (waiter.told == 0 && result == ASH_CACHE_PENDING)
        backend_complete(&world->stand->backend, 0, 0);
    if (result == -ASH_EIO || waiter.waiter.status == -ASH_EIO)
        return;
    struct pin pin = {space, waiter.waiter.frame, index, true, 0, false};
    new_version(world, &pin);
    CHECK_EQ(ash_cache_put_dirty(&world->stand->cache, pin.frame, NULL), 0);
}

static void end_world(struct world *world) {
    struct stand *stand = world->stand;
    world->calm = true;
    settle(world);
    for (uint32_t s = 0; s < SPACES; s++) { /* those whose order was broken are put anew */
        for (uint32_t i = 0; i < BLOCKS; i++) {
            if (world->blocks[s][i].behind != 0)
                put_anew(world, s, i);
        }
    }
    stand_end(stand);
    for (uint32_t s = 0; s < SPACES; s++) {
        for (uint32_t i = 0; i < BLOCKS; i++) {
            for (uint32_t k = 0; k < sectors_of(world) && !is_hole(s, i); k++)
                CHECK_EQ(version_at(world, stand->backend.durable, s, i, k),
                         world->blocks[s][i].versions[k]);
        }
    }
}

void fuzz_cache(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 64);
    world->choices = choices;
    world->stand = stand_new(1);
    make_world(world);
    while (choices_go_on(choices)) {
        uint32_t what = pick(world, 16);
        if (what < 5)
            step_get(world);
        else if (what < 9)
            step_put(world);
        else if (what < 12)
            step_complete(world);
        else if (what < 13)
            step_flush(world);
        else if (what < 14)
            step_peek(world);
        else
            step_rare(world);
        check_world(world);
    }
    end_world(world);
}

TEST_CASE(cache_fuzz, random_calls_over_a_bad_disk_match_the_last_version_of_each_block) {
    enum { WORLDS = 60, STEPS = 300 };
    for (uint32_t i = 0; i < WORLDS; i++) {
        struct choices choices = choices_of_seed(test_seed() * 1000 + i, STEPS);
        fuzz_cache(&choices);
    }
}
