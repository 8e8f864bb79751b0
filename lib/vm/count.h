/* SPDX-License-Identifier: MIT */
/*
 * count.h: how many refer to a frame, one uint32_t for each of the machine's, tables and pages
 * alike. A reference is taken and dropped with no lock but that of the space which holds it:
 *
 *  - Who takes one has one already (or the frame is fresh, and nobody else's), so taking orders
 *    nothing.
 *  - A drop that is not the last releases what was done with the frame, the last one acquires it;
 *    and so does "is it one?": who sees 1 has the only reference, and nobody can make a second.
 *
 * A count that reaches ASH_VM_SATURATED stays there, and its frame is never free again.
 *
 * A block is one reference to its first frame, its head, and the others' counts are 0. Once it is
 * shared and split, its pieces are references to the head still, and their own counts are marks
 * that say so. They go when the head's count falls to 0: the block is freed as it was allocated.
 *
 * Included after a format's header.
 */
#ifndef VM_COUNT_H
#define VM_COUNT_H

#include <ashlar/check.h>
#include <ashlar/vm_types.h>

#define COUNT_PART_MIDDLE 0xfffffffeu /* of a block of level 1 */
#define COUNT_PART_LARGE  0xffffffffu /* of level 2 */

static inline bool count_is_part(uint32_t count) {
    return count >= COUNT_PART_MIDDLE;
}

/* The frames of a block of `level`. */
static inline uint64_t count_frames(uint32_t level) {
    return UINT64_C(1) << (FORMAT_BITS * level);
}

static inline bool count_has(const struct ash_vm *vm, ash_pfn_t frame) {
    return frame - vm->config.first_frame < vm->config.frame_count;
}

static inline uint32_t *count_at(const struct ash_vm *vm, ash_pfn_t frame) {
    ASH_ASSERT(count_has(vm, frame));
    return &vm->counts[frame - vm->config.first_frame];
}

static inline uint32_t count_load(const struct ash_vm *vm, ash_pfn_t frame) {
    return ASH_ENABLED(ASH_PORT_CPUS_MAX > 1) ? ash_load_acquire(count_at(vm, frame))
                                              : ash_load_relaxed(count_at(vm, frame));
}

/* The frame whose count is that of a leaf at `frame`: the block's, if that is a piece of one. */
static inline ash_pfn_t count_head(const struct ash_vm *vm, ash_pfn_t frame) {
    uint32_t count = ash_load_relaxed(count_at(vm, frame));
    if (ASH_LIKELY(!count_is_part(count)))
        return frame;
    return ash_align_down(frame, count_frames(count == COUNT_PART_MIDDLE ? 1 : 2));
}

/*
 * The level of the block that `head` is the first frame of, for a leaf of `level` there. Where
 * pieces of its size follow it, the next one is marked; and only a block's own frames are.
 */
static inline uint32_t count_block_level(const struct ash_vm *vm, ash_pfn_t head, uint32_t level) {
    ash_pfn_t next = head + count_frames(level);
    if (!count_has(vm, next))
        return level;
    uint32_t count = ash_load_relaxed(count_at(vm, next));
    return !count_is_part(count) ? level : count == COUNT_PART_MIDDLE ? 1 : 2;
}

/* One reference in all. frame: a head, or no block's. */
static inline bool count_is_one(const struct ash_vm *vm, ash_pfn_t frame) {
    return count_load(vm, frame) == 1;
}

/* Of a frame that nobody refers to, or only the caller. */
static inline void count_set(const struct ash_vm *vm, ash_pfn_t frame, uint32_t count) {
    ash_store_relaxed(count_at(vm, frame), count);
}

