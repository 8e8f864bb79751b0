/* SPDX-License-Identifier: MIT */
/*
 * prof_aggregate.h: a view's samples put together: which call chains the CPUs were in, with what
 * weight, and what its places are called. What profile exports, summaries and reports are made of.
 *
 * Rules
 *  - A chain is a root and the frames of a stack, the outermost first. The root is the task's name,
 *    or "[idle]" where the CPU had nothing to do; so the weights of the roots add up to the whole.
 *  - A frame's label is its text: the function's name; "image+0x12" where the image is known and
 *    the function is not; "0x12" where neither is. The kernel's end in "_[k]". Frames of one label
 *    under one parent are one, as are tasks of one name.
 *  - A sample whose stack is damaged, or empty, has the one frame "[damaged]"; one whose second
 *    frame nobody could be sure of (ASH_PROF_UNSURE) goes without that frame. Both are counted. A
 *    sample with the weight 0 weighs nothing, and is none.
 *  - Memory is the caller's: 32 bytes a sample. Everything is sorted in place, O(n log n).
 *  - What is handed out points into the view. Texts are as the file has them: bytes.
 *
 *     samples --begin--> groups by CPU, stack, task --chains--> groups by chain, in order
 *                                  |                              main  f       g_[k]   12
 *                                  +--top--> functions            main  f       h        3
 *                                                    common: 2 -> ^     ^
 */
#ifndef ASHLAR_PROF_AGGREGATE_H
#define ASHLAR_PROF_AGGREGATE_H

#include <ashlar/prof_view.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ash_prof_unit { ASH_PROF_UNIT_NS, ASH_PROF_UNIT_CYCLES, ASH_PROF_UNIT_INSTRUCTIONS };

/* What the CPUs' profiles say of themselves. */
struct ash_prof_totals {
    uint32_t cpus;                  /* that were sampled */
    uint64_t kept, taken;           /* samples: in the file, ever */
    uint64_t overwritten, leaves;   /* of those taken (struct ash_prof_counts) */
    uint64_t begin_ns, duration_ns; /* of the machine's clock; of the longest CPU */
    uint32_t asked_hz;              /* 0: not known, or of cycles */
    uint64_t delivered_mhz;         /* samples a CPU, in 1/1000 Hz */
    enum ash_prof_trigger trigger;  /* the timer's weight is time, that of cycles ... */
    enum ash_prof_unit unit;        /* ... cycles, or what "cycles_are=" of the text says */
    uint64_t period;                /* what a weight of 1 stands for, in units; 0: unknown */
};

/* O(CPUs). */
void ash_prof_view_totals(const struct ash_prof_view *view, struct ash_prof_totals *totals);

/* A text in two pieces, neither of which ends in 0. */
struct ash_prof_label {
    const char *name;
    size_t name_len;
    uint32_t tail_len;
    char tail[28];
};
enum { ASH_PROF_LABEL_TAIL_MAX = 28 };

/* As texts, by bytes: < 0, 0, > 0. */
int ash_prof_label_compare(const struct ash_prof_label *a, const struct ash_prof_label *b);
/* Copies as much as fits, ends it in 0; the length that it has in full. bytes: 1 or more. */
size_t ash_prof_label_copy(const struct ash_prof_label *label, char *text, size_t bytes);

enum ash_prof_group_flags {
    ASH_PROF_GROUP_IDLE = 1,
    ASH_PROF_GROUP_DAMAGED = 2,
    ASH_PROF_GROUP_UNSURE = 4, /* its second frame of the program is left out */
};

/* Samples that have a stack in common, or a chain. */
struct ash_prof_group {
    uint64_t weight;
    uint32_t samples;
    uint32_t stack, task, process; /* of one of them, where they only have the chain in common */
    uint8_t cpu, flags;
    uint8_t kernel, frames; /* of these, kernel ones; without what is left out */
    uint8_t common; /* after ash_prof_aggregate_chains: levels that the one before has too */
};

struct ash_prof_aggregate {
    const struct ash_prof_view *view;
    struct ash_prof_group *groups;
    size_t count;
    uint64_t weight, samples; /* of all groups */
    uint64_t idle;            /* weight */
    uint64_t damaged, unsure; /* samples */
};

/* Bytes; 0: the view has no samples. */
size_t ash_prof_aggregate_work(const struct ash_prof_view *view);

/*
 * Groups by CPU, idleness, task and stack, in that order. work: aligned to 8, it holds the groups.
 *   -ASH_ENOENT  there are no samples, or none of any weight     -ASH_EINVAL  work is too small
 */
int ash_prof_aggregate_begin(struct ash_prof_aggregate *aggregate, const struct ash_prof_view *view,
                             void *work, size_t work_bytes) ASH_MUST_CHECK;

/* Puts groups of the same chain together, and all in the order of their labels, level by level;
 * idle ones last. Which CPUs they were of is lost. */
void ash_prof_aggregate_chains(struct ash_prof_aggregate *aggregate);

/* A group has levels 0 (its root) to ash_prof_group_levels - 1. */
static inline uint32_t ash_prof_group_levels(const struct ash_prof_group *group) {
    return 1u + ((group->flags & ASH_PROF_GROUP_DAMAGED) != 0 ? 1u : group->frames);
}
void ash_prof_group_label(const struct ash_prof_view *view, const struct ash_prof_group *group,
                          uint32_t level, struct ash_prof_label *label);

struct ash_prof_frame {
    uint64_t address;
    uint32_t process; /* 0: the kernel's */
    bool is_return;   /* the function is that of the address before it */
    bool is_kernel;
};
/* level: from 1, of a group that is not damaged. */
void ash_prof_group_frame(const struct ash_prof_view *view, const struct ash_prof_group *group,
                          uint32_t level, struct ash_prof_frame *frame);
void ash_prof_frame_label(const struct ash_prof_view *view, const struct ash_prof_frame *frame,
                          struct ash_prof_label *label);

/* A function; "[idle]" is one, whatever the CPU executed while it waited. */
struct ash_prof_top {
    struct ash_prof_label label;
    uint64_t self;                     /* weight of the samples in it */
    uint64_t total;                    /* and in what it called */
    const struct ash_prof_group *last; /* private: the last that was added */
};
/* The functions with the most own weight, at most max; of those with the same, the first by its
 * label. Their number. Groups change their order: chains are to be made again. O(groups * max). */
size_t ash_prof_aggregate_top(struct ash_prof_aggregate *aggregate, struct ash_prof_top *top,
                              size_t max);

#ifdef __cplusplus
}
#endif

#endif
