/* SPDX-License-Identifier: MIT */
/*
 * admission.h: a set of reservations while admission looks at it, and the questions that it asks of
 * one: sum.c, demand.c.
 */
#ifndef ASHLAR_SCHED_ADMISSION_H
#define ASHLAR_SCHED_ADMISSION_H

#include "sched_internal.h"

/* Terms looked at by a sum, by the search for the demand test's bound, and by that test: 2 to 3 ms
 * each, for each of them is a division; of a large set, so many rounds. Sets need tens of rounds;
 * one that needs more is made for it, and is refused rather than let the CPU stand still. */
#define ASH__SCHED_LOOKS_MAX    (1u << 18)
#define ASH__SCHED_ROUNDS_LEAST 64u

enum ash__sched_verdict { ASH__SCHED_FITS, ASH__SCHED_EXCEEDS, ASH__SCHED_UNDECIDED };

struct ash__sched_set {
    struct ash_sched_term *terms;
    uint32_t count;
    bool constrained; /* D < T somewhere */
    bool twofold;     /* something was changed lately: it depends on who looks */
};

/* 1 - sum is between gap - count and gap, in units of 2^-bits; gap is 2 count at least, if that
 * could be had. */
struct ash__sched_spare {
    int64_t gap;
    uint32_t bits;
};

static inline uint32_t ash__sched_rounds_max(const struct ash__sched_set *set) {
    uint32_t rounds = ASH__SCHED_LOOKS_MAX / (set->count + 1);
    return rounds < ASH__SCHED_ROUNDS_LEAST ? ASH__SCHED_ROUNDS_LEAST : rounds;
}

/* Is the sum of Q/T (or Q/D) at most 1? */
enum ash__sched_verdict ash__sched_sum(const struct ash__sched_set *set, bool density,
                                       struct ash__sched_spare *spare);

/* Is h(t) <= t everywhere? spare: of the sum of Q/T, which is 1 at most. Or says why not. */
bool ash__sched_demand(const struct ash__sched_set *set, const struct ash__sched_spare *spare,
                       struct ash_sched_refusal *refusal);

#endif
