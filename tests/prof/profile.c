/* SPDX-License-Identifier: MIT */
/*
 * Regions of code: each way out of one is counted once, and leads where one expects.
 */
#include "harness/test.h"

#include <ashlar/profile.h>

extern struct ash_profile __start_ash_profiles[], __stop_ash_profiles[];

static struct ash_profile *region(const char *name) {
    for (struct ash_profile *profile = __start_ash_profiles; profile < __stop_ash_profiles;
         profile++)
        if (strcmp(profile->name, name) == 0)
            return profile;
    test_fail(__FILE__, __LINE__, "no region %s", name);
}

static uint64_t count_of(const char *name) {
    struct ash_profile_times times;
    ash_profile_read(region(name), &times);
    ash_profile_reset(region(name));
    return times.count;
}

TEST_CASE(profile, a_region_runs_once_and_is_counted) {
    uint32_t runs = 0;
    (void)count_of("test.once");
    for (uint32_t i = 0; i < 5; i++)
        ASH_PROFILE("test.once") {
            runs++;
        }
    CHECK_EQ(runs, 5);
    CHECK_EQ(count_of("test.once"), 5);
}

static uint32_t leave(uint32_t how) {
    for (uint32_t i = 0; i < 3; i++) {
        ASH_PROFILE("test.leave") {
            if (how == 0)
                return 100 + i;
            if (how == 1)
                break;
            if (how == 2)
                continue;
            if (how == 3)
                goto out;
        }
        /* break and continue leave the region alone. */
    }
    return 3;
out:
    return 200;
}

TEST_CASE(profile, each_way_out_is_counted_once) {
    static const uint32_t returns[] = {100, 3, 3, 200, 3}, counts[] = {1, 3, 3, 1, 3};
    (void)count_of("test.leave");
    for (uint32_t how = 0; how < 5; how++) {
        CHECK_EQ(leave(how), returns[how]);
        CHECK_EQ(count_of("test.leave"), counts[how]);
    }
}

TEST_CASE(profile, regions_nest_and_count_what_is_in_them) {
    (void)count_of("test.outer");
    (void)count_of("test.inner");
    ASH_PROFILE("test.outer")
    for (uint32_t i = 0; i < 3; i++)
        ASH_PROFILE("test.inner")
    ash_port_compiler_fence();
    struct ash_profile_times outer, inner;
    ash_profile_read(region("test.outer"), &outer);
    ash_profile_read(region("test.inner"), &inner);
    CHECK_EQ(outer.count, 1);
    CHECK_EQ(inner.count, 3);
    CHECK(outer.ticks >= inner.ticks);
}

static uint64_t sum_to(uint64_t n) {
    ASH_PROFILE("test.recursive") {
        return n == 0 ? 0 : n + sum_to(n - 1);
    }
    return UINT64_MAX; /* never */
}

TEST_CASE(profile, a_region_may_be_entered_within_itself) {
    struct ash_profile_times times;
    (void)count_of("test.recursive");
    CHECK_EQ(sum_to(9), 45);
    ash_profile_read(region("test.recursive"), &times);
    CHECK_EQ(times.count, 10);
    CHECK(times.ticks >= times.max_ticks + times.min_ticks && times.max_ticks >= times.min_ticks);
}

static uint32_t switched(bool is_on, uint32_t how) {
    uint32_t asked = 0, runs = 0;
    for (uint32_t i = 0; i < 3; i++) {
        ASH_PROFILE_IF((asked++, is_on), "test.switched") {
            runs++;
            if (how == 1)
                break;
            if (how == 2)
                return 10 * asked + runs;
        }
    }
    return 10 * asked + runs;
}

TEST_CASE(profile, a_region_that_is_off_runs_once_and_counts_nothing) {
    static const uint32_t returns[] = {33, 33, 11}, counts[] = {3, 3, 1};
    (void)count_of("test.switched");
    for (uint32_t how = 0; how < ASH_ARRAY_LEN(returns); how++) {
        CHECK_EQ(switched(false, how), returns[how]);
        CHECK_EQ(count_of("test.switched"), 0);
        CHECK_EQ(switched(true, how), returns[how]);
        CHECK_EQ(count_of("test.switched"), counts[how]);
    }
}

/* A round counts first and says its time after that. */
TEST_CASE(profile, a_round_that_is_half_counted_has_no_least) {
    const struct ash_profile profile = {"own", 1, 0, 0, 0};
    struct ash_profile_times times;
    ash_profile_read(&profile, &times);
    CHECK_EQ(times.count, 1);
    CHECK_EQ(times.min_ticks, 0);
}

TEST_CASE(profile, the_least_and_the_most_are_kept) {
    struct ash_profile profile = {"own", 0, 0, 0, 0};
    struct ash_profile_times times;
    ash_profile_read(&profile, &times);
    CHECK(times.count == 0 && times.min_ticks == 0 && times.max_ticks == 0);
    static const uint64_t ticks[] = {7, 3, 0, UINT64_C(1) << 40, 5};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(ticks); i++) {
        ash_profile_add(&profile, ticks[i]);
        ash_profile_read(&profile, &times);
        CHECK_EQ(times.min_ticks, i == 0 ? 7 : i == 1 ? 3 : 0);
        CHECK_EQ(times.max_ticks, i < 3 ? 7 : UINT64_C(1) << 40);
    }
    CHECK_EQ(times.count, 5);
    CHECK_EQ(times.ticks, (UINT64_C(1) << 40) + 15);
    ash_profile_reset(&profile);
    ash_profile_read(&profile, &times);
    CHECK(times.count == 0 && times.ticks == 0 && times.min_ticks == 0 && times.max_ticks == 0);
}

enum { ROUNDS = 2000 };

static void many(void *context, uint32_t cpu) {
    struct ash_profile *profile = context;
    for (uint64_t i = 0; i < ROUNDS; i++)
        ash_profile_add(profile, 10 + i + cpu);
}

TEST_CASE(profile, no_round_of_another_cpu_is_lost) {
    struct ash_profile profile = {"own", 0, 0, 0, 0};
    struct ash_profile_times times;
    test_run_on_cpus(many, &profile, 2);
    ash_profile_read(&profile, &times);
    CHECK_EQ(times.count, 2 * ROUNDS);
    CHECK_EQ(times.ticks, 2 * (10 * ROUNDS + ROUNDS * (ROUNDS - 1) / 2) + ROUNDS);
    CHECK_EQ(times.min_ticks, 10);
    CHECK_EQ(times.max_ticks, 10 + ROUNDS);
}