/* `references` more of a head, or of no block's frame. */
static inline void count_add(const struct ash_vm *vm, ash_pfn_t frame, uint32_t references) {
    uint32_t *at = count_at(vm, frame);
    uint32_t count = ash_load_relaxed(at);
    ASH_ASSERT(!count_is_part(count));
    if (ASH_UNLIKELY(count >= ASH_VM_SATURATED))
        return;
    if (ASH_UNLIKELY(count >= ASH_VM_SATURATED - references))
        ash_store_relaxed(at, ASH_VM_SATURATED);
    else if (!ASH_ENABLED(ASH_PORT_CPUS_MAX > 1) || count == 0)
        ash_store_relaxed(at, count + references);
    else
        (void)ash_fetch_add_relaxed(at, references);
}

/* Would `references` more saturate it? Not if it is so already. */
static inline bool count_is_full(const struct ash_vm *vm, ash_pfn_t frame, uint32_t references) {
    uint32_t count = ash_load_relaxed(count_at(vm, frame));
    return count < ASH_VM_SATURATED && count >= ASH_VM_SATURATED - references;
}

/* Returns whether it was the last reference of a head, or of no block's frame. */
static inline bool count_drop(const struct ash_vm *vm, ash_pfn_t frame) {
    uint32_t *at = count_at(vm, frame);
    uint32_t count = count_load(vm, frame);
    if (count == 1) {
        ash_store_relaxed(at, 0u);
        return true;
    }
    if (ASH_UNLIKELY(count - 1 >= ASH_VM_SATURATED - 1)) {
        if (count == 0 || count_is_part(count))
            ash_panic(__FILE__, __LINE__,
                      "vm: frame 0x%llx is given back with no reference left (count 0x%x): see who "
                      "holds, pins or maps it",
                      (unsigned long long)frame, count);
        return false;
    }
    if (!ASH_ENABLED(ASH_PORT_CPUS_MAX > 1)) {
        ash_store_relaxed(at, count - 1);
        return false;
    }
    count = ash_fetch_add(at, UINT32_MAX);
    if (ASH_UNLIKELY(count >= ASH_VM_SATURATED))
        ash_store_relaxed(at, ASH_VM_SATURATED); /* it became so meanwhile, and stays */
    return count == 1;
}

/* Is a leaf of `level` at `frame` a block as it was allocated, and no piece of one? */
static inline bool count_is_whole(const struct ash_vm *vm, ash_pfn_t frame, uint32_t level) {
    return count_head(vm, frame) == frame && count_block_level(vm, frame, level) == level;
}

/* Returns some references of a head's, never the last one. */
static inline void count_drop_some(const struct ash_vm *vm, ash_pfn_t head, uint32_t references) {
    uint32_t *at = count_at(vm, head);
    uint32_t count = ash_load_relaxed(at);
    ASH_REQUIRE(count > references, "vm: frame 0x%llx has %u references, and %u are given back",
                (unsigned long long)head, count, references);
    if (count >= ASH_VM_SATURATED)
        return;
    if (!ASH_ENABLED(ASH_PORT_CPUS_MAX > 1))
        ash_store_relaxed(at, count - references);
    else if (ash_fetch_add(at, 0 - references) >= ASH_VM_SATURATED)
        ash_store_relaxed(at, ASH_VM_SATURATED);
}

/* The marks of a block that nobody refers to any more, if it was split while it was shared: perhaps
 * long ago, by a space that is gone. */
static inline void count_clear_parts(const struct ash_vm *vm, ash_pfn_t head, uint32_t level) {
    uint32_t *counts = count_at(vm, head);
    if (level == 0 || !count_is_part(ash_load_relaxed(&counts[count_frames(level - 1)])))
        return;
    for (uint64_t i = 1; i < count_frames(level); i++) {
        /* Where the first page of a middle piece has no mark after it, none of the piece has. */
        if (level == 2 && ash_is_aligned(i, count_frames(1)) &&
            !count_is_part(ash_load_relaxed(&counts[i + 1]))) {
            ash_store_relaxed(&counts[i], 0u);
            i += count_frames(1) - 1;
        } else {
            ash_store_relaxed(&counts[i], 0u);
        }
    }
}

