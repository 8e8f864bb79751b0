/* SPDX-License-Identifier: MIT */
/*
 * prof.c: see prof.h: a profile's storage, and a sample.
 */
#include "prof_internal.h"
#include "trail.h"
#include "unwind.h"

#include <ashlar/check.h>

#define STORAGE_ALIGN 16

static bool is_valid(const struct ash_prof_config *config) {
    return config->samples >= ASH_PROF_SAMPLES_MIN && config->samples <= ASH_PROF_SAMPLES_MAX &&
           ash_is_pow2(config->words) && config->words >= PROF_WORDS_MIN;
}

static size_t header_bytes(void) {
    return (size_t)ash_align_up(sizeof(struct ash_prof), STORAGE_ALIGN);
}

/* At most 16 * 2^26 + 12 * 2^31 bytes. */
size_t ash_prof_storage_size(const struct ash_prof_config *config) {
    if (!is_valid(config))
        return 0;
    return header_bytes() + PROF_TRAILS * sizeof(struct prof_trail) +
           (size_t)config->samples * sizeof(struct ash_prof_sample) +
           ((size_t)config->words + PROF_ROOM) * sizeof(uint64_t) +
           (size_t)config->words * sizeof(uint32_t);
}

struct ash_prof *ash_prof_init(void *storage, const struct ash_prof_config *config,
                               uint64_t clock) {
    if (!is_valid(config) || !ash_is_aligned((uintptr_t)storage, STORAGE_ALIGN))
        return NULL;
    struct ash_prof *prof = storage;
    uint8_t *trails = (uint8_t *)storage + header_bytes();
    uint8_t *samples = trails + PROF_TRAILS * sizeof(struct prof_trail);
    uint8_t *words = samples + (size_t)config->samples * sizeof(struct ash_prof_sample);
    uint8_t *slots = words + ((size_t)config->words + PROF_ROOM) * sizeof(uint64_t);
    *prof = (struct ash_prof){
        .trails = (struct prof_trail *)(void *)trails,
        .next = (struct ash_prof_sample *)(void *)samples,
        .end = (struct ash_prof_sample *)(void *)samples + config->samples,
        .samples = (struct ash_prof_sample *)(void *)samples,
        .words = (uint64_t *)(void *)words,
        .slots = (uint32_t *)(void *)slots,
        .clock = clock,
        .used = PROF_NOWHERE_WORDS,
        .used_full = config->words / 4 * 3,
        .slot_mask = config->words - 1,
        .length = config->samples,
        .words_len = config->words,
        .cpu = config->cpu,
    };
    __builtin_memset(prof->slots, 0, (size_t)config->words * sizeof(uint32_t));
    __builtin_memset(prof->trails, 0, PROF_TRAILS * sizeof(struct prof_trail));
    prof->words[0] = prof_head(1, 1, ASH_PROF_CUT, 0);
    prof->words[1] = 0;
    return prof;
}

/* Any stack, at the end of the words. */
static __attribute__((noinline)) uint64_t build(uint64_t *words,
                                                const struct ash_prof_registers *kernel,
                                                const struct ash_prof_registers *user) {
    struct unwinding unwinding = {words + 1, words + 1 + ASH_PROF_FRAMES_MAX, 0, 0, NULL, NULL};
    uint64_t kernels = 0;
    if (kernel != NULL) {
        struct ash_prof_registers known = *kernel;
        if (known.is_link == ASH_PROF_LINK_UNSURE)
            known.is_link = ASH_PROF_LINK_RECORD;
        if (user != NULL) /* half of the room is the program's */
            unwinding.end = words + 1 + ASH_PROF_FRAMES_MAX / 2;
        prof_unwind(&unwinding, &known);
        kernels = (uint64_t)(unwinding.out - (words + 1));
        unwinding.end = words + 1 + ASH_PROF_FRAMES_MAX;
    }
    if (user != NULL)
        prof_unwind(&unwinding, user);
    return prof_head((uint64_t)(unwinding.out - (words + 1)), kernels, unwinding.flags,
                     unwinding.hash);
}

static inline bool is_same(const uint64_t *kept, const uint64_t *built, uint64_t head) {
    if (kept[0] != head)
        return false;
    const uint64_t *end = built + 1 + ash_prof_stack_frames(head);
    while (++built != end) {
        if (*++kept != *built)
            return false;
    }
    return true;
}

/* The index of the stack that lies at the end of the words. */
static inline uint32_t find(struct ash_prof *prof, uint64_t head, bool *is_leaf) {
    uint32_t slot = prof_slot(prof, head);
    for (;; slot = (slot + 1) & prof->slot_mask) {
        uint32_t index = prof->slots[slot];
        if (index == 0)
            return ash__prof_keep(prof, slot, is_leaf);
        if (ASH_LIKELY(is_same(&prof->words[index], &prof->words[prof->used], head)))
            return index;
    }
}

