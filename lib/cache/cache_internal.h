/* SPDX-License-Identifier: MIT */
/*
 * cache_internal.h: what the files of lib/cache share. All functions but enter and pump want the
 * lock held.
 *
 *   get.c      a block is asked for             table.c    key -> frame
 *   put.c      a writer is done with it         policies.c, search.h, lru.c ...   which one goes
 *   frames.c   a block's life in a frame        ghosts.c, ghost_ring.c   numbers of those that went
 *   fill.c     blocks to be read                ahead.c    reading ahead
 *   write.c    dirty blocks, rounds of writing  wait.c     who waits for what
 *   flush.c    what is safe                     place.c    where a block lies
 *   io.c       I/Os: joined, submitted, ended   pump.c     the one loop that starts and tells
 *   space.c    spaces, blocks dropped           init.c, stats.c, check.c
 */
#ifndef ASHLAR_CACHE_INTERNAL_H
#define ASHLAR_CACHE_INTERNAL_H

#include <ashlar/bits.h>
#include <ashlar/cache.h>
#include <ashlar/check.h>
#include <ashlar/error.h>

#include "pins.h"
#include "queue.h"
#include "table.h"

#define NONE   ASH_CACHE_NONE
#define ABSENT ASH__CACHE_ABSENT
#define FRESH  ASH__CACHE_FRESH

/* Of a frame. None: free, or clean. */
enum {
    FILLING = 1,      /* to be read, or being read */
    DIRTY = 2,        /* newer than the disk; on its space's list */
    WRITING = 4,      /* in flight to the disk */
    WRITER = 8,       /* somebody has it for writing */
    REDIRTIED = 16,   /* changed while in flight */
    FAILED = 32,      /* its write was given up until the next flush */
    ORPHAN = 64,      /* in flight, but a copy of it has taken its place */
    ROUNDED = 128,    /* in the round of writing */
    URGENT = 256,     /* to be written next */
    EMPTY = 512,      /* a writer promised to write all of it: nothing to be seen yet */
    UNORDERED = 1024, /* what it had to wait for failed: not to be written until dirtied anew */
    IDLE = 2048,      /* to be read when there is nothing better to do: on the list `prefetch` */
    COPIED = 4096,    /* an orphan whose bytes are being copied */
    BEHIND = 8192,    /* the copy of an orphan in flight: not to be written before that has ended */
    LOST = 16384,     /* in an I/O that was abandoned: never free again */
    TAGGED = 32768    /* what its writer is about to put is to be ordered behind flush `tag` */
};

enum { POLICY, WORK }; /* a frame's links */

/* What a get waits for, beside its results 0 and -ASH_E*. */
enum { WAIT_BLOCK = 1, WAIT_FRAME, WAIT_DIRTY, WAIT_READ };

/* Of a waiter, beyond the flags of get: what it waits for is that the block is written. */
#define WRITTEN 0x100u

struct ash__cache_policy {
    const char *name;
    uint8_t touch_cap; /* a hit counts up to it; UINT8_MAX: each hit is told */
    uint32_t (*ghosts)(uint32_t blocks);
    void (*init)(struct ash_cache *cache);
    /* A block is about to come in: is it among the ghosts? It is none from then on. NULL: there are
     * none. Called behind victim and before that one's remove. */
    bool (*recall)(struct ash_cache *cache, uint64_t key);
    /* A block comes in; remembered: what recall said. */
    void (*insert)(struct ash_cache *cache, uint32_t frame, bool remembered);
    /* The frame to be reused, out of those that ash__cache_claim grants; NONE: none. Looks
     * at 2 * blocks frames at most. */
    uint32_t (*victim)(struct ash_cache *cache);
    /* A block goes; evicted: chosen by victim, and not forgotten for other reasons. */
    void (*remove)(struct ash_cache *cache, uint32_t frame, bool evicted);
    void (*touch)(struct ash_cache *cache, uint32_t frame); /* NULL: what is counted is enough */
};

enum ash__cache_claim { CLAIMED, PASS, STOP };

/* The lock, in caches that are shared. */
static inline ash_irq_t ash__cache_enter(struct ash_cache *cache) {
    if (!cache->shared)
        return 0;
    ash_irq_t irq = ash_port_irq_save();
    ash_spin_lock(&cache->lock);
    return irq;
}

static inline void ash__cache_leave(struct ash_cache *cache, ash_irq_t irq) {
    if (!cache->shared)
        return;
    ash_spin_unlock(&cache->lock);
    ash_port_irq_restore(irq);
}

static inline uint64_t ash__cache_frame_key(const struct ash_cache *cache, uint32_t frame) {
    return cache->table[cache->frames[frame].slot].key;
}

static inline struct ash_cache_space *ash__cache_space(const struct ash_cache *cache,
                                                       uint32_t frame) {
    return cache->spaces[ash__cache_frame_key(cache, frame) >> ASH_CACHE_INDEX_BITS];
}

static inline uint64_t ash__cache_index(uint64_t key) {
    return key & ((UINT64_C(1) << ASH_CACHE_INDEX_BITS) - 1);
}

