/* SPDX-License-Identifier: MIT */
/* Cases of the profiler: what it refuses, what it keeps, and that it gives everything back. */
#include "kernel/prof.h"

#include "kernel/disk_fixture.h"
#include "kernel/fixture.h"
#include "kernel/images.h"
#include "kernel/kernel.h"
#include "kernel/prof_look.h"
#include "kernel/prof_unsure.h"

#include <ashlar/bits.h>

#include <stdio.h>

enum { MEMORY_BYTES = 8 << 20 };

static struct kernel_memory *memory_new(void) {
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    struct platform_range range = {test_view.address(test_alloc(MEMORY_BYTES, MEMORY_BYTES)),
                                   MEMORY_BYTES};
    CHECK_EQ(memory_init(memory, &range, 1, &test_view, NULL), 0);
    return memory;
}

static uint64_t free_pages(struct kernel_memory *memory) {
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&memory->buddy, &stats);
    return stats.free_pages;
}

static void start(struct kernel_memory *memory, const struct prof_config *config) {
    int error = prof_start(memory, config);
    if (error == -ASH_ENOTSUP)
        test_skip("this machine does not sample so");
    CHECK_EQ(error, 0);
}

/* Until so many more are taken: on a busy machine some were before this was called. */
__attribute__((noinline)) static void prof_case_spin(uint64_t samples) {
    struct ash_prof_counts before, counts;
    prof_count(&before);
    do {
        prof_count(&counts);
        ash_port_compiler_fence();
    } while (counts.taken < before.taken + samples);
}

TEST_CASE(prof_kernel, refuses_rates_that_there_are_not) {
    struct kernel_memory *memory = memory_new();
    static const struct prof_config bad[] = {{.hz = 0},
                                             {.hz = ASH_PROF_HZ_MAX + 1},
                                             {.hz = UINT32_MAX},
                                             {.cycles = PROF_CYCLES_MIN - 1}};
    uint64_t before = free_pages(memory);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++)
        CHECK_EQ(prof_start(memory, &bad[i]), -ASH_EINVAL);
    CHECK_EQ(prof_state(), PROF_NEVER);
    CHECK_EQ(prof_stop(), -ASH_ENOENT);
    CHECK_EQ(free_pages(memory), before);
}

TEST_CASE(prof_kernel, a_start_without_memory_leaves_what_there_was) {
    struct kernel_memory *memory = memory_new();
    const struct prof_config config = {.hz = ASH_PROF_HZ_MAX, .samples = 64};
    const struct prof_config large = {.hz = ASH_PROF_HZ_MAX, .samples = ASH_PROF_SAMPLES_MAX};
    struct ash_prof_counts before, after;
    CHECK_EQ(prof_start(memory, &large), -ASH_ENOMEM);
    CHECK_EQ(prof_state(), PROF_NEVER);
    start(memory, &config);
    prof_case_spin(3);
    CHECK_EQ(prof_start(memory, &config), -ASH_EBUSY);
    CHECK_EQ(prof_stop(), 0);
    CHECK_EQ(prof_count(&before), 1);
    uint64_t pages = free_pages(memory);
    CHECK_EQ(prof_start(memory, &large), -ASH_ENOMEM);
    CHECK_EQ(free_pages(memory), pages);
    CHECK_EQ(prof_state(), PROF_STOPPED);
    prof_count(&after);
    CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
    CHECK(prof_check() == NULL);
    prof_free();
}

TEST_CASE(prof_kernel, gives_all_memory_back) {
    struct kernel_memory *memory = memory_new();
    const struct prof_config config = {.hz = ASH_PROF_HZ_MAX, .samples = 16};
    struct ash_prof_counts counts;
    uint64_t before = free_pages(memory);
    for (uint32_t round = 0; round < 3; round++) {
        start(memory, &config);
        prof_case_spin(round == 2 ? 40 : 3);
        if (round != 1)
            CHECK_EQ(prof_stop(), 0);
        else
            prof_free(); /* while it runs */
    }
    prof_count(&counts);
    CHECK_EQ(counts.overwritten, counts.taken - 16);
    CHECK(counts.weight >= counts.taken);
    CHECK(prof_check() == NULL);
    prof_free();
    CHECK_EQ(prof_state(), PROF_NEVER);
    CHECK_EQ(prof_count(&counts), 0);
    CHECK_EQ(free_pages(memory), before);
}

