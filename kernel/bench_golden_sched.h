/* SPDX-License-Identifier: MIT */
/*
 * bench_golden_sched.h: a scheduler of <ashlar/sched.h> whose clock is a number, and its queue
 * alone: the same calls in the same order, so that what they cost is counted to the instruction.
 */
#ifndef KERNEL_BENCH_GOLDEN_SCHED_H
#define KERNEL_BENCH_GOLDEN_SCHED_H

#include "memory.h"

/* Of what: 1000 slots of a queue; 256 fair entities of mixed nice; 100 interactive ones; and 20
 * real-time, 20 interactive, 60 fair. */
enum golden_sched_kind {
    GOLDEN_SCHED_QUEUE,
    GOLDEN_SCHED_FAIR,
    GOLDEN_SCHED_INTERACTIVE,
    GOLDEN_SCHED_MIXED,
    GOLDEN_SCHED_KINDS
};

struct golden_sched;

/* NULL: no memory. All are runnable, and have been for a while. */
struct golden_sched *golden_sched_new(struct kernel_memory *memory, enum golden_sched_kind kind);
void golden_sched_free(struct golden_sched *sched); /* NULL is ignored */

/* What each returns contains `overhead` once. */
typedef uint32_t golden_sched_fn(struct golden_sched *sched, uint32_t overhead);

/* Queue: the first comes again, by a random distance later; a random one goes, and comes back just
 * behind the first. */
golden_sched_fn golden_sched_hold;
golden_sched_fn golden_sched_again;
/* A decision when the last one asked for it. */
golden_sched_fn golden_sched_decide;
/* What runs blocks, decide, it wakes. */
golden_sched_fn golden_sched_block_wake;

#endif
