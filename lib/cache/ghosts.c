/* SPDX-License-Identifier: MIT */
/*
 * ghosts.c: the numbers of the last `capacity` blocks that a policy let go, so that it knows those
 * that come back. A FIFO with a hash of chains over it, 20 bytes a ghost.
 *
 *     oldest ─next─> ghost ─next─> ghost ─next─> blank        bucket ─chain─> ghost ─chain─> ghost
 *
 * One that comes back leaves the FIFO from its middle. There is no way back from it to the ghost
 * before, so its successor moves into its place and the successor's goes; the blank one at the end
 * is there so that each ghost has a successor.
 */
#include "ghosts.h"

static uint32_t new_entry(struct ash_cache_ghosts *ghosts) {
    uint32_t e = ghosts->unused;
    ghosts->unused = ghosts->next[e];
    return e;
}

static void free_entry(struct ash_cache_ghosts *ghosts, uint32_t e) {
    ghosts->next[e] = ghosts->unused;
    ghosts->unused = e;
}

/* Room for `capacity` ghosts, of none yet. */
void ash__cache_ghosts_reset(struct ash_cache *cache, uint32_t capacity) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    ghosts->capacity = capacity;
    ghosts->length = 0;
    ghosts->head = ghosts->pushed = ghosts->first = 0;
    if (capacity == 0)
        return;
    for (uint32_t i = 0; i < ghosts->room; i++)
        ghosts->buckets[i] = NONE;
    for (uint32_t i = 0; i <= capacity; i++)
        ghosts->next[i] = i + 1;
    ghosts->unused = 0;
    ghosts->oldest = ghosts->blank = new_entry(ghosts);
}

/* True, and forgotten: it was there. */
bool ash__cache_ghost_take(struct ash_cache *cache, uint64_t key) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    if (ghosts->length == 0)
        return false;
    uint32_t *at = ash__cache_ghost_find(ghosts, key);
    if (*at == NONE)
        return false;
    uint32_t e = *at, successor = ghosts->next[e];
    *at = ghosts->chain[e];
    if (successor == ghosts->blank) {
        ghosts->blank = e;
    } else {
        *ash__cache_ghost_pointer(ghosts, successor) = e;
        ghosts->keys[e] = ghosts->keys[successor];
        ghosts->chain[e] = ghosts->chain[successor];
        ghosts->next[e] = ghosts->next[successor];
    }
    free_entry(ghosts, successor);
    ghosts->length--;
    return true;
}

static void forget_oldest(struct ash_cache_ghosts *ghosts) {
    uint32_t e = ghosts->oldest;
    *ash__cache_ghost_pointer(ghosts, e) = ghosts->chain[e];
    ghosts->oldest = ghosts->next[e];
    free_entry(ghosts, e);
    ghosts->length--;
}

/* A key that is not there yet. */
void ash__cache_ghost_push(struct ash_cache *cache, uint64_t key) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    if (ghosts->capacity == 0)
        return;
    if (ghosts->length == ghosts->capacity)
        forget_oldest(ghosts);
    uint32_t e = ghosts->blank, *bucket = ash__cache_ghost_bucket(ghosts, key);
    ghosts->keys[e] = key;
    ghosts->chain[e] = *bucket;
    *bucket = e;
    ghosts->blank = ghosts->next[e] = new_entry(ghosts);
    ghosts->length++;
}