/*
 * A shared block of `level` was split: its pieces, one level lower, are references to its head.
 * `block` is the head, or itself a piece. The caller has asked count_is_full.
 */
static inline void count_split_shared(const struct ash_vm *vm, ash_pfn_t block, uint32_t level) {
    ash_pfn_t head = count_head(vm, block);
    uint32_t top = head == block ? count_block_level(vm, head, level)
                                 : (*count_at(vm, block) == COUNT_PART_MIDDLE ? 1u : 2u);
    uint32_t mark = top == 1 ? COUNT_PART_MIDDLE : COUNT_PART_LARGE;
    uint64_t pieces = count_frames(1);
    uint64_t step = count_frames(level - 1);
    count_add(vm, head, (uint32_t)pieces - 1);
    for (uint64_t i = 1; i < pieces; i++)
        ash_store_relaxed(count_at(vm, block + i * step), mark);
}

/*
 * Runs: frames that follow each other, of leaves of level 0. Where one CPU is all, plainly, many at
 * a time: 512 counts take 40 ns then, and 2.5 us one by one with a locked instruction each.
 */
#define COUNT_RUN 64u

typedef uint32_t count_lanes __attribute__((vector_size(16), aligned(4), may_alias));

/* None of COUNT_RUN counts is `limit` or more, or (as 0 - 1 is more than all) less than `from`. */
static inline bool count_lanes_within(const uint32_t *at, uint32_t from, uint32_t limit) {
    const count_lanes *lanes = (const count_lanes *)(const void *)at;
    count_lanes beyond = {0};
#pragma GCC unroll 8
    for (uint32_t i = 0; i < COUNT_RUN / 4; i++)
        beyond |= (count_lanes)(lanes[i] - from >= limit - from);
    return (beyond[0] | beyond[1] | beyond[2] | beyond[3]) == 0;
}

static inline void count_lanes_add(uint32_t *at, uint32_t references) {
    count_lanes *lanes = (count_lanes *)(void *)at;
#pragma GCC unroll 8
    for (uint32_t i = 0; i < COUNT_RUN / 4; i++)
        lanes[i] += references;
}

/* One reference more of each. */
static inline void count_add_run(const struct ash_vm *vm, ash_pfn_t first, uint64_t frames) {
    uint64_t i = 0;
    while (i < frames) {
        uint32_t *at = count_at(vm, first + i);
        if (!ASH_ENABLED(ASH_PORT_CPUS_MAX > 1) && frames - i >= COUNT_RUN &&
            count_lanes_within(at, 0, ASH_VM_SATURATED - 1)) {
            count_lanes_add(at, 1);
            i += COUNT_RUN;
        } else {
            count_add(vm, count_head(vm, first + i), 1);
            i++;
        }
    }
}

/*
 * One reference less of each of at most COUNT_RUN frames. Bit i of what it returns: that of frame
 * first + i was the last one; the first of them that is a piece of a block ends it: *done.
 */
static inline uint64_t count_drop_run(const struct ash_vm *vm, ash_pfn_t first, uint32_t frames,
                                      uint32_t *done) {
    uint64_t last = 0;
    uint32_t i = 0;
    if (!ASH_ENABLED(ASH_PORT_CPUS_MAX > 1) && frames == COUNT_RUN) {
        uint32_t *at = count_at(vm, first);
        bool are_last = at[0] == 1;
        if (are_last ? count_lanes_within(at, 1, 2) : count_lanes_within(at, 2, ASH_VM_SATURATED)) {
            count_lanes_add(at, UINT32_MAX);
            *done = COUNT_RUN;
            return are_last ? UINT64_MAX : 0;
        }
    }
    for (; i < frames && !count_is_part(ash_load_relaxed(count_at(vm, first + i))); i++)
        last |= (uint64_t)count_drop(vm, first + i) << i;
    *done = i;
    return last;
}

#endif
