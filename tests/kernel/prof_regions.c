/* SPDX-License-Identifier: MIT */
/* Cases of the shell's list of measured regions. */
#include "kernel/prof_regions.h"

#include "kernel/fixture.h"

#define TEN       "0123456789"
#define HUNDRED   TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LONG_NAME HUNDRED HUNDRED

struct listed {
    uint64_t entered, total, mean, min, max;
};

/* False: there is none. */
static bool take_number(const char **text, uint64_t *number) {
    const char *at = *text + strspn(*text, " ");
    size_t digits = strspn(at, "0123456789");
    *number = 0;
    for (size_t i = 0; i < digits; i++)
        *number = *number * 10 + (uint64_t)(at[i] - '0');
    *text = at + digits;
    return digits != 0;
}

static bool is_of(const char *line, const char *name, struct listed *region) {
    size_t len = strlen(name);
    return take_number(&line, &region->entered) && take_number(&line, &region->total) &&
           take_number(&line, &region->mean) && take_number(&line, &region->min) &&
           take_number(&line, &region->max) && strncmp(line, "  ", 2) == 0 &&
           strncmp(line + 2, name, len) == 0 && line[2 + len] == '\n';
}

/* What `prof regions` says of a region; false: it is not in the list. */
static bool list(struct script *script, const char *name, struct listed *region) {
    CHECK_EQ(script_run(script, "prof regions\n"), 0);
    for (const char *line = script->output; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (is_of(line, name, region))
            return true;
    }
    return false;
}

static void check_times(const struct listed *region) {
    CHECK(region->min <= region->mean && region->mean <= region->max);
    CHECK(region->max <= region->total && region->mean == region->total / region->entered);
}

static uint32_t enter(uint32_t depth) {
    uint32_t sum = 0;
    ASH_PROFILE("case.outer") {
        for (uint32_t i = 0; i < 3; i++) {
            ASH_PROFILE("case.inner") {
                if (i == 1)
                    break; /* of the region alone */
                sum++;
            }
        }
        return depth == 0 ? sum : sum + enter(depth - 1);
    }
    return UINT32_MAX; /* never */
}

TEST_CASE(prof_regions, lists_what_was_entered_and_forgets_it) {
    struct script *script = script_new(NULL, false);
    struct listed outer, inner;
    CHECK_EQ(script_run(script, "prof regions reset\n"), 0);
    CHECK_STR_EQ(script->output, "");
    CHECK(!list(script, "case.outer", &outer));
    CHECK_EQ(enter(4), 10);
    CHECK(list(script, "case.outer", &outer) && list(script, "case.inner", &inner));
    CHECK_EQ(outer.entered, 5);
    CHECK_EQ(inner.entered, 15);
    check_times(&outer);
    check_times(&inner);
    CHECK(strstr(script->output, "unit: ns, by a clock of ") == script->output);
    CHECK_EQ(script_run(script, "prof regions reset\n"), 0);
    CHECK(!list(script, "case.outer", &outer));
}

TEST_CASE(prof_regions, a_long_name_is_shown_in_full) {
    struct script *script = script_new(NULL, false);
    struct listed region;
    CHECK_EQ(script_run(script, "prof regions reset\n"), 0);
    ASH_PROFILE(LONG_NAME) {
        ash_port_compiler_fence();
    }
    CHECK(list(script, LONG_NAME, &region));
    CHECK_EQ(region.entered, 1);
}

enum { ROUNDS = 1000 };

static void both(void *context, uint32_t cpu) {
    (void)context;
    (void)cpu;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        ASH_PROFILE("case.both") {
            ash_port_compiler_fence();
        }
    }
}

TEST_CASE(prof_regions, those_of_two_cpus_add_up) {
    struct script *script = script_new(NULL, false);
    struct listed region;
    CHECK_EQ(script_run(script, "prof regions reset\n"), 0);
    test_run_on_cpus(both, NULL, 2);
    CHECK(list(script, "case.both", &region));
    CHECK_EQ(region.entered, 2 * ROUNDS);
    check_times(&region);
}

static void kernels(void) {
    PROF_REGION("case.kernel") {
        ash_port_compiler_fence();
    }
}

TEST_CASE(prof_regions, those_of_the_kernel_are_measured_while_they_are_on) {
    struct script *script = script_new(NULL, false);
    struct listed region;
    CHECK_EQ(script_run(script, "prof regions off; prof regions reset\n"), 0);
    kernels();
    CHECK(!list(script, "case.kernel", &region));
    CHECK(strstr(script->output, "the kernel's are off: prof regions on\n") != NULL);
    CHECK_EQ(script_run(script, "prof regions on\n"), 0);
    kernels();
    CHECK(list(script, "case.kernel", &region));
    CHECK(strstr(script->output, "the kernel's are on\n") != NULL);
    CHECK_EQ(script_run(script, "prof regions off\n"), 0);
    kernels();
    CHECK(list(script, "case.kernel", &region));
    CHECK_EQ(region.entered, 1);
}

TEST_CASE(prof_regions, says_what_it_takes) {
    struct script *script = script_new(NULL, false);
    static const char *const bad[] = {"prof regions x\n", "prof regions reset x\n",
                                      "prof regions ''\n"};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++) {
        CHECK_EQ(script_run(script, bad[i]), 2);
        CHECK(strstr(script->output, "prof: regions takes on, off, reset, or nothing\n") != NULL);
    }
}
