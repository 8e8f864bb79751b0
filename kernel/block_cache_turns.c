/* SPDX-License-Identifier: MIT */
/*
 * block_cache_turns.c: threads in the cache. One at a time has the mutex; who waits for a block
 * lets it go, so that others find theirs meanwhile.
 *
 *     leader      sleeps until an interrupt of a disk, takes what has completed for everybody
 *     followers   each sleeps until its own wait is over, or there is no leader
 *
 * So an interrupt wakes one thread, and a completion the one that wants it.
 *
 * Who forgets blocks, or writes past the cache, keeps the others out: he waits until those inside
 * have left and have given back what they took along, and nobody else begins. Where no threads run
 * there is nobody to be kept out.
 */
#include "block_cache_internal.h"
#include "thread.h"
#include "wait.h"

#include <ashlar/check.h>

enum { LOOKS_MAX = 256, PAUSE_MIN_NS = 1000, PAUSE_DOUBLINGS = 10 };

void block_cache_start_turns(struct block_cache *cache) {
    disk_group_init(&cache->group);
    wait_queue_init(&cache->turns.gate);
    ash_list_init(&cache->turns.followers);
}

void block_cache_lock(struct block_cache *cache) {
    mutex_lock(&cache->group.mutex);
}

void block_cache_unlock(struct block_cache *cache) {
    mutex_unlock(&cache->group.mutex);
}

/* Inside */

static bool is_open(void *context) {
    const struct block_cache_turns *turns = context;
    return ash_load_relaxed(&turns->keeper) == NULL;
}

static bool is_empty(void *context) {
    const struct block_cache_turns *turns = context;
    return ash_load_relaxed(&turns->users) == 0 && ash_load_relaxed(&turns->held) == 0;
}

/* Lets go of the mutex until it is true. */
static void wait_at_gate(struct block_cache *cache, bool (*condition)(void *context)) {
    while (!condition(&cache->turns)) {
        block_cache_unlock(cache);
        (void)!wait_queue_wait(&cache->turns.gate, condition, &cache->turns, UINT64_MAX);
        block_cache_lock(cache);
    }
}

static void wake_gate(struct block_cache *cache) {
    wait_queue_wake(&cache->turns.gate, WAIT_QUEUE_ALL);
}

void block_cache_enter(struct block_cache *cache) {
    struct block_cache_turns *turns = &cache->turns;
    block_cache_lock(cache);
    if (ASH_UNLIKELY(turns->keeper != NULL) && turns->keeper != thread_current() &&
        thread_current() != NULL)
        wait_at_gate(cache, is_open);
    ash_store_relaxed(&turns->users, turns->users + 1);
}

void block_cache_enter_again(struct block_cache *cache) {
    struct block_cache_turns *turns = &cache->turns;
    block_cache_lock(cache);
    ash_store_relaxed(&turns->users, turns->users + 1);
    ash_store_relaxed(&turns->held, turns->held - 1);
}

void block_cache_leave(struct block_cache *cache) {
    struct block_cache_turns *turns = &cache->turns;
    ash_store_relaxed(&turns->users, turns->users - 1);
    if (ASH_UNLIKELY(turns->keeper != NULL) && is_empty(turns))
        wake_gate(cache);
    block_cache_unlock(cache);
}

void block_cache_keep(struct block_cache *cache) {
    struct block_cache_turns *turns = &cache->turns;
    const struct thread *self = thread_current();
    if (self == NULL || !cache->is_on)
        return;
    block_cache_lock(cache);
    if (turns->keeper != self) {
        wait_at_gate(cache, is_open);
        ash_store_relaxed(&turns->keeper, self);
        wait_at_gate(cache, is_empty);
    }
    turns->kept++;
    block_cache_unlock(cache);
}

void block_cache_resume(struct block_cache *cache) {
    struct block_cache_turns *turns = &cache->turns;
    if (thread_current() == NULL || !cache->is_on)
        return;
    block_cache_lock(cache);
    if (--turns->kept == 0) {
        ash_store_relaxed(&turns->keeper, NULL);
        wake_gate(cache);
    }
    block_cache_unlock(cache);
}

