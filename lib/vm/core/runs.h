/* SPDX-License-Identifier: MIT */
/*
 * runs.h: pages that follow each other in memory as they do in a table, which is what a frame
 * source gives as long as it can: their counts are looked at, and changed, many at a time
 * (count.h).
 */

/* Are all these counts `value`? If it is 1, they are the only references, and what others did with
 * the frames before they dropped theirs has happened. */
static bool counts_are(const struct ash_vm *vm, ash_pfn_t first, uint64_t frames, uint32_t value) {
    if (frames == 0)
        return true;
    if (!count_has(vm, first) || !count_has(vm, first + (frames - 1)))
        return false;
    const uint32_t *at = count_at(vm, first);
    uint64_t i = 0;
    if (!ASH_ENABLED(ASH_PORT_CPUS_MAX > 1))
        for (; frames - i >= COUNT_RUN; i += COUNT_RUN)
            if (!count_lanes_within(&at[i], value, value + 1))
                return false;
    for (; i < frames; i++)
        if (ash_load_relaxed(&at[i]) != value)
            return false;
    ash_fence_acquire();
    return true;
}

/* One reference more of each. Returns whether these are the only ones. */
static bool counts_take(const struct ash_vm *vm, ash_pfn_t first, uint64_t frames) {
    if (!counts_are(vm, first, frames, 0)) {
        count_add_run(vm, first, frames);
        return false;
    }
    uint32_t *at = count_at(vm, first);
    for (uint64_t i = 0; i < frames; i++)
        at[i] = 1; /* fresh frames are the caller's alone */
    return true;
}

typedef uint64_t entry_lanes __attribute__((vector_size(16), may_alias));

/* Of COUNT_RUN entries: is each, but for bits out of `mask`, the first one, a page further each? */
static inline bool leaves_follow(const uint64_t *entries, uint64_t mask) {
    const entry_lanes *lanes = (const entry_lanes *)(const void *)entries;
    const uint64_t first = entries[0] & mask, step = leaf_step(0);
    entry_lanes expected = {first, first + step}, differ = {0};
#pragma GCC unroll 8
    for (uint32_t i = 0; i < COUNT_RUN / 2; i++) {
        differ |= (lanes[i] & mask) ^ expected;
        expected += 2 * step;
    }
    return (differ[0] | differ[1]) == 0;
}

/*
 * How many entries are the first one, but for bits out of `mask` and each a page further; at least
 * one. Others may change them meanwhile: each is loaded once.
 */
static inline uint32_t leaf_run_loaded(const uint64_t *entries, uint32_t count, uint64_t mask) {
    const uint64_t first = entry_load(entries) & mask;
    uint32_t run = 1;
    while (run < count && (entry_load(&entries[run]) & mask) == first + run * leaf_step(0))
        run++;
    return run;
}

/* The same in a table that no other space changes, at most COUNT_RUN of them. */
static inline uint32_t leaf_run_masked(const uint64_t *entries, uint32_t count, uint64_t mask) {
    if (count >= COUNT_RUN && (uintptr_t)entries % sizeof(entry_lanes) == 0 &&
        leaves_follow(entries, mask))
        return COUNT_RUN;
    return leaf_run_loaded(entries, count < COUNT_RUN ? count : COUNT_RUN, mask);
}

/* Pages that follow each other. */
static uint32_t leaf_run(const uint64_t *entries, uint32_t count) {
    return leaf_run_masked(entries, count, leaf_address_mask());
}

/* And that are the same in all else. */
static uint32_t leaf_run_alike(const uint64_t *entries, uint32_t count) {
    return leaf_run_masked(entries, count, UINT64_MAX);
}
