/* SPDX-License-Identifier: MIT */
/* split.h: a block becomes smaller ones. own.h does it: here is a range that no larger block lies
 * in as a whole. */

static int format_split(struct ash_vm_space *space, ash_vaddr_t va, uint32_t shift) {
    uint32_t level = (uint32_t)ash_min_u64((shift - FORMAT_PAGE_SHIFT) / FORMAT_BITS, ROOT_LEVEL);
    struct own own = {.space = space, .leaves_whole = true, .splits = true};
    int error =
        own_range(&own, range_of(ash_align_down(va, level_bytes(level)), level_bytes(level)), 0);
    if (error != 0)
        return error;
    reserve_drain(&own.reserve);
    reap_all(space);
    return 0;
}
