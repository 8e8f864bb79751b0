/* SPDX-License-Identifier: MIT */
/*
 * search.h: the search of all policies that give touched blocks another chance, inline, as each
 * has its own hand. A block has as many lives as hits were counted; the hand takes one of each
 * block that it passes, and the first that may go and has none left goes.
 *
 * Were that all, the hand would go round once for each life. So the first round finds, as it takes
 * a life of each block, which one is going to be the first without; the second takes at once what
 * the rounds up to there would have taken. What may not go is passed over in both.
 */
#ifndef ASHLAR_CACHE_SEARCH_H
#define ASHLAR_CACHE_SEARCH_H

#include "cache_internal.h"

struct ash__cache_walk {
    uint32_t (*at)(struct ash_cache *cache); /* where the hand is */
    uint32_t (*after)(const struct ash_cache *cache, uint32_t frame);
    void (*pass)(struct ash_cache *cache, uint32_t frame); /* the hand goes on from it */
};

/* The first to have the fewest lives, of those that may go. */
struct ash__cache_choice {
    uint32_t frame, lives;
};

uint32_t ash__cache_search_in_vain(struct ash_cache *cache, const struct ash__cache_walk *walk,
                                   uint32_t length, bool *stopped);
uint32_t ash__cache_search_again(struct ash_cache *cache, const struct ash__cache_walk *walk,
                                 uint32_t length, const struct ash__cache_choice *choice,
                                 bool *stopped);

/* What is left of a block's lives. */
static inline uint32_t ash__cache_take_lives(struct ash_cache *cache, uint32_t frame,
                                             uint32_t many) {
    uint32_t lives = ash_load_relaxed(&cache->hot[frame].touched);
    uint32_t left = lives > many ? lives - many : 0;
    if (left != lives) {
        ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)left);
        ash__cache_listen(cache, frame);
    }
    return left;
}

/* Out of `length` frames; NONE: none may go, or *stopped says that the one which is to go has to be
 * waited for. Looks at length + again frames at most; again: how many the second round may want. */
static inline __attribute__((always_inline)) uint32_t ash__cache_search(
    struct ash_cache *cache, const struct ash__cache_walk *walk, uint32_t length, uint32_t again,
    bool *stopped) {
    struct ash__cache_choice choice = {.frame = NONE, .lives = UINT32_MAX};
    for (uint32_t i = 0; i < length; i++) {
        uint32_t frame = walk->at(cache);
        if (ash_load_relaxed(&cache->hot[frame].touched) == 0) {
            enum ash__cache_claim claim = ash__cache_claim(cache, frame);
            *stopped = claim == STOP;
            if (claim != PASS)
                return claim == CLAIMED ? frame : NONE;
        } else {
            uint32_t left = ash__cache_take_lives(cache, frame, 1);
            cache->stats.scanned++;
            if (left < choice.lives && ash__cache_may_go(cache, frame))
                choice = (struct ash__cache_choice){.frame = frame, .lives = left};
        }
        walk->pass(cache, frame);
    }
    if (choice.frame == NONE)
        return ash__cache_search_in_vain(cache, walk, again, stopped);
    return ash__cache_search_again(cache, walk, again, &choice, stopped);
}

#endif
