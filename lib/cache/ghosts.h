/* SPDX-License-Identifier: MIT */
/* ghosts.h: the hash of chains over ghosts, of both kinds; inline, as a miss goes down three. */
#ifndef ASHLAR_CACHE_GHOSTS_H
#define ASHLAR_CACHE_GHOSTS_H

#include "cache_internal.h"

static inline uint32_t *ash__cache_ghost_bucket(struct ash_cache_ghosts *ghosts, uint64_t key) {
    uint64_t hash = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    return &ghosts->buckets[hash * ghosts->room >> 32];
}

/* What points to the entry of a key, or to the end of the chain that it is not in. */
static inline uint32_t *ash__cache_ghost_find(struct ash_cache_ghosts *ghosts, uint64_t key) {
    uint32_t *at = ash__cache_ghost_bucket(ghosts, key);
    while (*at != NONE && ghosts->keys[*at] != key)
        at = &ghosts->chain[*at];
    return at;
}

/* What points to entry `e`, in the chain of its key. */
static inline uint32_t *ash__cache_ghost_pointer(struct ash_cache_ghosts *ghosts, uint32_t e) {
    uint32_t *at = ash__cache_ghost_bucket(ghosts, ghosts->keys[e]);
    while (*at != e)
        at = &ghosts->chain[*at];
    return at;
}

#endif
