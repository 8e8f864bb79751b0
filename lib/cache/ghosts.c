/* SPDX-License-Identifier: MIT */
/*
 * ghosts.c: the numbers of the last `capacity` blocks that a policy let go, so that it knows those
 * that come back. A FIFO, linked both ways because one that comes back leaves it from the middle,
 * and a hash of chains over it.
 */
#include "cache_internal.h"

static uint32_t *bucket_of(struct ash_cache_ghosts *ghosts, uint64_t key) {
    uint64_t hash = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    return &ghosts->entries[hash * ghosts->room >> 32].bucket;
}

void ash__cache_ghosts_reset(struct ash_cache *cache, uint32_t capacity) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    ghosts->capacity = capacity;
    ghosts->length = 0;
    ghosts->oldest = ghosts->newest = NONE;
    for (uint32_t i = 0; i < ghosts->room; i++)
        ghosts->entries[i].bucket = NONE;
    for (uint32_t i = 0; i < capacity; i++)
        ghosts->entries[i].chain = i + 1 == capacity ? NONE : i + 1;
    ghosts->unused = capacity == 0 ? NONE : 0;
}

/* Takes entry `e`, to which *at points in its chain, out of chain and FIFO. */
static void take(struct ash_cache_ghosts *ghosts, uint32_t *at, uint32_t e) {
    struct ash_cache_ghost *ghost = &ghosts->entries[e];
    *at = ghost->chain;
    if (ghost->prev == NONE)
        ghosts->newest = ghost->next;
    else
        ghosts->entries[ghost->prev].next = ghost->next;
    if (ghost->next == NONE)
        ghosts->oldest = ghost->prev;
    else
        ghosts->entries[ghost->next].prev = ghost->prev;
    ghost->chain = ghosts->unused;
    ghosts->unused = e;
    ghosts->length--;
}

static bool take_key(struct ash_cache_ghosts *ghosts, uint64_t key) {
    uint32_t *at = bucket_of(ghosts, key);
    while (*at != NONE && ghosts->entries[*at].key != key)
        at = &ghosts->entries[*at].chain;
    if (*at == NONE)
        return false;
    take(ghosts, at, *at);
    return true;
}

/* True, and forgotten: it was there. */
bool ash__cache_ghost_take(struct ash_cache *cache, uint64_t key) {
    return cache->ghosts.length != 0 && take_key(&cache->ghosts, key);
}

/* A key that is not there yet. */
void ash__cache_ghost_push(struct ash_cache *cache, uint64_t key) {
    struct ash_cache_ghosts *ghosts = &cache->ghosts;
    if (ghosts->capacity == 0)
        return;
    if (ghosts->length == ghosts->capacity)
        (void)take_key(ghosts, ghosts->entries[ghosts->oldest].key);
    uint32_t e = ghosts->unused, *bucket = bucket_of(ghosts, key);
    struct ash_cache_ghost *ghost = &ghosts->entries[e];
    ghosts->unused = ghost->chain;
    ghost->key = key;
    ghost->next = ghosts->newest;
    ghost->prev = NONE;
    ghost->chain = *bucket;
    *bucket = e;
    if (ghosts->newest == NONE)
        ghosts->oldest = e;
    else
        ghosts->entries[ghosts->newest].prev = e;
    ghosts->newest = e;
    ghosts->length++;
}