static inline bool ash__cache_has(const struct ash_cache *cache, uint32_t frame, uint32_t flags) {
    return (cache->frames[frame].flags & flags) != 0;
}

static inline uint32_t ash__cache_queue_of(const struct ash_cache *cache, uint32_t frame) {
    return cache->hot[frame].queue & ~FRESH;
}

static inline bool ash__cache_is_fresh(const struct ash_cache *cache, uint32_t frame) {
    return (ash_load_relaxed(&cache->hot[frame].queue) & FRESH) != 0;
}

static inline void ash__cache_set_queue(struct ash_cache *cache, uint32_t frame, int queue) {
    uint8_t fresh = cache->hot[frame].queue & FRESH;
    ash_store_relaxed(&cache->hot[frame].queue, (uint8_t)((uint8_t)queue | fresh));
}

/* Of a block that was read ahead no hits are counted before it is asked for, nor is that hit: so
 * each of them is told, and the first that finds the lock free is the one. A late hit of the block
 * that was in the frame before may count here; at worst this one is taken for never used. */
static inline void ash__cache_set_fresh(struct ash_cache *cache, uint32_t frame, bool fresh) {
    uint32_t queue = ash__cache_queue_of(cache, frame);
    ash_store_relaxed(&cache->hot[frame].queue, (uint8_t)(queue | (fresh ? FRESH : 0)));
    ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)0);
}

/* Another block in it: nothing is known. */
static inline void ash__cache_make_new(struct ash_cache *cache, uint32_t frame) {
    ash_store_relaxed(&cache->hot[frame].queue, (uint8_t)0);
    ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)0);
}

/* table.c */
void ash__cache_table_replace(struct ash_cache *cache, uint32_t frame, uint32_t other);
void ash__cache_hush(struct ash_cache *cache, uint32_t frame);
void ash__cache_listen(struct ash_cache *cache, uint32_t frame);

/* ghosts.c */
void ash__cache_ghosts_reset(struct ash_cache *cache, uint32_t capacity);
bool ash__cache_ghost_take(struct ash_cache *cache, uint64_t key);
void ash__cache_ghost_push(struct ash_cache *cache, uint64_t key);

/* ghost_ring.c */
bool ash__cache_ring_forget(struct ash_cache *cache);
void ash__cache_ring_push(struct ash_cache *cache, uint64_t key);
bool ash__cache_ring_take(struct ash_cache *cache, uint64_t key, uint32_t *number);

/* policies.c */
const struct ash__cache_policy *ash__cache_policy_find(const char *name);
void ash__cache_policy_start(struct ash_cache *cache, const struct ash__cache_policy *policy);
extern const struct ash__cache_policy ash__cache_lru, ash__cache_clock, ash__cache_2q_clock,
    ash__cache_2q_clock_pro, ash__cache_sieve, ash__cache_s3_fifo;
enum { ASH__CACHE_NEWCOMERS, ASH__CACHE_SETTLED }; /* where there are two queues */
uint32_t ash__cache_no_ghosts(uint32_t blocks);
void ash__cache_remove_newcomer(struct ash_cache *cache, uint32_t frame, bool evicted);
uint32_t ash__cache_newer(const struct ash_cache *cache, uint32_t frame);
uint32_t ash__cache_fifo_victim(struct ash_cache *cache, uint32_t queue, bool *stopped);
uint32_t ash__cache_clock_victim(struct ash_cache *cache, uint32_t newcomers, bool *stopped);

/* frames.c */
bool ash__cache_may_go(const struct ash_cache *cache, uint32_t frame);
enum ash__cache_claim ash__cache_claim_used(struct ash_cache *cache, uint32_t frame);

/* May the policy have this frame? */
static inline enum ash__cache_claim ash__cache_claim(struct ash_cache *cache, uint32_t frame) {
    cache->stats.scanned++;
    if (cache->frames[frame].flags != 0 || ash__cache_pins(cache, frame) != 0)
        return ash__cache_claim_used(cache, frame);
    return ash__cache_make_absent(cache, frame) ? CLAIMED : PASS;
}

uint32_t ash__cache_take_frame(struct ash_cache *cache, struct ash_cache_space *space,
                               uint64_t index);
uint32_t ash__cache_spare_frame(struct ash_cache *cache);
bool ash__cache_may_free(const struct ash_cache *cache);
void ash__cache_free_frame(struct ash_cache *cache, uint32_t frame);
bool ash__cache_forget(struct ash_cache *cache, uint32_t frame);
void ash__cache_touched(struct ash_cache *cache, uint32_t frame);

/* fill.c */
void ash__cache_fill(struct ash_cache *cache, uint32_t frame, bool prefetch);
void ash__cache_fill_now(struct ash_cache *cache, uint32_t frame);

