/* SPDX-License-Identifier: MIT */
/*
 * prof_internal.h: a profile as it lies in its storage, and what its files share.
 *
 *     struct ash_prof | samples | words, and room for one stack more | slots
 *
 * A stack is built where the next one would begin, and looked for from there: one that is new is
 * kept by moving the end, one that is known is left behind. A slot holds a stack's index, 0 none:
 * at index 0 lies the stack of the unknown place, which nobody looks for.
 */
#ifndef ASHLAR_PROF_INTERNAL_H
#define ASHLAR_PROF_INTERNAL_H

#include <ashlar/prof.h>

enum {
    PROF_WORDS_MIN = 256,
    PROF_ROOM = ASH_PROF_FRAMES_MAX + 2, /* words behind the last; even, as slots follow */
    PROF_NOWHERE_WORDS = 2,
};

struct ash_prof {
    struct ash_prof_sample *samples;
    uint64_t *words;
    uint32_t *slots;
    uint64_t clock; /* of the last sample */
    uint64_t taken, weight, leaves;
    uint32_t used;      /* words */
    uint32_t used_full; /* beyond, stacks are kept by their place alone */
    uint32_t slot_mask;
    uint32_t next, length; /* where in the ring the next sample goes, and its length */
    uint32_t stacks;
    uint32_t words_len;
    uint8_t cpu;
};

static inline uint64_t prof_mix(uint64_t hash, uint64_t frame) {
    return (hash ^ frame) * UINT64_C(0x9e3779b97f4a7c15);
}

/* The upper half is the better one of a product. */
static inline uint64_t prof_head(uint64_t frames, uint64_t kernel, uint64_t flags, uint64_t hash) {
    return frames | kernel << 8 | flags << 16 | (hash >> 32) << 32;
}

/* Of the head of a stack: counts are in the hash too; flags are not, as they may change. */
static inline uint32_t prof_slot(const struct ash_prof *prof, uint64_t head) {
    return ((uint32_t)(head >> 32) + (uint16_t)head) & prof->slot_mask;
}

/* Keeps a stack that was built at the end and is in no slot on the way to `slot`, if there is room;
 * else its place alone: *is_leaf. Its index. */
uint32_t ash__prof_keep(struct ash_prof *prof, uint32_t slot, bool *is_leaf);

#endif
