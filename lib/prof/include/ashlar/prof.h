/* SPDX-License-Identifier: MIT */
/*
 * prof.h: the sampler: what an interrupt has interrupted, as samples of 16 bytes and a table of
 * unique call stacks; one profile a CPU.
 *
 * Rules
 *  - A profile is written by one CPU, from the handler of its sampling interrupt, which does not
 *    nest in itself. Whoever else reads it waits until sampling has stopped.
 *  - What was interrupted is handed in as registers: where it was, and where its stack lies. Frame
 *    records are followed upwards, inside that stack alone, each checked before it is read: a
 *    broken chain ends the stack (ASH_PROF_CUT), nothing else.
 *  - A sample stands for `weight` periods: those that passed since the last one, as when
 *    interrupts were masked meanwhile. So weights add up to the time that was sampled.
 *  - The ring keeps the newest samples; a full table of stacks keeps the place alone. Both are
 *    counted. The first stack, of index 0, is that of an unknown place (address 0): where even a
 *    place finds no room.
 *  - Storage is the caller's; nothing is allocated. Port primitives: none but plain memory.
 *
 *     sample, 16 bytes: | ticks 32 | stack 32 | task 32 | weight 16 | cpu 8 | flags 8 |
 *     stacks, words:    | frames 8, kernel's 8, flags 8, hash 32 | innermost | ... | outermost |
 *
 * A task that was in the kernel on behalf of a program has two pieces of stack: the kernel's frames
 * first, then the program's.
 *
 * Frames: the first of each piece is an address that was about to be executed; the others are
 * return addresses. Which function a return address is in is asked of the address before it.
 *
 * Source: frame records, Procedure Call Standard for the Arm 64-bit Architecture 6.4.6; System V
 * ABI, AMD64 supplement, 3.2.2.
 */
#ifndef ASHLAR_PROF_H
#define ASHLAR_PROF_H

#include <ashlar/base.h>
#include <ashlar/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_PROF_HZ_MIN          1u
#define ASH_PROF_HZ_MAX          20000u
#define ASH_PROF_HZ_DEFAULT      1000u
#define ASH_PROF_SAMPLES_MIN     16u
#define ASH_PROF_SAMPLES_DEFAULT 10000u /* 160 KB */
#define ASH_PROF_SAMPLES_MAX     (1u << 26)
#define ASH_PROF_WORDS_DEFAULT   (1u << 16) /* of stacks: 512 KiB */
#define ASH_PROF_FRAMES_MAX      62u        /* of a stack, both pieces */

enum ash_prof_flags {
    ASH_PROF_USER = 1, /* a program was interrupted */
    ASH_PROF_IDLE = 2, /* the CPU had nothing to do */
    ASH_PROF_LATE = 4, /* interrupts were masked: the place is where they no longer were */
    ASH_PROF_LEAF = 8, /* the table was full: the stack is its first frame */
    ASH_PROF_GAP = 16, /* the ticks since the last sample did not fit: UINT32_MAX */
};

struct ash_prof_sample {
    uint32_t ticks; /* of the clock, since the CPU's last sample, or since the begin */
    uint32_t stack; /* the index of its head among the words */
    uint32_t task;
    uint16_t weight; /* periods, 1 or more; saturates */
    uint8_t cpu;
    uint8_t flags; /* enum ash_prof_flags */
};

enum ash_prof_stack_flags {
    ASH_PROF_CUT = 1, /* the chain broke, or is longer than ASH_PROF_FRAMES_MAX */
    /* The program's (never the kernel's) second frame is its link register, which may or may not
     * be a caller: who knows the program's code (prof_cfi.h) drops it or not. */
    ASH_PROF_UNSURE = 2,
};

/* A stack's first word. */
static inline uint32_t ash_prof_stack_frames(uint64_t head) {
    return (uint32_t)head & 0xff;
}
static inline uint32_t ash_prof_stack_kernel(uint64_t head) {
    return (uint32_t)(head >> 8) & 0xff;
}
static inline uint32_t ash_prof_stack_flags(uint64_t head) {
    return (uint32_t)(head >> 16) & 0xff;
}

/* Where the return address of the innermost function is. */
enum ash_prof_link {
    ASH_PROF_LINK_RECORD, /* in the frame record that fp points at: `link` is left aside */
    ASH_PROF_LINK_LIVE,   /* it is `link`; fp is still its caller's */
    ASH_PROF_LINK_UNSURE, /* one of these; in the kernel's piece it is taken as _RECORD */
};

/* One piece of an interrupted stack. */
struct ash_prof_registers {
    uint64_t pc, fp;
    uint64_t link; /* x30; on x86-64 the word that holds the return address, if that is known */
    enum ash_prof_link is_link;
    uint64_t low, high; /* the stack's bytes: records lie at multiples of 8 in here */
    /* NULL: they are read plainly. Else it reads two words there, and says whether it could. */
    bool (*read)(void *context, uint64_t address, uint64_t words[2]);
    void *context;
};

struct ash_prof_config {
    uint32_t samples; /* ASH_PROF_SAMPLES_MIN .. _MAX */
    uint32_t words;   /* of the stacks, a power of two of at least 256 */
    uint8_t cpu;
};

struct ash_prof_counts {
    uint64_t taken;              /* samples, kept or not */
    uint64_t overwritten;        /* of these */
    uint64_t weight;             /* of all that were taken: periods */
    uint64_t leaves;             /* taken with ASH_PROF_LEAF */
    uint32_t stacks, words_used; /* without the first stack; with it */
};

struct ash_prof; /* private: prof_internal.h; it lies in the storage */

/* Bytes, a multiple of 16; 0 for an invalid configuration. */
size_t ash_prof_storage_size(const struct ash_prof_config *config);

/* storage: ash_prof_storage_size bytes, aligned to 16; it holds the profile from then on. clock:
 * that of the begin. NULL: misaligned, or an invalid configuration. O(words). */
struct ash_prof *ash_prof_init(void *storage, const struct ash_prof_config *config,
                               uint64_t clock) ASH_MUST_CHECK;

/*
 * A sample. kernel or user may be NULL, not both; a kernel's with user's is a task inside a call.
 * flags: ASH_PROF_USER, _IDLE, _LATE. O(frames): some seven instructions a frame where the kernel's
 * stack is that of one of the last samples, else some thirty.
 */
void ash_prof_take(struct ash_prof *prof, uint64_t clock, uint32_t task, uint32_t weight,
                   uint32_t flags, const struct ash_prof_registers *kernel,
                   const struct ash_prof_registers *user);

void ash_prof_count(const struct ash_prof *prof, struct ash_prof_counts *counts);

/* The newest samples, for a dump: *count of them, of which the oldest is at *first, in a ring of
 * ash_prof_config.samples. *clock: that of the newest. */
const struct ash_prof_sample *ash_prof_samples(const struct ash_prof *prof, uint32_t *first,
                                               uint32_t *count, uint64_t *clock);

/* The stacks, words_used of them. */
const uint64_t *ash_prof_words(const struct ash_prof *prof);

/* The program's second frame of the stack, its link register, is a caller: it is ASH_PROF_UNSURE no
 * longer. stack: its index. Nobody samples meanwhile. */
void ash_prof_make_sure(struct ash_prof *prof, uint32_t stack);

/* The first broken invariant (lib/prof/DESIGN.md), or NULL. O(samples + words). */
const char *ash_prof_check(const struct ash_prof *prof);

#ifdef __cplusplus
}
#endif

#endif
