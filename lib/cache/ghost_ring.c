/* SPDX-License-Identifier: MIT */
/*
 * ghost_ring.c: ghosts by number. Each block that is let go gets the next number; those of the last
 * `capacity` are known, whether they came back meanwhile or not. As a ghost's place in the ring is
 * its number, its age costs no memory, and none ever moves.
 */
#include "ghosts.h"

#define HOLE (NONE - 1) /* chain of a place whose ghost came back or was forgotten */

static uint32_t place_of(const struct ash_cache_ghosts *ghosts, uint32_t number) {
    uint32_t back = ghosts->pushed - number;
    return ghosts->head >= back ? ghosts->head - back : ghosts->head + ghosts->capacity - back;
}

static uint32_t number_of(const struct ash_cache_ghosts *ghosts, uint32_t place) {
    uint32_t back =
        ghosts->head > place ? ghosts->head - place : ghosts->head + ghosts->capacity - place;
    return ghosts->pushed - back;
}

/* Forgets the oldest number, of which there is one; true: its block never came back. */
bool ash__cache_ring_forget(struct ash_cache *cache) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    uint32_t place = place_of(ghosts, ghosts->first++);
    if (ghosts->chain[place] == HOLE)
        return false;
    *ash__cache_ghost_pointer(ghosts, place) = ghosts->chain[place];
    ghosts->chain[place] = HOLE;
    ghosts->length--;
    return true;
}

/* The next number is this block's, a key that is not there yet. At most capacity - 1 are known. */
void ash__cache_ring_push(struct ash_cache *cache, uint64_t key) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    uint32_t place = ghosts->head, *bucket = ash__cache_ghost_bucket(ghosts, key);
    ghosts->keys[place] = key;
    ghosts->chain[place] = *bucket;
    *bucket = place;
    ghosts->head = place + 1 == ghosts->capacity ? 0 : place + 1;
    ghosts->pushed++;
    ghosts->length++;
}

/* True, and forgotten: it was there, under *number. */
bool ash__cache_ring_take(struct ash_cache *cache, uint64_t key, uint32_t *number) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    if (ghosts->length == 0)
        return false;
    uint32_t *at = ash__cache_ghost_find(ghosts, key);
    if (*at == NONE)
        return false;
    uint32_t place = *at;
    *at = ghosts->chain[place];
    ghosts->chain[place] = HOLE;
    ghosts->length--;
    *number = number_of(ghosts, place);
    return true;
}