/* ticks: 32 bits; weight: 1 to 16 bits. */
static inline void put(struct ash_prof *prof, uint64_t clock, uint64_t ticks, uint32_t task,
                       uint32_t weight, uint32_t flags, uint32_t stack) {
    struct ash_prof_sample *sample = prof->next;
    struct ash_prof_sample *next = sample + 1;
    uint64_t taken = prof->taken + 1, sum = prof->weight + weight;
    sample->ticks = (uint32_t)ticks;
    sample->stack = stack;
    sample->task = task;
    sample->weight = (uint16_t)weight;
    sample->cpu = prof->cpu;
    sample->flags = (uint8_t)flags;
    if (ASH_UNLIKELY(next == prof->end))
        next = prof->samples;
    prof->next = next;
    prof->clock = clock;
    prof->taken = taken;
    prof->weight = sum;
}

static inline bool is_plain(const struct ash_prof_registers *kernel,
                            const struct ash_prof_registers *user) {
    return user == NULL && kernel->read == NULL && kernel->is_link != ASH_PROF_LINK_UNSURE;
}

/* A walk that trails are of. The index of its stack. */
static inline uint32_t walk_plainly(struct ash_prof *prof, const struct ash_prof_registers *kernel,
                                    bool *is_leaf) {
    uint64_t *words = &prof->words[prof->used];
    struct prof_trail *trail = prof_trail_of(prof, kernel);
    bool is_again = prof_is_again(trail, kernel);
    struct prof_record *end = is_again ? trail->records + PROF_TRAIL_RECORDS : trail->records;
    struct unwinding unwinding = {words + 1, words + 1 + ASH_PROF_FRAMES_MAX, 0, 0, trail->records,
                                  end};
    prof_unwind(&unwinding, kernel);
    uint64_t frames = (uint64_t)(unwinding.out - (words + 1));
    words[0] = prof_head(frames, frames, unwinding.flags, unwinding.hash);
    uint32_t stack = find(prof, words[0], is_leaf);
    if (is_again) /* places alone are counted one by one */
        prof_keep_trail(trail, kernel, unwinding.record, *is_leaf ? 0 : stack);
    else
        prof_begin_trail(trail, kernel);
    return stack;
}

static __attribute__((noinline)) void take_by_walk(struct ash_prof *prof, uint64_t clock,
                                                   uint32_t task, uint32_t weight, uint32_t flags,
                                                   const struct ash_prof_registers *kernel,
                                                   const struct ash_prof_registers *user) {
    ASH_REQUIRE(kernel != NULL || user != NULL, "prof: a sample of nothing, of task %u", task);
    bool is_leaf = false;
    uint32_t stack;
    if (ASH_LIKELY(is_plain(kernel, user))) {
        stack = walk_plainly(prof, kernel, &is_leaf);
    } else {
        prof->words[prof->used] = build(&prof->words[prof->used], kernel, user);
        stack = find(prof, prof->words[prof->used], &is_leaf);
    }
    if (ASH_UNLIKELY(is_leaf)) {
        flags |= ASH_PROF_LEAF;
        prof->leaves++;
    }
    uint64_t ticks = clock - prof->clock;
    if (ASH_UNLIKELY(ticks > UINT32_MAX)) {
        flags |= ASH_PROF_GAP;
        ticks = UINT32_MAX;
    }
    weight += weight == 0;
    uint32_t kept = weight < UINT16_MAX ? weight : UINT16_MAX;
    put(prof, clock, ticks, task, kept, flags, stack);
    prof->weight += weight - kept;
}

ASH_HOT_ENTRY void ash_prof_take(struct ash_prof *prof, uint64_t clock, uint32_t task,
                                 uint32_t weight, uint32_t flags,
                                 const struct ash_prof_registers *kernel,
                                 const struct ash_prof_registers *user) {
    uint64_t ticks = clock - prof->clock;
    /* One that `put` can take as it is; the greatest weights need not. */
    bool is_usual = kernel != NULL && user == NULL && ticks >> 32 == 0 && (weight - 1) >> 15 == 0;
    uint32_t stack = ASH_LIKELY(is_usual) ? prof_recall(prof, kernel) : 0;
    if (ASH_LIKELY(stack != 0))
        put(prof, clock, ticks, task, weight, flags, stack);
    else
        take_by_walk(prof, clock, task, weight, flags, kernel, user);
}

void ash_prof_count(const struct ash_prof *prof, struct ash_prof_counts *counts) {
    *counts = (struct ash_prof_counts){
        .taken = prof->taken,
        .overwritten = prof->taken > prof->length ? prof->taken - prof->length : 0,
        .weight = prof->weight,
        .leaves = prof->leaves,
        .stacks = prof->stacks,
        .words_used = prof->used,
    };
}

const struct ash_prof_sample *ash_prof_samples(const struct ash_prof *prof, uint32_t *first,
                                               uint32_t *count, uint64_t *clock) {
    bool is_full = prof->taken >= prof->length;
    uint32_t next = (uint32_t)(prof->next - prof->samples);
    *first = is_full ? next : 0;
    *count = is_full ? prof->length : next;
    *clock = prof->clock;
    return prof->samples;
}

const uint64_t *ash_prof_words(const struct ash_prof *prof) {
    return prof->words;
}

void ash_prof_make_sure(struct ash_prof *prof, uint32_t stack) {
    prof->words[stack] &= ~((uint64_t)ASH_PROF_UNSURE << 16);
}
