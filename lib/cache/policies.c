/* SPDX-License-Identifier: MIT */
/* policies.c: which policies there are, and what several of them share. */
#include "cache_internal.h"

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
    bool owned = policy->touch_owned != NULL && !cache->shared && cache->pinners == NULL;
    /* UINT32_MAX: each hit is a call, which notes the caller. */
    uint32_t touch_cap = cache->pinners != NULL ? UINT32_MAX : policy->touch_cap;
    ash_store_relaxed(&cache->policy, policy);
    ash_store_relaxed(&cache->touch_cap, touch_cap);
    ash_store_relaxed(&cache->touch, owned ? policy->touch_owned : ash__cache_touch);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cache->queues); i++)
        ash__cache_queue_init(&cache->queues[i]);
    ash__cache_ghosts_reset(cache, policy->ghosts(cache->config.blocks));
    policy->init(cache);
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        if (cache->frames[frame].slot == NONE)
            continue;
        uint8_t fresh = ash_load_relaxed(&cache->hot[frame].touched) & FRESH;
        ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)0);
        policy->insert(cache, frame, false);
        if (fresh != 0) /* whatever the policy made of it: not asked for yet */
            ash_store_relaxed(&cache->hot[frame].touched, fresh);
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

/* Was it touched? Then once less from now on. */
bool ash__cache_second_chance(struct ash_cache *cache, uint32_t frame) {
    uint8_t touched = ash_load_relaxed(&cache->hot[frame].touched);
    if ((touched & ~FRESH) == 0)
        return false;
    cache->stats.scanned++;
    ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)(touched - 1));
    return true;
}

uint32_t ash__cache_no_ghosts(uint32_t blocks) {
    (void)blocks;
    return 0;
}

/* Of two queues: who is evicted from the newcomers' leaves its number. */
void ash__cache_remove_newcomer(struct ash_cache *cache, uint32_t frame, bool evicted) {
    uint8_t queue = cache->hot[frame].queue;
    if (evicted && queue == ASH__CACHE_NEWCOMERS)
        ash__cache_ghost_push(cache, ash__cache_frame_key(cache, frame));
    ash__cache_unlink(cache, &cache->queues[queue], POLICY, frame);
}

/* The oldest of a queue that may go. */
uint32_t ash__cache_fifo_victim(struct ash_cache *cache, uint32_t queue, bool *stopped) {
    uint32_t frame = cache->queues[queue].last;
    while (frame != NONE) {
        enum ash__cache_claim claim = ash__cache_claim(cache, frame);
        *stopped = claim == STOP;
        if (claim != PASS)
            return claim == CLAIMED ? frame : NONE;
        frame = cache->links[POLICY][frame].prev;
    }
    return NONE;
}

/* The oldest that was not touched and may go; all before it become the newest. */
uint32_t ash__cache_clock_victim(struct ash_cache *cache, uint32_t queue, bool *stopped) {
    struct ash_cache_queue *clock = &cache->queues[queue];
    uint64_t limit = ((uint64_t)cache->policy->touch_cap + 1) * clock->length;
    for (uint64_t steps = 0; steps < limit; steps++) {
        uint32_t frame = clock->last;
        if (!ash__cache_second_chance(cache, frame)) {
            enum ash__cache_claim claim = ash__cache_claim(cache, frame);
            *stopped = claim == STOP;
            if (claim != PASS)
                return claim == CLAIMED ? frame : NONE;
        }
        ash__cache_unlink(cache, clock, POLICY, frame);
        ash__cache_push(cache, clock, POLICY, frame);
    }
    return NONE;
}
