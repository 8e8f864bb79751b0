/* SPDX-License-Identifier: MIT */
/*
 * stacks.c: stacks that are new to the table. A quarter of it is left for places alone.
 */
#include "prof_internal.h"

static uint32_t append(struct ash_prof *prof, uint32_t slot, uint32_t words) {
    uint32_t index = prof->used;
    prof->slots[slot] = index;
    prof->used += words;
    prof->stacks++;
    return index;
}

/* The place alone, at the end now; it may be known. */
static uint32_t keep_place(struct ash_prof *prof) {
    uint64_t *built = &prof->words[prof->used];
    uint32_t flags = ash_prof_stack_flags(built[0]) | ASH_PROF_CUT;
    uint32_t kernel = ash_prof_stack_kernel(built[0]) != 0;
    flags &= ~(uint32_t)ASH_PROF_UNSURE;
    built[0] = prof_head(1, kernel, flags, prof_mix(0, built[1]));
    uint32_t slot = prof_slot(prof, built[0]);
    for (; prof->slots[slot] != 0; slot = (slot + 1) & prof->slot_mask) {
        const uint64_t *kept = &prof->words[prof->slots[slot]];
        if (kept[0] == built[0] && kept[1] == built[1])
            return prof->slots[slot];
    }
    return prof->words_len - prof->used < 2 ? 0 : append(prof, slot, 2);
}

uint32_t ash__prof_keep(struct ash_prof *prof, uint32_t slot, bool *is_leaf) {
    uint32_t words = 1 + ash_prof_stack_frames(prof->words[prof->used]);
    *is_leaf = words > prof->used_full || prof->used > prof->used_full - words;
    return *is_leaf ? keep_place(prof) : append(prof, slot, words);
}
