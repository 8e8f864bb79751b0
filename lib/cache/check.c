/* SPDX-License-Identifier: MIT */
/* check.c: the invariants of DESIGN.md, by number. */
#include "cache_internal.h"

/* I1: the table and the frames name each other, and every search finds its block. */
static const char *check_table(const struct ash_cache *cache) {
    uint32_t named = 0, held = 0;
    for (uint32_t i = 0; i < 2 * cache->pair_count; i++) {
        const struct ash_cache_slot *slot = &cache->table[i];
        uint32_t frame = slot->frame;
        if (frame >= cache->config.blocks)
            return "I1: a slot names no frame";
        if (slot->key == ASH__CACHE_NO_KEY && slot->stamp != 0)
            return "I1: an empty slot is to be seen";
        if (ash__cache_is_quiet(slot->stamp) &&
            (cache->shared || ash__cache_same_stamp(slot->stamp, 0) ||
             cache->hot[frame].touched != cache->touch_cap))
            return "I1: a block is quiet whose hits are to be counted";
        if (slot->key == ASH__CACHE_NO_KEY)
            continue;
        named++;
        if (cache->frames[frame].slot != i || ash__cache_find(cache, slot->key) != frame)
            return "I1: a slot and its frame do not name each other";
        if ((slot->stamp == 0) != ash__cache_has(cache, frame, FILLING | EMPTY | WRITER))
            return "I1: a block is to be seen that is not whole, or the other way round";
    }
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++)
        held += cache->frames[frame].slot != NONE;
    return named == held ? NULL : "I1: a frame holds a block that the table does not know";
}

/* Length of a queue by walking it; UINT32_MAX if its links or its length are wrong. */
static uint32_t walk(const struct ash_cache *cache, const struct ash_cache_queue *queue, int link) {
    uint32_t before = NONE, length = 0;
    for (uint32_t frame = queue->first; frame != NONE;
         before = frame, frame = cache->links[link][frame].next) {
        if (frame >= cache->config.blocks || length == cache->config.blocks ||
            cache->links[link][frame].prev != before)
            return UINT32_MAX;
        length++;
    }
    return queue->last == before && queue->length == length ? length : UINT32_MAX;
}

/* I2: each frame is free, an orphan, lost, or in one queue of the policy. */
static const char *check_frames(const struct ash_cache *cache) {
    uint32_t free = walk(cache, &cache->free_frames, WORK), held = 0;
    uint32_t orphans = walk(cache, &cache->orphans, WORK);
    for (uint32_t frame = cache->free_frames.first; free != UINT32_MAX && frame != NONE;
         frame = cache->links[WORK][frame].next) {
        if (cache->frames[frame].slot != NONE || cache->frames[frame].flags != 0 ||
            (cache->hot[frame].hold & ABSENT) == 0)
            return "I2: a free frame is in use";
    }
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        held += cache->frames[frame].slot != NONE;
        bool absent = (cache->hot[frame].hold & ABSENT) != 0;
        bool orphan = ash__cache_has(cache, frame, ORPHAN);
        if (cache->frames[frame].slot != NONE &&
            absent != ash__cache_has(cache, frame, FILLING | EMPTY))
            return "I2: a block can be pinned before it is there, or cannot be when it is";
        if (orphan && cache->frames[frame].slot != NONE)
            return "I2: an orphan has a name";
        if (ash__cache_has(cache, frame, WRITER) && ash__cache_pins(cache, frame) == 0)
            return "I2: a writer has a block that nobody has pinned";
    }
    if (free == UINT32_MAX || orphans == UINT32_MAX ||
        free + orphans + held + cache->lost != cache->config.blocks)
        return "I2: a frame is lost";
    uint32_t queued = 0;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cache->queues); i++) {
        uint32_t length = walk(cache, &cache->queues[i], POLICY);
        if (length == UINT32_MAX)
            return "I2: a queue of the policy is broken";
        queued += length;
    }
    for (uint32_t frame = 0; cache->policy == &ash__cache_lru && frame < cache->config.blocks;
         frame++) {
        queued += cache->dates[frame] != 0;
        if (cache->dates[frame] > cache->now)
            return "I2: a block was asked for later than any";
    }
    if (cache->policy != &ash__cache_clock && queued != held)
        return "I2: a block is in no queue of the policy";
    return NULL;
}

/* I3: dirty blocks are on their space's list, and all counts are right. */
static const char *check_dirty(const struct ash_cache *cache) {
    uint32_t dirty = 0, failed = 0, urgent = 0, reserved = 0, fresh = 0, listed = 0, writing = 0,
             tagged = 0, failed_listed = 0;
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        uint16_t flags = cache->frames[frame].flags;
        dirty += (flags & DIRTY) != 0;
        failed += (flags & (FAILED | UNORDERED)) != 0;
        urgent += (flags & URGENT) != 0;
        writing += (flags & (DIRTY | WRITING)) == (DIRTY | WRITING);
        reserved += (flags & (WRITER | DIRTY)) == WRITER;
        fresh += cache->frames[frame].slot != NONE && ash__cache_is_fresh(cache, frame);
        if ((flags & (FAILED | UNORDERED | URGENT | ROUNDED | BEHIND)) != 0 && (flags & DIRTY) == 0)
            return "I3: a clean block is to be written";
        if ((flags & (FILLING | DIRTY)) == (FILLING | DIRTY))
            return "I3: a block is dirty before it is there";
        if ((flags & (TAGGED | WRITER)) == TAGGED)
            return "I3: a block has the tag of a writer who is gone";
        tagged += (flags & (TAGGED | DIRTY)) == TAGGED;
    }
    if (walk(cache, &cache->tagged, WORK) != tagged)
        return "I3: the list of tagged blocks is broken";
    for (uint32_t id = 0; id < cache->config.spaces_max; id++) {
        const struct ash_cache_space *space = cache->spaces[id];
        if (space == NULL)
            continue;
        uint32_t length = walk(cache, &space->dirty, WORK);
        uint32_t given_up = walk(cache, &space->failed, WORK);
        if (length == UINT32_MAX || given_up == UINT32_MAX ||
            (length + given_up != 0) != ash_list_is_linked(&space->link))
            return "I3: a list of dirty blocks is broken";
        listed += length + given_up;
        failed_listed += given_up;
    }
    if (dirty != cache->dirty || listed != dirty || failed != cache->failed ||
        failed_listed != failed || writing != cache->writing || urgent != cache->urgent ||
        reserved != cache->reserved || fresh != cache->fresh)
        return "I3: a count of dirty blocks is wrong";
    return NULL;
}

