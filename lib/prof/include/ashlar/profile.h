/* SPDX-License-Identifier: MIT */
/*
 * profile.h: a quick look at one piece of code:
 *
 *     ASH_PROFILE("checksum") {
 *         sum = checksum(buffer, len);
 *     }
 *
 * Rules
 *  - Any context, any CPU; regions may nest, and each counts its own time and that of what is in
 *    it. It costs two clock reads and a few atomic additions, always: it is for the time of a
 *    question, not to be left in a hot path.
 *  - ASH_PROFILE_IF(condition, name) measures where the condition holds on entry, and runs the code
 *    either way: with a switch for the condition, a load and a branch while it is off.
 *  - It is a loop of one round. `return`, `goto` out of it and a C++ exception leave it and are
 *    measured; so does `break`; `continue` ends the round, and with it the region. Neither of these
 *    two reaches a loop around it. longjmp out of it is not measured.
 *  - A region is a static struct in the linker section `ash_profiles`, which is writable; whoever
 *    reports walks it from __start_ash_profiles to __stop_ash_profiles. A reset races with regions
 *    that end meanwhile: these may be counted in part.
 *  - In C++, gcc refuses it in inline functions and templates ("section type conflict").
 *  - Port primitives: the cycle counter; atomic additions and exchanges.
 */
#ifndef ASHLAR_PROFILE_H
#define ASHLAR_PROFILE_H

#include <ashlar/atomic.h>
#include <ashlar/port.h>

struct ash_profile {
    const char *name;
    uint64_t count, ticks; /* of the clock, in all */
    uint64_t min_inverted; /* ~ of the least, so that 0 is none yet */
    uint64_t max_ticks;
};

/* One region, as people read it; count 0: the others are 0. */
struct ash_profile_times {
    uint64_t count, ticks, min_ticks, max_ticks;
};

/* A round of a region. */
struct ash_profile_round {
    struct ash_profile *profile; /* NULL: it is not measured, or no longer */
    uint64_t start;
    bool is_over;
};

static inline void ash_profile_raise(uint64_t *place, uint64_t value) {
    uint64_t old = ash_load_relaxed(place);
    while (old < value && !ash_compare_exchange(place, &old, value))
        continue; /* old is what another one has put there */
}

static inline void ash_profile_add(struct ash_profile *profile, uint64_t ticks) {
    (void)ash_fetch_add_relaxed(&profile->count, UINT64_C(1));
    (void)ash_fetch_add_relaxed(&profile->ticks, ticks);
    ash_profile_raise(&profile->min_inverted, ~ticks);
    ash_profile_raise(&profile->max_ticks, ticks);
}

/* NULL: not to be measured. */
static inline struct ash_profile_round ash_profile_begin(struct ash_profile *profile) {
    struct ash_profile_round round;
    round.profile = profile;
    round.start = profile != NULL ? ash_port_cycles() : 0;
    round.is_over = false;
    ash_port_compiler_fence();
    return round;
}

/* Counted once a round, however it is left. */
static inline void ash_profile_end(struct ash_profile_round *round) {
    ash_port_compiler_fence();
    if (round->profile != NULL)
        ash_profile_add(round->profile, ash_port_cycles() - round->start);
    round->profile = NULL;
    round->is_over = true;
}

static inline void ash_profile_read(const struct ash_profile *profile,
                                    struct ash_profile_times *times) {
    uint64_t min_inverted = ash_load_relaxed(&profile->min_inverted);
    times->count = ash_load_relaxed(&profile->count);
    times->ticks = ash_load_relaxed(&profile->ticks);
    times->min_ticks = min_inverted == 0 ? 0 : ~min_inverted;
    times->max_ticks = ash_load_relaxed(&profile->max_ticks);
}

static inline void ash_profile_reset(struct ash_profile *profile) {
    ash_store_relaxed(&profile->count, UINT64_C(0));
    ash_store_relaxed(&profile->ticks, UINT64_C(0));
    ash_store_relaxed(&profile->min_inverted, UINT64_C(0));
    ash_store_relaxed(&profile->max_ticks, UINT64_C(0));
}

/* Its condition ends the loop, its cleanup ends the round however it is left. Names of their own
 * for each, which may nest on one line. Aligned by hand, so that the section is an array. */
#define ASH_PROFILE(region_name) ASH_PROFILE_IF(true, region_name)
#define ASH_PROFILE_IF(condition, region_name) \
    ASH_PROFILE_NUMBERED(condition, region_name, __COUNTER__)
#define ASH_PROFILE_NUMBERED(condition, region_name, number) \
    ASH_PROFILE_NAMED(condition, region_name, number)
#define ASH_PROFILE_NAMED(condition, region_name, number)                                        \
    for (struct ash_profile_round ash_profile_round_##number                                     \
         __attribute__((cleanup(ash_profile_end))) = ash_profile_begin(__extension__({           \
             static struct ash_profile ash_profile_##number                                      \
                 __attribute__((section("ash_profiles"), used, aligned(8))) = {(region_name), 0, \
                                                                               0, 0, 0};         \
             (condition) ? &ash_profile_##number : NULL;                                         \
         }));                                                                                    \
         !ash_profile_round_##number.is_over; ash_profile_end(&ash_profile_round_##number))

#endif
