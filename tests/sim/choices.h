/* SPDX-License-Identifier: MIT */
/*
 * choices.h: the one source of everything that a simulated run leaves open: a seed, the bytes of a
 * fuzzer, or a path, the list of choices itself. Paths are how all runs up to a depth are
 * enumerated, and each kind is written as a short text from which the run can be played again:
 * "seed:77", "bytes:00ff12", "path:0.2.1".
 *
 * Rules
 *  - A run must depend on nothing else. sim_choices_begin puts the source back to its start, so the
 *    same run can be played twice; a path whose alternatives are not the same the second time is
 *    found (sim_choices_diverged).
 *  - Bytes and paths that have come to their end choose 0: let 0 be the plain alternative.
 *  - No allocation; portable.
 */
#ifndef ASHLAR_SIM_CHOICES_H
#define ASHLAR_SIM_CHOICES_H

#include <ashlar/base.h>

enum { SIM_PATH_MAX = 256, SIM_BYTES_MAX = 256, SIM_CHOICES_TEXT = 600 };

enum sim_choices_kind { SIM_SEED, SIM_BYTES, SIM_PATH };

struct sim_choices {
    enum sim_choices_kind kind;
    uint64_t seed, state;
    const uint8_t *bytes; /* the caller's, or `parsed` */
    size_t len, next;
    uint8_t parsed[SIM_BYTES_MAX];
    /* Paths: what to choose, and among how many it was; choices from `planned` on are 0. */
    uint32_t path[SIM_PATH_MAX], limits[SIM_PATH_MAX];
    uint32_t planned, depth; /* at most `depth` of a run's choices are varied */
    uint32_t taken;          /* choices among two or more, since begin */
    bool diverged;
};

void sim_choices_seed(struct sim_choices *choices, uint64_t seed);
void sim_choices_bytes(struct sim_choices *choices, const uint8_t *bytes, size_t len);
/* The first of all paths whose first `depth` choices (SIM_PATH_MAX at most) differ: all zero. */
void sim_choices_all(struct sim_choices *choices, uint32_t depth);
/* The next one, after a run; false after the last. Depth first, each exactly once. */
bool sim_choices_advance(struct sim_choices *choices);

/* Before each run. */
void sim_choices_begin(struct sim_choices *choices);
/* 0..limit-1; a limit of 0 or 1 is no choice. */
uint64_t sim_choose(struct sim_choices *choices, uint64_t limit);
bool sim_choose_chance(struct sim_choices *choices, uint32_t percent);
/* The same path met other alternatives than before: something else decides too. */
bool sim_choices_diverged(const struct sim_choices *choices);

/* As text, cut if it does not fit; and back: false if it is none. A word ends at a space or NUL;
 * *end is where it ended. */
void sim_choices_print(const struct sim_choices *choices, char *text, size_t len);
bool sim_choices_parse(struct sim_choices *choices, const char *text,
                       const char **end) ASH_MUST_CHECK;

#endif