/* Completions */

bool block_cache_take(struct block_cache *cache) {
    bool any = false;
    ash_store_relaxed(&cache->turns.taken, ash_load_acquire(&cache->group.interrupts));
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        struct cached_disk *disk = &cache->disks[i];
        any |= disk->disk->dead ? block_cache_abandon(cache, disk) : disk_async_take(disk->disk);
    }
    return any;
}

bool block_cache_is_busy(const struct block_cache *cache) {
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        if (disk_async_is_busy(cache->disks[i].disk))
            return true;
    }
    return false;
}

void block_cache_watch(struct block_cache *cache) {
    for (uint32_t i = 0; i < cache->disk_count; i++)
        disk_async_watch(cache->disks[i].disk);
}

bool block_cache_may_sleep(struct block_cache *cache) {
    bool sleeps = true;
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        struct disk *disk = cache->disks[i].disk;
        sleeps &= !disk_async_is_busy(disk) || disk_async_may_sleep(disk);
    }
    return sleeps;
}

/* Waiting */

void block_cache_wait_init(struct block_cache *cache, struct block_wait *wait) {
    wait->owner = cache;
    wait->is_over = 0;
    wait->looks = 0;
    wait->follows = false;
}

void block_cache_wait_begin(struct block_cache *cache, struct cached_disk *disk) {
    block_cache_forget_silence(cache, disk);
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        if (disk == NULL || disk == &cache->disks[i])
            disk_async_begin(cache->disks[i].disk);
    }
}

/* Of who has not begun to wait nobody has to know. */
void block_cache_wait_over(struct block_wait *wait) {
    struct block_cache *cache = wait->owner;
    ash_store_relaxed(&wait->is_over, 1u);
    if (wait == cache->turns.leader) {
        if (cache->turns.leader_sleeps)
            wait_queue_wake(&cache->group.waiting, WAIT_QUEUE_ALL);
    } else if (wait->follows) {
        wait_queue_wake(&wait->queue, WAIT_QUEUE_ALL);
    }
}

struct rest {
    struct block_cache *cache;
    const struct block_wait *wait;
    uint32_t interrupts; /* when the leader looked last */
};

static bool is_rested(void *context) {
    const struct rest *rest = context;
    return ash_load_acquire(&rest->cache->group.interrupts) != rest->interrupts ||
           ash_load_relaxed(&rest->wait->is_over) != 0;
}

/* The leader: until an interrupt, or its time. */
static void sleep_until(struct block_cache *cache, const struct block_wait *wait,
                        ash_ns_t deadline_ns) {
    struct rest rest = {cache, wait, cache->turns.taken};
    deadline_ns = ash_min_u64(deadline_ns, cache->turns.watch_ns);
    cache->turns.leader_sleeps = true;
    block_cache_unlock(cache);
    if (thread_current() == NULL)
        (void)!kernel_wait(is_rested, &rest, deadline_ns);
    else
        (void)!wait_queue_wait(&cache->group.waiting, is_rested, &rest, deadline_ns);
    block_cache_lock(cache);
    cache->turns.leader_sleeps = false;
    if (platform_now_ns() < cache->turns.watch_ns)
        return;
    block_cache_watch(cache);
    cache->turns.watch_ns = platform_now_ns() + DISK_WATCH_NS;
}

/* A policy that polls leaves the CPU to others now and then, for longer the longer nothing comes.
 */
static void poll_again(struct block_cache *cache, struct block_wait *wait) {
    if (++wait->looks % LOOKS_MAX != 0)
        return;
    uint64_t doublings = ash_min_u64(wait->looks / LOOKS_MAX - 1, PAUSE_DOUBLINGS);
    sleep_until(cache, wait, platform_now_ns() + ((uint64_t)PAUSE_MIN_NS << doublings));
}

