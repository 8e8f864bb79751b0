/* SPDX-License-Identifier: MIT */
/* policies.c: which policies there are, and what several of them share. */
#include "search.h"

static const struct ash__cache_policy *const policies[] = {
    &ash__cache_2q_clock, &ash__cache_clock,   &ash__cache_lru,
    &ash__cache_sieve,    &ash__cache_s3_fifo, &ash__cache_2q_clock_pro,
};

const char *ash_cache_policy_name(uint32_t number) {
    return number < ASH_ARRAY_LEN(policies) ? policies[number]->name : NULL;
}

static bool equal(const char *a, const char *b) {
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

const struct ash__cache_policy *ash__cache_policy_find(const char *name) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(policies); i++) {
        if (name == NULL || equal(name, policies[i]->name))
            return policies[i];
    }
    return NULL;
}

/* Frames that hold a block enter the policy by their number, as if just loaded. */
void ash__cache_policy_start(struct ash_cache *cache, const struct ash__cache_policy *policy) {
    /* UINT32_MAX: each hit is a call, which notes the caller. */
    uint32_t touch_cap = cache->pinners != NULL ? UINT32_MAX : policy->touch_cap;
    ash_store_relaxed(&cache->policy, policy);
    ash_store_relaxed(&cache->touch_cap, touch_cap);
    bool dated = policy == &ash__cache_lru && !cache->shared && cache->pinners == NULL;
    ash_store_relaxed(&cache->hits_are_dated, dated);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cache->queues); i++)
        ash__cache_queue_init(&cache->queues[i]);
    ash__cache_ghosts_reset(cache, policy->ghosts(cache->config.blocks));
    policy->init(cache);
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        if (cache->frames[frame].slot == NONE)
            continue;
        ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)0);
        policy->insert(cache, frame, false);
        if (ash__cache_is_fresh(cache, frame)) /* whatever the policy made of it */
            ash__cache_set_fresh(cache, frame, true);
        ash__cache_listen(cache, frame);
    }
}

int ash_cache_set_policy(struct ash_cache *cache, const char *name) {
    const struct ash__cache_policy *policy = ash__cache_policy_find(name);
    if (policy == NULL)
        return -ASH_EINVAL;
    if (policy->ghosts(cache->config.blocks) > cache->ghosts.room)
        return -ASH_ENOMEM;
    ash_irq_t irq = ash__cache_enter(cache);
    ash__cache_policy_start(cache, policy);
    ash__cache_leave(cache, irq);
    return 0;
}

uint32_t ash__cache_no_ghosts(uint32_t blocks) {
    (void)blocks;
    return 0;
}

/* Of two queues: who is evicted from the newcomers' leaves its number. */
void ash__cache_remove_newcomer(struct ash_cache *cache, uint32_t frame, bool evicted) {
    uint32_t queue = ash__cache_queue_of(cache, frame);
    if (evicted && queue == ASH__CACHE_NEWCOMERS)
        ash__cache_ghost_push(cache, ash__cache_frame_key(cache, frame));
    ash__cache_unlink(cache, &cache->queues[queue], POLICY, frame);
}

uint32_t ash__cache_newer(const struct ash_cache *cache, uint32_t frame) {
    return cache->links[POLICY][frame].prev;
}

static void requeue(struct ash_cache *cache, struct ash_cache_queue *queue, uint32_t frame) {
    ash__cache_unlink(cache, queue, POLICY, frame);
    ash__cache_push(cache, queue, POLICY, frame);
}

/* The oldest of a queue that may go. Those passed over are in use: as if they came in now, they are
 * not looked at again before all others were. */
uint32_t ash__cache_fifo_victim(struct ash_cache *cache, uint32_t queue, bool *stopped) {
    struct ash_cache_queue *fifo = &cache->queues[queue];
    for (uint32_t left = fifo->length; left != 0; left--) {
        uint32_t frame = fifo->last;
        enum ash__cache_claim claim = ash__cache_claim(cache, frame);
        *stopped = claim == STOP;
        if (claim != PASS)
            return claim == CLAIMED ? frame : NONE;
        requeue(cache, fifo, frame);
    }
    return NONE;
}

/* From all frames behind `frame`, `many` of them. */
static void take_of_others(struct ash_cache *cache, const struct ash__cache_walk *walk,
                           uint32_t frame, uint32_t many, uint32_t lives) {
    for (; many != 0; many--) {
        frame = walk->after(cache, frame);
        (void)ash__cache_take_lives(cache, frame, lives);
        cache->stats.scanned++;
    }
}

/* None may go. Those that are dirty are to be written now, whatever lives they have: else nobody
 * would, and there would be nothing to wait for. The hand stays where it is. */
uint32_t ash__cache_search_in_vain(struct ash_cache *cache, const struct ash__cache_walk *walk,
                                   uint32_t length, bool *stopped) {
    uint32_t frame = walk->at(cache);
    for (; length != 0; length--) {
        enum ash__cache_claim claim = ash__cache_claim(cache, frame);
        *stopped = claim == STOP;
        if (claim != PASS)
            return claim == CLAIMED ? frame : NONE;
        frame = walk->after(cache, frame);
    }
    return NONE;
}

/* The second round. Should the choice have been pinned meanwhile, any behind it will do. */
uint32_t ash__cache_search_again(struct ash_cache *cache, const struct ash__cache_walk *walk,
                                 uint32_t length, const struct ash__cache_choice *choice,
                                 bool *stopped) {
    bool due = false;
    for (uint32_t i = 1; i <= length; i++) {
        uint32_t frame = walk->at(cache);
        due |= frame == choice->frame;
        if (ash__cache_take_lives(cache, frame, choice->lives) == 0 || due) {
            enum ash__cache_claim claim = ash__cache_claim(cache, frame);
            *stopped = claim == STOP;
            if (claim != PASS && choice->lives != 0)
                take_of_others(cache, walk, frame, length - i, choice->lives);
            if (claim != PASS)
                return claim == CLAIMED ? frame : NONE;
        } else {
            (void)ash__cache_take_lives(cache, frame, 1);
            cache->stats.scanned++;
        }
        walk->pass(cache, frame);
    }
    return NONE;
}

/* The hand of a CLOCK in a queue is at its end: what it passes goes to the front. */
static uint32_t at_oldest(struct ash_cache *cache) {
    return cache->queues[ASH__CACHE_SETTLED].last;
}

static void pass_oldest(struct ash_cache *cache, uint32_t frame) {
    requeue(cache, &cache->queues[ASH__CACHE_SETTLED], frame);
}

/* The oldest of the second queue that may go and has the fewest lives; `newcomers` of them have
 * just come out of the first one, where they were looked at already. */
uint32_t ash__cache_clock_victim(struct ash_cache *cache, uint32_t newcomers, bool *stopped) {
    static const struct ash__cache_walk walk = {at_oldest, ash__cache_newer, pass_oldest};
    uint32_t length = cache->queues[ASH__CACHE_SETTLED].length;
    return ash__cache_search(cache, &walk, length, length - newcomers, stopped);
}