/* The time of the profile has all of each CPU's in it. */
TEST_CASE(prof_kernel, time_begins_before_the_first_sample_and_ends_after_the_last) {
    struct kernel_memory *memory = memory_new();
    const struct prof_config config = {.hz = ASH_PROF_HZ_MAX, .samples = 64};
    struct ash_prof_part parts[3];
    uint64_t hz = platform_clock_hz();
    start(memory, &config);
    prof_case_spin(1);
    CHECK_EQ(prof_stop(), 0);
    CHECK_EQ(prof_parts(parts, ASH_ARRAY_LEN(parts)), 3);
    const struct ash_prof_profile *profile = parts[0].bytes;
    uint64_t ticks = profile->clock_end - profile->clock_begin;
    uint64_t ns = ash_mul_div_u64(ticks, UINT64_C(1000000000), hz);
    CHECK(prof_duration_ns() + 100 + ns / 10000 >= ns); /* two clocks */
    prof_free();
}

/* Unsure stacks */

enum { UNSURE_PLACES = 300, UNSURE_TASKS = 3, UNSURE_ROUNDS = 4, UNSURE_SAMPLES = 4096 };

/* In each round each task is seen once at each place. */
TEST_CASE(prof_kernel, each_unsure_stack_of_each_task_is_asked_about_once) {
    struct kernel_memory *memory = memory_new();
    const struct ash_prof_config config = {.samples = UNSURE_SAMPLES, .words = 4096};
    struct ash_prof *profile =
        ash_prof_init(test_alloc(ash_prof_storage_size(&config), 16), &config, 0);
    const struct ash_prof_registers sure = {.pc = 16, .is_link = ASH_PROF_LINK_LIVE};
    uint64_t before = free_pages(memory);
    for (uint32_t i = 0; i < UNSURE_ROUNDS * UNSURE_PLACES * UNSURE_TASKS; i++) {
        const struct ash_prof_registers user = {.pc = 0x1000 + 4 * (i % UNSURE_PLACES),
                                                .link = 0x8000,
                                                .is_link = ASH_PROF_LINK_UNSURE};
        ash_prof_take(profile, i, 1 + i / UNSURE_PLACES % UNSURE_TASKS, 1, ASH_PROF_USER, NULL,
                      &user);
        ash_prof_take(profile, i, 1, 1, 0, &sure, NULL);
    }
    CHECK_EQ(prof_settle_unsure(profile, memory), UNSURE_PLACES * UNSURE_TASKS);
    CHECK_EQ(free_pages(memory), before);
    CHECK(ash_prof_check(profile) == NULL);
}

/* All of what a report, a dump or a flame graph is made from. */
TEST_CASE(prof_kernel, is_read_back_by_a_view) {
    struct kernel_memory *memory = memory_new();
    const struct prof_config config = {.hz = ASH_PROF_HZ_MAX, .samples = 4096};
    struct ash_prof_counts counts;
    struct ash_prof_sample_cursor cursor;
    struct ash_prof_view_sample sample;
    int error;
    start(memory, &config);
    prof_case_spin(20);
    CHECK_EQ(prof_stop(), 0);
    uint64_t before = free_pages(memory);
    prof_count(&counts);
    struct prof_look *look = prof_look_open(memory, &error);
    CHECK(look != NULL);
    CHECK_EQ(look->view.cpu_count, 1);
    CHECK_EQ(look->view.cpus[0].profile->taken, counts.taken);
    CHECK_EQ(look->view.cpus[0].profile->asked_hz, ASH_PROF_HZ_MAX);
    uint32_t in_spin = 0, seen = 0;
    const char *other = "nowhere";
    ash_prof_samples_begin(&cursor);
    for (; ash_prof_samples_next(&look->view, 0, &cursor, &sample); seen++) {
        struct ash_prof_place place;
        CHECK(!sample.is_damaged);
        for (uint32_t i = 0; i < sample.frame_count; i++) {
            if (ash_prof_view_place(&look->view, 0, sample.frames[i], i != 0, &place) &&
                place.name != NULL) {
                if (strcmp(place.name, "prof_case_spin") == 0) {
                    in_spin++;
                    break;
                }
                other = place.name;
            }
        }
    }
    CHECK_EQ(seen, counts.taken - counts.overwritten);
    if (in_spin == 0)
        test_fail(__FILE__, __LINE__, "none of %u samples is in prof_case_spin, the last in %s",
                  seen, other);
    prof_look_close(look);
    CHECK_EQ(free_pages(memory), before);
    prof_free();
}