/* write.c */
bool ash__cache_may_dirty(const struct ash_cache *cache);
void ash__cache_resume(struct ash_cache *cache, uint32_t frame);
void ash__cache_dirty(struct ash_cache *cache, uint32_t frame);
void ash__cache_clean(struct ash_cache *cache, uint32_t frame);
bool ash__cache_is_due(const struct ash_cache *cache, uint32_t frame);
void ash__cache_hurry(struct ash_cache *cache, uint32_t frame);
uint32_t ash__cache_next_write(struct ash_cache *cache);
void ash__cache_unwrite(struct ash_cache *cache, uint32_t frame);
void ash__cache_written(struct ash_cache *cache, uint32_t frame, int error);
bool ash__cache_untag(struct ash_cache *cache, uint32_t frame);
void ash__cache_give_up(struct ash_cache *cache, uint32_t frame, uint16_t why, int error);
void ash__cache_orphan(struct ash_cache *cache, uint32_t frame, uint32_t other);
void ash__cache_free_orphans(struct ash_cache *cache);

/* flush.c */
bool ash__cache_flush_runs(const struct ash_cache *cache, uint32_t number);
bool ash__cache_flush_failed(const struct ash_cache *cache, uint32_t number);
void ash__cache_settle(struct ash_cache *cache, uint32_t frame, uint32_t until, int error);
bool ash__cache_flush_covers(const struct ash_cache *cache, uint32_t frame, uint32_t number);
bool ash__cache_flush_begin(struct ash_cache *cache);
void ash__cache_flush_ended(struct ash_cache *cache, int error);

/* ahead.c */
void ash__cache_ahead_init(struct ash_cache *cache);
void ash__cache_ahead_close(struct ash_cache *cache, const struct ash_cache_space *space);
void ash__cache_ahead(struct ash_cache *cache, struct ash_cache_space *space, uint64_t index);
void ash__cache_ahead_used(struct ash_cache *cache, uint32_t frame);
void ash__cache_ahead_wasted(struct ash_cache *cache, uint32_t frame);
void ash__cache_ahead_failed(struct ash_cache *cache, uint32_t frame);

/* space.c */
static inline void ash__cache_require_open(const struct ash_cache *cache,
                                           const struct ash_cache_space *space) {
    ASH_REQUIRE(space->id < cache->config.spaces_max && cache->spaces[space->id] == space,
                "cache: space %u is used, which is not open", space->id);
}

/* get.c */
int ash__cache_try(struct ash_cache *cache, struct ash_cache_waiter *want, bool first);
int ash__cache_try_there(struct ash_cache *cache, struct ash_cache_waiter *want, bool first);
void ash__cache_finish(struct ash_cache *cache, struct ash_cache_waiter *want, ash_irq_t *irq);

/* put.c */
void ash__cache_filled_in(struct ash_cache *cache, uint32_t frame);

/* wait.c */
void ash__cache_wait(struct ash_cache *cache, struct ash_cache_waiter *waiter, int what);
void ash__cache_try_waiters(struct ash_cache *cache, uint32_t frame, int error);
void ash__cache_written_over(struct ash_cache *cache, uint32_t frame, int error);
bool ash__cache_wait_moved(struct ash_cache *cache, uint32_t frame, uint32_t other);
bool ash__cache_retry(struct ash_cache *cache);
bool ash__cache_is_waited_for(struct ash_cache *cache, uint32_t frame);
bool ash__cache_is_asked_of(const struct ash_cache *cache, const struct ash_cache_space *space);
void ash__cache_look_starving(struct ash_cache *cache);

/* What backends and maps say, as one of the numbers of <ashlar/error.h>. */
static inline int ash__cache_error(int status) {
    enum { LAST = 4095 };
    return status > 0 || status < -LAST ? -ASH_EIO : status;
}

/* place.c */
int ash__cache_place(struct ash_cache *cache, ash_irq_t *irq, uint32_t frame, enum ash_cache_op op,
                     const struct ash_cache_space *space, uint64_t index,
                     struct ash_cache_map *map);

/* io.c */
bool ash__cache_build(struct ash_cache *cache, ash_irq_t *irq);
bool ash__cache_submit(struct ash_cache *cache, struct ash_cache_io *io, ash_irq_t *irq);
struct ash_cache_waiter *ash__cache_read_one(struct ash_cache *cache,
                                             const struct ash_cache_space *space, uint64_t index,
                                             uint32_t frame, struct ash_cache_waiter *waiter,
                                             ash_irq_t *irq);

static inline void ash__cache_tell(struct ash_cache *cache, struct ash_cache_waiter *waiter,
                                   int status) {
    waiter->status = status;
    ash_list_push_back(&cache->ready, &waiter->link);
}

/* Those who wait for a block, and for others. */
static inline struct ash_list *ash__cache_line(struct ash_cache *cache, uint32_t frame) {
    return &cache->waiting[frame % ASH_ARRAY_LEN(cache->waiting)];
}

/* Something happened to the block: it came (error 0), did not, or is free for a writer. */
static inline void ash__cache_wait_over(struct ash_cache *cache, uint32_t frame, int error) {
    if (!ash_list_is_empty(ash__cache_line(cache, frame)))
        ash__cache_try_waiters(cache, frame, error);
}

/* pump.c */
void ash__cache_read_now(struct ash_cache *cache, const struct ash_cache_space *space,
                         uint64_t index, uint32_t frame, struct ash_cache_waiter *waiter,
                         ash_irq_t irq);
void ash__cache_run(struct ash_cache *cache, ash_irq_t irq);

#endif
