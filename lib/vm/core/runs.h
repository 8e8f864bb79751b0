/* SPDX-License-Identifier: MIT */
/*
 * runs.h: pages that follow each other in memory as they do in a table, which is what a frame
 * source gives as long as it can: their counts are looked at, and changed, many at a time
 * (count.h).
 */

/* Are all these counts `value`? */
static bool counts_are(const struct ash_vm *vm, ash_pfn_t first, uint64_t frames, uint32_t value) {
    if (frames == 0)
        return true;
    if (!count_has(vm, first + (frames - 1)))
        return false;
    const uint32_t *at = count_at(vm, first);
    uint64_t i = 0;
    for (; frames - i >= COUNT_RUN; i += COUNT_RUN)
        if (!count_lanes_within(&at[i], value, value + 1))
            return false;
    for (; i < frames; i++)
        if (ash_load_relaxed(&at[i]) != value)
            return false;
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

/* How many of these pages, of a table of level 0, follow the first one in memory. At most
 * COUNT_RUN. */
static uint32_t leaf_run(const uint64_t *entries, uint32_t count) {
    const ash_paddr_t first = format_address(entry_load(&entries[0]));
    if (count >= COUNT_RUN) {
        uint64_t differ = 0;
        for (uint32_t i = 0; i < COUNT_RUN; i++)
            differ |= format_address(entries[i]) ^ (first + ((ash_paddr_t)i << FORMAT_PAGE_SHIFT));
        if (differ == 0)
            return COUNT_RUN;
        count = COUNT_RUN;
    }
    uint32_t run = 1;
    while (run < count && format_address(entry_load(&entries[run])) ==
                              first + ((ash_paddr_t)run << FORMAT_PAGE_SHIFT))
        run++;
    return run;
}
