/* SPDX-License-Identifier: MIT */
/* check.c: ash_cache_check finds what it is there to find: state broken on purpose. */
#include "cache/stand.h"

#include <string.h>

/* Blocks 0 and 1 dirty, 1 being flushed, 2 pinned by a writer, 3 by a reader, 4 on its way; others
 * clean, and ghosts; one frame free. */
struct scene {
    struct stand *stand;
    struct ash_cache *cache;
    struct stand_flush flush;
    struct stand_waiter coming;
    uint32_t written, read, clean, free;
};

static void set_scene(struct scene *scene) {
    struct stand *stand = scene->stand = stand_started(16);
    scene->cache = &stand->cache;
    for (uint64_t i = 100; i < 140; i++)
        stand_read(stand, 0, i);
    stand_write(stand, 0, 1, 1);
    stand_begin_flush(stand, NULL, &scene->flush);
    stand_write(stand, 0, 0, 1);
    scene->written = stand_get(stand, 0, 2, ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE);
    scene->read = stand_get(stand, 0, 139, 0);
    scene->clean = stand_get(stand, 0, 138, 0);
    stand_put(stand, scene->clean);
    CHECK_EQ(stand_ask(stand, 0, 4, 0, &scene->coming), ASH_CACHE_PENDING);
    CHECK_EQ(ash_cache_discard(scene->cache, &stand->spaces[0], 137, 1, false), 0);
    scene->free = scene->cache->free_frames.last;
    CHECK(ash_cache_check(scene->cache) == NULL);
}

#define FINDS(invariant, what)                                 \
    do {                                                       \
        struct scene scene;                                    \
        set_scene(&scene);                                     \
        struct ash_cache *c = scene.cache;                     \
        what;                                                  \
        const char *broken = ash_cache_check(c);               \
        if (broken == NULL || strncmp(broken, invariant, 2))   \
            test_fail(__FILE__, __LINE__, "%s: %s", invariant, \
                      broken == NULL ? "nothing" : broken);    \
    } while (0)

static struct ash_cache_slot *slot_of(struct ash_cache *cache, uint32_t frame) {
    return &cache->table[cache->frames[frame].slot];
}

TEST_CASE(cache_check, table_that_does_not_know_its_frames_is_found) {
    FINDS("I1", slot_of(c, scene.clean)->key ^= 1);
    FINDS("I1", slot_of(c, scene.clean)->frame = scene.read);
    FINDS("I1", slot_of(c, scene.clean)->frame = c->config.blocks);
    FINDS("I1", slot_of(c, scene.clean)->stamp = 0);
    FINDS("I1", slot_of(c, scene.written)->stamp = 1);
    FINDS("I1", {
        slot_of(c, scene.clean)->stamp |= ASH__CACHE_QUIET;
        c->hot[scene.clean].touched = 0;
    });
}

TEST_CASE(cache_check, frame_that_is_lost_or_has_two_homes_is_found) {
    FINDS("I2", c->free_frames.length--);
    FINDS("I2", c->hot[scene.free].hold = 0);
    FINDS("I2", c->hot[scene.clean].hold |= ASH__CACHE_ABSENT);
    FINDS("I2", c->lost++);
    FINDS("I2", c->queues[0].length++);
    FINDS("I2", c->links[0][scene.clean].prev = scene.clean);
    FINDS("I2", c->hot[scene.written].hold--);
}

TEST_CASE(cache_check, wrong_counts_of_dirty_blocks_are_found) {
    FINDS("I3", c->dirty++);
    FINDS("I3", c->failed++);
    FINDS("I3", c->writing--);
    FINDS("I3", c->urgent++);
    FINDS("I3", c->reserved--);
    FINDS("I3", c->fresh++);
    FINDS("I3", c->tagged.length++);
    FINDS("I3", scene.stand->spaces[0].dirty.length--);
}

TEST_CASE(cache_check, flush_that_waits_for_too_few_or_too_many_is_found) {
    FINDS("I4", scene.flush.flush.remaining++);
    FINDS("I4", scene.flush.flush.remaining--);
}

TEST_CASE(cache_check, io_that_is_lost_is_found) {
    FINDS("I5", c->io_free_count--);
    FINDS("I5", {
        c->io_free = c->io_free->next;
        c->io_free_count--;
    });
    FINDS("I5", c->frames[scene.clean].parts = 1);
    FINDS("I5", c->frames[scene.stand->backend.pending[0]->segments[0].frame].parts++);
}

TEST_CASE(cache_check, ghosts_that_are_not_found_or_are_there_are_found) {
    FINDS("I6", c->ghosts.length++);
    FINDS("I6", c->ghosts.keys[c->ghosts.oldest] = 139);
    FINDS("I6", c->ghosts.chain[c->ghosts.oldest] = c->ghosts.oldest);
    FINDS("I6", c->ghosts.next[c->ghosts.oldest] = c->ghosts.oldest);
}

TEST_CASE(cache_check, put_of_what_was_got_for_writing_is_found) {
    FINDS("I2", stand_put(scene.stand, scene.written));
}
