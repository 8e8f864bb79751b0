/* SPDX-License-Identifier: MIT */
/*
 * prof_internal.h: a profile as it lies in its storage, and what its files share.
 *
 *     struct ash_prof | trails | samples | words, and room for one stack more | slots
 *
 * A stack is built where the next one would begin, and looked for from there: one that is new is
 * kept by moving the end, one that is known is left behind. A slot holds a stack's index, 0 none:
 * at index 0 lies the stack of the unknown place, which nobody looks for.
 *
 * A trail is what one walk up the kernel's stack has read, and the stack that came of it (trail.h).
 */
#ifndef ASHLAR_PROF_INTERNAL_H
#define ASHLAR_PROF_INTERNAL_H

#include <ashlar/prof.h>

enum {
    PROF_WORDS_MIN = 256,
    PROF_ROOM = ASH_PROF_FRAMES_MAX + 2, /* words behind the last; even, as slots follow */
    PROF_NOWHERE_WORDS = 2,
    PROF_TRAILS = 32,        /* a power of two */
    PROF_TRAIL_RECORDS = 13, /* of the 256 bytes of a trail */
};

/* A frame record, as the procedure call standards have it; of words of any type. */
struct prof_record {
    uint64_t next, address;
} __attribute__((may_alias));

struct prof_trail {
    uint64_t pc, fp, low, high;
    uint32_t is_link;
    uint32_t stack; /* an index; 0: there is no trail here */
    uint64_t link;
    struct prof_record records[PROF_TRAIL_RECORDS];
};

struct ash_prof {
    struct prof_trail *trails; /* PROF_TRAILS, each where its place leads to */
    uint64_t clock;            /* of the last sample */
    uint64_t taken, weight;
    struct ash_prof_sample *next, *end; /* of the ring: where the next one goes */
    struct ash_prof_sample *samples;
    uint64_t *words;
    uint32_t *slots;
    uint64_t leaves;
    uint32_t used;      /* words */
    uint32_t used_full; /* beyond, stacks are kept by their place alone */
    uint32_t slot_mask;
    uint32_t length; /* of the ring */
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