TEST_CASE(prof_kernel, a_look_that_finds_no_memory_loses_nothing) {
    struct kernel_memory *memory = memory_new();
    const struct prof_config config = {.hz = ASH_PROF_HZ_MAX, .samples = 64};
    void *pages[64];
    uint32_t held = 0;
    int error = 0;
    start(memory, &config);
    prof_case_spin(3);
    CHECK_EQ(prof_stop(), 0);
    while (held < ASH_ARRAY_LEN(pages) && (pages[held] = memory_pages_alloc(memory, 5)) != NULL)
        held++;
    uint64_t before = free_pages(memory);
    CHECK(prof_look_open(memory, &error) == NULL);
    CHECK_EQ(error, -ASH_ENOMEM);
    CHECK_EQ(free_pages(memory), before);
    while (held-- != 0)
        memory_pages_free(memory, pages[held], 5);
    struct prof_look *look = prof_look_open(memory, &error);
    CHECK(look != NULL);
    prof_look_close(look);
    prof_free();
}

/* Of the shell */

static const struct {
    const char *line, *answer;
    int status;
} refusals[] = {
    {"profstop", "profstop: it does not sample; profstart begins\n", 1},
    {"profreport", "profreport: nothing was sampled; profstart begins\n", 1},
    {"prof flame x", "prof: nothing was sampled; profstart begins\n", 1},
    {"profstart 0", "profstart: 0: no such rate: say 1 to 20000 samples a second, without a unit\n",
     2},
    {"profstart 20001",
     "profstart: 20001: no such rate: say 1 to 20000 samples a second, without a unit\n", 2},
    {"profstart -5",
     "profstart: -5: no such rate: say 1 to 20000 samples a second, without a unit\n", 2},
    {"profstart --cycles 999", "profstart: 999: a period is 1000 cycles or more, below 2^32\n", 2},
    {"profstart --samples 3", "profstart: 3: keep 16 samples of a CPU or more\n", 2},
    {"profreport 0", "profreport: 0: say how many functions, 1 to 1000\n", 2},
    {"profstart --samples 67108864",
     "profstart: there is no memory for the samples of all CPUs; --samples N keeps fewer\n", 1},
};

TEST_CASE(prof_kernel, commands_say_what_is_wrong) {
    struct script *script = script_new(NULL, false);
    struct kernel *kernel = test_alloc(sizeof(*kernel), 64);
    struct platform_range range = {test_view.address(test_alloc(MEMORY_BYTES, MEMORY_BYTES)),
                                   MEMORY_BYTES};
    CHECK_EQ(memory_init(&kernel->memory, &range, 1, &test_view, NULL), 0);
    script->shell->kernel = kernel;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(refusals); i++) {
        char line[64];
        snprintf(line, sizeof(line), "%s\n", refusals[i].line);
        CHECK_EQ(script_run(script, line), refusals[i].status);
        CHECK_STR_EQ(script->output, refusals[i].answer);
    }
    CHECK_EQ(script_run(script, "perfstat nonsense\n"), 127);
    CHECK(strstr(script->output, "perfstat: nonsense: status 127\n") != NULL);
    CHECK(strstr(script->output, "  elapsed\n") != NULL);
    CHECK_EQ(script_run(script, "perfstat\n"), 2);
    CHECK_EQ(script_run(script, "perfstat perfstat nonsense\n"), 2);
}