/* I4: a flush waits for exactly the dirty blocks that it covers. */
static const char *check_flushes(const struct ash_cache *cache) {
    for (struct ash_list *link = cache->flushes.next; link != &cache->flushes; link = link->next) {
        struct ash_cache_flush_request *flush =
            ASH_LIST_ENTRY(link, struct ash_cache_flush_request, link);
        uint32_t covered = 0;
        for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
            const struct ash_cache_frame *f = &cache->frames[frame];
            covered += (f->flags & DIRTY) != 0 && (int32_t)(f->epoch - flush->number) <= 0 &&
                       (flush->space == NULL || flush->space == ash__cache_space(cache, frame));
        }
        if (covered != flush->remaining)
            return "I4: a flush waits for a block that is clean, or not for one that is dirty";
    }
    return NULL;
}

/* Segments of the I/Os that are ready and of those that are the backend's; *ios: how many. */
static uint64_t segments_in_flight(const struct ash_cache *cache, uint32_t *ios) {
    uint64_t segments = 0;
    *ios = 0;
    for (const struct ash_list *link = cache->io_ready.next; link != &cache->io_ready;
         link = link->next, ++*ios)
        segments += ASH_LIST_ENTRY(link, struct ash_cache_io, link)->segment_count;
    for (uint32_t i = 0; i < cache->config.depth; i++) {
        const struct ash_cache_io *io = &cache->ios[i];
        *ios += io->submitted;
        segments += io->submitted ? io->segment_count : 0;
    }
    return segments;
}

/* I5: each I/O is free, ready or the backend's, and frames know how many they wait for. */
static const char *check_ios(const struct ash_cache *cache) {
    uint32_t free = 0, in_flight;
    uint64_t segments = segments_in_flight(cache, &in_flight), parts = 0;
    for (const struct ash_list *link = cache->io_free; link != NULL; link = link->next) {
        if (free++ == cache->config.depth)
            return "I5: the list of free I/Os is broken";
    }
    if (free != cache->io_free_count || free + in_flight != cache->config.depth)
        return "I5: an I/O is lost";
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        const struct ash_cache_frame *f = &cache->frames[frame];
        if (f->parts != 0 && (f->flags & (FILLING | WRITING)) == 0)
            return "I5: an I/O is in flight for a block that is not";
        parts += f->parts;
    }
    return parts == segments ? NULL : "I5: a block has other parts than the I/Os carry";
}

static const char *check_ghost_row(const struct ash_cache *cache) {
    const struct ash_cache_ghosts *ghosts = &cache->ghosts;
    uint32_t length = 0;
    for (uint32_t e = ghosts->oldest; e != ghosts->blank; e = ghosts->next[e]) {
        if (e > ghosts->capacity || length++ == ghosts->capacity)
            return "I6: the row of ghosts is broken";
    }
    return length == ghosts->length ? NULL : "I6: a ghost is lost";
}

/* I6: ghosts are found by their key, in their order or within their window, and no block is its own
 * ghost. */
static const char *check_ghosts(const struct ash_cache *cache) {
    const struct ash_cache_ghosts *ghosts = &cache->ghosts;
    uint32_t length = 0;
    if (ghosts->capacity == 0)
        return NULL;
    for (uint32_t bucket = 0; bucket < ghosts->room; bucket++) {
        for (uint32_t e = ghosts->buckets[bucket]; e != NONE; e = ghosts->chain[e]) {
            if (e > ghosts->capacity || length++ == ghosts->capacity)
                return "I6: a chain of ghosts is broken";
            if (ash__cache_find(cache, ghosts->keys[e]) != NONE)
                return "I6: a block is its own ghost";
        }
    }
    if (length != ghosts->length)
        return "I6: a ghost is not found";
    if (ghosts->pushed - ghosts->first > ghosts->capacity)
        return "I6: more ghosts have numbers than there may be";
    return ghosts->pushed == ghosts->first && ghosts->head == 0 ? check_ghost_row(cache) : NULL;
}

const char *ash_cache_check(struct ash_cache *cache) {
    static const char *(*const checks[])(const struct ash_cache *cache) = {
        check_table, check_frames, check_dirty, check_flushes, check_ios, check_ghosts};
    for (size_t i = 0; i < ASH_ARRAY_LEN(checks); i++) {
        const char *broken = checks[i](cache);
        if (broken != NULL)
            return broken;
    }
    return NULL;
}