/* With nothing on its way it is others who can end the wait, by what they bring back. */
static void wait_for_others(struct block_cache *cache, const struct block_wait *wait) {
    ash_cache_pump(&cache->cache);
    if (ash_load_relaxed(&wait->is_over) != 0 || block_cache_is_busy(cache) ||
        block_cache_take(cache))
        return;
    ASH_REQUIRE(cache->turns.users > 1 || cache->turns.held != 0,
                "block cache: a wait that nothing on its way can end");
    sleep_until(cache, wait, UINT64_MAX);
}

/* One step of the leader. */
static void lead(struct block_cache *cache, struct block_wait *wait) {
    if (block_cache_take(cache))
        wait->looks = 0;
    else if (!block_cache_is_busy(cache))
        wait_for_others(cache, wait);
    else if (block_cache_may_sleep(cache))
        sleep_until(cache, wait, UINT64_MAX);
    else
        poll_again(cache, wait);
}

static void begin_to_lead(struct block_cache *cache, struct block_wait *wait) {
    ash_store_relaxed(&cache->turns.leader, wait);
    cache->turns.watch_ns = platform_now_ns() + DISK_WATCH_NS;
}

/* To the one who waits the longest. */
static void end_to_lead(struct block_cache *cache) {
    ash_store_relaxed(&cache->turns.leader, NULL);
    struct ash_list *first = ash_list_first(&cache->turns.followers);
    if (first != NULL)
        wait_queue_wake(&ASH_LIST_ENTRY(first, struct block_wait, follower)->queue, WAIT_QUEUE_ALL);
}

static bool follows_no_more(void *context) {
    const struct block_wait *wait = context;
    return ash_load_relaxed(&wait->is_over) != 0 ||
           ash_load_relaxed(&wait->owner->turns.leader) == NULL;
}

/* A request that came behind the leader's last look wants one, too, and an interrupt of its own; or
 * the policy polls, and so does the leader. */
static bool has_completions(struct block_cache *cache) {
    for (uint32_t looks = 0; looks < LOOKS_MAX; looks++) {
        if (block_cache_take(cache))
            return true;
        if (block_cache_may_sleep(cache))
            return false;
    }
    return false;
}

static void follow(struct block_cache *cache, struct block_wait *wait) {
    if (has_completions(cache))
        return;
    wait_queue_init(&wait->queue);
    wait->follows = true;
    ash_list_push_back(&cache->turns.followers, &wait->follower);
    block_cache_unlock(cache);
    (void)!wait_queue_wait(&wait->queue, follows_no_more, wait, UINT64_MAX);
    block_cache_lock(cache);
    ash_list_remove(&wait->follower);
    wait->follows = false;
}

void block_cache_wait(struct block_cache *cache, struct block_wait *wait) {
    while (wait->is_over == 0 && cache->turns.leader != NULL)
        follow(cache, wait);
    if (wait->is_over == 0) {
        begin_to_lead(cache, wait);
        while (wait->is_over == 0)
            lead(cache, wait);
        end_to_lead(cache);
    } else if (cache->turns.leader == NULL) {
        end_to_lead(cache);
    }
}

/* Takes what has completed, and starts what is to be started; false: nothing is on its way. */
static bool is_unsettled(struct block_cache *cache) {
    while (block_cache_take(cache)) {}
    if (!block_cache_is_busy(cache))
        ash_cache_pump(&cache->cache);
    return block_cache_is_busy(cache);
}

void block_cache_settle_locked(struct block_cache *cache) {
    struct block_wait wait;
    block_cache_wait_init(cache, &wait);
    block_cache_wait_begin(cache, NULL);
    while (cache->turns.users == 1 && is_unsettled(cache)) {
        begin_to_lead(cache, &wait);
        lead(cache, &wait);
        end_to_lead(cache);
    }
}

void block_cache_settle(struct block_cache *cache) {
    if (!cache->is_on)
        return;
    block_cache_enter(cache);
    block_cache_settle_locked(cache);
    block_cache_leave(cache);
}
